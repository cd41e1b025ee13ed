"""What one workload's GPUs are best used for: the fractional knapsack over cells and variants.

A cell's variants that are worth it form a concave hull of worth over cost; its segments, taken by worth for each GPU-second,
give the optimum of the linear programme exactly. Where two are worth the same, the cell that the ladder protects longer is
served first, so that it is the same cell that goes without from one bucket to the next.
"""

from dataclasses import dataclass

import numpy as np

from brownout.simulate.record import Floats, Ints

NOTHING = -1


@dataclass(frozen=True)
class Segment:
    """One step up the hull of a cell: from variant `worse` (or NOTHING) to `better`, for so many GPU-seconds a request."""

    cell: int
    worse: int
    better: int
    cost: float
    worth: float

    @property
    def density(self) -> float:
        return self.worth / self.cost if self.cost > 0 else float("inf")


class Knapsack:
    """Cells [C] on k workloads whose GPUs are one fluid: exact where k is 1, and a bound where it is more.

    `cost`: [C, V, k] GPU-seconds a request; `worth`: [C, V], 0 where a variant may not be used.
    """

    def __init__(self, cost: Floats, worth: Floats, *, protection: Ints) -> None:
        self._shape = worth.shape
        total = cost.sum(axis=2)
        found = [segment for cell in range(len(worth)) for segment in _hull(cell, total[cell], worth[cell])]
        self._segments = sorted(found, key=lambda s: (-s.density, -int(protection[s.cell])))

    def values(self, demand: Floats, capacity: Floats) -> Floats:
        """Worth a second [B, A] of serving `demand` [B, C] with each of the capacities [A, k] in GPUs."""
        value = np.zeros((len(demand), len(capacity)))
        left = np.broadcast_to(capacity.sum(axis=1), value.shape).copy()
        for segment in self._segments:
            asked = demand[:, segment.cell, None]
            if segment.cost <= 0:
                value += asked * segment.worth
                continue
            taken = np.minimum(left, asked * segment.cost)
            left -= taken
            value += taken * segment.density
        return value

    def shares(self, demand: Floats, capacity: Floats) -> Floats:
        """Shares [B, C, V] of the cells' asks that are served by variant, with capacities [B, k] in GPUs."""
        shares = np.zeros((len(demand), *self._shape))
        left = capacity.sum(axis=1)
        for segment in self._segments:
            wanted = demand[:, segment.cell] * segment.cost
            taken = np.minimum(left, wanted)
            left -= taken
            part = np.divide(taken, wanted, out=np.ones_like(wanted), where=wanted > 0)
            if segment.worse != NOTHING:
                shares[:, segment.cell, segment.worse] -= part
            shares[:, segment.cell, segment.better] += part
        return shares.clip(0.0, 1.0)


def _hull(cell: int, cost: Floats, worth: Floats) -> list[Segment]:
    """The steps up a cell's hull, the steepest first; of equally steep ones the longest."""
    steps: list[Segment] = []
    at, spent, earned = NOTHING, 0.0, 0.0
    while True:
        ahead = [
            Segment(cell, at, variant, float(cost[variant]) - spent, float(worth[variant]) - earned)
            for variant in range(len(worth))
            if worth[variant] > earned
        ]
        if not ahead:
            return steps
        best = max(ahead, key=lambda segment: (segment.density, segment.worth))
        steps.append(best)
        at, spent, earned = best.better, float(cost[best.better]), float(worth[best.better])
