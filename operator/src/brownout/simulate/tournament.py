"""Controllers against each other: scenarios by seeds by controllers, in parallel processes.

What one process does at a time is one seed of one scenario with all controllers, so that its users are drawn once. Nothing
depends on which process does what, so the result is the same for any number of them.
"""

import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from brownout.simulate.beside import Beside, beside
from brownout.simulate.bounds import Bounds, bounds_of
from brownout.simulate.controller import Controller
from brownout.simulate.controllers import CONTROLLERS
from brownout.simulate.figures import Figures, figures, value
from brownout.simulate.record import Record
from brownout.simulate.run import Prepared
from brownout.simulate.scenario import Scenario, ScenarioError

OURS, IDEAL, HPA = "ours", "o3", "hpa"
"""Brownout as it is; the same rules told the truth (O3); and the controller that scores 0."""

Progress = Callable[[int, int], None]
"""Called in the parent with how many runs are done, and of how many."""


class Entrant(Struct, frozen=True, kw_only=True):
    """A controller by its name in the registry, with the parameters that it was tuned to (None: its first ones), as `label`."""

    name: str
    parameters: Any = None
    label: str = ""

    @property
    def shown(self) -> str:
        return self.label or self.name


class Heat(NamedTuple):
    """One seed of one scenario, for all entrants. With `full` there are all figures, else V alone; `keep` the records."""

    scenario: Scenario
    traces: Path | None
    seed: int
    entrants: tuple[Entrant, ...]
    full: bool = True
    keep: bool = False


class Outcome(NamedTuple):
    """Of one heat, by the entrant's label: V, and where they were asked for all figures and the records."""

    values: dict[str, float]
    figures: dict[str, Figures]
    besides: dict[str, Beside]
    records: dict[str, Record]


class Results(Struct, frozen=True, kw_only=True):
    """Of one scenario: figures by controller and seed, what the oracles say, and the records of the seed that was kept."""

    scenario: Scenario
    bounds: Bounds
    figures: dict[str, dict[int, Figures]]
    besides: dict[str, dict[int, Beside]]
    records: dict[str, Record]


def entrants(names: Sequence[str], tuned: Mapping[str, Any] | None = None) -> tuple[Entrant, ...]:
    """Entrants by name, the tuned ones with what they were tuned to. ScenarioError for a name that is not known."""
    for name in names:
        if name not in (OURS, IDEAL) and name not in CONTROLLERS:
            raise ScenarioError(f"no controller {name!r}; there are {OURS}, {', '.join(CONTROLLERS)}, or all")
    return tuple(Entrant(name=name, parameters=(tuned or {}).get(name)) for name in names)


def compare(
    scenarios: Sequence[Scenario],
    contestants: Sequence[Entrant],
    seeds: Sequence[int],
    *,
    traces: Path | None = None,
    jobs: int | None = None,
    keep: int | None = None,
    ideal: bool = True,
    progress: Progress | None = None,
    seeds_of: Mapping[str, Sequence[int]] | None = None,
) -> list[Results]:
    """All scenarios with all contestants, and O3 beside them, on the same seeds; results in the order of the scenarios.

    `seeds_of`: by a scenario's name, its seeds where they are others. `keep`: the seed whose records come with the results. Without
    `ideal` O3 is left out, and figures that need it are None. ScenarioError where a scenario cannot be run.
    """
    others = tuple(one for one in contestants if one.name != IDEAL)
    field = (Entrant(name=IDEAL), *others) if ideal else others
    longest_first = sorted(scenarios, key=lambda one: -one.seconds / one.tick_seconds)
    heats = [
        Heat(one, traces, seed, field, keep=seed == keep)
        for one in longest_first
        for seed in (seeds_of or {}).get(one.name, seeds)
    ]
    found = {
        scenario.name: Results(
            scenario=scenario, bounds=prepared(scenario, traces).bounds, figures={}, besides={}, records={}
        )
        for scenario in scenarios
    }
    for heat, outcome in zip(heats, run(heats, jobs=jobs, progress=progress), strict=True):
        own = found[heat.scenario.name]
        for label, figure in outcome.figures.items():
            own.figures.setdefault(label, {})[heat.seed] = figure
            own.besides.setdefault(label, {})[heat.seed] = outcome.besides[label]
        own.records.update(outcome.records)
    return [found[scenario.name] for scenario in scenarios]


def run(heats: Sequence[Heat], *, jobs: int | None = None, progress: Progress | None = None) -> list[Outcome]:
    """Outcomes in the order of the heats, the heats run by `jobs` processes (default: as many as there are processors)."""
    total = sum(len(heat.entrants) for heat in heats)
    outcomes: list[Outcome | None] = [None] * len(heats)
    done = 0
    with _done(heats, min(jobs or os.cpu_count() or 1, max(1, len(heats)))) as each:
        for index, outcome in each:
            outcomes[index] = outcome
            done += len(heats[index].entrants)
            if progress is not None:
                progress(done, total)
    return [outcome for outcome in outcomes if outcome is not None]


@contextmanager
def _done(heats: Sequence[Heat], jobs: int) -> Iterator[Iterator[tuple[int, Outcome]]]:
    """Heats by index as they are done, in whatever order."""
    if jobs == 1:
        yield ((index, heat_of(heat)) for index, heat in enumerate(heats))
        return
    pool = ProcessPoolExecutor(
        jobs,
        mp_context=get_context("spawn"),  # a fork would copy the threads of a progress bar
        initializer=signal.signal,
        initargs=(signal.SIGINT, signal.SIG_DFL),  # interrupted workers end without a traceback each
    )
    try:
        indices: dict[Future[Outcome], int] = {pool.submit(heat_of, heat): index for index, heat in enumerate(heats)}
        yield ((indices[future], future.result()) for future in as_completed(indices))
    finally:
        pool.shutdown(cancel_futures=True)


def heat_of(heat: Heat) -> Outcome:
    """Run one heat. O3 is run first where it is among the entrants, for others are measured against it."""
    world, bounds = prepared(heat.scenario, heat.traces)
    outcome = Outcome({}, {}, {}, {})
    truth: Record | None = None
    for entrant in sorted(heat.entrants, key=lambda one: one.name != IDEAL):
        told = entrant.name == IDEAL
        record = world.run(made(entrant, world), name=entrant.shown, seed=heat.seed, truth=told)
        truth = record if told else truth
        outcome.values[entrant.shown] = value(record, heat.scenario)
        if heat.full:
            outcome.figures[entrant.shown] = figures(record, heat.scenario, ideal=truth, oracle_sheds=bounds.sheds)
            outcome.besides[entrant.shown] = beside(record, heat.scenario)
        if heat.keep:
            outcome.records[entrant.shown] = record
    return outcome


def made(entrant: Entrant, world: Prepared) -> Controller:
    """A controller that has seen nothing yet."""
    if entrant.name in (OURS, IDEAL):
        return world.ours(truth=entrant.name == IDEAL)
    factory, grid = CONTROLLERS[entrant.name]
    return factory(world.layout.setting(), grid[0] if entrant.parameters is None else entrant.parameters)


class World(NamedTuple):
    prepared: Prepared
    bounds: Bounds


def prepared(scenario: Scenario, traces: Path | None) -> World:
    """A scenario read, with its bounds; the last two are kept, for a process runs one seed after another."""
    return _prepared(msgspec.json.encode(scenario), traces)


@lru_cache(maxsize=2)
def _prepared(scenario: bytes, traces: Path | None) -> World:
    found = Prepared(msgspec.json.decode(scenario, type=Scenario), traces)
    return World(found, bounds_of(found))
