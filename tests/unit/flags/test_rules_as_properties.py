"""The rules as laws over random policies, tiers, overrides and users."""

import time
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from brownout.api.override import CellRef
from brownout.api.policy import CellStatus, TierEntry
from brownout.api.tier import Cohort, Match
from brownout.flags.audience import Tier
from brownout.flags.evaluate import Evaluation, Evaluator
from brownout.flags.render import render
from flags import reading
from flags.builders import FREE, LISTED, NAMESPACE, PLUS, PRO, TIERS, always, auto, cell, never, override, policy, tier

NOW = time.time()
COHORTS = ("new-accounts", "unverified")
NAMES = ("pro", "plus", "free")
PLANS = ("pro", "plus", "free")

scalars = st.none() | st.booleans() | st.integers(-10, 5_000_000_000) | st.floats(allow_nan=False) | st.text(max_size=5)
anything = st.recursive(
    scalars | st.sampled_from(PLANS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
ages = st.integers(0, 2_000_000).map(lambda seconds: int(NOW) - seconds * 7 - 3)
keys = st.sampled_from([f"user-{number}" for number in range(200)])
contexts = st.fixed_dictionaries(
    {"plan": st.sampled_from(PLANS), "accountCreatedAt": ages, "targetingKey": keys},
    optional={"verified": st.sampled_from(["yes", "no"])},
)
strange_contexts = st.fixed_dictionaries(
    {},
    optional={"plan": anything, "accountCreatedAt": ages | anything, "verified": anything, "targetingKey": st.text()},
)
heavy_users = st.builds(
    lambda user, key: {**user, "targetingKey": key}, contexts, st.sampled_from(["user-0", "user-1"])
)
users = contexts | strange_contexts | heavy_users
matches = st.one_of(
    st.builds(
        lambda operator, values: Match(key="plan", operator=operator, values=values),
        st.sampled_from(["In", "NotIn"]),
        st.lists(st.sampled_from(PLANS), min_size=1, max_size=2).map(tuple),
    ),
    st.builds(lambda operator: Match(key="verified", operator=operator), st.sampled_from(["Exists", "DoesNotExist"])),
    st.builds(
        lambda operator, seconds: Match(key="accountCreatedAt", operator=operator, seconds=seconds),
        st.sampled_from(["YoungerThan", "OlderThan"]),
        st.integers(1, 10_000_000),
    ),
)


def some_cohort(name: str) -> st.SearchStrategy[Cohort]:
    return st.lists(matches, min_size=1, max_size=2).map(lambda found: Cohort(name=name, match=tuple(found)))


cohorts = st.permutations(COHORTS).flatmap(lambda names: st.tuples(*(some_cohort(name) for name in names))) | st.just(
    ()
)


def some_tier(name: str) -> st.SearchStrategy[Tier]:
    return st.builds(
        lambda priority, found, parts: tier(name, priority, *found, cohorts=parts),
        st.integers(0, 3),
        st.lists(matches, max_size=2),
        cohorts,
    )


def some_entry(name: str) -> st.SearchStrategy[list[TierEntry]]:
    return st.sampled_from(
        [[auto(name)], [auto(name, "lite")], [auto(name, "full")], [always(name)], [never(name)], []]
    )


def some_cell(name: str, cohort: str) -> st.SearchStrategy[CellStatus]:
    variants = st.sampled_from(["full", "lite", "denied", "gone"])
    return st.builds(
        lambda variant, percent: cell(name, variant, percent, cohort=cohort), variants, st.integers(0, 100)
    )


tiers = st.tuples(*(some_tier(name) for name in NAMES)) | st.sampled_from([TIERS, ()])
entries = st.tuples(*(some_entry(name) for name in NAMES)).map(
    lambda found: [entry for some in found for entry in some]
)
held_users = st.lists(
    st.builds(
        lambda name, cohort, user, variant: cell(name, variant, cohort=cohort, user=user),
        st.sampled_from(NAMES),
        st.sampled_from(["", *COHORTS]),
        st.sampled_from(["user-0", "user-1", "user-2"]),
        st.sampled_from(["full", "lite", "denied", "gone"]),
    ),
    max_size=6,
    unique_by=lambda line: (line.tier, line.cohort, line.user),
).map(tuple)
some_cells = st.tuples(*(some_cell(name, cohort) for name in NAMES for cohort in ("", *COHORTS))).flatmap(
    lambda found: st.sampled_from([found, found, found[2:], ()])
)
cells = st.builds(lambda lines, held: (*lines, *held), some_cells, st.just(()) | held_users)
policies = st.builds(
    lambda mode, found, sits: policy(mode=mode, tiers=found, cells=sits),
    st.sampled_from(["Auto", "Auto", "Paused", "Advise"]),
    entries,
    cells,
)
overrides = st.lists(
    st.builds(
        lambda variant, found, year, age, name: override(
            name, variant=variant, cells=found, expires=f"{year}-01-01T00:00:00Z", created_at=NOW - age
        ),
        st.sampled_from(["full", "lite", "denied", "gone"]),
        st.lists(
            st.builds(CellRef, tier=st.sampled_from(NAMES), cohort=st.none() | st.sampled_from(COHORTS)), max_size=2
        ),
        st.sampled_from([2020, 2020, 2099]),
        st.integers(0, 1_000_000),
        st.sampled_from(["a", "b", "c"]),
    ),
    max_size=3,
    unique_by=lambda word: word.key,
)


def variant(evaluator: Evaluator, context: dict[str, Any]) -> str:
    found = evaluator.evaluate("image-generation", context)
    assert isinstance(found, Evaluation), found
    return found.variant


@settings(max_examples=400, deadline=None)
@given(policy=policies, tiers=tiers, overrides=overrides, users=st.lists(users, min_size=1, max_size=8))
def test_the_reference_evaluator_agrees_with_a_plain_reading_of_the_rules(
    policy: Any, tiers: Any, overrides: Any, users: Any
) -> None:
    evaluator = Evaluator(render(NAMESPACE, policies=[policy], tiers=tiers, overrides=overrides, now=NOW))
    for user in users:
        assert variant(evaluator, user) == reading.variant(policy, tiers, overrides, user, time.time())


@settings(max_examples=100, deadline=None)
@given(cells=cells, user=users)
def test_every_context_gets_a_variant_that_its_tier_may_have(cells: Any, user: dict[str, Any]) -> None:
    evaluator = Evaluator(render(NAMESPACE, policies=[policy(cells=cells)], tiers=TIERS, overrides=[], now=NOW))
    found = reading.audience(TIERS, user, time.time())
    assert found is not None
    allowed = {
        PRO.key: {"full"},
        PLUS.key: {"full", "lite"},
        FREE.key: {"full", "lite", "denied_capacity", *(["denied_new_accounts"] if found[1] else [])},
    }
    assert variant(evaluator, user) in allowed[found[0].key]


@settings(max_examples=200, deadline=None)
@given(
    user=st.text(min_size=1, max_size=30),
    low=st.integers(0, 100),
    high=st.integers(0, 100),
    step=st.sampled_from(["full", "lite"]),
)
def test_raising_a_percentage_takes_the_better_variant_from_nobody(user: str, low: int, high: int, step: str) -> None:
    low, high = sorted((low, high))
    context = {"plan": "plus", "targetingKey": user}
    listed = [entry for entry in LISTED if entry.tier_ref.name != "plus"] + [auto("plus")]

    def served(percent: int) -> str:
        shed = policy(tiers=listed, cells=[cell("plus", step, percent)])
        return variant(Evaluator(render(NAMESPACE, policies=[shed], tiers=TIERS, overrides=[], now=NOW)), context)

    order = ["denied_capacity", "lite", "full"]
    assert order.index(served(low)) <= order.index(served(high))


@settings(max_examples=50, deadline=None)
@given(
    user=st.text(min_size=1, max_size=30),
    percent=st.integers(1, 99),
    others=st.dictionaries(st.text(min_size=1, max_size=5), scalars, max_size=4),
)
def test_a_percentage_is_sticky_whatever_else_the_context_says(user: str, percent: int, others: dict[str, Any]) -> None:
    evaluator = Evaluator(
        render(NAMESPACE, policies=[policy(cells=[cell("plus", "full", percent)])], tiers=TIERS, overrides=[], now=NOW)
    )
    known = {"plan": "plus", "targetingKey": user}
    assert variant(evaluator, {**others, **known}) == variant(evaluator, known)
