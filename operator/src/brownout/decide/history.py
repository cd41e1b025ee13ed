"""A number over the last minute, in two columns: nearly all that is asked of it is asked of its values alone.

There are a few for each scaler, of thirty numbers each. As objects those would lie all over memory, and most of a tick's time
would be spent on fetching them; in an array they lie side by side.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable

from msgspec import Struct, field

HISTORY_SECONDS = 60.0


class History(Struct, frozen=True, gc=False):
    """`values[i]` was true at `times[i]`, in seconds; oldest first. Nobody changes them in place."""

    times: tuple[float, ...] = ()
    values: "array[float]" = field(default_factory=lambda: array("d"))


def history(times: Iterable[float], values: Iterable[float]) -> History:
    return History(tuple(times), array("d", values))


def remember(before: History, *, now: float, value: float) -> History:
    """The history with one more point, without what is older than a minute."""
    return remember_each([(before, value)], now=now)[0]


def remember_each(these: Iterable[tuple[History, float]], *, now: float) -> list[History]:
    """Each history with one more point. Those that began together share their times."""
    found: list[History] = []
    known: tuple[float, ...] | None = None
    for before, value in these:
        if before.times is not known:
            known = before.times
            first, last = bisect_left(known, now - HISTORY_SECONDS), bisect_left(known, now)
            times = (*known[first:last], now)
        values = before.values[first:last]
        values.append(value)
        found.append(History(times, values))
    return found
