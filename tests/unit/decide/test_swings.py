"""What counts as a swing, and what a workload whose demand swings keeps."""

import pytest

from brownout.decide.history import History, history
from brownout.decide.swings import is_due, note, peak, swings
from support.build import NOW


def needs(*levels: float, every: float = 60.0) -> History:
    """Needs noted so often, the last one now."""
    return history((NOW - every * i for i in reversed(range(len(levels)))), levels)


@pytest.mark.parametrize("levels", [(2, 10, 2, 10), (10, 8, 10), (10, 4, 7), (3, 9, 4, 3, 6)])
def test_a_fall_and_a_rise_are_a_swing(levels: tuple[float, ...]) -> None:
    assert swings(levels)


@pytest.mark.parametrize("levels", [(), (5,), (5, 5, 5), (1, 4, 8, 12), (12, 8, 4, 1), (2, 9, 2)])
def test_what_rises_once_or_falls_once_is_no_swing(levels: tuple[float, ...]) -> None:
    assert not swings(levels)


def test_one_replica_more_and_one_fewer_is_noise() -> None:
    assert not swings((3, 2, 3, 2, 3))
    assert swings((4, 2, 4))


def test_of_many_replicas_less_than_a_fifth_is_noise() -> None:
    assert not swings((40, 33, 40, 33, 40))
    assert swings((40, 32, 40))


def test_where_demand_swings_the_highest_of_the_last_quarter_of_an_hour_is_kept() -> None:
    assert peak(needs(2, 10, 2, 9, 2), now=NOW) == 10
    assert peak(needs(12, 2, 9, 2, 8, 2, every=240.0), now=NOW) == 9


def test_where_demand_does_not_swing_nothing_is_kept() -> None:
    assert peak(needs(2, 10), now=NOW) == peak(needs(10, 2), now=NOW) == peak(History(), now=NOW) == 0


def test_a_need_is_noted_every_half_minute_and_forgotten_after_half_an_hour() -> None:
    found = History()
    for second in range(0, 3600, 5):
        if is_due(found, now=NOW + second):
            found = note(found, replicas=second, now=NOW + second)

    assert [at - NOW for at in found.times] == list(range(1800, 3600, 30))
    assert list(found.values) == list(range(1800, 3600, 30))
