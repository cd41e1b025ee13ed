"""The loop's clock: it flows evenly, and is set when the machine's is."""

import logging

import pytest

from brownout.run.clock import AGREED_SECONDS, Clock

NOW = 1_000_000.0
HOUR = 3600.0


class Machine:
    """A machine's two clocks."""

    def __init__(self) -> None:
        self.since_boot = 50.0
        self.ahead = NOW - 50.0

    def wall(self) -> float:
        return self.since_boot + self.ahead

    def clock(self) -> Clock:
        return Clock(wall=self.wall, elapsed=lambda: self.since_boot)


@pytest.mark.parametrize("hours", [-1, 1], ids=["it was ahead", "it was behind"])
def test_a_clock_that_was_wrong_at_the_start_is_right_once_the_machines_is(hours: int) -> None:
    machine = Machine()
    clock = machine.clock()
    machine.ahead += hours * HOUR
    assert clock() == NOW
    assert clock.follow() == hours * HOUR
    assert clock() == clock.began_at == NOW + hours * HOUR == machine.wall()
    assert clock.follow() == 0


def test_while_answers_agree_with_it_a_step_of_hours_is_not_believed(caplog: pytest.LogCaptureFixture) -> None:
    """It would end overrides early, or prolong them, on nothing but a wrong clock."""
    machine = Machine()
    clock = machine.clock()
    clock.agrees()
    machine.ahead += HOUR
    with caplog.at_level(logging.WARNING):
        assert [clock.follow() for _ in range(3)] == [0, 0, 0]
    assert clock() == NOW
    assert [record.getMessage() for record in caplog.records] == [
        "the wall clock was set forward by 3600 s; answers of Prometheus agree with the clock as it was, which is kept"
    ]


def test_once_no_answer_agrees_with_it_any_more_a_step_is_believed() -> None:
    machine = Machine()
    clock = machine.clock()
    clock.agrees()
    machine.ahead -= HOUR
    machine.since_boot += AGREED_SECONDS
    assert clock.follow() == -HOUR


def test_a_step_of_seconds_is_believed_at_once_and_less_than_one_is_none() -> None:
    machine = Machine()
    clock = machine.clock()
    clock.agrees()
    machine.ahead += 0.5
    assert (clock.follow(), clock()) == (0, NOW)
    machine.ahead += 29.5
    assert (clock.follow(), clock()) == (30, NOW + 30)


def test_a_machine_that_was_suspended_knows_what_time_it_is() -> None:
    machine = Machine()
    clock = machine.clock()
    clock.agrees()
    machine.since_boot += 8 * HOUR  # the time since boot counts suspension
    assert clock() == NOW + 8 * HOUR
    assert clock.follow() == 0
