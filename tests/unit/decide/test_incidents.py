"""Incidents that other projects suffered, each by its name: what happened there, and that it does not happen here."""

import pytest
from msgspec import structs

from brownout.api.reasons import Condition, Reason
from brownout.api.resources import Key
from brownout.api.scaler import Behavior, ScalingRules
from brownout.decide.cells import FIRST
from brownout.decide.evidence import Missing
from brownout.decide.memory import Memory, ScalerMemory
from brownout.decide.outcome import Plan
from brownout.decide.snapshot import Snapshot
from brownout.observe import answers
from support.build import (
    GONE,
    NOW,
    TWO,
    Variants,
    cell,
    cell_of,
    metric,
    named,
    policy,
    pool,
    remembered,
    scaler,
    snapshot,
    tick,
    watch,
)
from support.world import World, objects_of

FULL = ScalerMemory(saturated=True, saturated_since=NOW - 10, excess=3.0)
SMALL: Variants = {"full": {"image": 0.001}, "denied": {}}
SMALL_VIDEO: Variants = {"full": {"video": 0.001}, "denied": {}}

EMPTY = answers.single(
    answers.decode(b'{"status":"success","data":{"resultType":"vector","result":[]}}'), query="kv", at=NOW
)
NAN = answers.single(
    answers.decode(b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"NaN"]}]}}'), query="kv", at=NOW
)  # fmt: skip
assert isinstance(EMPTY, Missing)
assert isinstance(NAN, Missing)


def replicas(plans: list[Plan], name: str = "image") -> list[int]:
    return [plan.scalers[named(name)].replicas for plan in plans]


@pytest.mark.parametrize("with_features", [True, False])
def test_an_answer_without_a_series_scales_nothing_down_keda_3065(with_features: bool) -> None:
    """kedacore/keda #3065: Prometheus lost its targets, every query returned an empty vector, which counted as 0, and in the
    busiest hour everything was scaled to its minimum. Nothing failed, so nobody was told.
    """
    shed = cell(tier="free").shed(asked=2.0)

    def look(now: float) -> Snapshot:
        empty = structs.replace(policy(), offered=EMPTY, admitted=EMPTY)
        there = scaler(replicas=12, load=EMPTY, backlog=EMPTY, at=now)
        return snapshot(pool(20), there, empty) if with_features else snapshot(pool(20), there)

    plans, after = watch(look, seconds=3600, step=10.0, memory=remembered(shed))

    assert set(replicas(plans)) == {12}
    assert not with_features or after.cells[shed.key].level == shed.level
    said = {v.type: v for v in plans[-1].scalers[named("image")].verdicts}
    assert said[Condition.METRICS_AVAILABLE].status is False
    assert "the query returns nothing" in said[Condition.METRICS_AVAILABLE].message
    assert said[Condition.HELD].status


def loading(now: float, *, has: int, ready: int) -> Snapshot:
    """The replicas that are ready are twice as busy as they should be; the others load, and have no metrics."""
    busy = metric("kv", "Load", "500m")
    there = scaler(replicas=has, ready=ready, more=(busy,), at=now)
    there = structs.replace(
        there, metrics=there.metrics | {"kv": answers.single((answers.Series({}, 1.0),), query="kv", at=now)}
    )
    return snapshot(pool(64), there)


def test_pods_that_load_are_not_asked_for_again_and_again_aibrix_2670() -> None:
    """vllm-project/aibrix #2670: two ready pods were twice as busy as they should be, so four were asked for; the new ones
    loaded for minutes and told nothing, the two stayed busy, and eight were asked for, then sixteen.
    """
    memory, has, seen = Memory(), 2, []
    for second in range(0, 300, 15):
        decided, memory = tick(loading(NOW + second, has=has, ready=2), memory, now=NOW + second)
        has = decided.scalers[named("image")].replicas
        seen.append(has)

    assert set(seen) == {4}


