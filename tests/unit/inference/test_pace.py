"""How long a step takes."""

import pytest

from brownout_inference.pace import Pace


def test_a_paced_device_is_as_slow_as_it_says() -> None:
    pace = Pace(0.1)
    pace.stepped(0.1, fill=0.25)
    assert pace.step_seconds == 0.1


def test_a_device_that_is_slower_than_declared_is_believed() -> None:
    pace = Pace(0.1)
    pace.stepped(0.3, fill=1)
    assert pace.step_seconds == pytest.approx(0.3)


def test_nothing_is_known_before_the_first_step() -> None:
    assert Pace(0).step_seconds == 0


def test_full_steps_replace_what_nearly_empty_ones_told() -> None:
    pace = Pace(0)
    pace.stepped(0.01, fill=0.1)
    assert pace.step_seconds == pytest.approx(0.01)
    pace.stepped(0.04, fill=1)
    pace.stepped(0.01, fill=0.1)
    assert pace.step_seconds == pytest.approx(0.04)


def test_one_slow_step_moves_it_a_little() -> None:
    pace = Pace(0)
    for _ in range(10):
        pace.stepped(0.04, fill=1)
    pace.stepped(1.04, fill=1)
    assert 0.04 < pace.step_seconds < 0.1
