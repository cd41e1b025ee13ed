"""Kinds whose objects vanish all at once."""

from typing import Any

import pytest

from brownout.api.resources import Key
from brownout.observe.vanish import Vanishing

TWO: dict[Key, Any] = {Key("n", "a"): 1, Key("n", "b"): 2}
ONE: dict[Key, Any] = {Key("n", "a"): 1}


def test_all_objects_of_a_kind_gone_at_once_are_kept_and_named() -> None:
    vanishing = Vanishing()
    assert vanishing.admit("FeaturePolicy", TWO, now=0) == (TWO, False)
    assert vanishing.admit("FeaturePolicy", {}, now=2) == (TWO, True)
    assert vanishing.admit("FeaturePolicy", {}, now=200) == (TWO, True)


@pytest.mark.parametrize("seconds", [1, 2, 6, 30, 60])
def test_however_far_apart_looks_are_all_objects_gone_at_the_next_one_are_kept(seconds: int) -> None:
    """A slow API server, a slow query, long ticks: what was there when we last looked did not go one by one for all we know."""
    vanishing = Vanishing(hold_seconds=300)
    for look in range(3):
        assert vanishing.admit("Pod", TWO, now=look * seconds) == (TWO, False)
    first = 3 * seconds
    held = range(first, first + 300, seconds)
    assert {vanishing.admit("Pod", {}, now=at)[1] for at in held} == {True}
    assert vanishing.admit("Pod", {}, now=first + 300) == ({}, False)


@pytest.mark.parametrize("seconds", [6, 30, 60])
def test_objects_that_went_one_by_one_from_look_to_look_are_gone(seconds: int) -> None:
    vanishing = Vanishing()
    vanishing.admit("Pod", TWO, now=0)
    vanishing.admit("Pod", ONE, now=seconds)
    assert vanishing.admit("Pod", {}, now=2 * seconds) == ({}, False)


def test_after_a_while_they_are_believed_to_be_gone() -> None:
    vanishing = Vanishing(hold_seconds=300)
    vanishing.admit("Node", TWO, now=0)
    assert vanishing.admit("Node", {}, now=1) == (TWO, True)
    assert vanishing.admit("Node", {}, now=302) == ({}, False)
    assert vanishing.admit("Node", {}, now=303) == ({}, False)


def test_one_that_comes_back_ends_it() -> None:
    vanishing = Vanishing()
    vanishing.admit("UserTier", TWO, now=0)
    vanishing.admit("UserTier", {}, now=1)
    assert vanishing.admit("UserTier", ONE, now=2) == (ONE, False)
    assert vanishing.admit("UserTier", {}, now=3) == ({}, False)


def test_objects_that_went_one_by_one_are_gone() -> None:
    vanishing = Vanishing()
    vanishing.admit("UserTier", TWO, now=0)
    vanishing.admit("UserTier", ONE, now=60)
    assert vanishing.admit("UserTier", {}, now=120) == ({}, False)


def test_two_that_went_within_seconds_of_each_other_vanished() -> None:
    vanishing = Vanishing()
    vanishing.admit("UserTier", TWO, now=0)
    vanishing.admit("UserTier", ONE, now=2)
    assert vanishing.admit("UserTier", {}, now=4) == (TWO, True)


def test_a_single_object_may_be_deleted() -> None:
    vanishing = Vanishing()
    vanishing.admit("GPUPool", ONE, now=0)
    assert vanishing.admit("GPUPool", {}, now=1) == ({}, False)


def test_overrides_may_be_deleted_in_bulk() -> None:
    vanishing = Vanishing()
    vanishing.admit("FeatureOverride", TWO, now=0)
    assert vanishing.admit("FeatureOverride", {}, now=1) == ({}, False)
