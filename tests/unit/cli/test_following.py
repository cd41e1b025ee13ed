"""Following objects as they change."""

import asyncio

import pytest

from brownout.api.policy import FEATURE_POLICY
from brownout.cli.following import Following
from brownout.flags.watch import Part


@pytest.mark.parametrize("turns", range(4))
async def test_ctrl_c_counts_though_news_come_at_the_same_moment(turns: int) -> None:
    part = Part(FEATURE_POLICY, "media")
    followed = Following([part])
    waiting = asyncio.create_task(followed.change(seconds=60))
    for _ in range(4):
        await asyncio.sleep(0)
    followed.listed(part, [])
    for _ in range(turns):
        await asyncio.sleep(0)
    came_in_time = waiting.cancel()
    (found,) = await asyncio.gather(waiting, return_exceptions=True)
    assert isinstance(found, asyncio.CancelledError) if came_in_time else found is True


async def test_without_news_it_says_so_in_time() -> None:
    assert not await Following([]).change(seconds=0.01)
