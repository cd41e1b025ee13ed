"""How many ask for a cell, from counts that are few, and from users who stopped asking because nobody let them.

Eight requests in a window are not a trend: a rate is smoothed over as long as it takes to count enough, and follows at once
where the window cannot be the old rate's noise. A button that was hidden stops asking: what all users would ask for is
remembered from before, and moves as those who still ask do.
"""

from math import exp, sqrt

from msgspec import structs

from brownout.decide.cells import FIRST
from brownout.decide.memory import CellMemory

RATE_WINDOW_SECONDS = 30.0
"""The window of the rates that we ask for; a rate r then counts r * 30 requests, give or take the root of that."""

ENOUGH = 30.0
"""So many requests are counted before a rate is believed to a quarter of itself."""

LONGEST_SECONDS = 600.0
SIGNIFICANT = 3.5
"""Standard deviations from which a window is not the old rate's noise."""

MEAN_SECONDS = 60.0
"""Time constant of a cell's mean rate."""

SETTLE_SECONDS = 45.0
"""For so long after a step the rate still tells of the users before it."""

BASE_SECONDS = 60.0
"""Over so long what still asks is averaged, to compare with later."""

MOST_GROWTH = 1.5
"""Of a cell that denies some, more than this beyond what was expected is taken for users who try again and again."""

VISIBLE_COUNTS = 10.0
"""With fewer requests than this in a window, what still asks says nothing of what all would ask for."""


def window_seconds(rate: float, window: float) -> float:
    """The seconds whose counting noise a smoothed rate has: the window that is asked for, or as long as enough are counted."""
    seconds = ENOUGH / rate if rate > ENOUGH / LONGEST_SECONDS else LONGEST_SECONDS
    return seconds if seconds > window else window


def counted_seconds(rate: float, window: float, measured_for: float) -> float:
    """The same of a rate that is measured for so long, in seconds: in less time no more can have been counted."""
    return min(window_seconds(rate, window), window + max(0.0, measured_for))


def smoothing_seconds(rate: float, window: float) -> float:
    """The time constant over which a rate is smoothed: none where many ask, minutes where few do.

    An exponential mean with the time constant T has the noise of a window of 2 T.
    """
    return (window_seconds(rate, window) - window) / 2


def deviations(expected: float, counted: float) -> float:
    """How many standard deviations a Poisson count is from what was expected, for small counts as well as for large ones.

    The variance-stabilizing transform of Anscombe (Biometrika 35, 1948). By (n - m) / sqrt(m) ten requests where 3.6 were
    expected would be as rare as 43 where 25 were, and they come ten times as often.
    """
    return 2 * abs(sqrt(counted + 3 / 8) - sqrt(expected + 3 / 8))


def smoothed(
    before: float | None, seen: float, *, elapsed: float, window: float, measured_for: float = LONGEST_SECONDS
) -> float:
    """A rate `elapsed` seconds after it was `before`, where the last window says `seen`; all in requests a second.

    It is never smoothed over longer than it was `measured_for`, in seconds: the first windows of a new counter are mostly
    empty, and would else be believed for minutes.
    """
    if before is None:
        return seen
    seconds = min(smoothing_seconds(max(before, seen), window), measured_for / 2)
    if seconds <= 0 or deviations(before * window, seen * window) > SIGNIFICANT:
        return seen
    return before + (1.0 - exp(-elapsed / seconds)) * (seen - before)


def follow(
    memory: CellMemory, seen: float | None, admitted: float | None, *, elapsed: float, window: float, now: float
) -> CellMemory:
    """The memory of a cell's rates, a tick later. `admitted` is what was let through."""
    if seen is None:
        return memory
    since = now if memory.rate_since is None else memory.rate_since
    rate = smoothed(memory.rate, seen, elapsed=elapsed, window=window, measured_for=now - since)
    mean = rate if memory.mean_rate is None else memory.mean_rate
    mean += (1.0 - exp(-elapsed / MEAN_SECONDS)) * (rate - mean)
    visible = memory.visible_rate
    if memory.level == FIRST or memory.last_step_at is None:
        visible = None
    else:
        settling = now - memory.last_step_at
        if settling < SETTLE_SECONDS:
            visible = None
        elif visible is None:
            visible = rate
        elif settling < SETTLE_SECONDS + BASE_SECONDS:
            visible += (1.0 - exp(-elapsed / BASE_SECONDS)) * (rate - visible)
    if visible is None or admitted is None:
        let_through = None
    else:
        let_through = smoothed(memory.admitted_rate, admitted, elapsed=elapsed, window=window)
    return structs.replace(
        memory, rate=rate, rate_since=since, mean_rate=mean, visible_rate=visible, admitted_rate=let_through
    )


SERVED_Z = 2.0
"""Standard deviations by which what those who are served ask for is widened, before it is taken for what all would ask for."""


def asked_by_all(
    memory: CellMemory,
    seen: float | None,
    *,
    denies: bool,
    window: float,
    now: float,
    remember_seconds: float,
    served: float = 0.0,
    admitted: float | None = None,
) -> float | None:
    """What all of a cell's users would ask for, in requests a second; None: never measured.

    Of a cell that denies nobody it is what is seen, and for a while after a step what was expected of it. Of one that
    `denies` some it is what was asked for before the last step, grown or shrunk as those who still ask are, where they are
    enough to tell; or what is seen where that is more. And no more than what the part of them that is `served` (0 to 1) asks
    for says with hardly a doubt: who has the feature does not stop asking, so a surge that ended while it was being answered
    is over for those who have nothing as well. Where more is seen than that, some of it may be users who try again and again;
    what is `admitted`, in requests a second, is not.

    Where nobody who is served tells of the others it fades over `remember_seconds`. Who stopped asking after a step saw no
    button any more, or would have stopped anyway because the surge was over: that looks alike, and is not believed for ever.
    """
    settled = memory.last_step_at is None or now - memory.last_step_at >= SETTLE_SECONDS
    if memory.shed_rate is None or (settled and not denies and seen is not None):
        return seen
    visible, told, told_by_served = memory.visible_rate, memory.shed_rate, float("inf")
    if served > 0 and memory.admitted_rate is not None:
        told_by_served = _surely_below(memory.admitted_rate, window) / served
    fading = max(0.0, 1.0 - max(0.0, now - memory.shed_rate_at) / remember_seconds)
    if seen is not None and visible is not None and visible * window_seconds(visible, window) >= VISIBLE_COUNTS:
        told *= seen / visible
        fading = fading if told_by_served == float("inf") else 1.0
    most = max(MOST_GROWTH * min(told, told_by_served), admitted or 0.0) if denies else float("inf")
    return max(min(told * fading, told_by_served), min(seen or 0.0, most))


def _surely_below(rate: float, window: float) -> float:
    """A rate that is hardly ever the true one's lesser: by Anscombe's transform, as in `deviations`."""
    seconds = window_seconds(rate, window)
    return ((sqrt(rate * seconds + 3 / 8) + SERVED_Z / 2) ** 2 - 3 / 8) / seconds
