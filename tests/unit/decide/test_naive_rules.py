"""What looks natural, and was worse than a plain HPA when it was tried: each rule by what goes wrong without it."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import pytest

from brownout.api.policy import Restore
from brownout.api.reasons import Reason
from brownout.decide.cells import FIRST
from brownout.decide.memory import Memory, ScalerMemory
from brownout.decide.outcome import Level
from brownout.decide.snapshot import Snapshot
from support.build import (
    NOW,
    TWO,
    Variants,
    cell,
    cell_of,
    named,
    policy,
    pool,
    remembered,
    scaler,
    snapshot,
    tick,
    watch,
    words,
)
from support.world import World, objects_of

FULL = ScalerMemory(saturated=True, saturated_since=NOW - 10, excess=3.0)
VIDEO: Variants = {"full": {"video": 1.0}, "denied": {}}
SMALL: Variants = {"full": {"image": 0.001}, "denied": {}}
PAYING_AND_FREE = {"pro": "Always", "free": "Auto"}

Asked = Callable[[float], Mapping[tuple[str, str, str], float]]


def images(offered: Asked, *, gpus: int, cold_start: float = 60.0, window: float = 20.0, **of: Any) -> World:
    """A workload of images alone in a pool, that paying users always have."""
    seen = snapshot(
        pool(gpus, name="demo"),
        scaler(pool_name="demo", most=gpus, backlog=0.0, **of),
        policy(
            variants=TWO, tiers=PAYING_AND_FREE, restore=Restore(after_seconds=30, step_seconds=10), remember_seconds=60
        ),
    )
    return World(objects_of(seen), offered, gpus, cold_start=cold_start, window=window)


def free_level(world: World, at: float) -> Level:
    return cell_of(world.plans[int(at / world.tick)], "image", "free").level


# --- replicas


def test_replicas_are_planned_for_what_is_asked_for_and_not_for_what_was_let_through() -> None:
    """After shedding what is let through fits. Planned for that, replicas never grow, and shedding never ends."""
    world = images(lambda now: {("image", "pro", ""): 0.5, ("image", "free", ""): 12.0}, gpus=32).run(600)

    assert free_level(world, 30) != FIRST
    assert free_level(world, 598) == FIRST
    assert world.replicas[-1]["image"] >= 13


def test_a_queue_is_a_little_more_flow_and_not_so_many_times_the_replicas() -> None:
    """A target of ten waiting for each replica would ask for forty; they would be ready when the queue is gone."""
    found = tick(snapshot(pool(100), scaler(replicas=10, backlog=400.0), policy(offered={"pro": 7.0})))[0]

    assert found.scalers[named("image")].demanded == 13


def test_an_objective_that_is_missed_ten_times_over_is_no_reason_for_ten_times_the_replicas() -> None:
    """Latency is no load: it is as high for a queue that is about to be empty as for one that grows."""
    calm, late = (
        tick(snapshot(pool(100), scaler(replicas=10, objective=ratio), policy(offered={"pro": 7.0})))[0]
        for ratio in (0.5, 10.0)
    )

    assert calm.scalers[named("image")].demanded == late.scalers[named("image")].demanded == 9


def test_one_deficit_is_answered_once_while_pods_load() -> None:
    """What was asked for a minute ago is not there yet, and is not asked for again: of the pool, or of another workload."""
    world = images(lambda now: {("image", "pro", ""): 0.5 if now < 30 else 6.0}, gpus=32, cold_start=120.0, trend=False)
    world.run(160)

    peak = max(has["image"] for has in world.replicas)
    assert 8 <= peak <= 16
    assert world.run(900).replicas[-1]["image"] == 8


def test_a_scaler_that_has_all_that_it_needs_gives_gpus_up_though_features_of_others_are_shed() -> None:
    """Held up by what is shed anywhere in the pool, two workloads would wait for each other's GPUs for ever."""
    denied = cell("video", tier="free", variants=VIDEO).shed(asked=6.0)
    memory, has = remembered(denied), {"image": 7, "video": 1}
    for second in range(0, 900, 5):
        now = NOW + second
        seen = snapshot(
            pool(8),
            *(scaler(name, replicas=replicas, at=now) for name, replicas in has.items()),
            policy(offered={"pro": 0.5}, tiers={"pro": "Always"}, at=now),
            policy("video", variants=VIDEO, tiers={"free": "Auto"}, offered={"free": 4.0}, at=now),
        )
        decided, memory = tick(seen, memory, now=now)
        has = {key.name: found.replicas for key, found in decided.scalers.items()}

    assert has == {"image": 1, "video": 5}
    assert cell_of(decided, "video", "free").level == FIRST


def test_replicas_stay_while_features_of_their_own_are_shed() -> None:
    """What is let through would fit on fewer: they would go, and nothing could ever come back."""
    denied = cell(tier="free", variants=TWO).shed(asked=6.0, ago=5)

    def look(now: float) -> Snapshot:
        demand = policy(variants=TWO, tiers=PAYING_AND_FREE, offered={"pro": 0.5, "free": 0.0}, at=now)
        return snapshot(pool(8), scaler(replicas=8, at=now), demand)

    plans, _ = watch(look, seconds=100, memory=remembered(denied))
    assert {plan.scalers[named("image")].replicas for plan in plans} == {8}


