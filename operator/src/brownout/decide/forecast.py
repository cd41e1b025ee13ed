"""Where demand will be when a replica that is asked for now would be ready. It may raise a plan, never lower it."""

from math import sqrt

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


def trend(points: Points, *, lead_seconds: float) -> float | None:
    """The value expected `lead_seconds` after the last point by a straight line, or None where there is no upward trend.

    Least squares over the history, with the standard error of the slope from the residuals.
    """
    if len(points) < LEAST_POINTS or points[-1][0] - points[0][0] < LEAST_SPAN_SECONDS:
        return None
    count = len(points)
    mean_t = sum(t for t, _ in points) / count
    mean_v = sum(v for _, v in points) / count
    spread = sum((t - mean_t) ** 2 for t, _ in points)
    slope = sum((t - mean_t) * (v - mean_v) for t, v in points) / spread
    residual = sum((v - mean_v - slope * (t - mean_t)) ** 2 for t, v in points)
    error = sqrt(residual / (count - 2) / spread)
    if slope <= 0 or slope < SIGNIFICANT * error:
        return None
    now_value = mean_v + slope * (points[-1][0] - mean_t)
    return min(now_value + slope * lead_seconds, MOST_GROWTH * max(now_value, 0.0))
