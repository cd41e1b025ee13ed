"""Which of the engine's steps are reported, and when."""

from brownout_inference.engine.interface import Memory
from brownout_inference.engine.messages import Advanced
from brownout_inference.engine.reports import KEPT_BACK_SECONDS, Reports
from inference.builders import VirtualTime


def going_on(seconds: float = 0.001, **more: object) -> Advanced:
    return Advanced(number=1, going_on=True, stepped=(1, 2), seconds=seconds, **more)  # type: ignore[arg-type]


def test_steps_of_which_nobody_waits_to_hear_are_told_with_the_next_one() -> None:
    reports = Reports(VirtualTime().clock)
    assert reports.of(going_on(0.1)) == ()
    assert reports.of(going_on(0.2)) == ()
    (told,) = reports.of(Advanced(number=1, stepped=(1, 2), finished={1: "done"}, seconds=0.3))
    assert told.all_seconds == (0.1, 0.2, 0.3)
    (then,) = reports.of(Advanced(number=1, stepped=(2,), finished={2: "done"}, seconds=0.4))
    assert then.all_seconds == (0.4,)


def test_a_part_of_an_answer_an_end_and_a_failure_are_told_at_once() -> None:
    reports = Reports(VirtualTime().clock)
    for more in ({"pieces": {1: "a"}}, {"finished": {1: "done"}}, {"failed": {1: "why"}}, {"seated": (3,)}):
        assert len(reports.of(going_on(**more))) == 1, more


def test_nothing_is_kept_back_where_the_engine_stops() -> None:
    assert len(Reports(VirtualTime().clock).of(Advanced(number=1, stepped=(1, 2)))) == 1


def test_nothing_is_kept_back_for_long() -> None:
    time = VirtualTime()
    reports = Reports(time.clock)
    assert reports.of(going_on()) == ()
    time.now += KEPT_BACK_SECONDS
    (told,) = reports.of(going_on())
    assert len(told.all_seconds) == 2
    assert reports.of(going_on()) == ()
    time.now += KEPT_BACK_SECONDS
    reports.begin()
    (told,) = reports.of(Advanced(number=1, stepped=(1, 2)))
    assert len(told.all_seconds) == 2


def test_what_a_device_was_asked_for_its_memory_is_not_lost() -> None:
    reports = Reports(VirtualTime().clock)
    assert reports.of(going_on(memory=Memory(used_bytes=7))) == ()
    (told,) = reports.of(Advanced(number=1, stepped=(1, 2)))
    assert told.memory == Memory(used_bytes=7)


def test_a_step_that_not_all_have_made_is_told_apart_from_those_before() -> None:
    reports = Reports(VirtualTime().clock)
    assert reports.of(going_on(0.1)) == ()
    before, now = reports.of(Advanced(number=1, stepped=(1,), failed={2: "why"}, seconds=0.2))
    assert (before.stepped, before.going_on, before.all_seconds) == ((1, 2), True, (0.1,))
    assert (now.stepped, now.all_seconds) == ((1,), (0.2,))
