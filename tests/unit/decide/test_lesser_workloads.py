"""A lesser variant with a workload of its own, in a closed world: who was denied comes back through it, so it has to be there."""

from collections.abc import Mapping

import pytest

from brownout.decide.cells import FIRST
from brownout.decide.outcome import Level
from support.build import TWO, cell, cell_key, policy, pool, remembered, scaler, snapshot, tick
from support.build import named as key
from support.world import World, objects_of

SPLIT = {"full": {"image": 1.0}, "lite": {"image-small": 0.2}, "denied": {}}
SURGE = (60.0, 240.0)


def surge(now: float) -> Mapping[tuple[str, str, str], float]:
    free = 60.0 if SURGE[0] <= now < SURGE[1] else 8.0
    return {("image", "pro", ""): 1.0, ("image", "plus", ""): 1.0, ("image", "free", ""): free}


def world(*, least: int, gpus: int = 64, most: int = 20, seed: int = 1) -> World:
    """A surge of free users' images, 60 GPUs of them at their best and 12 as `lite`."""
    seen = snapshot(
        pool(gpus, name="demo", step_seconds=5),
        scaler("image", pool_name="demo", most=most, backlog=0.0, target_percent=90),
        scaler("image-small", pool_name="demo", least=least, most=most, backlog=0.0, target_percent=90, priority=40),
        policy("image", variants=SPLIT, tiers={"pro": "Always", "plus": "lite", "free": "Auto"}),
    )
    return World(objects_of(seen), surge, gpus, tick=5.0, window=30.0, cold_start=60.0, seed=seed)


def levels(of: World) -> list[Level]:
    """What free users had, tick by tick."""
    found = cell_key("image", "free")
    return [next(c.level for c in plan.policies[found.policy].cells if c.key == found) for plan in of.plans]


@pytest.mark.parametrize("least", [0, 1])
def test_who_was_denied_comes_back_through_a_workload_that_nobody_asked_anything_of(least: int) -> None:
    """It serves `lite` alone. Planned for what is asked of it at the best variant it was left at its minimum, and free users
    were denied for hours beside idle GPUs.
    """
    seen = levels(world(least=least).run(900))

    assert max(level.depth for level in seen) > Level(1).depth
    assert seen[-1] == FIRST
    assert seen.index(Level(1)) < SURGE[1] / 5


def test_where_gpus_are_short_they_go_to_what_users_can_use_now() -> None:
    """24 GPUs: 2 for who pays, 12 for all others' `lite`, and with the rest some of them have the best. Dealt out by what is asked
    for at the best variant, 23 were with a workload that nobody could use, and 19 of 20 free users were denied all along.
    """
    busy = world(least=1, gpus=24, most=100)
    busy.offered = lambda now: {("image", "pro", ""): 1.0, ("image", "plus", ""): 1.0, ("image", "free", ""): 60.0}
    busy.run(900)

    seen = levels(busy)
    assert max(level.depth for level in seen) > Level(1).depth
    assert max(level.depth for level in seen[-60:]) < Level(1).depth
    assert all(replicas["image"] <= 12 for replicas in busy.replicas[-60:])


@pytest.mark.parametrize(
    ("level", "image", "small"),
    [
        (Level(0), 1.0, 0.0),
        (Level(0, 40), 0.4, 0.6 * 0.2),
        (Level(1), 0.0, 0.2),
        (Level(1, 40), 0.0, 0.2),
        (Level(2), 0.0, 0.2),
    ],
)
def test_what_is_within_reach_is_the_next_variant_and_what_its_workload_bears(
    level: Level, image: float, small: float
) -> None:
    one = cell(variants=SPLIT).cell

    assert one.within_reach(level, key("image")) == pytest.approx(image)
    assert one.within_reach(level, key("image-small")) == pytest.approx(small)


@pytest.mark.parametrize("level", [Level(0), Level(0, 40), Level(1), Level(2)])
def test_on_one_workload_all_of_it_is_within_reach(level: Level) -> None:
    assert cell().cell.within_reach(level, key("image")) == 1.0


def test_replicas_for_the_next_step_up_are_planned_and_said() -> None:
    shed = cell(variants=SPLIT).shed(asked=50.0, ago=0)
    seen = snapshot(
        pool(100),
        scaler("image", replicas=4),
        scaler("image-small", replicas=1),
        policy(variants=SPLIT, tiers={"pro": "Always", "free": "Auto"}, offered={"pro": 1.0, "free": 0.0}),
    )

    small = tick(seen, remembered(shed))[0].scalers[key("image-small")]

    assert small.demanded == 12  # 50 * 0.2 below 90 %
    assert "12 replicas are needed for all of it to come back" in small.message


def test_what_comes_back_on_the_same_workload_asks_for_no_more_than_all_of_it() -> None:
    shed = cell(variants=TWO).shed(asked=9.0, ago=0)
    seen = snapshot(
        pool(100),
        scaler("image", replicas=4),
        policy(variants=TWO, tiers={"pro": "Always", "free": "Auto"}, offered={"pro": 1.0, "free": 0.0}),
    )

    assert tick(seen, remembered(shed))[0].scalers[key("image")].demanded == 13  # (1 + 9) planned 80 % full
