"""What numbers have been, for plots: a bounded ring for each object, in this replica's memory alone.

A point is kept when a number changes, at the moment at which this replica heard of it: between two points a line is level, as
status was. It begins when the process does.
"""

from array import array
from collections.abc import Mapping, Sequence

MOST_POINTS = 600
DROPPED_AT_ONCE = 100

Series = dict[str, list[float | None]]
"""Columns of the same length by name; `t` is in Unix seconds. None is a number that was not known."""


class Ring:
    """The history of one object. A point is 8 bytes and 4 for each column."""

    def __init__(self, columns: Sequence[str]) -> None:
        self.columns = tuple(columns)
        self._times = array("d")
        self._values = [array("f") for _ in self.columns]

    def __len__(self) -> int:
        return len(self._times)

    def add(self, at: float, numbers: Mapping[str, float | None]) -> None:
        """Keep these numbers from `at` (Unix seconds) on, where they differ from the last ones."""
        point = array("f", [_float(numbers.get(name)) for name in self.columns])
        if self._times and all(_same(column[-1], value) for column, value in zip(self._values, point, strict=True)):
            return
        if len(self._times) >= MOST_POINTS:
            for column in (self._times, *self._values):
                del column[:DROPPED_AT_ONCE]
        self._times.append(max(at, self._times[-1] if self._times else at))
        for column, value in zip(self._values, point, strict=True):
            column.append(value)

    def after(self, at: float) -> Series:
        """The points later than `at`."""
        first = next((index for index, t in enumerate(self._times) if t > at), len(self._times))
        found: Series = {"t": [round(t, 3) for t in self._times[first:]]}
        for name, column in zip(self.columns, self._values, strict=True):
            found[name] = [None if value != value else round(value, 3) for value in column[first:]]
        return found


def _float(value: float | None) -> float:
    return float("nan") if value is None else value


def _same(one: float, other: float) -> bool:
    return one == other or (one != one and other != other)
