"""kopf's sets of toggles: whoever waits is woken when the set turns on or off, and not each time a toggle comes or goes."""

import asyncio
import inspect

from kopf._cogs.aiokits.aiotoggles import ToggleSet

from brownout.observe.wakeups import drop_toggle, drop_toggles, make_toggle, tell_of_changes_alone


async def waits(toggles: ToggleSet, count: list[int]) -> None:
    """Wait until the set is on, counting how often somebody looks."""

    def look() -> bool:
        count[0] += 1
        return toggles.is_on()

    async with toggles._condition:
        await toggles._condition.wait_for(look)


async def test_many_workers_are_woken_once_each() -> None:
    tell_of_changes_alone()
    toggles, looks, workers = ToggleSet(all), [0], 50
    of_each = [await toggles.make_toggle(name=f"object {number}") for number in range(workers)]
    waiting = [asyncio.create_task(waits(toggles, looks)) for _ in range(workers)]
    await asyncio.sleep(0)
    for toggle in of_each:
        await toggles.drop_toggle(toggle)
        await asyncio.sleep(0)
    await asyncio.wait_for(asyncio.gather(*waiting), 5)
    assert looks[0] <= 2 * workers


async def test_a_set_that_turns_off_is_heard_too() -> None:
    tell_of_changes_alone()
    toggles = ToggleSet(any)
    toggle = await toggles.make_toggle(True)
    waiting = asyncio.create_task(toggles.wait_for(False))
    await asyncio.sleep(0)
    await toggles.drop_toggles([toggle])
    await asyncio.wait_for(waiting, 5)


def test_kopfs_own_methods_take_what_ours_take() -> None:
    """Where a version of kopf has others, this says so."""
    assert {"make_toggle", "drop_toggle", "drop_toggles", "wait_for", "is_on"} <= set(vars(ToggleSet))
    assert {"_condition", "_toggles"} <= set(vars(ToggleSet(all)))
    for ours in (make_toggle, drop_toggle, drop_toggles):
        assert inspect.iscoroutinefunction(ours)
