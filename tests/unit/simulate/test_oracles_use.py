"""How GPUs that are there are used: the knapsack and its prices are optimal, the walk down the ladder is the rules'."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from brownout.simulate.oracles import Truth
from brownout.simulate.oracles.ceilings import shed_episodes
from brownout.simulate.oracles.groups import Group, by_ladder, freely, groups_of
from brownout.simulate.oracles.knapsack import Knapsack
from brownout.simulate.oracles.prices import Prices
from support.oracle_builders import truth, truths

RANDOM = settings(deadline=None, derandomize=True, max_examples=80, suppress_health_check=[HealthCheck.too_slow])
ROUNDS = 40


def least_dual(t: Truth, demand: np.ndarray, capacity: np.ndarray, known: tuple[float, ...] = ()) -> float:
    """The dual's optimum for all workloads of a truth, found by thirds in one price after the other: it is convex."""
    if len(known) == len(capacity):
        gain = np.where(t.usable, t.worth - t.cost @ np.array(known), 0.0).max(axis=1).clip(0.0)
        return float(np.dot(known, capacity) + demand @ gain)
    low, high = 0.0, 120.0
    for _ in range(ROUNDS if len(capacity) < 3 else 0):
        left, right = low + (high - low) / 3, high - (high - low) / 3
        if least_dual(t, demand, capacity, (*known, left)) <= least_dual(t, demand, capacity, (*known, right)):
            high = right
        else:
            low = left
    return least_dual(t, demand, capacity, (*known, low))


def whole(t: Truth) -> Group:
    return Group(np.arange(len(t.gpus_per_replica)), np.arange(len(t.lowest)))


def attained(t: Truth, group: Group, shares: np.ndarray, demand: np.ndarray) -> np.ndarray:
    return np.einsum("bc,bcv,cv->b", demand, shares, t.worth[group.cells])


@given(truths())
@RANDOM
def test_what_is_served_is_worth_what_the_table_says(t: Truth) -> None:
    for group in groups_of(t):
        capacity = (t.start_replicas * t.gpus_per_replica)[None, group.workloads].repeat(len(t.demand), axis=0) * 1.0
        demand = t.demand[:, group.cells]
        for serving in (freely(t, group), by_ladder(t, group)):
            table = np.diagonal(serving.values(demand, capacity))
            shares = serving.shares(demand, capacity)
            load = np.einsum("bc,bcv,cvw->bw", demand, shares, t.cost[group.cells][:, :, group.workloads])
            assert attained(t, group, shares, demand) == pytest.approx(table, rel=1e-5, abs=1e-7)
            assert (load <= capacity + 1e-7).all()


@given(truths())
@settings(RANDOM, max_examples=25)
def test_no_use_of_the_gpus_is_worth_more(t: Truth) -> None:
    if len(t.gpus_per_replica) > 2:
        return
    worth = np.where(t.usable, t.worth, 0.0)
    prices = Prices(t.cost, worth, protection=t.protection)
    capacity = (t.start_replicas * t.gpus_per_replica)[None, :] * 1.0
    found = prices.values(t.demand[:1], capacity)[0, 0]
    assert found == pytest.approx(least_dual(t, t.demand[0], capacity[0]), rel=1e-4, abs=1e-4)


@given(truths(joined=False))
@RANDOM
def test_prices_and_knapsack_agree_on_one_workload(t: Truth) -> None:
    for group in groups_of(t):
        cost, worth = t.cost[group.cells][:, :, group.workloads], np.where(t.usable, t.worth, 0.0)[group.cells]
        capacity, protection = np.arange(6.0)[:, None], t.protection[group.cells]
        knapsack, prices = (kind(cost, worth, protection=protection) for kind in (Knapsack, Prices))
        demand = t.demand[:, group.cells]
        assert prices.values(demand, capacity) == pytest.approx(knapsack.values(demand, capacity), rel=1e-5)


