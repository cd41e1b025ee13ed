"""The rules as laws over random policies, tiers, overrides and users."""

import time
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from brownout.flags.evaluate import Evaluation, Evaluator
from brownout.flags.render import FlagSet, render
from flags import reading
from flags.builders import FREE, LISTED, NAMESPACE, PLUS, PRO, TIERS, auto, cell, policy
from flags.random_flags import NOW, cells, overrides, policies, scalars, tiers, users


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


@settings(max_examples=100, deadline=None)
@given(
    one=st.tuples(policies, tiers, overrides),
    other=st.tuples(policies, tiers, overrides),
    ends=st.integers(0, 1_000_000),
)
def test_what_was_rendered_before_changes_nothing(one: Any, other: Any, ends: int) -> None:
    def rendered(what: Any, now: float, before: FlagSet | None = None) -> FlagSet:
        found, known, words = what
        return render(NAMESPACE, policies=[found], tiers=known, overrides=words, now=now, before=before)

    before = rendered(one, NOW)
    for what, now in ((other, NOW), (one, NOW + ends)):
        onwards, anew = rendered(what, now, before), rendered(what, now)
        assert (onwards.document, onwards.version, onwards.changes_at) == (anew.document, anew.version, anew.changes_at)
