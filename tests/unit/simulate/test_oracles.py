"""The oracles: what they reach, that none is above the one that it is bound by, and that their plans can be carried out."""

from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from brownout.simulate.oracles import Ceiling, Truth, fluid, foresight, on_the_ladder
from brownout.simulate.oracles.groups import freely, groups_of
from brownout.simulate.oracles.truth import buckets_of
from support.oracle_builders import truth, truths

ORACLES = (fluid, foresight, on_the_ladder)
RANDOM = settings(deadline=None, derandomize=True, max_examples=80, suppress_health_check=[HealthCheck.too_slow])
SLOW = settings(RANDOM, max_examples=30, phases=[Phase.explicit, Phase.generate])
ROUNDING = 1e-5


def best_by_brute_force(t: Truth) -> float:
    """The value of the best of all plans over all allocations, each step and each change tried."""
    buckets = buckets_of(t)
    count = len(buckets.seconds)
    ranges = [
        range(low, max(high, start) + 1)
        for low, high, start in zip(t.min_replicas, t.max_replicas, t.start_replicas, strict=True)
    ]
    first = tuple(t.start_replicas.tolist())
    vectors = [v for v in product(*ranges) if v == first or np.dot(v, t.gpus_per_replica) <= buckets.gpus.max()]
    lags = np.rint(t.cold_start_seconds / buckets.bucket_seconds)
    replicas = np.array(vectors)
    worth = np.zeros((count, len(vectors)))
    for group in groups_of(t):
        capacity = (replicas * t.gpus_per_replica)[:, group.workloads].astype(float)
        worth += freely(t, group).values(buckets.demand[:, group.cells], capacity) * buckets.seconds[:, None]
    gain = {v: worth[:, i] for i, v in enumerate(vectors)}
    gpus = {v: int(np.dot(v, t.gpus_per_replica)) for v in vectors}

    @cache
    def ahead(at: int, now: tuple[int, ...]) -> float:
        if at == count:
            return 0.0
        options = [gain[now][at] + ahead(at + 1, now)] if gpus[now] <= buckets.gpus[at] else []
        for to in vectors:
            growing = [lag for lag, a, b in zip(lags, now, to, strict=True) if b > a]
            end = min(count, at + int(max(growing, default=0)))
            if to == now or gpus[to] > buckets.gpus[at : max(end, at + 1)].min():
                continue
            during = sum(
                gain[tuple(b if lag <= x - at else min(a, b) for lag, a, b in zip(lags, now, to, strict=True))][x]
                for x in range(at, end)
            )
            options.append(during + ahead(end, to))
        return max(options)

    whole = float((buckets.demand * buckets.seconds[:, None] @ t.worth[:, 0]).sum())
    return ahead(0, first) / whole if whole else 1.0


def held(t: Truth, ceiling: Ceiling) -> np.ndarray:
    return ceiling.replicas @ t.gpus_per_replica


@given(truths())
@RANDOM
def test_what_is_bound_by_more_reaches_no_more(t: Truth) -> None:
    free, planned, bound = (oracle(t).value for oracle in ORACLES)
    assert 1.0 >= free >= planned - ROUNDING
    assert planned >= bound - ROUNDING
    assert bound >= 0.0


@given(truths())
@SLOW
def test_foresight_finds_what_brute_force_finds(t: Truth) -> None:
    assert foresight(t).value == pytest.approx(best_by_brute_force(t), abs=ROUNDING)


@given(truths(joined=False))
@RANDOM
def test_more_gpus_never_hurt(t: Truth) -> None:
    more = replace(t, gpus=t.gpus + 1)
    for oracle in ORACLES:
        assert oracle(more).value >= oracle(t).value - ROUNDING


@given(truths(loses_nodes=False))
@RANDOM
def test_where_nothing_is_short_all_is_served_at_its_best(t: Truth) -> None:
    plenty = np.full_like(t.start_replicas, 60)
    calm = replace(t, gpus=np.full_like(t.gpus, 500), start_replicas=plenty, max_replicas=plenty)
    for oracle in ORACLES:
        reached = oracle(calm)
        assert reached.value == pytest.approx(1.0)
        assert not reached.episodes.any()


@given(truths())
@RANDOM
def test_a_plan_keeps_to_the_pool_and_serves_nobody_twice(t: Truth) -> None:
    for oracle in ORACLES:
        reached = oracle(t)
        assert (held(t, reached) <= t.gpus + 1e-6).all()
        assert reached.shares.min() >= 0.0
        assert reached.shares.sum(axis=2).max() <= 1.0 + 1e-9
        load = np.einsum("tc,tcv,cvw->tw", t.demand, reached.shares, t.cost)
        assert (load <= reached.replicas * t.gpus_per_replica + 1e-6).all()


@given(truths())
@RANDOM
def test_a_plan_keeps_to_minimums_maximums_and_cold_starts(t: Truth) -> None:
    for oracle in (foresight, on_the_ladder):
        replicas = oracle(t).replicas
        assert (replicas >= t.min_replicas).all()
        assert (replicas <= t.max_replicas).all()
        for workload, cold_start in enumerate(t.cold_start_seconds / t.tick_seconds):
            early = replicas[: int(cold_start), workload]
            assert (early <= t.start_replicas[workload]).all()


