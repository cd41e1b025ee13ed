"""Random policies, tiers, overrides and users, ordinary and odd."""

import time

from hypothesis import strategies as st

from brownout.api.override import CellRef
from brownout.api.policy import CellStatus, TierEntry
from brownout.api.tier import Cohort, Match
from brownout.flags.audience import Tier
from flags.builders import TIERS, always, auto, cell, never, override, policy, tier

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

# What a stranger might send, and what a person might write

numbers_as_text = st.sampled_from(["0", "1", "1500000000", " 1500000000 ", "1e9", "NaN", "inf", "-inf", "0x10", "１２"])
huge = st.sampled_from(
    [
        2**53,
        2**63,
        2**64,
        10**308,
        -(10**308),
        1.7976931348623157e308,
        5e-324,
        -0.0,
        1e300,
        "x" * 70_000,
        list(range(5_000)),
    ]
)
odd_values = anything | numbers_as_text | huge
odd_contexts = st.fixed_dictionaries(
    {},
    optional={
        "plan": odd_values,
        "accountCreatedAt": ages | odd_values | st.integers(int(NOW) - 700_000, int(NOW) + 100_000),
        "verified": odd_values,
        "organisation": odd_values | st.fixed_dictionaries({}, optional={"plan": odd_values, "0": odd_values}),
        "targetingKey": st.none() | st.text() | keys | st.sampled_from(["", "u", "é" * 40_000, "\x00"]),
        "$flagd": odd_values,
        "": odd_values,
    },
)
odd_users = odd_contexts.map(lambda user: {**user, "more": "x"}) | odd_contexts
odd_matches = st.one_of(
    matches,
    st.builds(
        lambda key, operator, values: Match(key=key, operator=operator, values=values),
        st.sampled_from(
            [
                "organisation.plan",
                "organisation.0",
                "organisation.length",
                "organisation.1.plan",
                "targetingKey",
                "a..b",
                ".",
            ]
        ),
        st.sampled_from(["In", "NotIn"]),
        st.lists(st.sampled_from([*PLANS, "", "user-1", "5"]), min_size=1, max_size=3).map(tuple),
    ),
    st.builds(
        lambda key, operator: Match(key=key, operator=operator),
        st.sampled_from(["organisation", "organisation.plan", "organisation.length", "targetingKey", "plan"]),
        st.sampled_from(["Exists", "DoesNotExist"]),
    ),
    st.builds(
        lambda key, operator, seconds: Match(key=key, operator=operator, seconds=seconds),
        st.sampled_from(["organisation.0", "organisation.length", "verified", "targetingKey.length"]),
        st.sampled_from(["YoungerThan", "OlderThan"]),
        st.integers(1, 3_155_760_000),
    ),
)
odd_tiers = st.tuples(
    *(
        st.builds(
            lambda priority, found, parts, name=name: tier(name, priority, *found, cohorts=parts),
            st.integers(0, 3),
            st.lists(odd_matches, max_size=3),
            st.lists(odd_matches, min_size=1, max_size=2).map(
                lambda found: [Cohort(name="new-accounts", match=tuple(found))]
            )
            | st.just([]),
        )
        for name in NAMES
    )
)