def test_a_queue_that_grows_while_pods_load_is_not_answered_again_and_again_aibrix_2670() -> None:
    """The same by the queue: four GPUs of work arrive where two are ready, and three minutes pass until others are. Six
    replicas carry it; what else comes is gone again as soon as the queue is.
    """
    objects = objects_of(
        snapshot(
            pool(64, name="demo"),
            scaler(pool_name="demo", least=2, backlog=0.0, trend=False),
            policy(variants=TWO, tiers={"pro": "Always"}),
        )
    )

    world = World(
        objects,
        lambda now: {("image", "pro", ""): 1.0 if now < 30 else 4.0},
        64,
        cold_start=180.0,
        window=30.0,
    ).run(1200)

    assert max(has["image"] for has in world.replicas) <= 9
    assert world.replicas[-1]["image"] == 5
    assert max(wait.get("image:pro", 0.0) for wait in world.waits[int(400 / 2) :]) == 0.0


def test_pods_for_which_there_is_no_gpu_hold_nothing_up_dynamo_14251() -> None:
    """ai-dynamo/dynamo #14251: a new pod found no GPU and stayed pending for more than an hour; the planner waited for it to
    be ready, looked on, and reduced nothing when all requests had ended.
    """
    objects = objects_of(
        snapshot(
            pool(8, name="demo"),  # of which four cannot be had
            scaler(pool_name="demo", most=8, backlog=0.0),
            policy(variants=TWO, tiers={"pro": "Always", "free": "Auto"}),
        )
    )

    def offered(now: float) -> dict[tuple[str, str, str], float]:
        return {("image", "pro", ""): 0.3, ("image", "free", ""): 7.0 if now < 3600 else 0.0}

    world = World(objects, offered, 8, tick=4.0, stuck=lambda name: int(name.removeprefix("image-")) > 4).run(3600)
    busy = world.plans[-1]
    world.run(2400)

    assert (busy.scalers[named("image")].ready, busy.scalers[named("image")].current) == (4, 8)
    assert (
        cell_of(busy, "image", "free").level != FIRST
    )  # users are answered for what is ready, and not for what may come
    assert cell_of(busy, "image", "pro").level == FIRST
    assert world.replicas[-1]["image"] == 1
    assert cell_of(world.plans[-1], "image", "free").level == FIRST


@pytest.mark.parametrize("tier", ["pro", "free"])
def test_a_rebalance_of_which_one_half_fails_exceeds_no_budget_dynamo_12428(tier: str) -> None:
    """ai-dynamo/dynamo #12428: with all GPUs of the budget in use a rebalance scaled one component up, and failed to scale the
    other down. More was running than the budget allows, the rest was pending, and the planner waited for it to be ready.
    """
    memory, has = Memory(), {"image": 2, "video": 6}
    for second in range(0, 600, 4):
        now = NOW + second
        seen = snapshot(
            pool(8),
            scaler("image", replicas=has["image"], priority=90, at=now),
            scaler("video", replicas=has["video"], priority=10, at=now),
            policy(variants=SMALL, tiers={tier: "Always"}, offered={tier: 6000.0}, at=now),
            policy("video", variants=SMALL_VIDEO, offered={"free": 4000.0}, at=now),
        )
        decided, memory = tick(seen, memory, now=now)
        for key, found in decided.scalers.items():
            fails = found.replicas < found.current and second < 300
            has[key.name] = found.current if fails else found.replicas
        assert sum(has.values()) <= 8

    assert has == {"image": 7, "video": 1}  # and it was done as soon as it could be


QUEUES = (50, 70, 60, 75, 65, 80, 70)
"""Depth of the queue of one of two models every 15 s; the other's is the rest of a hundred."""


def test_a_queue_that_flickers_moves_no_gpu_between_two_workloads_llm_d_1427() -> None:
    """llm-d/llm-d-autoscaling #1427: GPUs were dealt out anew every 15 s in proportion to the queues, whose depths were 50,
    70, 60, 75, 65, 80, 70. The limit of each workload was patched up and down with them, and pods were evicted in the middle
    of their requests, past the stabilization window that the operator had set.
    """
    memory, has, moved = Memory(), {"image": 5, "video": 5}, []
    at_once = Behavior(scale_down=ScalingRules(stabilization_window_seconds=0))
    for i in range(40):
        now, depth = NOW + 15.0 * i, QUEUES[i % len(QUEUES)]
        seen = snapshot(
            pool(10),
            scaler("image", replicas=has["image"], backlog=float(depth), behavior=at_once, at=now),
            scaler("video", replicas=has["video"], backlog=100.0 - depth, behavior=at_once, at=now),
            policy(variants=SMALL, tiers={"pro": "Always"}, offered={"pro": 3800.0}, at=now),
            policy("video", variants=SMALL_VIDEO, tiers={"pro": "Always"}, offered={"pro": 3800.0}, at=now),
        )
        decided, memory = tick(seen, memory, now=now)
        has = {key.name: found.replicas for key, found in decided.scalers.items()}
        moved += [found.key.name for found in decided.scalers.values() if found.write]

    assert moved == []
    assert has == {"image": 5, "video": 5}


