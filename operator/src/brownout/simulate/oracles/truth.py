"""What no controller can know: who really asks, what it really costs, and what it is worth. All that the oracles are told."""

from dataclasses import dataclass
from math import ceil

import numpy as np
import numpy.typing as npt

from brownout.simulate.record import Floats, Ints

SHORTEST_BUCKET_SECONDS = 10.0
MOST_BUCKETS = 360
"""An hour is looked at in tens of seconds, a day in spans of four minutes."""


@dataclass(frozen=True, kw_only=True)
class Truth:
    """One run's demand and means: T ticks, C cells, V variants (the most that a cell has), W workloads of one pool.

    `demand` [T, C]: fresh asks a second of all users, as if nothing were hidden from them. `cost` [C, V, W]: true GPU-seconds
    of a request on a variant. `worth` [C, V]: of a request that is served; 0 for the denial and where a cell has fewer
    variants; no later variant is worth more than the first. `lowest` [C]: the last variant that a cell may be taken to;
    `always` [C]: it is served at its first variant or waits. `ladder`: (cell, step) for each rung, the first to be taken
    first; step 1 leads from variant 1 to variant 2. `gpus` [T]: of the pool.

    By workload, [W]: `gpus_per_replica`, `min_replicas`, `max_replicas`, `start_replicas` (ready at the start), and
    `cold_start_seconds`, the mean.
    """

    tick_seconds: float
    demand: Floats
    cost: Floats
    worth: Floats
    lowest: Ints
    always: npt.NDArray[np.bool_]
    ladder: tuple[tuple[int, int], ...]
    gpus: Ints
    gpus_per_replica: Ints
    min_replicas: Ints
    max_replicas: Ints
    start_replicas: Ints
    cold_start_seconds: Floats

    def __post_init__(self) -> None:
        ticks, cells = self.demand.shape
        variants, workloads = self.worth.shape[1], len(self.gpus_per_replica)
        expected = {
            "cost": (cells, variants, workloads),
            "worth": (cells, variants),
            "lowest": (cells,),
            "always": (cells,),
            "gpus": (ticks,),
            "min_replicas": (workloads,),
            "max_replicas": (workloads,),
            "start_replicas": (workloads,),
            "cold_start_seconds": (workloads,),
        }
        for name, shape in expected.items():
            found = getattr(self, name).shape
            if found != shape:
                raise ValueError(f"Truth.{name}: found shape {found}; write {shape}, as demand and worth have it")
        if ticks == 0 or (self.worth > self.worth[:, :1]).any():
            raise ValueError("Truth: at least one tick, and no variant that is worth more than its cell's first")

    @property
    def usable(self) -> npt.NDArray[np.bool_]:
        """[C, V]: the variants on which a cell may be served and which are worth something."""
        last = np.where(self.always, 0, self.lowest)
        return (np.arange(self.worth.shape[1]) <= last[:, None]) & (self.worth > 0)

    @property
    def rungs(self) -> tuple[tuple[int, int], ...]:
        """The ladder without rungs that may never be taken: of Always cells, or past the lowest variant."""
        return tuple((cell, step) for cell, step in self.ladder if not self.always[cell] and step < self.lowest[cell])

    @property
    def protection(self) -> Ints:
        """[C]: by how much longer the ladder protects a cell than others; what decides between cells of equal worth."""
        first = np.full(len(self.lowest), len(self.ladder))
        for place, (cell, _) in reversed(list(enumerate(self.ladder))):
            first[cell] = place
        return first


@dataclass(frozen=True, kw_only=True)
class Buckets:
    """A truth in B coarser steps of time. `seconds` [B]: how long each is (the last may be shorter). `demand` [B, C]: mean
    asks a second. `gpus` [B]: the least; `mean_gpus` [B]. `ticks` [B]: how many ticks each has."""

    bucket_seconds: float
    ticks: Ints
    seconds: Floats
    demand: Floats
    gpus: Ints
    mean_gpus: Floats


def buckets_of(truth: Truth, bucket_seconds: float | None = None) -> Buckets:
    """The truth in buckets of about this many seconds, whole ticks; by default 10, or what a long run needs to stay quick."""
    total = len(truth.gpus) * truth.tick_seconds
    wanted = bucket_seconds or max(SHORTEST_BUCKET_SECONDS, total / MOST_BUCKETS)
    width = max(1, ceil(wanted / truth.tick_seconds - 1e-9))
    starts = np.arange(0, len(truth.gpus), width)
    ticks = np.diff(np.append(starts, len(truth.gpus)))
    return Buckets(
        bucket_seconds=width * truth.tick_seconds,
        ticks=ticks,
        seconds=ticks * truth.tick_seconds,
        demand=np.add.reduceat(truth.demand, starts, axis=0) / ticks[:, None],
        gpus=np.minimum.reduceat(truth.gpus, starts),
        mean_gpus=np.add.reduceat(truth.gpus, starts) / ticks,
    )
