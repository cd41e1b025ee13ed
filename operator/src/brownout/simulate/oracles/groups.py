"""Groups of workloads that share cells: what one serves has nothing to do with what another has, so each is valued alone."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from brownout.simulate.oracles.knapsack import Knapsack
from brownout.simulate.oracles.prices import Prices
from brownout.simulate.oracles.rungs import Ladder
from brownout.simulate.oracles.truth import Truth
from brownout.simulate.record import Floats, Ints


class Serving(Protocol):
    """How a group's GPUs are used: demand [B, C] of its cells, capacities [A or B, k] of its workloads, in GPUs."""

    def values(self, demand: Floats, capacity: Floats) -> Floats: ...

    def shares(self, demand: Floats, capacity: Floats) -> Floats: ...


@dataclass(frozen=True)
class Group:
    """Indices of workloads, and of the cells that load no others."""

    workloads: Ints
    cells: Ints


Served = Callable[[Truth, Group], Serving]


def groups_of(truth: Truth) -> list[Group]:
    """The workloads in groups that no cell joins; a cell that loads none is with the first."""
    loads: npt.NDArray[np.bool_] = np.any((truth.cost > 0) & truth.usable[:, :, None], axis=1)
    label = np.arange(loads.shape[1])
    for row in loads:
        joined = label[row]
        if len(joined):
            label[np.isin(label, joined)] = joined.min()
    home = np.where(loads.any(axis=1), label[loads.argmax(axis=1)], label[0])
    return [Group(np.flatnonzero(label == one), np.flatnonzero(home == one)) for one in np.unique(label)]


def freely(truth: Truth, group: Group) -> Serving:
    """The best use of a group's GPUs, free of ladder order."""
    cost, worth, protection = _of(truth, group)
    if len(group.workloads) == 1 or Prices.too_many(worth, len(group.workloads)):
        return Knapsack(cost, worth, protection=protection)
    return Prices(cost, worth, protection=protection)


def by_ladder(truth: Truth, group: Group) -> Serving:
    """What is served of a group where rungs are taken in the order of the ladder."""
    cost, worth, _ = _of(truth, group)
    place = {cell: i for i, cell in enumerate(group.cells.tolist())}
    return Ladder(cost, worth, rungs=[(place[cell], step) for cell, step in truth.rungs if cell in place])


def _of(truth: Truth, group: Group) -> tuple[Floats, Floats, Ints]:
    """Cost [C, V, k], worth [C, V] and protection [C] of a group's cells on its workloads."""
    worth = np.where(truth.usable, truth.worth, 0.0)[group.cells]
    return truth.cost[group.cells][:, :, group.workloads], worth, truth.protection[group.cells]
