"""An engine used with care: who fails, who goes on, and when it is the engine itself."""

import pytest

from brownout_inference.engine.messages import Advance, Advanced, following
from brownout_inference.engine.worker import Worker
from brownout_inference.work import Work
from inference.builders import CountingEngine, work


def joined(engine: CountingEngine, *keys: int, steps: int = 4) -> Worker:
    worker = Worker(engine)
    worker.advance(Advance(joins=tuple((key, work(steps=steps)) for key in keys)))
    return worker


def advance(worker: Worker, *keys: int) -> Advanced:
    return worker.advance(Advance(keys=keys))


def test_a_step_moves_those_who_take_part_and_nobody_else() -> None:
    engine = CountingEngine()
    worker = joined(engine, 1, 2, 3)
    assert advance(worker, 1, 3).stepped == (1, 3)
    assert engine.left == {1: 3, 2: 4, 3: 3}


@pytest.mark.parametrize("culprit", [1, 4, 8])
def test_the_culprit_among_eight_is_found_and_the_others_make_their_step_once(culprit: int) -> None:
    engine = CountingEngine(poisoned={culprit})
    worker = joined(engine, *range(1, 9))
    advanced = advance(worker, *range(1, 9))
    others = [key for key in range(1, 9) if key != culprit]
    assert list(advanced.failed) == [culprit]
    assert "poisoned" in advanced.failed[culprit]
    assert sorted(advanced.stepped) == others
    assert engine.left == dict.fromkeys(others, 3)
    assert len(engine.batches) <= 7  # one with all, then two for each halving
    assert not advanced.broken


def test_two_culprits_fail_and_nobody_else() -> None:
    engine = CountingEngine(poisoned={2, 5})
    advanced = advance(joined(engine, *range(1, 7)), *range(1, 7))
    assert set(advanced.failed) == {2, 5}
    assert sorted(advanced.stepped) == [1, 3, 4, 6]


def test_who_cannot_join_fails_and_the_others_step() -> None:
    engine = CountingEngine(unable={2})
    advanced = Worker(engine).advance(Advance(joins=((1, work()), (2, work())), keys=(1, 2)))
    assert (advanced.stepped, list(advanced.failed)) == ((1,), [2])


def test_a_full_device_makes_the_step_with_the_most_important_ones() -> None:
    engine = CountingEngine(fits=3)
    advanced = advance(joined(engine, *range(1, 9)), *range(1, 9))
    assert (advanced.stepped, advanced.full) == ((1, 2), True)
    assert engine.left[3] == 4


def test_where_not_even_one_fits_nobody_has_failed() -> None:
    advanced = advance(joined(CountingEngine(fits=0), 1, 2), 1, 2)
    assert (advanced.stepped, dict(advanced.failed), advanced.full) == ((), {}, True)


def test_who_stands_by_takes_the_place_of_who_has_finished_if_it_is_large_enough() -> None:
    worker = joined(CountingEngine(), 1, 2, steps=1)
    standby = tuple((key, work(pictures=pictures)) for key, pictures in ((3, 1), (4, 2), (5, 1)))
    asked = Advance(keys=(1, 2), go_on=True, slots=2, standby=standby)
    advanced = worker.advance(asked)
    assert (advanced.going_on, advanced.seated) == (
        True,
        (3,),
    )  # 4 is too large for what is left, and 5 does not overtake it
    then = following(asked, advanced)
    assert ([key for key, _ in then.joins], [key for key, _ in then.standby]) == ([3], [4, 5])
    assert worker.advance(then).stepped == (3,)


def test_where_somebody_has_finished_and_nobody_stands_by_it_stops_and_asks() -> None:
    engine = CountingEngine()
    worker = joined(engine, 1, steps=1)
    worker.advance(Advance(joins=((2, work()),)))
    assert not worker.advance(Advance(keys=(1, 2), go_on=True, slots=2)).going_on
    worker.advance(Advance(joins=((3, work(steps=1)),)))
    assert worker.advance(Advance(keys=(2, 3), go_on=True, past_ends=True, slots=2)).going_on


class Torchlike(CountingEngine):
    """Tells of a lack of memory in torch's own words."""

    error: Exception = MemoryError()

    def join(self, key: int, work: Work) -> None:
        raise self.error


class OutOfMemoryError(RuntimeError):
    """Named as torch's."""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_a_lack_of_memory_in_torchs_own_words_is_no_failure_of_the_request(error: Exception) -> None:
    engine = Torchlike()
    engine.error = error
    advanced = Worker(engine).advance(Advance(joins=((1, work()),), keys=(1,)))
    assert (advanced.no_room, dict(advanced.failed)) == ((1,), {})


def test_where_everybody_fails_and_what_worked_before_fails_too_the_engine_is_broken() -> None:
    engine = CountingEngine()
    worker = joined(engine, 1, 2)
    advance(worker, 1, 2)
    engine.lost = True
    assert "device lost" in advance(worker, 1, 2).broken


def test_where_everybody_fails_but_what_worked_before_still_works_it_was_the_requests() -> None:
    engine = CountingEngine()
    worker = joined(engine, 1, 2)
    advance(worker, 1, 2)
    engine.poisoned = {1, 2}
    advanced = advance(worker, 1, 2)
    assert set(advanced.failed) == {1, 2}
    assert not advanced.broken
    assert engine.left == {}  # nothing of the trial is left either


def test_an_engine_that_never_worked_is_broken_after_three_failures_in_a_row() -> None:
    engine = CountingEngine(lost=True)
    worker = Worker(engine)
    broken = [worker.advance(Advance(joins=((key, work()),), keys=(key,))).broken for key in (1, 2, 3)]
    assert [bool(each) for each in broken] == [False, False, True]
