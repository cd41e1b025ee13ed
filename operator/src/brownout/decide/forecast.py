"""Where demand will be when a replica that is asked for now would be ready. It may raise a plan, never lower it."""

from math import sqrt

from brownout.decide.demand import RATE_WINDOW_SECONDS

HISTORY_SECONDS = 60.0
LEAST_POINTS = 5
LEAST_SPAN_SECONDS = 15.0
SIGNIFICANT = 3.0
"""A slope counts from three of its own standard errors; below, it is noise."""

MOST_GROWTH = 2.0
"""A forecast is at most this many times what is there now."""

Points = tuple[tuple[float, float], ...]


def remember(points: Points, *, now: float, value: float) -> Points:
    """The history with one more point, without what is older than a minute."""
    return (*(p for p in points if now - HISTORY_SECONDS <= p[0] < now), (now, value))


def trend(points: Points, *, noise: float, lead_seconds: float) -> float | None:
    """The value expected `lead_seconds` after the last point by a straight line, or None where there is no upward trend.

    Least squares over the history. The standard error of the slope is the greater of two: that of the residuals, and that of
    counting noise. The latter is not in the residuals: rates over overlapping windows wander together. A rate over a window
    W whose standard deviation is `noise` wanders by 2 noise^2 / W a second, and the slope through a random walk of v a
    second over T seconds has the variance 6 v / 5 T.
    """
    if len(points) < LEAST_POINTS or points[-1][0] - points[0][0] < LEAST_SPAN_SECONDS:
        return None
    count = len(points)
    mean_t = sum(t for t, _ in points) / count
    mean_v = sum(v for _, v in points) / count
    spread = sum((t - mean_t) ** 2 for t, _ in points)
    slope = sum((t - mean_t) * (v - mean_v) for t, v in points) / spread
    residual = sum((v - mean_v - slope * (t - mean_t)) ** 2 for t, v in points)
    wander = 2 * noise * noise / RATE_WINDOW_SECONDS
    error = sqrt(max(residual / (count - 2) / spread, 1.2 * wander / (points[-1][0] - points[0][0])))
    if slope <= 0 or slope < SIGNIFICANT * error:
        return None
    now_value = mean_v + slope * (points[-1][0] - mean_t)
    return min(now_value + slope * lead_seconds, MOST_GROWTH * max(now_value, 0.0))
