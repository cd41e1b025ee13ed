"""What `brownout simulate` prints: a table for each scenario, the figures that matter most first."""

from collections.abc import Sequence

from brownout.simulate.results import Comparison, ControllerResult
from brownout.simulate.statistics import Interval
from brownout.simulate.tournament import HPA, IDEAL, OURS

NAMES = {OURS: "brownout", IDEAL: "told the truth (O3)", HPA: "HPA"}
HEADS = ("", "V", "score", "protect s", "breach min", "unneeded min", "reversals", "wasted GPU-h", "writes")
COLUMNS = (
    ("secondsToProtect", 0),
    ("paidBreachMinutes", 1),
    ("unneededUnavailableMinutes", 2),
    ("reversals", 2),
    ("wastedGpuHours", 1),
    ("apiWrites", 0),
)
EXPLAINED = """\
V: worth of what was served in time over the worth of all that was asked. score: 0 is the HPA, 1 the best that could be had.
protect: from an onset until paying users are served again; 600 is never. breach: minutes in which under 95 % of them were.
unneeded: minutes, weighted by users, in which O3, the same rules told the truth, served them and this did not."""


def summary(comparisons: Sequence[Comparison]) -> str:
    """All tables, and what their columns say."""
    return "\n\n".join([*(_scenario(one) for one in comparisons), EXPLAINED])


def _scenario(comparison: Comparison) -> str:
    rows = [HEADS, *(_row(one) for one in comparison.controllers)]
    bounds = {name: sum(by_seed.values()) / len(by_seed) for name, by_seed in comparison.bounds.items()}
    rows += [(f"bound {name.upper()}", f"{value:.3f}", *[""] * (len(HEADS) - 2)) for name, value in bounds.items()]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADS))]
    lines = [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]
    seeds = f"{len(comparison.seeds)} seeds" if len(comparison.seeds) > 1 else f"seed {comparison.seeds[0]}"
    excluded = ["HPA and the best are less than 0.05 apart: no score."] if comparison.excluded else []
    return "\n".join([f"{comparison.provenance.scenario}, {seeds}", *map(str.rstrip, lines), *excluded])


def _row(one: ControllerResult) -> tuple[str, ...]:
    figures = (_text(one.means.get(name), decimals) for name, decimals in COLUMNS)
    return (NAMES.get(one.name, one.name), _text(one.means["value"], 3), _text(one.score, 2), *figures)


def _text(interval: Interval | None, decimals: int) -> str:
    return "-" if interval is None else f"{interval.mean:.{decimals}f}"
