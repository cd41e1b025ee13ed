"""What some goals ask of a run beside its figures, from its record alone."""

from collections.abc import Mapping

import numpy as np
from msgspec import Struct

from brownout.simulate.levels import depth, depth_alone, direction_changes
from brownout.simulate.record import Record
from brownout.simulate.scenario import Scenario
from brownout.simulate.shortage import episodes

GIVE_BACK_SECONDS = 300.0
"""The dwell before a cell comes back, and its parts: what a scaling that succeeded may still leave shed."""


class Beside(Struct, frozen=True, kw_only=True, rename="camel"):
    """One run. `unavailableMinutes`: of the run, weighted by users, in which they were not served within their objective.
    `turns`: changes of direction of all cells and users alone. `shedMinutesOnceItFits`: see `shed_minutes_once_it_fits`."""

    unavailable_minutes: float
    turns: int
    shed_minutes_once_it_fits: float


Besides = Mapping[str, Mapping[int, Beside]]
"""By controller and seed."""


def beside(record: Record, scenario: Scenario) -> Beside:
    """All of it for one run."""
    asked = record.asked.sum()
    missed = (asked - record.good.sum()) / asked if asked else 0.0
    return Beside(
        unavailable_minutes=float(missed) * len(record.asked) * record.tick_seconds / 60,
        turns=int(direction_changes(record).sum()),
        shed_minutes_once_it_fits=shed_minutes_once_it_fits(record, scenario),
    )


def shed_minutes_once_it_fits(record: Record, scenario: Scenario) -> float:
    """Minutes in which a cell, or a user alone, is not whole although every workload's ready replicas have carried all that users
    ask for, ever since the last tick in which they did not, and 300 s have passed. Counted from the first onset; where GPUs never move, that
    is all of the time from there on."""
    first = int(min((span.start for span in episodes(record, scenario)), default=0.0) / record.tick_seconds)
    short = np.flatnonzero((record.latent > record.ready).any(axis=1))
    settled = max(first, (int(short[-1]) + 1 if len(short) else 0) + round(GIVE_BACK_SECONDS / record.tick_seconds))
    never = len(short) > 0 and short[-1] == len(record.asked) - 1
    planned = [cell.planned for cell in record.cells]
    levels = np.hstack([depth(record)[:, planned], depth_alone(record)])
    shed = (levels[first if never else settled :] > 0).any(axis=1)
    return float(shed.sum()) * record.tick_seconds / 60
