"""How long a step takes by how many slots it has, learned from the steps that are made.

A GPU that is not busy makes a full step in the time of an empty one; a CPU, or a GPU that is busy, takes longer the more there is in it. Nothing is assumed but that more slots
never take less time: where measurements say otherwise, neighbours are averaged (pool adjacent violators; Barlow et al., 1972, "Statistical Inference under Order Restrictions").
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

EXACT = 8
"""Steps of up to so many slots are told apart by whole slots, larger ones by an eighth of a doubling."""

ENOUGH = 3
"""So many steps of a size tell how long it takes."""

WEIGHT = 0.05
"""Of the newest step in the running mean, once there have been enough to average."""

OUTLIER = 2.0
"""A step that took more than so many times the mean was held up by something else, and counts as if it had taken that."""

FORGET_AFTER_STEPS = 2000
"""A size that was not seen for so many steps is not known any more: the device may be slower or faster by now."""

LOOK_AGAIN_STEPS = 50
"""So many steps pass between two looks at what was learned, so that what is built on it does not change with each of them."""


@dataclass
class _Size:
    seconds: float
    steps: int
    seen_at_step: int


class StepTimes:
    """Seconds of a step by its slots."""

    def __init__(self) -> None:
        self._sizes: dict[int, _Size] = {}
        self._steps = 0
        self._curve: tuple[list[int], list[float]] = [], []
        self._look_at_step = 0

    def stepped(self, slots: float, seconds: float) -> None:
        """A step of so many slots took so long."""
        if slots <= 0:
            return
        self._steps += 1
        size = size_of(slots)
        seen = self._sizes.get(size)
        if seen is None or self._is_forgotten(seen):
            self._sizes[size] = _Size(seconds, 1, self._steps)
            return
        seen.steps += 1
        seen.seen_at_step = self._steps
        most = OUTLIER * seen.seconds or seconds
        seen.seconds += max(WEIGHT, 1 / seen.steps) * (min(seconds, most) - seen.seconds)
        if seen.steps == ENOUGH:
            self._look_at_step = 0

    def seconds(self, slots: float) -> float | None:
        """What a step of so many slots is expected to take; None where nothing as small or nothing as large has been seen lately."""
        sizes, seconds = self._looked_at()
        size = size_of(slots)
        place = bisect_left(sizes, size)
        if place == len(sizes):
            return None
        if sizes[place] == size:
            return seconds[place]
        if not place:
            return None
        least, most = slots_of(sizes[place - 1]), slots_of(sizes[place])
        part = (slots_of(size) - least) / (most - least)
        return seconds[place - 1] + part * (seconds[place] - seconds[place - 1])

    def _looked_at(self) -> tuple[list[int], list[float]]:
        if self._steps >= self._look_at_step:
            self._look_at_step = self._steps + LOOK_AGAIN_STEPS
            known = {
                size: seen.seconds
                for size, seen in sorted(self._sizes.items())
                if seen.steps >= ENOUGH and not self._is_forgotten(seen)
            }
            self._curve = list(known), rising(list(known.values()))
        return self._curve

    def _is_forgotten(self, seen: _Size) -> bool:
        return self._steps - seen.seen_at_step > FORGET_AFTER_STEPS


def size_of(slots: float) -> int:
    """The size that steps of so many slots belong to: the nearest one."""
    if slots <= EXACT:
        return max(1, round(slots))
    return EXACT + round(EXACT * math.log2(slots / EXACT))


def slots_of(size: int) -> float:
    """How many slots a step of this size has."""
    return size if size <= EXACT else EXACT * 2 ** ((size - EXACT) / EXACT)


def rising(values: Sequence[float]) -> list[float]:
    """The nearest values (least squares) that never fall."""
    blocks: list[tuple[float, int]] = []
    for value in values:
        mean, count = value, 1
        while blocks and blocks[-1][0] > mean:
            before, more = blocks.pop()
            mean, count = (mean * count + before * more) / (count + more), count + more
        blocks.append((mean, count))
    return [mean for mean, count in blocks for _ in range(count)]
