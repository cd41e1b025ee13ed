"""What is served where shedding is bound to the ladder.

For each bucket and allocation the walk goes down the ladder as the rules do: a rung is taken where it relieves a workload that
has more than its capacity, the last one only in the part that is needed; rungs that relieve nothing short are skipped, and so
is a cell's next step until the one before is taken whole. What a rung moves to another workload (`lite` on a smaller model) may
make that one short, so the walk is repeated until nothing changes. What is still too much once nothing can be taken waits: of
that the densest in worth is served, as a bound.
"""

from collections.abc import Sequence

import numpy as np

from brownout.simulate.record import Floats

ROUNDS = 4
_TINY = 1e-9


class Ladder:
    """Cells [C] on k workloads. `cost`: [C, V, k]; `worth`: [C, V]; `rungs`: (cell, step), the first to be taken first."""

    def __init__(self, cost: Floats, worth: Floats, *, rungs: Sequence[tuple[int, int]]) -> None:
        self._cost, self._worth, self._rungs = cost, worth, tuple(rungs)

    def values(self, demand: Floats, capacity: Floats) -> Floats:
        """Worth a second [B, A] of serving `demand` [B, C] with each of the capacities [A, k] in GPUs."""
        asked, limits = demand.T[:, :, None], capacity.T[:, None, :]
        served = self._served(asked, limits)
        value = np.zeros((len(demand), len(capacity)))
        for (cell, variant), share in served.items():
            value += self._worth[cell, variant] * asked[cell] * share
        return value

    def shares(self, demand: Floats, capacity: Floats) -> Floats:
        """Shares [B, C, V] of the cells' asks that are served by variant, with capacities [B, k] in GPUs."""
        shares = np.zeros((len(demand), *self._worth.shape))
        for (cell, variant), share in self._served(demand.T, capacity.T).items():
            shares[:, cell, variant] = share
        return shares

    def _served(self, demand: Floats, capacity: Floats) -> dict[tuple[int, int], Floats]:
        """The share of each cell on each variant that is worth something, less what waits; `demand` [C, ...], `capacity`
        [k, ...], of shapes that broadcast."""
        taken = self._walk(demand, capacity)
        whole, none = np.ones(()), np.zeros(())
        share = {
            (cell, variant): taken.get((cell, variant - 1), whole if variant == 0 else none)
            - taken.get((cell, variant), none)
            for cell, variant in zip(*np.nonzero(self._worth > 0), strict=True)
        }
        fits = dict.fromkeys(share, whole)
        for workload in range(len(capacity)):
            using = [key for key in share if self._cost[key][workload] > 0]
            left = capacity[workload]
            for key in sorted(using, key=lambda key: -self._worth[key] / self._cost[key][workload]):
                load = share[key] * demand[key[0]] * self._cost[key][workload]
                carried = np.minimum(load, left)
                left = left - carried
                part = np.divide(carried, load, out=np.ones_like(carried), where=load > _TINY)
                fits[key] = np.minimum(fits[key], part)
        return {key: share[key] * fits[key] for key in share}

    def _walk(self, demand: Floats, capacity: Floats) -> dict[tuple[int, int], Floats]:
        """The part of each rung that is taken, 0 to 1."""
        load = np.einsum("c...,ck->k...", demand, self._cost[:, 0])
        excess = load - capacity
        shape = excess.shape[1:]
        taken = {rung: np.zeros(shape) for rung in self._rungs}
        for _ in range(ROUNDS):
            moved = False
            for cell, step in self._rungs:
                if not (excess > _TINY).any():
                    return taken
                saved = self._cost[cell, step] - self._cost[cell, step + 1]
                part = self._needed(saved, demand[cell], excess)
                room = 1.0 - taken[cell, step]
                if (cell, step - 1) in taken:
                    room = np.where(taken[cell, step - 1] >= 1.0 - _TINY, room, 0.0)
                part = np.minimum(part, room)
                if (part > _TINY).any():
                    moved = True
                    taken[cell, step] += part
                    excess -= saved.reshape(-1, *[1] * len(shape)) * (demand[cell] * part)
            if not moved:
                break
        return taken

    @staticmethod
    def _needed(saved: Floats, asked: Floats, excess: Floats) -> Floats:
        """The part of a rung that is needed by the workload that needs most of it."""
        part = np.zeros(excess.shape[1:])
        for workload in np.flatnonzero(saved > 0):
            flow = np.broadcast_to(asked * saved[workload], part.shape)
            over = excess[workload]
            np.maximum(
                part, np.divide(over, flow, out=np.zeros_like(part), where=(over > _TINY) & (flow > _TINY)), out=part
            )
        return np.minimum(part, 1.0)
