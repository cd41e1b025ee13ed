"""The engine's process, without a server: what it is asked, and every way in which it ends."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from brownout_inference.engine.load import EngineSpec, LoadError
from brownout_inference.engine.messages import Advance, Advanced, Loaded
from brownout_inference.engine.process import EngineGoneError, EngineProcess
from brownout_inference.work import ImageWork
from inference.server_process import with_tests
from support.waiting import wait_for_async

OWN = "python:inference.engines."


@pytest.fixture(autouse=True)
def tests_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", with_tests(os.environ)["PYTHONPATH"])


def asked(prompt: str = "grey", *, steps: int = 1, key: int = 1) -> Advance:
    work = ImageWork(prompt=prompt, pictures=1, frames=1, steps_per_frame=steps)
    return Advance(joins=((key, work),), keys=(key,))


@asynccontextmanager
async def loaded(
    model: str = "ObedientEngine",
    *,
    step_timeout_seconds: float = 10.0,
    told: Callable[[str, float], None] | None = None,
) -> AsyncIterator[tuple[EngineProcess, Loaded]]:
    process = EngineProcess(
        EngineSpec(model=OWN + model), step_timeout_seconds=step_timeout_seconds, load_timeout_seconds=30.0
    )
    try:
        async with asyncio.timeout(30):
            yield process, await process.load(told or (lambda what, part: None))
    finally:
        await process.close()


async def advance(process: EngineProcess, asked: Advance) -> Advanced:
    process.tell(asked)
    return await process.report()


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_it_tells_how_far_loading_is_and_what_fits() -> None:
    told: list[str] = []
    async with loaded(told=lambda what, part: told.append(what)) as (_, found):
        assert found.slots == 4
    assert "a grey picture" in told
    assert told[-1] == "warm-up"


async def test_a_request_is_done_after_its_steps() -> None:
    async with loaded() as (process, _):
        first = await advance(process, asked(steps=2))
        second = await advance(process, Advance(keys=(1,)))
    assert (first.stepped, dict(first.finished)) == ((1,), {})
    assert second.finished[1][0].shape == (1, 8, 8)


async def test_it_goes_on_by_itself_until_somebody_has_finished() -> None:
    async with loaded() as (process, _):
        two = (*asked(steps=3, key=1).joins, *asked(steps=5, key=2).joins)
        process.tell(Advance(number=1, go_on=True, joins=two, keys=(1, 2)))
        report = await process.report()  # one for all three steps: of the first two nobody waits to hear
        assert (report.going_on, list(report.finished), len(report.all_seconds)) == (False, [1], 3)
        process.tell(Advance(number=2, go_on=True, past_ends=True, keys=(1, 2)))
        report = await process.report()
        assert (report.going_on, report.stepped, len(report.all_seconds)) == (False, (2,), 2)


async def test_a_result_that_is_none_fails_its_request_and_says_what_one_is() -> None:
    async with loaded("CarelessEngine") as (process, _):
        work = ImageWork(prompt="grey", pictures=2, frames=1, steps_per_frame=1)
        advanced = await advance(process, Advance(joins=((1, work), *asked(key=2).joins), keys=(1, 2)))
    assert "2 pictures are a list of as many, not 1" in advanced.failed[1]
    assert list(advanced.finished) == [2]


async def test_it_stops_going_on_when_something_else_is_asked_of_it() -> None:
    async with loaded("IdleEngine") as (process, _):
        process.tell(Advance(number=1, go_on=True, joins=asked(steps=10**9).joins, keys=(1,)))
        for _ in range(100):
            assert (await process.report()).number == 1
        process.tell(Advance(number=2, leaves=(1,)))
        while (report := await process.report()).number == 1:
            pass
        assert (report.stepped, report.going_on) == ((), False)


async def test_the_next_step_is_what_the_last_of_all_messages_asks_for() -> None:
    async with loaded("SlowEngine") as (process, _):
        process.tell(asked(steps=9, key=1))
        await asyncio.sleep(0.1)  # that step is under way
        for key in range(2, 6):
            keys = tuple(range(1, key + 1))
            process.tell(Advance(number=key, leaves=(4,) * (key == 5), joins=asked(steps=9, key=key).joins, keys=keys))
        assert (await process.report()).stepped == (1,)
        report = await process.report()
    assert (report.number, report.stepped) == (5, (1, 2, 3, 5))


@pytest.mark.parametrize("prompt", ["crash", "exit"])
async def test_a_process_that_ends_in_a_step_is_noticed_at_once(prompt: str) -> None:
    async with loaded() as (process, _):
        with pytest.raises(EngineGoneError, match="has ended"):
            await advance(process, asked(prompt))
        with pytest.raises(EngineGoneError):
            await advance(process, Advance())


async def test_a_process_that_is_killed_while_nothing_is_asked_of_it_is_noticed_too() -> None:
    async with loaded() as (process, _):
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(EngineGoneError):
            await process.until_gone()
        assert await process.close() == "ended by signal 9"


async def test_a_step_that_never_ends_is_ended() -> None:
    async with loaded(step_timeout_seconds=0.3) as (process, _):
        with pytest.raises(EngineGoneError, match=r"a step took more than 0\.3 s"):
            await advance(process, asked("hang"))
        await wait_for_async(lambda: _ended(process.pid), "the process has ended", seconds=5)


async def _ended(pid: int) -> bool:
    return not is_alive(pid)


async def test_an_answer_that_cannot_be_sent_fails_alone() -> None:
    async with loaded("SecretiveEngine") as (process, _):
        advanced = await advance(process, asked())
        assert "cannot be sent" in advanced.failed[1]
        again = await advance(process, asked(key=2, steps=2))
    assert isinstance(again, Advanced)


async def test_a_model_that_cannot_be_found_is_said_and_is_final() -> None:
    with pytest.raises(LoadError, match="NoSuchEngine"):
        async with loaded("NoSuchEngine"):
            pass


async def test_a_model_that_fails_to_load_may_be_tried_again() -> None:
    with pytest.raises(EngineGoneError, match="the weights are damaged"):
        async with loaded("UnloadableEngine"):
            pass


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
async def test_signals_for_the_whole_group_are_left_to_the_server(signum: int) -> None:
    async with loaded() as (process, _):
        os.kill(process.pid, signum)
        assert (await advance(process, asked())).stepped == (1,)


@pytest.mark.parametrize("prompt", ["grey", "hang"])
def test_it_dies_with_the_server_even_in_the_middle_of_a_step(prompt: str) -> None:
    program = f"""
        import asyncio, os, signal
        from inference.test_engine_process import asked, loaded
        async def main():
            async with loaded() as (process, _):
                process.tell(asked({prompt!r}))
                await asyncio.sleep(0.2)
                print(process.pid, flush=True)
                os.kill(os.getpid(), signal.SIGKILL)
        asyncio.run(main())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        stdout=subprocess.PIPE,
        check=False,
        timeout=60,
    )
    pid = int(done.stdout)
    asyncio.run(wait_for_async(lambda: _ended(pid), "the engine's process has ended", seconds=5))
