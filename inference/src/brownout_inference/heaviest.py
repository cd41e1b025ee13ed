"""The heaviest users of each feature, tier and cohort, over the last half minute, in bounded memory.

A user's name becomes a metric label here, so there are few: at most five of each. They are found among any number of users, even
of those who change their name with each request, by the space-saving sketch: A. Metwally, D. Agrawal, A. El Abbadi, "Efficient
Computation of Frequent and Top-k Elements in Data Streams" (ICDT 2005). With m counters nobody who makes more than 1/m of the
requests is missed, and a count is too high by at most that. We publish what is sure, the count without its possible error:
nobody is blamed for the requests of others. What was traded away: a user below 1/32 of a cell's requests may not be seen at all.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from brownout_inference.settings import MOST_HEAVIEST_USERS

PANE_SECONDS = 5.0
PANES = 7
"""The window slides by panes: the last six and the one that is being filled, 30 to 35 s."""

COUNTERS = 32
"""Users counted in one pane of one cell."""

MOST_CELLS = 64
"""Cells (feature, tier, cohort) that are counted at a time; a further one waits until another has been quiet for a window."""

Cell = tuple[str, str, str]
"""Feature, tier, cohort, as they stand in metrics."""


class SpaceSaving:
    """Counts of the most frequent names in a stream, with `counters` counters."""

    def __init__(self, counters: int = COUNTERS) -> None:
        self._most = counters
        self._counts: dict[str, int] = {}
        self._errors: dict[str, int] = {}

    def add(self, name: str) -> None:
        """Counts a name; where there is no counter left it takes over the least one, and with it a possible error."""
        if name in self._counts or len(self._counts) < self._most:
            self._counts[name] = self._counts.get(name, 0) + 1
            return
        least = min(self._counts, key=self._counts.__getitem__)
        inherited = self._counts.pop(least)
        self._errors.pop(least, None)
        self._counts[name], self._errors[name] = inherited + 1, inherited

    def sure(self) -> Iterable[tuple[str, int]]:
        """Each name that is counted, and how often it has come at the least."""
        return ((name, count - self._errors.get(name, 0)) for name, count in self._counts.items())


@dataclass
class _Pane:
    number: int
    counts: SpaceSaving = field(default_factory=SpaceSaving)


class Heaviest(Collector):
    """Who asks most, in requests a second. `clock` gives monotonic seconds; `most` users of each cell are published."""

    def __init__(self, *, clock: Callable[[], float], most: int = MOST_HEAVIEST_USERS) -> None:
        self._clock = clock
        self._most = most
        self._cells: dict[Cell, list[_Pane]] = {}

    def offered(self, cell: Cell, user: str) -> None:
        """Counts a request of a user."""
        number = int(self._clock() // PANE_SECONDS)
        panes = self._cells.get(cell)
        if panes is None:
            self._forget(number)
            if len(self._cells) >= MOST_CELLS:
                return
            panes = self._cells[cell] = []
        if not panes or panes[-1].number != number:
            panes[:] = [*_recent(panes, number), _Pane(number)]
        panes[-1].counts.add(user)

    def rates(self) -> dict[Cell, dict[str, float]]:
        """Requests a second of the heaviest users of each cell, heaviest first, as far as they are sure."""
        now = self._clock()
        number = int(now // PANE_SECONDS)
        window = now - (number - PANES + 1) * PANE_SECONDS
        self._forget(number)
        found: dict[Cell, dict[str, float]] = {}
        for cell, panes in self._cells.items():
            sums: dict[str, int] = {}
            for pane in _recent(panes, number):
                for user, count in pane.counts.sure():
                    sums[user] = sums.get(user, 0) + count
            heaviest = sorted(sums.items(), key=lambda item: (-item[1], item[0]))[: self._most]
            found[cell] = {user: count / window for user, count in heaviest}
        return found

    def collect(self) -> Iterable[Metric]:
        """The gauge, as of the moment of the scrape."""
        gauge = GaugeMetricFamily(
            "brownout_feature_heaviest_requests_per_second",
            "What the heaviest users made in the last half minute, denied or not",
            labels=["feature", "tier", "cohort", "user"],
        )
        for cell, users in self.rates().items():
            for user, rate in users.items():
                gauge.add_metric([*cell, user], rate)
        yield gauge

    def _forget(self, number: int) -> None:
        for cell in [cell for cell, panes in self._cells.items() if not _recent(panes, number)]:
            del self._cells[cell]


def _recent(panes: list[_Pane], number: int) -> list[_Pane]:
    return [pane for pane in panes if number - PANES < pane.number <= number]
