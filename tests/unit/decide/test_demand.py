"""Demand: a flow, widened by its own noise; a queue is a little more of it; what is missing is never zero."""

from math import sqrt

import pytest
from msgspec import structs

from brownout.decide.assess import view_scaler
from brownout.decide.demand import Flow, load_replicas
from brownout.decide.evidence import Missing, Sample, fresh
from brownout.decide.memory import Memory, ScalerMemory
from brownout.decide.scene import look
from brownout.decide.snapshot import Policy, Scaler, Snapshot
from brownout.decide.view import ScalerView
from support.build import (
    GONE,
    NOW,
    cell,
    metric,
    named,
    override,
    policy,
    pool,
    remembered,
    scaler,
    snapshot,
    tick,
)


def view(
    *things: Scaler | Policy, memory: Memory | None = None, name: str = "image", snap: Snapshot | None = None
) -> ScalerView:
    gpus = pool(64)
    seen = snap or snapshot(gpus, *things)
    scene = look(seen, memory or Memory(), now=NOW)
    return view_scaler(scene, seen.scalers[named(name)], gpus, ScalerMemory(), elapsed=2.0)


def test_demand_is_the_offered_rate_times_the_cost_of_the_best_variant() -> None:
    seen = view(scaler(), policy(offered={"pro": 2.0, "free": 3.0}))

    assert seen.demand.offered is not None
    assert seen.demand.offered.mean == pytest.approx(5.0)


def test_a_shed_cell_still_counts_with_what_it_asked_for() -> None:
    asked = remembered(cell(tier="free").shed(ago=0, asked=10.0))

    seen = view(scaler(), policy(offered={"pro": 1.0, "free": 0.0}), memory=asked)

    assert seen.demand.offered is not None
    assert seen.demand.admitted is not None
    assert seen.demand.offered.mean == pytest.approx(11.0)
    assert seen.demand.admitted.mean == pytest.approx(1.0)
    assert seen.demanded == 14  # 11 GPUs, 80 % full


def test_admitted_demand_is_what_users_ask_for_at_the_level_that_they_have() -> None:
    half = remembered(cell(tier="free").at("full", 50))

    seen = view(scaler(), policy(offered={"free": 8.0}), memory=half)

    assert seen.demand.admitted is not None
    assert seen.demand.admitted.mean == pytest.approx(8.0 * (0.5 * 1.0 + 0.5 * 0.25))


def test_an_override_counts_as_what_users_have() -> None:
    denied = snapshot(pool(64), scaler(), policy(offered={"free": 8.0}), override(cells=["free"]))

    seen = view(snap=denied)

    assert seen.demand.admitted is not None
    assert seen.demand.offered is not None
    assert seen.demand.admitted.mean == 0.0
    assert seen.demand.offered.mean == pytest.approx(8.0)


def test_a_tier_without_a_part_in_the_feature_asks_for_nothing() -> None:
    seen = view(scaler(), policy(tiers={"pro": "Always", "free": "Never"}, offered={"pro": 1.0, "free": 50.0}))

    assert seen.demand.offered is not None
    assert seen.demand.offered.mean == pytest.approx(1.0)


def test_the_floor_is_what_may_never_be_taken() -> None:
    seen = view(scaler(target_percent=100), policy(offered={"pro": 4.0, "plus": 8.0, "free": 100.0}))

    assert seen.demand.floor is not None
    assert seen.demand.floor.mean == pytest.approx(4.0 + 8.0 * 0.25)


def test_a_tier_counts_with_those_above_it_and_the_others_at_their_lowest() -> None:
    """Plus may be taken to lite, which costs a quarter, and free to nothing."""
    seen = view(scaler(), policy(offered={"pro": 4.0, "plus": 8.0, "free": 100.0}))

    assert [flow.mean for _, flow in seen.demand.tiers] == pytest.approx([4.0 + 8.0 * 0.25, 12.0, 112.0])


def test_replicas_are_planned_for_the_rate_and_its_counting_noise() -> None:
    few, many = Flow(10.0, 2.0), Flow(10.0, 0.1)

    assert few.upper == pytest.approx(12.0)
    assert few.lower == pytest.approx(6.0)
    assert many.upper < few.upper
    assert Flow(1.0, 3.0).lower == 0.0


def test_rare_and_heavy_requests_are_noisier_than_frequent_light_ones() -> None:
    heavy = view(scaler(), policy(variants={"full": {"image": 20.0}, "denied": {}}, offered={"free": 0.5}))
    light = view(scaler(), policy(variants={"full": {"image": 0.1}, "denied": {}}, offered={"free": 100.0}))

    assert heavy.demand.offered is not None
    assert light.demand.offered is not None
    assert heavy.demand.offered.mean == pytest.approx(light.demand.offered.mean)
    assert heavy.demand.offered.noise > 10 * light.demand.offered.noise


