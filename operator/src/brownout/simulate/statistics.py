"""How sure a mean over seeds is: percentile bootstrap, 95 %, always with the same resamples so that a report can be repeated.

Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13. With 30 seeds it is a little too narrow for skewed
figures; it assumes nothing about their distribution, and the seeds themselves are published beside it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from msgspec import Struct

from brownout.simulate.record import Floats, Ints

RESAMPLES = 2000
CONFIDENCE_PERCENT = 95.0
SEED = 20250327
"""Of the resampling, not of any run."""


class Interval(Struct, frozen=True):
    """An estimate, and where 95 % of its resamples lie."""

    mean: float
    low: float
    high: float

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high


def mean(values: Floats) -> Any:
    """Over the last axis."""
    return values.mean(axis=-1)


def quantile(share: float) -> Callable[[Floats], Any]:
    """The statistic that takes this quantile (0 to 1) over the last axis, linear between two values."""
    return lambda values: np.quantile(values, share, axis=-1)


def resamples(count: int, *, seed: int = SEED) -> Ints:
    """[RESAMPLES, count]: positions drawn with replacement; the same ones for the same count and seed."""
    return np.random.default_rng(seed).integers(0, count, (RESAMPLES, count))


def bootstrap(
    values: Sequence[float] | Floats, statistic: Callable[[Floats], Any] = mean, *, seed: int = SEED
) -> Interval:
    """A statistic of one value for each seed, with its interval; ValueError where there is no value."""
    given = np.asarray(values, dtype=np.float64)
    if not given.size:
        raise ValueError("an interval needs at least one value")
    return percentiles(float(statistic(given)), statistic(given[resamples(given.size, seed=seed)]))


def percentiles(estimate: float, resampled: Floats) -> Interval:
    """The interval of an estimate that was computed anew for each resample."""
    tail = (100.0 - CONFIDENCE_PERCENT) / 2
    low, high = np.percentile(resampled, (tail, 100.0 - tail))
    return Interval(estimate, float(low), float(high))


def paired_difference(a: Sequence[float], b: Sequence[float], *, seed: int = SEED) -> Interval:
    """The mean of a - b, seed by seed: what the seeds have in common is no part of its spread. ValueError for unequal lengths."""
    if len(a) != len(b):
        raise ValueError(f"pairs need as many of each; found {len(a)} and {len(b)}")
    return bootstrap(np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64), seed=seed)
