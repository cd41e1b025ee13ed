"""Work that is left where the operator is told to stop."""

import asyncio

import pytest

from brownout.run.waiting import unless


async def seven() -> int:
    return 7


async def test_work_that_ends_gives_what_it_returns() -> None:
    assert await unless(asyncio.Event(), seven()) == 7


async def test_work_that_fails_fails() -> None:
    async def fails() -> int:
        raise ValueError("odd")

    with pytest.raises(ValueError, match="odd"):
        await unless(asyncio.Event(), fails())


async def test_work_that_would_take_for_ever_is_cancelled_at_the_stop() -> None:
    stop, cancelled = asyncio.Event(), asyncio.Event()

    async def for_ever() -> int:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return 0

    asyncio.get_running_loop().call_soon(stop.set)
    assert await unless(stop, for_ever()) is None
    assert cancelled.is_set()