def test_a_workload_that_nobody_asks_gives_its_replicas_up_dynamo_6985() -> None:
    """ai-dynamo/dynamo #6985: when the load ended, latency percentiles became NaN, a division of nothing by nothing; the
    planner took them for missing, skipped every decision, and kept seven replicas of which none was used.
    """
    memory, has = Memory(), 7
    p95 = metric("p95", "Objective", "8")
    for second in range(0, 900, 10):
        now = NOW + second
        there = scaler(replicas=has, more=(p95,), backlog=0.0, at=now)
        there = structs.replace(there, metrics=there.metrics | {"p95": NAN})
        decided, memory = tick(
            snapshot(pool(8), there, policy(offered={"pro": 0.0, "free": 0.0}, at=now)), memory, now=now
        )
        has = decided.scalers[named("image")].replicas

    assert has == 1


def test_users_who_were_all_denied_are_let_in_again_though_nobody_has_a_latency_dynamo_6985() -> None:
    """The same with a feature that was denied to all: nobody is served, so nobody's wait can be measured."""
    objects = objects_of(
        snapshot(
            pool(4, name="demo"),
            scaler(pool_name="demo", most=4, backlog=0.0, more=(metric("wait", "Objective", "5"),)),
            policy(variants=TWO, tiers={"free": "Auto"}),
        )
    )

    world = World(
        objects, lambda now: {("image", "free", ""): 400.0 if 20 <= now < 200 else 0.5}, 4, cold_start=60.0
    ).run(3000)

    levels = {cell_of(plan, "image", "free").level for plan in world.plans}
    assert any(level.variant == 1 for level in levels)
    assert cell_of(world.plans[-1], "image", "free").level == FIRST


def test_stale_metrics_are_no_saturation_llm_d_router() -> None:
    """llm-d/llm-d-router #2165 and #2547: endpoints whose metrics were older than a threshold counted as full. When none could
    be scraped for a while, all of them were full, and nothing was let through to servers that were idle.
    """

    def look(now: float) -> Snapshot:
        old = policy(offered={"pro": 1.0, "free": 1.0}, at=NOW)
        return snapshot(pool(10), scaler(replicas=10, backlog=0.0, objective=0.5, at=NOW), old)

    plans, after = watch(look, seconds=1200, step=10.0)

    assert [found.level for found in after.cells.values()] == [FIRST] * 4
    assert not any(plan.scalers[named("image")].saturated for plan in plans)
    assert plans[-1].scalers[named("image")].rule is Reason.HELD


def test_stale_metrics_are_no_calm_either_llm_d_router() -> None:
    """And the other way round: what was full when it was last seen is not let run over because it cannot be seen."""
    shed = cell(tier="free").shed(asked=20.0, ago=3600)

    def look(now: float) -> Snapshot:
        return snapshot(pool(10), scaler(replicas=10, backlog=GONE, at=NOW), policy(offered=GONE))

    plans, after = watch(look, seconds=1200, step=10.0, memory=remembered(shed, scalers={"image": FULL}))

    assert after.cells[shed.key].level == shed.level
    assert plans[-1].pools[Key("", "gpus")].saturated_by == "image"


def test_a_metrics_outage_leaves_nobody_below_its_minimum_dynamo_14575() -> None:
    """ai-dynamo/dynamo #14575: while no metric could be had every decision was skipped, the declared minimum with it, so a
    workload that was below it stayed there.
    """
    decided, _ = tick(snapshot(pool(8), scaler(replicas=0, least=2, load=GONE), policy(offered=GONE)))

    assert (decided.scalers[named("image")].replicas, decided.scalers[named("image")].write) == (2, True)
