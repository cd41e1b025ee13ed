"""Metrics as a monitoring system has them: counters scraped now and then, seen a little later, gauges a little off."""

from collections import deque
from typing import NamedTuple

import numpy as np

from brownout.simulate.kernel import State
from brownout.simulate.record import Floats
from brownout.simulate.scenario import Metrics


class Scrape(NamedTuple):
    at: float
    offered: Floats
    admitted: Floats
    work: Floats
    ready_seconds: Floats
    waited: Floats
    dequeued: Floats
    running: Floats
    waiting: Floats
    backlog: Floats


class Rates(NamedTuple):
    """Per second over the window that ended at `at`: by cell, and by workload. `queue_seconds` is NaN where nobody left."""

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


class Scrapes:
    """The scrapes of the last window, and what can be said from them."""

    def __init__(self, settings: Metrics, seed: int) -> None:
        self._settings = settings
        self._random = np.random.default_rng((seed, 3))
        self._kept: deque[Scrape] = deque()

    def take(self, state: State, now: float) -> None:
        """One scrape."""
        off = 1.0 + self._settings.noise * self._random.standard_normal(len(state.backlog))
        self._kept.append(
            Scrape(
                now,
                state.offered.copy(),
                state.admitted.copy(),
                state.work.copy(),
                state.ready_seconds.copy(),
                state.waited.copy(),
                state.dequeued.copy(),
                state.running.astype(np.float64),
                state.waiting.astype(np.float64),
                np.maximum(0.0, state.backlog * off),
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
        there = last.ready_seconds - first.ready_seconds
        left = last.dequeued - first.dequeued
        with np.errstate(invalid="ignore", divide="ignore"):
            return Rates(
                at=last.at,
                offered=(last.offered - first.offered) / seconds,
                admitted=(last.admitted - first.admitted) / seconds,
                ever=last.offered,
                work=(last.work - first.work) / seconds,
                busy=np.where(there > 0, (last.work - first.work) / there, 0.0),
                queue_seconds=(last.waited - first.waited) / left,
                running=last.running,
                waiting=last.waiting,
                backlog=last.backlog,
            )
