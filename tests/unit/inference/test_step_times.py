"""What steps take by their slots."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brownout_inference.step_times import (
    ENOUGH,
    FORGET_AFTER_STEPS,
    LOOK_AGAIN_STEPS,
    StepTimes,
    rising,
    size_of,
    slots_of,
)


def times(*steps: tuple[float, float], each: int = ENOUGH) -> StepTimes:
    found = StepTimes()
    for slots, seconds in steps:
        for _ in range(each):
            found.stepped(slots, seconds)
    return found


def test_nothing_is_known_before_there_were_a_few_steps_of_a_size() -> None:
    assert times((1, 0.1), each=ENOUGH - 1).seconds(1) is None
    assert times((1, 0.1)).seconds(1) == pytest.approx(0.1)


def test_between_two_sizes_that_are_known_it_lies_between() -> None:
    assert times((1, 0.1), (5, 0.3)).seconds(2) == pytest.approx(0.15)


def test_of_less_or_more_than_was_seen_nothing_is_known() -> None:
    found = times((2, 0.1), (5, 0.3))
    assert (found.seconds(1), found.seconds(6)) == (None, None)


def test_more_never_takes_less() -> None:
    found = times((1, 0.3), (2, 0.1), (4, 0.5))
    assert [found.seconds(slots) for slots in (1, 2, 4)] == pytest.approx([0.2, 0.2, 0.5])


def test_a_step_that_was_held_up_moves_it_little() -> None:
    found = times((1, 0.1), each=100)
    found.stepped(1, 60.0)
    for _ in range(LOOK_AGAIN_STEPS):
        found.stepped(2, 0.1)
    assert found.seconds(1) == pytest.approx(0.1, rel=0.06)


def test_a_device_that_has_become_slower_is_believed() -> None:
    found = times((1, 0.1), (1, 0.5), each=200)
    assert found.seconds(1) == pytest.approx(0.5, rel=0.05)


def test_what_was_not_seen_for_long_is_not_known_any_more() -> None:
    found = times((1, 0.1), (4, 0.2))
    for _ in range(FORGET_AFTER_STEPS + LOOK_AGAIN_STEPS):
        found.stepped(4, 0.2)
    assert found.seconds(1) is None
    assert found.seconds(4) == pytest.approx(0.2)


def test_parts_of_a_slot_belong_to_the_nearest_whole() -> None:
    assert times((1, 0.1)).seconds(0.26) == pytest.approx(0.1)


@given(st.floats(0.01, 4096))
def test_a_size_is_near_the_slots_that_belong_to_it(slots: float) -> None:
    assert slots_of(size_of(slots)) == pytest.approx(max(1.0, slots), rel=0.05, abs=0.5)


@given(st.lists(st.floats(0, 10), min_size=1, max_size=20))
def test_rising_values_rise_and_keep_their_mean(values: list[float]) -> None:
    risen = rising(values)
    assert all(one <= other + 1e-9 for one, other in pairwise(risen))
    assert sum(risen) == pytest.approx(sum(values))
