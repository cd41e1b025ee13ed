"""Who asks most, as the simulated servers count it: by the reference server's rule and within its bounds, compiled.

The rule is the space-saving sketch (Metwally, Agrawal and El Abbadi, ICDT 2005): a pane of 5 s has 32 counters for each feature,
tier and cohort; where none is left a new user takes over the least one, and with it a possible error. What is named is the count
of the last 30 to 35 s without that error, of five users at most. A test holds this against the server's own code, ask by ask.

What was traded away: all replicas count as one server, as they share one queue. Real ones count what each of them is asked, and
what they name is added up, so that more users are seen than here.
"""

from typing import Any, NamedTuple

import numpy as np

from brownout.simulate.compiled import compiled
from brownout.simulate.record import Floats, Ints

PANE_SECONDS = 5.0
PANES = 7
"""The last six panes and the one that is being filled."""

COUNTERS = 32
"""Users counted in one pane of one cell."""

MOST_CELLS = 64
"""Cells that are counted at a time; a further one waits until another has been quiet for a window."""

MOST_NAMED = 5
"""Users of a cell who are named."""

NOBODY = -1

ONCE = 32
"""A counter has its count above so many bits; below it the place in the order in which users came, and its own place in the
lowest five. So the least counter, and of equals the one that came first, is the smallest number, and says where it is."""

PLACE = COUNTERS - 1


class Sketches(NamedTuple):
    """What has been counted. Shapes: C cells, P panes, K counters, U users. Users are numbered, each of one cell.

    A pane lies in the place of its number modulo P. `entered`: how many users have had a counter in it; `inherited`: the
    possible error of each. `total`: what is sure of a user, over the panes of the window. `counter_of`: where its last counter is.
    """

    number: Any  # [C, P] of the pane in this place, or NOBODY
    newest: Any  # [C] the number of the newest pane
    entered: Any  # [C, P]
    user: Any  # [C, P, K]
    counter: Any  # [C, P, K]
    inherited: Any  # [C, P, K]
    counter_of: Any  # [U]
    total: Any  # [U]


def sketches(cells: int, users: int) -> Sketches:
    """Nobody has asked."""

    def whole(*shape: int, value: int = 0, of: type = np.int64) -> Any:
        return np.full(shape, value, dtype=of)

    return Sketches(
        number=whole(cells, PANES, value=NOBODY),
        newest=whole(cells, value=-PANES),
        entered=whole(cells, PANES),
        user=whole(cells, PANES, COUNTERS, of=np.int32),
        counter=whole(cells, PANES, COUNTERS),
        inherited=whole(cells, PANES, COUNTERS, of=np.int32),
        counter_of=whole(users, of=np.int8),
        total=whole(users, of=np.int32),
    )


class Heaviest(NamedTuple):
    """Users by number, [C, most], the heaviest first and NOBODY after them; and what they asked for, in requests a second."""

    users: Ints
    rates: Floats


def heaviest(them: Sketches, now: float, most: int) -> Heaviest:
    """Who asks most at a moment, up to so many of each cell."""
    shape = (len(them.number), most)
    found = Heaviest(np.empty(shape, dtype=np.int64), np.empty(shape))
    if most:
        _name(them, now, found.users, found.rates)
    return found


@compiled
def count(them: Sketches, cell: int, user: int, now: float) -> None:
    """A request of a user at a moment, in seconds; moments do not go back."""
    number = int(now / PANE_SECONDS)
    pane = number % PANES
    if them.number[cell, pane] != number:
        if not _is_counted(them, cell, number):
            return
        _forget(them, cell, number)
        them.number[cell, pane] = them.newest[cell] = number
        them.entered[cell, pane] = 0
    users, counters, entered = them.user[cell, pane], them.counter[cell, pane], them.entered[cell, pane]
    k = them.counter_of[user]
    if k >= entered or users[k] != user:
        k = min(entered, PLACE)
        inherited = 0
        if entered >= COUNTERS:
            least = counters[0]
            for other in counters:
                least = min(least, other)
            k, inherited = least & PLACE, least >> ONCE
            them.total[users[k]] -= inherited - them.inherited[cell, pane, k]
        users[k] = user
        counters[k] = (inherited << ONCE) + (entered << 5) + k
        them.inherited[cell, pane, k] = inherited
        them.counter_of[user] = k
        them.entered[cell, pane] = entered + 1
    counters[k] += 1 << ONCE
    them.total[user] += 1


@compiled
def _is_counted(them: Sketches, cell: int, number: int) -> bool:
    """Whether a cell is among those that are counted, or may now be."""
    if them.newest[cell] > number - PANES:
        return True
    others = 0
    for newest in them.newest:
        others += newest > number - PANES
    return others < MOST_CELLS


@compiled
def _forget(them: Sketches, cell: int, newest: int) -> None:
    """Take what has left the window out of the totals."""
    for pane in range(PANES):
        if NOBODY < them.number[cell, pane] <= newest - PANES:
            for k in range(min(them.entered[cell, pane], COUNTERS)):
                sure = (them.counter[cell, pane, k] >> ONCE) - them.inherited[cell, pane, k]
                them.total[them.user[cell, pane, k]] -= sure
            them.number[cell, pane] = NOBODY


@compiled
def _name(them: Sketches, now: float, users: Any, rates: Any) -> None:
    newest = int(now / PANE_SECONDS)
    window = now - (newest - PANES + 1) * PANE_SECONDS
    last = users.shape[1] - 1
    for cell in range(them.number.shape[0]):
        _forget(them, cell, newest)
        named = users[cell]
        named[:] = NOBODY
        for pane in range(PANES):
            if them.number[cell, pane] != NOBODY:
                for k in range(min(them.entered[cell, pane], COUNTERS)):
                    user = them.user[cell, pane, k]
                    if named[last] == NOBODY or _comes_before(them.total, user, named[last]):
                        _insert(them.total, named, user)
        for place in range(last + 1):
            rates[cell, place] = 0.0 if named[place] == NOBODY else them.total[named[place]] / window


@compiled
def _comes_before(total: Any, user: int, other: int) -> bool:
    """By falling total, then by number."""
    return bool(total[user] > total[other] or (total[user] == total[other] and user < other))


@compiled
def _insert(total: Any, named: Any, user: int) -> None:
    """Put a user in its place among those who are named; whoever is last there may lose it."""
    place = 0
    while named[place] != NOBODY and _comes_before(total, named[place], user):
        place += 1
    if named[place] == user:
        return
    for after in range(named.shape[0] - 1, place, -1):
        named[after] = named[after - 1]
    named[place] = user
