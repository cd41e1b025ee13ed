"""The three oracles: what they plan, what of it is served, and in how many episodes each cell goes without."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from brownout.simulate.oracles.groups import Group, Served, by_ladder, freely, groups_of
from brownout.simulate.oracles.knapsack import Knapsack
from brownout.simulate.oracles.programme import Programme
from brownout.simulate.oracles.truth import Buckets, Truth, buckets_of
from brownout.simulate.record import Floats, Ints

MATERIAL_SHARE = 0.05
EPISODE_SECONDS = 30.0
GAP_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Ceiling:
    """What an oracle reaches. `value`: worth served over the worth of all asks at their first variant, 0 to 1 (1 where nobody
    asks). By tick: `replicas` [T, W] that are ready (parts of some, where GPUs are fluid); `shares` [T, C, V] of a cell's asks
    that are served by variant, the rest is refused or waits. `episodes` [C]: how often a cell is shed."""

    value: float
    replicas: Floats
    shares: Floats
    episodes: Ints


def fluid(truth: Truth, *, bucket_seconds: float | None = None) -> Ceiling:
    """O1: the fractional knapsack of each bucket over the whole pool, without cold starts, minimums or whole replicas."""
    buckets = buckets_of(truth, bucket_seconds)
    worth = np.where(truth.usable, truth.worth, 0.0)
    pool = Knapsack(truth.cost, worth, protection=truth.protection)
    shares = pool.shares(buckets.demand, buckets.mean_gpus[:, None])
    used = np.einsum("bc,bcv,cvw->bw", buckets.demand, shares, truth.cost)
    return _ceiling(truth, buckets, used / truth.gpus_per_replica, shares)


def foresight(truth: Truth, *, bucket_seconds: float | None = None) -> Ceiling:
    """O2: the programme with foresight, each allocation used as well as can be."""
    return _programmed(truth, freely, bucket_seconds)


def on_the_ladder(truth: Truth, *, bucket_seconds: float | None = None) -> Ceiling:
    """O2L: the programme with foresight, where what does not fit is shed in the order of the ladder."""
    return _programmed(truth, by_ladder, bucket_seconds)


def _programmed(truth: Truth, served: Served, bucket_seconds: float | None) -> Ceiling:
    buckets, groups = buckets_of(truth, bucket_seconds), groups_of(truth)
    servings = [served(truth, group) for group in groups]
    ready = Programme(truth, buckets, groups).best(servings)
    shares = np.zeros((len(ready), *truth.worth.shape))
    for group, serving in zip(groups, servings, strict=True):
        shares[:, group.cells] = serving.shares(buckets.demand[:, group.cells], _capacity(truth, group, ready))
    return _ceiling(truth, buckets, ready.astype(np.float64), shares)


def _capacity(truth: Truth, group: Group, ready: Ints) -> Floats:
    return (ready * truth.gpus_per_replica)[:, group.workloads].astype(np.float64)


def _ceiling(truth: Truth, buckets: Buckets, replicas: Floats, shares: Floats) -> Ceiling:
    asks = buckets.demand * buckets.seconds[:, None]
    whole = float((asks @ truth.worth[:, 0]).sum())
    served = float(np.einsum("bc,bcv,cv->", asks, shares, truth.worth))
    return Ceiling(
        value=min(1.0, served / whole) if whole > 0 else 1.0,
        replicas=replicas.repeat(buckets.ticks, axis=0),
        shares=shares.repeat(buckets.ticks, axis=0),
        episodes=shed_episodes(shares[:, :, 0], buckets.demand, buckets.seconds),
    )


def shed_episodes(first: Floats, demand: Floats, seconds: Floats) -> Ints:
    """How often each cell is shed [C], of the share [B, C] that has its first variant, and asks a second [B, C].

    A cell is shed in a bucket in which somebody asks and at least 5 % go below the first variant. Stretches with less than
    60 s between them are one episode, and it counts where at least 30 s of it are shed.
    """
    shed = (first <= 1 - MATERIAL_SHARE + 1e-9) & (demand > 0)
    return np.array([_episodes(column, seconds) for column in shed.T], dtype=np.int64)


def _episodes(shed: npt.NDArray[np.bool_], seconds: Floats) -> int:
    count, length, gap = 0, 0.0, 0.0
    for is_shed, duration in zip(shed.tolist(), seconds.tolist(), strict=True):
        if is_shed:
            length, gap = length + duration, 0.0
            continue
        gap += duration
        if gap >= GAP_SECONDS:
            count += length >= EPISODE_SECONDS
            length = 0.0
    return count + (length >= EPISODE_SECONDS)
