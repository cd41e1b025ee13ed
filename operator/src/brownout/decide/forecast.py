"""Where demand will be when a replica that is asked for now would be ready. It may raise a plan, never lower it."""

from functools import lru_cache
from math import sqrt
from operator import mul

from brownout.decide.history import History

LEAST_POINTS = 5
LEAST_SPAN_SECONDS = 15.0
SIGNIFICANT = 3.0
"""A slope counts from three of its own standard errors; below, it is noise."""

MOST_GROWTH = 2.0
"""A forecast is at most this many times what is there now."""


def trend(history: History, *, noise: float, window: float, lead_seconds: float) -> float | None:
    """The value expected `lead_seconds` after the last point by a straight line, or None where there is no trend.

    Least squares over the history. The standard error of the slope is the greater of two: that of the residuals, and that of
    counting noise. The latter is not in the residuals: rates over overlapping windows wander together. A rate over a window
    W whose standard deviation is `noise` wanders by 2 noise^2 / W a second, and the slope through a random walk of v a
    second over T seconds has the variance 6 v / 5 T.
    """
    times, values = history.times, history.values
    if len(times) < LEAST_POINTS or (span := times[-1] - times[0]) < LEAST_SPAN_SECONDS:
        return None
    centre, around, spread = _centred(times)
    slope: float = sum(map(mul, around, values)) / spread
    wander = 2 * noise * noise / window
    if slope == 0 or abs(slope) < SIGNIFICANT * sqrt(1.2 * wander / span):
        return None
    whole: float = sum(values)
    mean = whole / len(values)
    # By sums of products, for there are thousands of these lines; what is left of rounding may be a little below 0.
    residual = max(0.0, sum(map(mul, values, values)) - mean * whole - slope * slope * spread)
    if abs(slope) < SIGNIFICANT * sqrt(residual / (len(values) - 2) / spread):
        return None
    now_value = mean + slope * (times[-1] - centre)
    return max(0.0, min(now_value + slope * lead_seconds, MOST_GROWTH * max(now_value, 0.0)))


@lru_cache(maxsize=64)
def _centred(times: tuple[float, ...]) -> tuple[float, list[float], float]:
    """Their mean, their distances from it, and the sum of the squares; most scalers have points at the same moments."""
    mean = sum(times) / len(times)
    around = [time - mean for time in times]
    return mean, around, sum([distance * distance for distance in around])
