"""A number over the last minute, in two columns: most of what is asked of it is asked of one of them."""

from bisect import bisect_left

from msgspec import Struct

HISTORY_SECONDS = 60.0


class History(Struct, frozen=True, gc=False):
    """`values[i]` was true at `times[i]`, in seconds; oldest first."""

    times: tuple[float, ...] = ()
    values: tuple[float, ...] = ()


def remember(history: History, *, now: float, value: float) -> History:
    """The history with one more point, without what is older than a minute."""
    return remember_each([(history, value)], now=now)[0]


def remember_each(these: list[tuple[History, float]], *, now: float) -> list[History]:
    """Each history with one more point. Those that began together share their times."""
    found: list[History] = []
    before: tuple[float, ...] | None = None
    for history, value in these:
        if history.times is not before:
            before = history.times
            first, last = bisect_left(before, now - HISTORY_SECONDS), bisect_left(before, now)
            times = (*before[first:last], now)
        found.append(History(times, (*history.values[first:last], value)))
    return found