@given(truths(joined=False))
@RANDOM
def test_no_rung_is_taken_while_one_before_it_that_would_relieve_is_not(t: Truth) -> None:
    for group in groups_of(t):
        capacity = np.full((len(t.demand), 1), 2.0)
        demand, cells = t.demand[:, group.cells], group.cells.tolist()
        served = by_ladder(t, group).shares(demand, capacity)
        full = np.isclose((np.einsum("bc,bcv,cvw->bw", demand, served, t.cost[group.cells])).max(axis=1), 2.0)
        saves = t.cost.sum(axis=2)[:, :-1] > t.cost.sum(axis=2)[:, 1:]
        rungs = [(cell, step) for cell, step in t.rungs if cell in cells and saves[cell, : step + 1].all()]
        for b in np.flatnonzero(full):
            below = [1 - served[b, cells.index(cell), : step + 1].sum() for cell, step in rungs]
            asked = [demand[b, cells.index(cell)] > 0 for cell, _ in rungs]
            last = max((i for i, part in enumerate(below) if part > 1e-6 and asked[i]), default=0)
            assert all(part > 1 - 1e-6 for part, ask in zip(below[:last], asked, strict=False) if ask)


def test_a_rung_that_relieves_nothing_short_is_skipped() -> None:
    t = truth(
        demand=[[2.0, 2.0]],
        cost=[[[1, 0], [0, 0]], [[0, 1], [0, 0]]],
        worth=[[1, 0], [1, 0]],
        gpus=3,
        start=(2, 1),
    )
    shares = by_ladder(t, whole(t)).shares(t.demand, np.array([[2.0, 1.0]]))
    assert shares[0, :, 0].tolist() == [1.0, 0.5]


def test_a_lesser_variant_that_fills_another_workload_is_shed_there_in_turn() -> None:
    t = truth(
        demand=[[4.0]],
        cost=[[[1, 0], [0, 0.5], [0, 0]]],
        worth=[[1, 0.5, 0]],
        gpus=3,
        start=(2, 1),
    )
    walked = by_ladder(t, whole(t)).shares(t.demand, np.array([[0.0, 1.0]]))
    assert walked[0, 0].tolist() == pytest.approx([0.0, 0.5, 0.0])


def test_of_what_cannot_be_shed_the_worthiest_is_served_and_the_rest_waits() -> None:
    t = truth(
        demand=[[2.0, 2.0]],
        cost=[[[1], [0]], [[1], [0]]],
        worth=[[5, 0], [9, 0]],
        gpus=3,
        start=(3,),
        always=[True, True],
    )
    assert by_ladder(t, whole(t)).shares(t.demand, np.array([[3.0]]))[0, :, 0].tolist() == [0.5, 1.0]


def test_the_hull_leaves_out_a_variant_that_a_mixture_beats() -> None:
    t = truth(demand=[[4.0]], cost=[[[1], [0.9], [0]]], worth=[[10, 2, 0]], gpus=2, start=(2,))
    assert freely(t, whole(t)).shares(t.demand, np.array([[2.0]]))[0, 0].tolist() == [0.5, 0.0, 0.0]


def test_workloads_that_share_a_cell_are_one_group() -> None:
    t = truth(
        demand=[[1.0, 1.0]],
        cost=[[[1, 0, 0], [0, 0, 1], [0, 0, 0]], [[0, 1, 0], [0, 0, 0], [0, 0, 0]]],
        worth=[[1, 0.5, 0], [1, 0, 0]],
        gpus=3,
        start=(1, 1, 1),
    )
    assert [group.workloads.tolist() for group in groups_of(t)] == [[0, 2], [1]]
    assert [group.cells.tolist() for group in groups_of(t)] == [[0], [1]]


def episodes(pattern: str, demand: float = 1.0) -> int:
    """Episodes in buckets of ten seconds: `x` is shed, `.` is not."""
    first = np.array([[0.9 if mark == "x" else 0.97] for mark in pattern])
    return int(shed_episodes(first, np.full_like(first, demand), np.full(len(pattern), 10.0))[0])


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        ("......", 0),
        ("xx....", 0),
        ("xxx...", 1),
        ("xx..x.", 1),
        ("xxx.....xxx", 1),
        ("xxx......xxx", 2),
        ("xxx......x", 1),
    ],
)
def test_episodes_are_long_enough_and_apart(pattern: str, count: int) -> None:
    assert episodes(pattern) == count


def test_nothing_is_shed_where_nobody_asks() -> None:
    assert episodes("xxxxxx", demand=0.0) == 0
