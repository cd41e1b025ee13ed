"""A figure: what was measured, its spread, the goal, and whether that was met."""

from collections.abc import Sequence
from statistics import median

import msgspec


class Figure(msgspec.Struct, kw_only=True):
    """One line of the table. `met` is None where nothing was promised or nothing could be measured."""

    name: str
    goal: str = ""
    measured: str
    met: bool | None = None
    values: dict[str, object] = {}


class Spread(msgspec.Struct, frozen=True):
    """Median, least and greatest of several rounds."""

    median: float
    least: float
    greatest: float

    def __format__(self, spec: str) -> str:
        spec = spec or ".3g"
        return f"{self.median:{spec}} ({self.least:{spec}} to {self.greatest:{spec}})"


def spread(values: Sequence[float]) -> Spread:
    return Spread(median(values), min(values), max(values))


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that `percent` of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100).__int__() - 1)]
