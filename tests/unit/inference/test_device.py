"""The pace of a virtual GPU, in virtual time."""

import pytest

from brownout_inference.engine.device import PacedDevice
from inference.builders import VirtualTime


def device(time: VirtualTime, step_seconds: float = 0.5) -> PacedDevice:
    return PacedDevice(step_seconds=step_seconds, clock=time.clock, sleep=time.sleep)


async def at_once() -> str:
    return "result"


async def test_a_step_takes_its_time_however_fast_the_model_is() -> None:
    time = VirtualTime(now=0.0)
    paced = device(time)
    assert await paced.step(at_once) == "result"
    assert time.now == 0.5


async def test_a_model_slower_than_the_pace_sets_the_pace() -> None:
    time = VirtualTime(now=0.0)

    async def slow() -> None:
        time.now += 2.0

    await device(time).step(slow)
    assert time.now == 2.0


async def test_a_step_that_was_woken_late_is_made_up_for() -> None:
    time = VirtualTime(now=0.0)
    paced = device(time)
    for _ in range(10):
        await paced.step(at_once)
        time.now += 0.1  # the loop was busy elsewhere
    assert time.now == pytest.approx(10 * 0.5 + 0.1)


async def test_an_empty_batch_earns_no_faster_steps() -> None:
    time = VirtualTime(now=0.0)
    paced = device(time)
    await paced.step(at_once)
    paced.rest()
    time.now += 0.4
    await paced.step(at_once)
    assert time.now == pytest.approx(1.4)


async def test_a_device_that_never_rests_is_busy_all_the_time_and_never_more() -> None:
    time = VirtualTime(now=0.0)
    paced = device(time)
    for _ in range(20):
        await paced.step(at_once)
        time.now += 0.05
    assert paced.busy_seconds == pytest.approx(10.0)
    assert paced.busy_seconds <= time.now


async def test_a_step_that_fails_takes_its_time_and_says_so() -> None:
    time = VirtualTime(now=0.0)

    async def broken() -> None:
        raise RuntimeError("device lost")

    with pytest.raises(RuntimeError, match="device lost"):
        await device(time).step(broken)
    assert time.now == 0.5
