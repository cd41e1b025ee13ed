"""The figures as columns of a table: their names, units and what each says, in one line."""

from msgspec import Struct

from brownout.simulate.results import ControllerResult
from brownout.simulate.statistics import Interval


class Column(Struct, frozen=True, kw_only=True):
    """`figure` is the name under which the results have it; `decimals` of what is shown."""

    figure: str
    head: str
    says: str
    decimals: int


COLUMNS = (
    Column(
        figure="secondsToProtectP95",
        head="s to protect, p95",
        decimals=0,
        says="seconds from the onset until paying users are served again, worst episode of each seed, "
        "95th percentile over seeds; 600 is never",
    ),
    Column(figure="secondsToProtect", head="s to protect", decimals=0, says="the same, mean over episodes and seeds"),
    Column(
        figure="paidBreachMinutes",
        head="paid-breach min",
        decimals=1,
        says="minutes in which fewer than 95 % of paying requests were served within their objective",
    ),
    Column(
        figure="unneededUnavailableMinutes",
        head="unneeded min",
        decimals=2,
        says="minutes of the run, weighted by users, in which the same rules told the truth (O3) "
        "served them and this one did not",
    ),
    Column(
        figure="reversals",
        head="reversals",
        decimals=2,
        says="changes of direction over twice the episodes in which O2 sheds the cell, worst cell; 1 is as often as O2",
    ),
    Column(
        figure="priorityInversionMinutes",
        head="inversion min",
        decimals=1,
        says="minutes of paid breach while a lower tier or another workload still had more than it must",
    ),
    Column(
        figure="secondsToRestore",
        head="s to restore",
        decimals=0,
        says="seconds from an episode's end until everything is back and served",
    ),
    Column(
        figure="wastedGpuHours",
        head="wasted GPU-h",
        decimals=1,
        says="GPU-hours held beyond what the load needs at 80 % use",
    ),
    Column(figure="podsCreated", head="pods", decimals=0, says="pods created"),
    Column(
        figure="changesOnStaleData", head="stale changes", decimals=1, says="changes made while no metrics could be had"
    ),
    Column(
        figure="directionChangesAfterRestart",
        head="after restart",
        decimals=1,
        says="changes of direction of any cell within 120 s after a restart of the controller",
    ),
    Column(
        figure="fairness",
        head="fairness",
        decimals=2,
        says="Jain's index over the users of the least fair tier; 1 is equal",
    ),
    Column(figure="apiWrites", head="writes", decimals=0, says="writes of replicas or levels"),
)
"""Beside V and the score, which come first."""


def of(result: ControllerResult, column: Column) -> Interval | None:
    return result.means.get(column.figure)


def text(interval: Interval | None, decimals: int) -> str:
    """A mean, with its interval below where it has a width; as HTML."""
    if interval is None:
        return "–"
    mean, low, high = (f"{number:.{decimals}f}" for number in (interval.mean, interval.low, interval.high))
    return mean if low == high else f"{mean}<small>{low} – {high}</small>"
