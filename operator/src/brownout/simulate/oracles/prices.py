"""What the GPUs of several workloads are best used for, where a cell's variants load more than one of them.

By duality the optimum of that linear programme is the least, over prices for a GPU-second of each workload, of what the
capacity costs plus what the cells gain at these prices. The least is reached where as many lines cross as there are
workloads: a line is a cell that hesitates between two choices, or a price of zero. These crossings depend on neither demand
nor capacity, so they are found once, and a table of values is one product of matrices. What is served follows from the lines
that cross: all cells but those take their best choice, and those are split so that what has a price is used up.

Any prices give an upper bound; these give the optimum but for a millionth, by which worth is spread so that ties are decided
as the ladder would. A group with more than MOST_CROSSINGS is taken as one workload whose GPUs are fluid, which is a bound too.
"""

from dataclasses import dataclass

import numpy as np

from brownout.simulate.record import Floats, Ints

MOST_CROSSINGS = 20_000
SPREAD = 1e-6
CHUNK = 4_000_000


@dataclass(frozen=True)
class Line:
    """The prices at which a cell does not care which of two choices it has; or, without a cell, a price of zero."""

    cell: int
    choices: tuple[int, int]
    normal: Floats
    height: float


class Prices:
    """Cells [C] on k workloads. `cost`: [C, V, k]; `worth`: [C, V], 0 where a variant may not be used."""

    def __init__(self, cost: Floats, worth: Floats, *, protection: Ints) -> None:
        cells, variants, workloads = cost.shape
        self._variants, self._workloads = variants, workloads
        # choice V is to serve nothing: it costs nothing and is worth nothing
        self._cost = np.concatenate(
            [np.where(worth[:, :, None] > 0, cost, 0.0), np.zeros((cells, 1, workloads))], axis=1
        )
        rank = np.argsort(np.argsort(protection, kind="stable"))
        order = rank[:, None] + ((np.arange(variants) * 0.618034) % 1.0)[None, :]
        self._worth = np.concatenate([worth * (1 + SPREAD * order / cells), np.zeros((cells, 1))], axis=1)
        self._open = np.concatenate([worth > 0, np.ones((cells, 1), dtype=bool)], axis=1)
        self._lines = self._all_lines()
        self._prices, self._crossing = self._crossings()
        self._gain = (
            np.where(self._open, self._worth - self._prices @ self._cost.transpose(0, 2, 1)[:, None], 0.0)
            if False
            else self._gains(self._prices)
        )

    def values(self, demand: Floats, capacity: Floats) -> Floats:
        """Worth a second [B, A] of serving `demand` [B, C] with each of the capacities [A, k] in GPUs."""
        surplus = demand @ self._gain.T
        paid = capacity @ self._prices.T
        rows = max(1, CHUNK // max(1, paid.size))
        parts = [
            (surplus[at : at + rows, None, :] + paid[None, :, :]).min(axis=2) for at in range(0, len(demand), rows)
        ]
        return np.concatenate(parts)
