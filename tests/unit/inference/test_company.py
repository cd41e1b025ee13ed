"""How much company the most important have in a step."""

import math
from collections.abc import Mapping

import pytest

from brownout_inference.engine.company import Company


class Known:
    """Seconds by slots."""

    def __init__(self, seconds: Mapping[float, float]) -> None:
        self._seconds = seconds

    def seconds(self, slots: float) -> float | None:
        return self._seconds.get(slots)


def test_company_is_welcome_as_far_as_it_makes_the_step_so_much_longer() -> None:
    company = Company(Known({1: 1.0, 2: 1.25, 3: 1.3}), 0.25)
    assert company.allows(2, beside=1)
    assert not company.allows(3, beside=1)


def test_where_a_full_step_takes_no_longer_everybody_is_welcome() -> None:
    assert Company(Known({1: 1.0, 8: 1.0})).allows(8, beside=1)


def test_a_step_larger_than_all_that_were_measured_is_made_to_measure_it() -> None:
    assert Company(Known({1: 1.0})).allows(8, beside=1)


def test_the_most_important_make_a_few_steps_alone_where_nobody_knows_what_those_take() -> None:
    assert not Company(Known({8: 1.0})).allows(8, beside=1)


@pytest.mark.parametrize("slack", [-1.0, math.inf])
def test_a_slack_that_is_negative_or_infinite_lets_everybody_in(slack: float) -> None:
    assert Company(Known({1: 1.0, 8: 80.0}), slack).allows(8, beside=1)
    assert Company(Known({}), slack).allows(8, beside=1)
