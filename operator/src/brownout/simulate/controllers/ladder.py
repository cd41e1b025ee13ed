"""A place on the ladder, as one number: how the controllers that know only more and less are given features to take.

0 takes nothing, 1 the cheapest rung, 2.4 two rungs and 40 % of the third one's users, `top` everything that may be taken. The
order, `lowest` and `Always` are those of the manifests, so that every controller sheds in the same order as Brownout, and
differs only in how much and when.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

from msgspec import Struct

from brownout.decide.cells import Cell, Rung, ladder
from brownout.decide.outcome import CellKey, Level
from brownout.simulate.controller import Observation

Scope = Literal["pool", "service"]
"""Whether one loop moves the ladder of the whole pool, or one loop that of each service: features with the workloads they share."""


class Ladder:
    """The rungs of some cells, cheapest first."""

    def __init__(self, cells: Iterable[Cell]) -> None:
        self.cells = tuple(cells)
        self.rungs: tuple[Rung, ...] = tuple(ladder(self.cells))
        self.top = float(len(self.rungs))
        self._below: list[dict[CellKey, Level]] = [{}]
        for rung in self.rungs:
            self._below.append({**self._below[-1], rung.cell.key: Level(rung.step + 1)})
        gains = [(rung.cell.key, index, _gain(rung)) for index, rung in enumerate(self.rungs)]
        self._loads = tuple(
            (
                cell.key,
                sum(cell.costs[0].values()),
                tuple((index, gain) for key, index, gain in gains if key == cell.key),
            )
            for cell in self.cells
            if cell.planned
        )

    def levels(self, position: float) -> dict[CellKey, Level]:
        """Levels of the cells that lose something at a position."""
        whole = int(position)
        levels = self._below[whole].copy()
        percent = round(100 * (position - whole))
        if percent and whole < len(self.rungs):
            rung = self.rungs[whole]
            levels[rung.cell.key] = Level(rung.step, 100 - percent) if percent < 100 else Level(rung.step + 1)
        return levels

    def demand(self, seen: Observation) -> "Demand | None":
        """What users ask for now; None where it cannot be seen."""
        offered, weights = 0.0, [0.0] * len(self.rungs)
        for key, cost, gains in self._loads:
            cell = seen.cells.get(key)
            if cell is None:
                continue
            rate = cell.offered
            if rate is None:
                return None
            offered += rate * cost
            for index, gain in gains:
                weights[index] = rate * gain
        return Demand(offered, weights)


class Demand(Struct, frozen=True):
    """`offered`: GPU-seconds a second at declared cost and the first variant; `weights`: what of it each rung saves."""

    offered: float
    weights: list[float]

    def saved(self, position: float) -> float:
        """What a position does not let through."""
        whole = int(position)
        saved = sum(self.weights[:whole])
        return saved + (position - whole) * self.weights[whole] if whole < len(self.weights) else saved

    def position_saving(self, load: float) -> float:
        """The first position that saves as much, or the top: a prefix sum over the priorities, from the cheapest one."""
        if load <= 1e-9:
            return 0.0
        for index, weight in enumerate(self.weights):
            if weight >= load:
                return index + load / weight
            load -= weight
        return float(len(self.weights))


class Group(Struct, frozen=True):
    """What one loop watches and moves: the names of workloads, and the ladder of the cells that load them."""

    workloads: tuple[str, ...]
    ladder: Ladder


def groups(cells: Mapping[CellKey, Cell], scope: Scope) -> tuple[Group, ...]:
    """One group for the pool, or one for each service: features that load a common workload belong together."""
    parts: list[tuple[set[str], list[Cell]]] = []
    for cell in cells.values():
        workloads, members = {key.name for key in cell.scalers}, [cell]
        joined = [part for part in parts if scope == "pool" or part[0] & workloads]
        for part in joined:
            workloads, members = workloads | part[0], part[1] + members
        parts = [part for part in parts if part not in joined] + [(workloads, members)]
    return tuple(Group(tuple(sorted(workloads)), Ladder(members)) for workloads, members in parts)


def _gain(rung: Rung) -> float:
    """GPU-seconds that each request saves which is served one variant lower."""
    here, below = rung.cell.costs[rung.step], rung.cell.costs[rung.step + 1]
    return max(0.0, sum(here.values()) - sum(below.values()))
