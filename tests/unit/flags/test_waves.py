"""Many who wait are woken a few at a time, and nobody is forgotten."""

import asyncio

from brownout.flags.waves import Waves


async def waiting(waves: Waves, count: int) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(waves.wait()) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


async def test_everybody_who_waits_is_woken_in_the_order_in_which_they_came() -> None:
    waves, order = Waves(size=3), list[int]()

    async def one(number: int) -> None:
        await waves.wait()
        order.append(number)

    tasks = [asyncio.create_task(one(number)) for number in range(10)]
    await asyncio.sleep(0)
    waves.wake()
    await asyncio.gather(*tasks)
    assert order == list(range(10))


async def test_between_two_waves_others_have_a_turn() -> None:
    waves = Waves(size=3)
    tasks = await waiting(waves, 10)
    waves.wake()
    woken = []
    while not all(task.done() for task in tasks):
        await asyncio.sleep(0)
        woken.append(sum(task.done() for task in tasks))
    assert {after - before for before, after in zip([0, *woken], woken, strict=False)} <= {0, 1, 2, 3}


async def test_who_comes_after_a_wake_waits_for_the_next() -> None:
    waves = Waves(size=1)
    early = await waiting(waves, 3)
    waves.wake()
    late = await waiting(waves, 1)
    await asyncio.gather(*early)
    assert not late[0].done()
    waves.wake()
    await asyncio.gather(*late)


async def test_a_wake_during_the_waves_reaches_who_came_meanwhile() -> None:
    waves = Waves(size=1)
    early = await waiting(waves, 3)
    waves.wake()
    late = await waiting(waves, 2)
    waves.wake()
    async with asyncio.timeout(1):
        await asyncio.gather(*early, *late)


async def test_who_leaves_is_forgotten_and_holds_nobody_up() -> None:
    waves = Waves(size=2)
    tasks = await waiting(waves, 6)
    for task in tasks[:3]:
        task.cancel()
    await asyncio.gather(*tasks[:3], return_exceptions=True)
    assert len(waves) == 3
    waves.wake()
    tasks[3].cancel()
    async with asyncio.timeout(1):
        await asyncio.gather(*tasks[4:])
    assert len(waves) == 0