@given(truths())
@RANDOM
def test_nobody_is_served_past_the_lowest_variant_nor_always_cells_below_the_first(t: Truth) -> None:
    for oracle in ORACLES:
        shares = oracle(t).shares
        for cell, lowest in enumerate(t.lowest):
            assert not shares[:, cell, (0 if t.always[cell] else lowest) + 1 :].any()


def viral(*, cold_start_seconds: float = 30.0) -> Truth:
    """Two workloads on six GPUs; the second one's demand rises from 1 GPU to 5 after a minute, the first one's is 3."""
    return truth(
        demand=[[3.0, 1.0]] * 6 + [[3.0, 5.0]] * 12,
        cost=[[[1, 0], [0, 0]], [[0, 1], [0, 0]]],
        worth=[[1, 0], [10, 0]],
        gpus=6,
        start=(3, 1),
        least=(1, 1),
        cold_start_seconds=cold_start_seconds,
    )


def test_foresight_starts_before_the_demand_is_there() -> None:
    reached = foresight(viral())
    assert reached.replicas.tolist() == [[3, 1]] * 3 + [[1, 1]] * 3 + [[1, 5]] * 12


def test_a_longer_cold_start_costs_value() -> None:
    values = [foresight(viral(cold_start_seconds=seconds)).value for seconds in (10, 60, 120)]
    assert values == sorted(values, reverse=True)
    assert values[0] > values[-1] + 0.01


def test_fluid_needs_no_cold_start() -> None:
    assert fluid(viral(cold_start_seconds=600)).value == fluid(viral(cold_start_seconds=10)).value


def test_lost_nodes_take_replicas_at_once_and_the_best_are_kept() -> None:
    t = truth(
        demand=[[3.0, 3.0]] * 12,
        cost=[[[1, 0], [0, 0]], [[0, 1], [0, 0]]],
        worth=[[1, 0], [10, 0]],
        gpus=[6] * 6 + [4] * 6,
        start=(3, 3),
    )
    reached = foresight(t)
    assert reached.replicas.tolist() == [[3, 3]] * 6 + [[1, 3]] * 6
    assert reached.episodes.tolist() == [1, 0]


def test_replicas_that_the_pool_never_had_room_for_are_lost_and_nothing_comes_at_once() -> None:
    t = truth(
        demand=[[2.0]] * 4,
        cost=[[[0, 0, 1], [0, 0, 0]]],
        worth=[[1, 0]],
        gpus=2,
        start=(1, 2, 0),
        size=(1, 2, 1),
        least=(1, 0, 0),
    )
    assert foresight(t).replicas.tolist() == [[1, 0, 0]] * 2 + [[1, 0, 1]] * 2


def test_the_ladder_binds_where_its_order_is_not_the_best() -> None:
    dear_first = truth(
        demand=[[2.0, 2.0]] * 6, cost=[[[1], [0]], [[1], [0]]], worth=[[9, 0], [1, 0]], gpus=2, start=(2,)
    )
    assert foresight(dear_first).value == pytest.approx(18 / 20)
    assert on_the_ladder(dear_first).value == pytest.approx(2 / 20)


def test_of_two_cells_worth_the_same_the_one_that_the_ladder_protects_is_served() -> None:
    t = truth(
        demand=[[2.0, 2.0]] * 6,
        cost=[[[1], [0]], [[1], [0]]],
        worth=[[1, 0], [1, 0]],
        gpus=2,
        start=(2,),
        ladder=[(1, 0), (0, 0)],
    )
    for oracle in ORACLES:
        reached = oracle(t)
        assert reached.shares[:, :, 0].tolist() == [[1.0, 0.0]] * 6
        assert reached.episodes.tolist() == [0, 1]


def test_a_truth_with_a_wrong_shape_says_which_is_expected() -> None:
    with pytest.raises(ValueError, match=r"Truth.gpus: found shape \(3,\); write \(18,\)"):
        replace(viral(), gpus=np.array([1, 2, 3]))


def test_a_day_is_looked_at_in_few_buckets_that_hold_all_asks() -> None:
    ticks = 86400 // 5 + 1
    day = replace(viral(), tick_seconds=5.0, demand=np.arange(2.0 * ticks).reshape(-1, 2), gpus=np.arange(ticks) % 7)
    buckets = buckets_of(day)
    assert len(buckets.seconds) <= 361
    assert buckets.seconds.sum() == ticks * 5
    assert (buckets.demand * buckets.seconds[:, None]).sum() == pytest.approx(day.demand.sum() * 5)
    assert buckets.gpus[0] == 0


def test_a_pool_of_many_workloads_is_counted_in_coarser_steps_and_stays_below_the_bound() -> None:
    random, workloads = np.random.default_rng(1), 6
    t = truth(
        demand=[random.uniform(0, 9, workloads)] * 30 + [random.uniform(0, 9, workloads)] * 30,
        cost=np.stack([np.eye(workloads), np.zeros((workloads, workloads))], axis=1),
        worth=np.stack([random.uniform(1, 9, workloads), np.zeros(workloads)], axis=1),
        gpus=[32] * 45 + [24] * 15,
        start=[4] * workloads,
        least=[1] * workloads,
    )
    reached = foresight(t)
    assert (held(t, reached) <= t.gpus).all()
    assert 0.8 * fluid(t).value <= reached.value <= fluid(t).value
