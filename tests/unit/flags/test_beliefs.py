"""Missing is not empty: what disappears is believed late, what appears at once."""

import pytest

from brownout.api.override import FEATURE_OVERRIDE
from brownout.api.policy import FEATURE_POLICY
from brownout.api.resources import InvalidObject, Key, Stored
from brownout.api.tier import USER_TIER
from brownout.flags.beliefs import Beliefs
from flags.builders import NAMESPACE, PRO, override, policy

POLICIES, TIERS, OVERRIDES = FEATURE_POLICY.plural, USER_TIER.plural, FEATURE_OVERRIDE.plural
SETTLE, EMPTY = 10.0, 600.0


def beliefs() -> Beliefs:
    return Beliefs(settle_seconds=SETTLE, empty_believed_after=EMPTY)


def listed(*, policies: tuple[str, ...] = ("a", "b"), overrides: tuple[str, ...] = ()) -> Beliefs:
    """What is believed at 0 after one LIST of each kind."""
    made = beliefs()
    made.kinds[POLICIES].replace([policy(name) for name in policies], 0.0)
    made.kinds[TIERS].replace([PRO], 0.0)
    made.kinds[OVERRIDES].replace([override(name) for name in overrides], 0.0)
    made.judge(0.0)
    return made


def names(made: Beliefs, plural: str = POLICIES) -> list[str]:
    return [each.key.name for each in made.by_namespace(plural).get(NAMESPACE, [])]


def key(name: str) -> Key:
    return Key(NAMESPACE, name)


def test_nothing_is_believed_before_every_kind_has_been_listed() -> None:
    made = beliefs()
    made.kinds[POLICIES].replace([policy("a")], 0.0)
    made.kinds[TIERS].replace([PRO], 0.0)
    assert made.judge(0.0) is None
    assert names(made) == []
    made.kinds[OVERRIDES].replace([], 0.0)
    made.judge(0.0)
    assert names(made) == ["a"]


def test_a_snapshot_is_believed_until_every_kind_has_been_listed() -> None:
    made = beliefs()
    made.remember(POLICIES, [policy("kept")])
    made.kinds[POLICIES].replace([policy("new")], 0.0)
    made.judge(0.0)
    assert names(made) == ["kept"]


def test_what_a_snapshot_had_and_the_api_server_has_not_goes_like_anything_that_is_deleted() -> None:
    made = beliefs()
    made.remember(POLICIES, [policy("kept")])
    made.kinds[POLICIES].replace([policy("new")], 0.0)
    made.kinds[TIERS].replace([PRO], 0.0)
    made.kinds[OVERRIDES].replace([], 0.0)
    assert made.judge(0.0) == SETTLE
    assert names(made) == ["kept", "new"]
    made.judge(SETTLE)
    assert names(made) == ["new"]


def test_a_new_or_changed_object_is_believed_at_once() -> None:
    made = listed()
    made.kinds[POLICIES].put(policy("c"))
    made.kinds[POLICIES].put(policy("a", version=9))
    made.judge(1.0)
    assert names(made) == ["a", "b", "c"]
    assert made.kinds[POLICIES].believed[key("a")].status.version == 9


def test_a_deleted_policy_is_gone_when_the_deletions_have_settled() -> None:
    made = listed()
    made.kinds[POLICIES].drop(key("a"), 100.0)
    assert made.judge(100.0) == 100.0 + SETTLE
    assert names(made) == ["a", "b"]
    made.judge(100.0 + SETTLE)
    assert names(made) == ["b"]


def test_a_policy_that_is_created_again_in_time_was_never_gone() -> None:
    made = listed()
    made.kinds[POLICIES].drop(key("a"), 100.0)
    made.kinds[POLICIES].put(policy("a"))
    made.judge(100.0 + SETTLE)
    assert names(made) == ["a", "b"]


def test_all_objects_vanishing_one_by_one_leaves_all_of_them_in_place() -> None:
    made = listed()
    for at, name in enumerate("ab"):
        made.kinds[POLICIES].drop(key(name), float(at))
        made.judge(float(at))
    made.judge(SETTLE + 60.0)
    assert names(made) == ["a", "b"]
    assert made.kinds[POLICIES].missing


def test_all_objects_vanishing_in_a_list_leaves_all_of_them_in_place() -> None:
    made = listed()
    made.kinds[POLICIES].replace([], 5.0)
    made.judge(5.0 + EMPTY - 1.0)
    assert names(made) == ["a", "b"]


def test_emptiness_is_believed_after_the_api_server_has_stood_by_it() -> None:
    made = listed()
    made.kinds[POLICIES].replace([], 5.0)
    assert made.judge(5.0) == 5.0 + EMPTY
    made.judge(5.0 + EMPTY)
    assert names(made) == []
    assert not made.kinds[POLICIES].missing


def test_emptiness_has_to_be_stood_by_again_after_the_api_server_was_away() -> None:
    made = listed()
    made.kinds[POLICIES].replace([], 5.0)
    made.kinds[POLICIES].lost(500.0)
    made.judge(5.0 + EMPTY)
    assert names(made) == ["a", "b"]
    made.judge(500.0 + EMPTY)
    assert names(made) == []


def test_an_object_that_appears_ends_the_doubt_about_the_others() -> None:
    made = listed()
    made.kinds[POLICIES].replace([], 5.0)
    made.kinds[POLICIES].put(policy("c"))
    made.judge(5.0 + SETTLE)
    assert names(made) == ["c"]


def test_an_override_ends_at_once_when_it_is_deleted() -> None:
    made = listed(overrides=("word",))
    made.kinds[OVERRIDES].drop(key("word"), 5.0)
    made.judge(5.0)
    assert names(made, OVERRIDES) == []


def test_overrides_stay_while_the_policies_are_missing() -> None:
    made = listed(overrides=("word",))
    made.kinds[POLICIES].replace([], 5.0)
    made.kinds[OVERRIDES].replace([], 5.0)
    made.judge(5.0)
    assert names(made, OVERRIDES) == ["word"]
    made.judge(5.0 + EMPTY)
    assert names(made, OVERRIDES) == []


def test_a_new_override_counts_while_the_policies_are_missing() -> None:
    made = listed()
    made.kinds[POLICIES].replace([], 5.0)
    made.kinds[OVERRIDES].put(override("word"))
    made.judge(5.0)
    assert names(made, OVERRIDES) == ["word"]


def test_an_object_that_cannot_be_read_stays_as_it_was() -> None:
    made = listed()
    made.kinds[POLICIES].put(InvalidObject(key("a"), "spec: broken"))
    made.judge(1.0)
    assert isinstance(made.kinds[POLICIES].believed[key("a")], Stored)


def test_an_object_that_could_never_be_read_is_not_there() -> None:
    made = listed()
    made.kinds[POLICIES].put(InvalidObject(key("c"), "spec: broken"))
    made.judge(1.0)
    assert names(made) == ["a", "b"]


def test_unreadable_objects_of_a_list_are_reported() -> None:
    made = listed()
    broken = InvalidObject(key("a"), "spec: broken")
    assert made.kinds[POLICIES].replace([broken, policy("b")], 1.0) == [broken]
    made.judge(1.0)
    assert names(made) == ["a", "b"]


@pytest.mark.parametrize("plural", [POLICIES, TIERS])
def test_tiers_are_held_as_policies_are(plural: str) -> None:
    made = listed()
    before = names(made, plural)
    made.kinds[plural].replace([], 5.0)
    made.judge(6.0)
    assert names(made, plural) == before
