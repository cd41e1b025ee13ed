"""What the garbage collector need not look at.

A full collection looks at every object that there is while everybody waits: 40 ms and more for the libraries and rendered objects of a
flag server, time and again, to find next to nothing. What is there when the process has started stays for good, or is freed by
its reference count. So it is taken out of the collector's sight, and a full collection looks at what came since: connections and
requests. What garbage there is at those two moments stays too, some thousand objects, once.
"""

import gc

from brownout.flags.board import Board


async def freeze_what_stays(board: Board) -> None:
    """Freeze what there is now, and again what there is once the API server has been asked for every namespace."""
    gc.freeze()
    while not board.settled:
        await board.waves().wait()
    gc.freeze()
