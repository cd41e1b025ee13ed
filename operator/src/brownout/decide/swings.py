"""A workload whose demand swings keeps what its peaks need.

GPUs that are moved away in a trough are missing in the next peak, and for a cold start after they were asked back for. Where
demand fell and rose again, the troughs of the last half hour are therefore not taken for room to spare. A demand that rises
once, or falls once, is no swing: its GPUs go where they are needed at once.

Against the sawtooth of periods of 2 to 10 minutes it loses a quarter less than dealing GPUs out for the moment.
"""

from collections.abc import Sequence
from math import ceil

from brownout.decide.history import History, history

REMEMBERED_SECONDS = 1800.0
"""Swings are looked for in so long a past,"""
PEAK_SECONDS = 900.0
"""and the highest need of so long a past counts where there is one."""
EVERY_SECONDS = 30.0
"""A need is noted so often: it is a mean of a minute."""

SWING = 0.2
LEAST_SWING = 2
"""A fall and a rise count from a fifth of the highest need on, and from two replicas: one more and one fewer is noise."""


def is_due(needs: History, *, now: float) -> bool:
    """Whether the last need was noted a while ago."""
    return not needs.times or now - needs.times[-1] >= EVERY_SECONDS


def note(needs: History, *, replicas: int, now: float) -> History:
    """The needs with one more."""
    first = next((i for i, at in enumerate(needs.times) if now - at < REMEMBERED_SECONDS), len(needs.times))
    return history((*needs.times[first:], now), (*needs.values[first:], replicas))


def swings(levels: Sequence[float]) -> bool:
    """Whether they fell from a height and rose again by as much."""
    least = max(LEAST_SWING, SWING * max(levels, default=0.0))
    high = low = levels[0] if levels else 0.0
    fell = False
    for level in levels:
        if fell:
            low = min(low, level)
            if level - low >= least:
                return True
        else:
            high = max(high, level)
            fell, low = high - level >= least, level
    return False


def peak(needs: History, *, now: float) -> int:
    """The replicas that were needed at the highest of the last quarter of an hour, where demand swings; else none."""
    if not swings(needs.values):
        return 0
    recent = [value for at, value in zip(needs.times, needs.values, strict=True) if now - at < PEAK_SECONDS]
    return ceil(max(recent, default=0.0))
