"""What the GPUs of several workloads are best used for, where a cell's variants load more than one of them.

By duality the optimum of that linear programme is the least, over prices for a GPU-second of each workload, of what the
capacity costs plus what the cells gain at these prices. The least is reached where as many lines cross as there are
workloads: a line is a cell that hesitates between two choices, or a price of zero. These crossings depend on neither demand
nor capacity, so they are found once, and a table of values is one product of matrices. What is served follows from the lines
that cross: all other cells take their best choice, and these are split so that what has a price is used up.

It is exact but for a millionth, by which worth is spread so that ties are decided as the ladder would, and always the same.
"""

from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np

from brownout.simulate.record import Floats, Ints

MOST_CROSSINGS = 20_000
SPREAD = 1e-6
_CHUNK = 1_000_000
_TINY = 1e-9


@dataclass(frozen=True)
class Line:
    """The prices at which a cell does not care which of two choices it has; `cell` -1: at which a workload costs nothing."""

    cell: int
    choices: tuple[int, int]
    normal: Floats
    height: float


class Prices:
    """Cells [C] on k workloads. `cost`: [C, V, k]; `worth`: [C, V], 0 where a variant may not be used."""

    def __init__(self, cost: Floats, worth: Floats, *, protection: Ints) -> None:
        cells, variants, self._workloads = cost.shape
        nothing = np.zeros((cells, 1))  # the choice after the last variant: to serve nothing
        self._cost = np.concatenate([cost, nothing[:, :, None].repeat(self._workloads, axis=2)], axis=1)
        place = np.argsort(np.argsort(protection, kind="stable"))[:, None] + (np.arange(variants) * 0.618034) % 1
        self._worth = np.concatenate([worth * (1 + SPREAD * place / cells), nothing], axis=1)
        self._open = np.concatenate([worth > 0, nothing == 0], axis=1)
        self._lines = self._all_lines()
        self._prices, self._crossing = self._crossings()
        self._gain = self._gains(self._prices).max(axis=2)

    @staticmethod
    def too_many(worth: Floats, workloads: int) -> bool:
        """Whether so many lines would cross that a table takes too long."""
        open_ = (worth > 0).sum(axis=1)
        return comb(int((open_ * (open_ + 1) // 2).sum()) + workloads, workloads) > MOST_CROSSINGS

    def values(self, demand: Floats, capacity: Floats) -> Floats:
        """Worth a second [B, A] of serving `demand` [B, C] with each of the capacities [A, k] in GPUs."""
        surplus, paid = demand @ self._gain.T, capacity @ self._prices.T
        rows = max(1, _CHUNK // max(1, paid.size))
        spans = (surplus[at : at + rows, None, :] for at in range(0, len(demand), rows))
        return np.concatenate([(span + paid).min(axis=2) for span in spans])

    def shares(self, demand: Floats, capacity: Floats) -> Floats:
        """Shares [B, C, V] of the cells' asks that are served by variant, with capacities [B, k] in GPUs."""
        least = (demand @ self._gain.T + capacity @ self._prices.T).argmin(axis=1)
        return np.stack([self._split(demand[t], capacity[t], int(least[t])) for t in range(len(demand))])

    def _gains(self, prices: Floats) -> Floats:
        """[P, C, V + 1]: what each choice of each cell gains at each of the prices [P, k]."""
        gain = self._worth - np.einsum("pk,cvk->pcv", prices, self._cost)
        return np.where(self._open, gain, -np.inf)

    def _all_lines(self) -> list[Line]:
        lines = [Line(-1, (w, w), axis, 0.0) for w, axis in enumerate(np.eye(self._workloads))]
        for cell in range(len(self._worth)):
            for one, other in combinations(np.flatnonzero(self._open[cell]).tolist(), 2):
                normal = self._cost[cell, one] - self._cost[cell, other]
                scale = float(np.abs(normal).max())
                if scale > _TINY:
                    height = float(self._worth[cell, one] - self._worth[cell, other])
                    lines.append(Line(cell, (one, other), normal / scale, height / scale))
        return lines

    def _crossings(self) -> tuple[Floats, Ints]:
        """Prices [P, k] at which k lines cross where none of their cells has a better choice, and these lines [P, k]."""
        found = np.array(list(combinations(range(len(self._lines)), self._workloads)))
        normals = np.array([line.normal for line in self._lines])[found]
        heights = np.array([line.height for line in self._lines])[found]
        cross = np.abs(np.linalg.det(normals)) > _TINY
        found = found[cross]
        prices = np.linalg.solve(normals[cross], heights[cross][:, :, None])[:, :, 0]
        gains = self._gains(prices)
        near = gains >= gains.max(axis=2, keepdims=True) - _TINY * 1e-2 * (1 + gains.max(axis=2, keepdims=True))
        holds = (prices >= -_TINY).all(axis=1)
        for i, line in enumerate(self._lines):
            if line.cell >= 0:
                indifferent = near[:, line.cell, line.choices[0]] & near[:, line.cell, line.choices[1]]
                holds &= indifferent | ~(found == i).any(axis=1)
        return np.maximum(prices[holds], 0.0), found[holds]

    def _split(self, demand: Floats, capacity: Floats, at: int) -> Floats:
        """Shares [C, V] at one of the crossings: every cell at its best choice, the hesitating ones in the parts that fit."""
        gains = self._gains(self._prices[at : at + 1])[0]
        choice = gains.argmax(axis=1)
        moves: list[tuple[int, int]] = []
        for line in (self._lines[i] for i in self._crossing[at]):
            if line.cell < 0:
                continue
            known = [choice[line.cell], *(to for cell, to in moves if cell == line.cell)]
            if all(cell != line.cell for cell, _ in moves):
                choice[line.cell] = known[0] = line.choices[0]
            moves.extend((line.cell, to) for to in line.choices if to not in known)
        shares = np.zeros_like(gains)
        shares[np.arange(len(choice)), choice] = 1.0
        dear = self._prices[at] > _TINY
        load = np.einsum("c,cv,cvk->k", demand, shares, self._cost)
        if moves and dear.any():
            saved = np.array([demand[c] * (self._cost[c, to] - self._cost[c, choice[c]]) for c, to in moves])
            parts = np.linalg.lstsq(saved[:, dear].T, (capacity - load)[dear], rcond=None)[0]
            for (cell, to), part in zip(moves, parts.clip(0.0, 1.0), strict=True):
                shares[cell, to] += part
                shares[cell, choice[cell]] -= part
        shares = shares[:, :-1].clip(0.0, 1.0)
        return self._fitting(shares / np.maximum(shares.sum(axis=1, keepdims=True), 1.0), demand, capacity)

    def _fitting(self, shares: Floats, demand: Floats, capacity: Floats) -> Floats:
        """The shares, less what rounding took beyond the capacity."""
        cost = self._cost[:, :-1]
        load = np.einsum("c,cv,cvk->k", demand, shares, cost)
        over = np.divide(capacity, load, out=np.ones_like(load), where=load > capacity)
        least: Floats = np.where(cost > 0, over, 1.0).min(axis=2)
        return shares * least