def test_a_restart_lowers_nothing_before_a_whole_window_was_seen() -> None:
    """An empty stabilization window recommends what is needed this second; a new process would drop the peak's replicas."""

    def look(now: float) -> Snapshot:
        return snapshot(pool(20), scaler(replicas=12, at=now), policy(offered={"pro": 1.0}, at=now))

    plans, _ = watch(look, seconds=320, step=10.0, memory=Memory())
    assert next(plan.at - NOW for plan in plans if plan.scalers[named("image")].replicas < 12) == 300


def test_paying_users_of_a_lesser_workload_have_their_floor_before_free_users_of_an_important_one() -> None:
    """By the workloads' priorities alone a popular free feature takes all GPUs from users who pay for something else."""

    def offered(now: float) -> dict[tuple[str, str, str], float]:
        free = 40.0 if now >= 60 else 0.5
        return {("image", "free", ""): free, ("video", "pro", ""): 3.0}

    seen = snapshot(
        pool(10, name="demo"),
        scaler("image", pool_name="demo", most=10, priority=90, backlog=0.0),
        scaler("video", pool_name="demo", most=10, priority=10, backlog=0.0),
        policy(variants=TWO, tiers=PAYING_AND_FREE),
        policy("video", variants=VIDEO, tiers=PAYING_AND_FREE),
    )
    world = World(objects_of(seen), offered, 10, cold_start=30.0, window=20.0).run(900)

    assert min(has["video"] for has in world.replicas[30:]) >= 4
    assert max(wait.get("video:pro", 0.0) for wait in world.waits[60:]) < 2.0


# --- features


def test_users_are_answered_for_what_is_ready_and_not_for_what_is_coming() -> None:
    """Replicas that are due in three minutes serve nobody now: to wait for them made protection three times slower."""
    small = {"pro": 8000.0, "free": 6000.0}
    coming, none = (
        tick(
            snapshot(pool(40), scaler(replicas=has, ready=10), policy(variants=SMALL, tiers=PAYING_AND_FREE, offered=small)),
            remembered(scalers={"image": FULL}),
        )[0]
        for has in (20, 10)
    )  # fmt: skip

    assert words(cell_of(coming, "image", "free"), SMALL) == words(cell_of(none, "image", "free"), SMALL) == "full 25 %"


def test_a_load_that_stays_is_shed_once_and_not_restored_and_shed_again() -> None:
    """Shedding lowers the load that caused it. By a threshold on what is there, all comes back after every dwell."""
    world = images(lambda now: {("image", "pro", ""): 3.0, ("image", "free", ""): 6.0}, gpus=5, least=5).run(3600)

    levels = [cell_of(plan, "image", "free").level for plan in world.plans if plan.at >= 300]
    turns = sum(1 for before, after in pairwise(levels) if after.depth < before.depth)
    assert FIRST not in levels
    assert turns <= 2
    assert max(wait.get("image:pro", 0.0) for wait in world.waits[30:]) < 2.0


def test_a_button_that_is_hidden_stops_asking_and_that_is_not_calm() -> None:
    """Denied users ask no more. Taken for what they want, a demand of nothing fits at once, and the flood is back."""
    denied = cell(tier="free", variants=TWO).shed(asked=6.0, ago=200)

    def look(now: float) -> Snapshot:
        demand = policy(variants=TWO, tiers=PAYING_AND_FREE, offered={"pro": 7.0, "free": 0.0}, at=now)
        return snapshot(pool(8), scaler(replicas=8, most=8, at=now), demand)

    plans, _ = watch(look, seconds=900, step=10.0, memory=remembered(denied))
    found = cell_of(plans[-1], "image", "free")
    assert found.level == denied.level
    assert found.refused_by is Reason.DOES_NOT_FIT
    assert plans[-1].scalers[named("image")].flow.offered == pytest.approx(7.0 + 6.0 * (1 - 1100 / 3600))


def test_users_who_try_again_and_again_keep_no_feature_from_coming_back() -> None:
    """Each denied user asks six times. Taken for so many users they would not fit, though all of them do."""
    world = images(lambda now: {}, gpus=6)

    def offered(now: float) -> dict[tuple[str, str, str], float]:
        level = cell_of(world.plans[-1], "image", "free").level if world.plans else FIRST
        served = level.percent / 100 if level.variant == 0 else 0.0
        wanted = 30.0 if 30 <= now < 200 else 2.0
        return {("image", "pro", ""): 1.0, ("image", "free", ""): wanted * (served + 6 * (1 - served))}

    world.offered = offered
    world.run(600)

    assert free_level(world, 198) == Level(1)
    assert free_level(world, 598) == FIRST


def test_a_burst_of_a_second_is_no_shortage() -> None:
    """By a threshold on the moment a burst that is over before anybody noticed takes features from users."""

    def offered(now: float) -> dict[tuple[str, str, str], float]:
        return {("image", "pro", ""): 2.0, ("image", "free", ""): 9.0 if now % 300 == 100 else 2.0}

    world = images(offered, gpus=6, least=5, window=2.0).run(1500)

    assert max(plan.scalers[named("image")].saturation_percent for plan in world.plans) > 150
    assert {cell_of(plan, "image", "free").level for plan in world.plans} == {FIRST}


def test_what_comes_back_is_as_much_as_fits_and_not_all_of_it() -> None:
    """All at once it saturates what was just calm; not at all, as long as not all of it fits, it stays away for nothing."""
    world = images(lambda now: {("image", "pro", ""): 1.0, ("image", "free", ""): 12.0}, gpus=8).run(1800)

    part = free_level(world, 1798)
    assert part.variant == 0
    assert 40 <= part.percent <= 60
    assert not world.plans[-1].scalers[named("image")].saturated
