"""The figures of one run, defined so that they cannot be won by doing nothing.

V asks what all users got; the others say at whose cost. Those that a controller which never acts would have at 0 (reversals,
changes, writes) are read beside V, time to protect and unneeded minutes, in which it pays for that.
"""

from collections.abc import Mapping

import numpy as np
from msgspec import Struct

from brownout.decide.outcome import CellKey
from brownout.simulate.buckets import judged_ticks
from brownout.simulate.levels import (
    direction_changes_after_restart,
    reversals,
    seconds_to_restore,
    unneeded_unavailable_minutes,
)
from brownout.simulate.protection import paid_breach_minutes, priority_inversion_minutes, seconds_to_protect
from brownout.simulate.record import Record
from brownout.simulate.scenario import Scenario
from brownout.simulate.shortage import episodes, needed_gpus
from brownout.simulate.worth import weight

LEAST_DIFFERENCE = 0.05
"""A scenario in which foresight is worth less than this over an HPA cannot tell controllers apart."""


class Figures(Struct, frozen=True, kw_only=True, rename="camel"):
    """One run. None: what it is measured against was not given."""

    value: float
    """V: tier weight x feature value x variant quality x served within objective, over the worth of all fresh asks; 0 to 1."""
    seconds_to_protect: tuple[float, ...]
    """For each episode, from its onset to the end of the last paid breach within 10 minutes; 600 where it never ends."""
    paid_breach_minutes: float
    """Minutes in which fewer than 95 % of the paying requests were served within their objective."""
    unneeded_unavailable_minutes: float | None
    """Minutes of the run, weighted by users who asked, in which O3 served them and this one did not."""
    reversals: float | None
    """Changes of direction over twice the episodes in which O2 sheds the cell, worst cell; 1 is as often as O2."""
    priority_inversion_minutes: float
    """Minutes of paid breach, 30 s after an onset and later, while a lower tier or another workload still had more than it must."""
    seconds_to_restore: tuple[float, ...]
    """For each episode that ends within the run, from its end until all cells are whole and served again."""
    wasted_gpu_hours: float
    """GPU-hours held beyond the replicas that the latent flow needs at target utilisation."""
    pods_created: int
    """Pods that the run created, those of its start not counted."""
    changes_on_stale_data: int
    """Changes of replicas or levels made while no metrics could be had."""
    direction_changes_after_restart: int
    """Changes of direction of any cell, or user alone, within 120 s after a restart of the controller."""
    fairness: dict[str, float]
    """Jain's index of the share of their asks that users were served within objective, by tier; 1 is equal, 0 nobody served."""
    api_writes: int
    """Writes of replicas or levels."""


def figures(
    record: Record, scenario: Scenario, *, ideal: Record | None, oracle_sheds: Mapping[CellKey, int] | None
) -> Figures:
    """All figures of a run. `ideal`: O3's record of the same seed; `oracle_sheds`: episodes in which O2 sheds a cell, by cell.

    ValueError where the ideal is of another run, ScenarioError where a tier has no weight.
    """
    spans = episodes(record, scenario)
    return Figures(
        value=value(record, scenario),
        seconds_to_protect=seconds_to_protect(record, scenario, spans),
        paid_breach_minutes=paid_breach_minutes(record, scenario),
        unneeded_unavailable_minutes=None if ideal is None else unneeded_unavailable_minutes(record, ideal),
        reversals=None if oracle_sheds is None else reversals(record, oracle_sheds),
        priority_inversion_minutes=priority_inversion_minutes(record, scenario, spans),
        seconds_to_restore=seconds_to_restore(record, scenario, spans),
        wasted_gpu_hours=wasted_gpu_hours(record),
        pods_created=record.pods_created,
        changes_on_stale_data=int(record.writes[record.stale].sum()),
        direction_changes_after_restart=direction_changes_after_restart(record),
        fairness=fairness(record),
        api_writes=int(record.writes.sum()),
    )


def value(record: Record, scenario: Scenario) -> float:
    """V; 1 where nobody asked for anything of worth, for then nothing was withheld.

    Of what was asked so late that the run ended before it was late nothing is said.
    """
    weights = np.array([weight(scenario, cell) for cell in record.cells])
    last = judged_ticks(record, scenario)
    asked = float(record.asked[:last].sum(axis=0) @ weights)
    return float(record.value[:last].sum(axis=0) @ weights) / asked if asked else 1.0


def score(value: float, *, hpa: float, best: float) -> float | None:
    """How much of what is to be had over an HPA a controller got, from values V. `best`: the greater of O2's and everybody's.

    None where HPA and the best are less than 0.05 apart: such a scenario is excluded, and named.
    """
    return (value - hpa) / (best - hpa) if distinguishes(hpa=hpa, best=best) else None


def distinguishes(*, hpa: float, best: float) -> bool:
    """Whether a scenario counts in the score."""
    return best - hpa >= LEAST_DIFFERENCE


def wasted_gpu_hours(record: Record) -> float:
    """GPU-hours held, loading ones included, beyond the whole replicas that the latent flow needs, at least one of each."""
    beyond = np.maximum(0.0, record.held - needed_gpus(record, record.latent))
    return float(beyond.sum()) * record.tick_seconds / 3600


def fairness(record: Record) -> dict[str, float]:
    """Jain's index (Jain, Chiu and Hawe 1984) of served over asked among the users of a tier who asked, by tier.

    0 where none of them was served: to refuse everybody alike is not fair. Tiers of which nobody asked are left out. Every
    user is one, however much they ask for: whoever is held back alone is treated worse than the others, and is one of them.
    """
    who = record.user_asked > 0
    share = record.user_good[who] / record.user_asked[who]
    cells = record.user_cell[who]
    found: dict[str, float] = {}
    for tier in sorted({cell.key.audience.tier for cell in record.cells}):
        shares = share[np.array([cell.key.audience.tier == tier for cell in record.cells])[cells]]
        if not len(shares):
            continue
        squares = float((shares**2).sum())
        found[tier] = float(shares.sum()) ** 2 / (len(shares) * squares) if squares else 0.0
    return found
