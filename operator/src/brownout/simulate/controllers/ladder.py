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
        self._gains = tuple((rung.cell.key, _gain(rung)) for rung in self.rungs)
        self._whole = tuple((c.key, sum(c.costs[0].values())) for c in self.cells if c.planned)

    def levels(self, position: float) -> dict[CellKey, Level]:
        """Levels of the cells that lose something at a position."""
        whole = int(position)
        levels = {rung.cell.key: Level(rung.step + 1) for rung in self.rungs[:whole]}
        percent = round(100 * (position - whole))
        if percent and whole < len(self.rungs):
            rung = self.rungs[whole]
            levels[rung.cell.key] = Level(rung.step, 100 - percent) if percent < 100 else Level(rung.step + 1)
        return levels

    def offered_load(self, seen: Observation) -> float | None:
        """GPU-seconds a second that users ask for, at declared cost and the first variant; None where it cannot be seen."""
        load = 0.0
        for key, cost in self._whole:
            cell = seen.cells.get(key)
            if cell is None:
                continue
            if cell.offered is None:
                return None
            load += cell.offered * cost
        return load

    def saved_load(self, position: float, seen: Observation) -> float:
        """What of the offered load a position does not let through, in GPU-seconds a second."""
        whole = int(position)
        saved = sum(self._weight(index, seen) for index in range(whole))
        return saved + (position - whole) * self._weight(whole, seen) if whole < len(self.rungs) else saved

    def position_saving(self, load: float, seen: Observation) -> float:
        """The first position that saves as much, or the top: a prefix sum over the priorities, from the cheapest one."""
        if load <= 1e-9:
            return 0.0
        for index in range(len(self.rungs)):
            weight = self._weight(index, seen)
            if weight >= load:
                return index + load / weight
            load -= weight
        return self.top

    def _weight(self, index: int, seen: Observation) -> float:
        key, gain = self._gains[index]
        cell = seen.cells.get(key)
        return 0.0 if cell is None or cell.offered is None else cell.offered * gain


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
