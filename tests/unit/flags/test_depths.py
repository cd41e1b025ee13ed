"""Whether somebody has less by a newer set: what decides between telling at once and spreading out."""

import pytest

from brownout.flags.cells import Policy
from brownout.flags.depths import takes
from brownout.flags.render import render
from flags.builders import NAMESPACE, TIERS, auto, cell, override, policy

WELL = policy()
LITE = policy(cells=[cell("free", "lite")])


def taken(before: Policy, after: Policy) -> bool:
    sets = [render(NAMESPACE, policies=[each], tiers=TIERS, overrides=(), now=0.0) for each in (before, after)]
    return takes(sets[0].depths, sets[1].depths)


@pytest.mark.parametrize(
    "after",
    [
        LITE,
        policy(cells=[cell("free", "full", 99)]),
        policy(cells=[cell("free", "denied", cohort="new-accounts")]),
        policy(cells=[cell("free", "lite", user="batch")]),
        policy(tiers=[auto("free")]),
    ],
)
def test_less_for_a_part_of_a_cell_a_cohort_or_a_single_user_is_less(after: Policy) -> None:
    assert taken(WELL, after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (LITE, WELL),
        (policy(cells=[cell("free", "full", 10)]), policy(cells=[cell("free", "full", 15)])),
        (policy(cells=[cell("free", "denied", user="batch")]), WELL),
        (policy(cells=[cell("free", "denied", user="batch")]), policy(cells=[cell("free", "lite", user="batch")])),
        (WELL, policy(version=2)),
    ],
)
def test_what_comes_back_or_is_only_worded_otherwise_takes_nothing(before: Policy, after: Policy) -> None:
    assert not taken(before, after)


def test_less_for_one_weighs_more_than_more_for_another() -> None:
    before = policy(cells=[cell("free", "denied"), cell("plus", "full")])
    assert taken(before, policy(cells=[cell("free", "full"), cell("plus", "lite")]))


def test_a_user_whose_cell_goes_as_deep_has_no_less() -> None:
    alone = policy(cells=[cell("free", "lite"), cell("free", "denied", user="batch")])
    assert not taken(policy(cells=[cell("free", "denied")]), alone)
    assert taken(alone, policy(cells=[cell("free", "denied")]))


def test_a_feature_that_comes_or_goes_is_told_at_once() -> None:
    other = policy("chat")
    one = render(NAMESPACE, policies=[WELL], tiers=TIERS, overrides=(), now=0.0).depths
    both = render(NAMESPACE, policies=[WELL, other], tiers=TIERS, overrides=(), now=0.0).depths
    assert takes(one, both)
    assert takes(both, one)


def test_an_override_takes_like_the_loop_does() -> None:
    word = override(expires="2099-01-01T00:00:00Z", created_at=0.0)
    plain = render(NAMESPACE, policies=[WELL], tiers=TIERS, overrides=(), now=1.0).depths
    overridden = render(NAMESPACE, policies=[WELL], tiers=TIERS, overrides=[word], now=1.0).depths
    assert takes(plain, overridden)
    assert not takes(overridden, plain)