def test_a_rate_that_was_not_measured_for_long_is_noisier_than_a_settled_one() -> None:
    """After a restart, or of a new counter: what was counted in half a minute is no evidence of ten."""

    def measured_for(seconds: float) -> ScalerView:
        one = cell(tier="free")
        known = structs.replace(one.memory, rate=0.1, rate_since=NOW - seconds)
        return view(scaler(), policy(offered={"free": 0.1}), memory=remembered(structs.replace(one, memory=known)))

    new, settled = measured_for(0.0).demand.admitted, measured_for(600.0).demand.admitted

    assert new is not None
    assert settled is not None
    assert new.mean == pytest.approx(settled.mean) == pytest.approx(0.1)
    assert new.noise == pytest.approx(sqrt(10) * settled.noise)


def test_a_queue_of_400_behind_ten_replicas_is_a_little_more_flow() -> None:
    """400 requests of one GPU-second each; the HPA's formula on their number would ask for forty times the replicas.

    Pods take 100 s to be ready, so four more empty it in as long; in drainSeconds those that are there are to empty it.
    """
    calm = view(scaler(replicas=10), policy(offered={"free": 7.0}))

    queued = view(scaler(replicas=10, backlog=400.0), policy(offered={"free": 7.0}))

    assert (calm.demanded, queued.demanded) == (9, 13)


def test_where_replicas_start_sooner_than_a_queue_is_to_be_empty_it_is_emptied_in_drain_seconds() -> None:
    queued = view(scaler(replicas=10, drain_seconds=200, backlog=400.0), policy(offered={"free": 7.0}))

    assert queued.demanded == 9 + 2


def test_a_backlog_alone_is_planned_to_be_worked_off() -> None:
    assert view(scaler(backlog=150.0, drain_seconds=15)).demanded == 10


def test_replicas_of_many_gpus_are_whole() -> None:
    assert (
        view(
            scaler(gpus=4, target_percent=100),
            policy(offered={"free": 400.0}, variants={"full": {"image": 0.0225}, "denied": {}}),
        ).demanded
        == 3
    )


def test_the_most_demanding_of_flow_and_load_metrics_counts() -> None:
    calm = policy(offered={"pro": 1.0})

    assert view(scaler(load=90.0), calm).demanded == 9
    assert view(scaler(load=10.0, replicas=1), policy(offered={"pro": 30.0})).demanded >= 38


@pytest.mark.parametrize(("first", "second"), [("10", "30"), ("30", "10")])
def test_the_most_demanding_load_metric_counts_and_is_named(first: str, second: str) -> None:
    targets = (
        metric(f"per-{first}", "Load", first, average=True),
        metric(f"per-{second}", "Load", second, average=True),
    )
    there = scaler(more=targets)
    there = structs.replace(there, metrics={m.name: Sample(60.0, NOW) for m in targets})

    demand = view(there).demand

    assert (demand.load_replicas, demand.load_metric) == (6, "per-10")


@pytest.mark.parametrize(("value", "wanted"), [(95.0, 10), (109.0, 10), (112.0, 12), (80.0, 8), (0.0, 0)])
def test_load_metrics_follow_the_formula_and_tolerance_of_the_hpa(value: float, wanted: int) -> None:
    average = metric("load", "Load", "10", average=True)

    assert load_replicas(average, value, ready=10, replicas=10) == wanted


def test_a_load_metric_for_the_whole_scales_what_is_ready() -> None:
    whole = metric("load", "Load", "800m")

    assert load_replicas(whole, 0.9, ready=10, replicas=10) == 12
    assert load_replicas(whole, 0.4, ready=10, replicas=10) == 5


def test_within_the_tolerance_replicas_that_are_coming_stay() -> None:
    whole = metric("load", "Load", "800m")

    assert load_replicas(whole, 0.8, ready=5, replicas=9) == 9


def test_a_load_of_exactly_one_replica_starts_one_where_none_is_ready() -> None:
    average = metric("load", "Load", "10", average=True)

    assert load_replicas(average, 10.0, ready=0, replicas=0) == 1
    assert load_replicas(average, 35.0, ready=0, replicas=0) == 4
    assert load_replicas(average, 0.0, ready=0, replicas=0) == 0


def test_a_workload_that_serves_a_lesser_variant_alone_is_planned_for_those_who_were_sent_down() -> None:
    two = {"full": {"xl": 4.0}, "lite": {"small": 1.0}, "denied": {}}
    sent = remembered(cell(tier="free", variants=two).shed("lite", asked=8.0, ago=30))

    small = view(scaler("xl"), scaler("small"), policy(variants=two, offered={"free": 8.0}), memory=sent, name="small")

    assert small.demand.offered is not None
    assert small.demand.offered.mean == 0.0
    assert small.demanded == 10  # 8 GPUs of load, 80 % full


@pytest.mark.parametrize("value", [Missing("the query returns nothing"), Missing("NaN"), GONE])
def test_missing_is_never_zero(value: Missing) -> None:
    seen = view(scaler(replicas=5, backlog=value), policy(offered={"free": 1.0}))

    assert seen.demand.backlog is None
    assert seen.demand.missing == (f"metric backlog: {value.message}",)
    assert seen.demand.known


