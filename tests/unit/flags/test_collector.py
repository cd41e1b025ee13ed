"""What the garbage collector is told to leave alone, and when."""

import asyncio
import gc

from brownout.flags.board import Board
from brownout.flags.collector import freeze_what_stays


class Kept:
    """Something that the collector would look at."""


def frozen(one: object) -> bool:
    """Whether an object is out of the collector's sight: what it sees is listed."""
    return not any(each is one for each in gc.get_objects())


def test_what_is_there_at_the_start_and_when_the_namespaces_are_known_is_frozen_and_nothing_later() -> None:
    async def begin() -> tuple[bool, bool, bool]:
        board, at_the_start = Board(), Kept()
        job = asyncio.create_task(freeze_what_stays(board))
        await asyncio.sleep(0)
        listed = Kept()
        before = frozen(at_the_start) and not frozen(listed)
        board.completed()
        await job
        later = Kept()
        return before, frozen(listed), frozen(later)

    try:
        assert asyncio.run(begin()) == (True, True, False)
    finally:
        gc.unfreeze()
