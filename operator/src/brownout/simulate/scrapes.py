"""Metrics as a monitoring system has them: counters scraped now and then, seen a little later, gauges a little off."""

from collections import deque
from typing import NamedTuple

import numpy as np

from brownout.simulate.heaviest import Heaviest, Sketches, heaviest
from brownout.simulate.kernel import State
from brownout.simulate.record import Floats
from brownout.simulate.scenario import Metrics


class Scrape(NamedTuple):
    """`counters`: offered and admitted by cell, work, ready seconds, waited and dequeued by workload, one after the other.
    `heaviest`: whom servers name; None where they count no users."""

    at: float
    counters: Floats
    running: Floats
    waiting: Floats
    backlog: Floats
    heaviest: Heaviest | None


class Rates(NamedTuple):
    """Per second over the window that ended at `at`: by cell, and by workload. `queue_seconds` is NaN where nobody left.
    `heaviest` is over the servers' own window, as of their last scrape."""

    at: float
    offered: Floats
    admitted: Floats
    ever: Floats
    work: Floats
    busy: Floats
    queue_seconds: Floats
    running: Floats
    waiting: Floats
    backlog: Floats
    heaviest: Heaviest | None


class Scrapes:
    """The scrapes of the last window, and what can be said from them."""

    def __init__(self, settings: Metrics, seed: int) -> None:
        self._settings = settings
        self._random = np.random.default_rng((seed, 3))
        self._kept: deque[Scrape] = deque()

    def take(self, state: State, asking: Sketches | None, now: float) -> None:
        """One scrape. `asking`: what servers count by user, if they do."""
        off = 1.0 + self._settings.noise * self._random.standard_normal(len(state.backlog))
        counters = (state.offered, state.admitted, state.work, state.ready_seconds, state.waited, state.dequeued)
        self._kept.append(
            Scrape(
                now,
                np.concatenate(counters),
                state.running.astype(np.float64),
                state.waiting.astype(np.float64),
                np.maximum(0.0, state.backlog * off),
                None if asking is None else heaviest(asking, now, self._settings.heaviest_users),
            )
        )
        oldest = now - self._settings.window_seconds - self._settings.delay_seconds - self._settings.scrape_seconds
        while self._kept[0].at < oldest:
            self._kept.popleft()

    def rates(self, now: float) -> Rates | None:
        """What is known at a moment; None before there are two scrapes in the window."""
        visible = [scrape for scrape in self._kept if scrape.at <= now - self._settings.delay_seconds]
        if len(visible) < 2:
            return None
        last = visible[-1]
        first = next(s for s in visible if s.at >= last.at - self._settings.window_seconds - 1e-9)
        seconds = last.at - first.at
        if seconds <= 0:
            return None
        workloads = len(last.backlog)
        cells = (len(last.counters) - 4 * workloads) // 2
        grown = last.counters - first.counters
        work, there, waited, left = grown[2 * cells :].reshape(4, workloads)
        with np.errstate(invalid="ignore", divide="ignore"):
            return Rates(
                at=last.at,
                offered=grown[:cells] / seconds,
                admitted=grown[cells : 2 * cells] / seconds,
                ever=last.counters[:cells],
                work=work / seconds,
                busy=np.where(there > 0, work / there, 0.0),
                queue_seconds=waited / left,
                running=last.running,
                waiting=last.waiting,
                backlog=last.backlog,
                heaviest=last.heaviest,
            )