def test_a_metric_that_was_not_asked_yet_is_missing() -> None:
    asked = scaler(more=(metric("p95", "Objective", "8"),))

    assert view(asked).demand.missing == ("metric p95: not asked yet",)


@pytest.mark.parametrize(
    ("offered", "at", "hides_nothing"),
    [({"pro": 0.0}, "full", True), ({"pro": 0.15}, "full", True), ({"pro": 0.2}, "full", False), ({"free": 9.0}, "denied", True), (GONE, "full", False)],
    ids=["nobody asks", "four in a window", "six in a window", "all are denied", "nobody knows"],
)  # fmt: skip
def test_an_objective_that_cannot_be_had_hides_nothing_while_hardly_anybody_is_let_through(
    offered: dict[str, float] | Missing, at: str, hides_nothing: bool
) -> None:
    """A percentile of no requests is not a number."""
    seen = view(
        scaler(replicas=5, objective=Missing("the query returns NaN")),
        policy(offered=offered, admitted={}),
        memory=remembered(cell(tier="free").shed(at, ago=30)),
    )

    assert (seen.demand.missing == ()) is hides_nothing


@pytest.mark.parametrize(
    ("values", "hides_nothing"),
    [({"load": 0.0}, True), ({"backlog": 0.0}, True), ({"load": 0.0, "backlog": 1.0}, False), ({"load": 1.0}, False), ({}, False)],
)  # fmt: skip
def test_where_no_flow_is_known_an_objective_hides_nothing_while_all_else_says_that_nothing_is_there(
    values: dict[str, float], hides_nothing: bool
) -> None:
    seen = view(scaler(replicas=5, objective=Missing("the query returns NaN"), **values))

    assert (seen.demand.missing == ()) is hides_nothing


def test_a_sample_is_missing_once_it_is_older_than_stale_after_seconds() -> None:
    assert view(scaler(backlog=3.0, at=NOW - 59)).demand.backlog == 3.0
    old = view(scaler(backlog=3.0, at=NOW - 61)).demand
    assert old.backlog is None
    assert old.missing == ("metric backlog: last sample is 61 s old, older than 60 s",)


def test_an_age_is_never_below_zero() -> None:
    assert fresh(Sample(1.0, at=NOW + 3600), now=NOW, within_seconds=1) == Sample(1.0, at=NOW + 3600)


def test_demand_that_is_stale_for_every_cell_is_not_a_demand_of_nothing() -> None:
    seen = view(
        scaler(replicas=5),
        policy(offered={"pro": 1.0, "plus": 1.0, "free": 1.0, "free/new-accounts": 1.0}, at=NOW - 90),
    )

    assert seen.demand.offered is None
    assert seen.blind
    assert "90 s old" in seen.demand.missing[0]


def test_demand_that_is_stale_for_one_cell_is_missing_evidence() -> None:
    fresh_policy = policy(offered={"pro": 4.0})
    old_policy = policy("video", offered={"free": 4.0}, at=NOW - 90)

    seen = view(scaler(replicas=9), fresh_policy, old_policy)

    assert seen.demand.offered is not None
    assert seen.demand.missing


def test_one_policy_without_demand_leaves_what_the_others_ask_for() -> None:
    seen = view(scaler(), policy(offered={"pro": 4.0}), policy("video", offered=GONE))

    assert seen.demand.offered is not None
    assert seen.demand.offered.mean == pytest.approx(4.0)
    assert seen.demand.missing == (GONE.message,)


def test_negative_numbers_of_a_query_count_as_nothing() -> None:
    seen = view(scaler(backlog=-5.0, busy=-1.0, load=-3.0))

    assert seen.demand.backlog == 0.0
    assert seen.demand.busy == 0.0
    assert seen.demand.load_replicas == 0


def test_the_worst_objective_counts_against_its_target() -> None:
    p50 = metric("p50", "Objective", "2")
    seen = view(scaler(objective=1.5, more=(p50,)))

    assert seen.demand.objective_ratio == pytest.approx(1.5)


def test_a_target_of_nothing_asks_for_nothing() -> None:
    """The API refuses it; whoever has it stored all the same is not divided by it."""
    seen = view(scaler(more=(metric("free", "Objective", "0"),), objective=2.0), scaler("idle"))

    assert load_replicas(metric("load", "Load", "0"), 5.0, ready=2, replicas=2) == 0
    assert seen.demand.objective_ratio == 2.0


def test_the_plan_says_what_is_asked_for_in_numbers() -> None:
    decided, _ = tick(snapshot(pool(64), scaler(replicas=10, backlog=45.0), policy(offered={"pro": 7.0})))

    assert "7.0 GPUs of load are asked for, 45 GPU-seconds wait" in decided.scalers[named("image")].message
