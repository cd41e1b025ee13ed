"""Whoever joins and leaves, heartbeats are spread over their seconds."""

import asyncio
from collections import deque

from brownout.flags.board import Board
from brownout.flags.metrics import Metrics
from brownout.flags.notices import Notices, Subscriber
from flags.builders import NAMESPACE


class Connection(asyncio.Transport):
    """One to which nothing is written here."""


async def test_heartbeats_stay_spread_while_as_many_join_as_leave() -> None:
    notices = Notices(Board(), Metrics(), spread_seconds=10.0, most=10_000)
    ended = asyncio.get_running_loop().create_future()
    there: deque[Subscriber] = deque()

    def join() -> None:
        there.append(Subscriber(Connection(), namespace=NAMESPACE, known="", chunked=True, ended=ended))
        notices.join(there[-1])

    for _ in range(150):
        join()
    for _ in range(300):
        notices.leave(there.popleft())
        join()
    sizes = [len(group) for group in notices._beats]
    assert sum(sizes) == len(there) == 150
    assert max(sizes) - min(sizes) <= 1
