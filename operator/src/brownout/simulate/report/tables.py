"""The tables of the report, as HTML."""

from collections.abc import Iterable, Sequence
from html import escape

import numpy as np

from brownout.simulate.record import Record
from brownout.simulate.report import series
from brownout.simulate.report.columns import COLUMNS, of, text
from brownout.simulate.report.theme import controller_name
from brownout.simulate.results import Comparison, ControllerResult
from brownout.simulate.tournament import OURS

BOUNDS = {
    "o1": "any fraction of any GPU at once (O1)",
    "o2": "decided with foresight (O2)",
    "o2l": "with foresight, on the ladder (O2L)",
}


def seeds(comparison: Comparison) -> str:
    """Over which seeds the figures are."""
    given = comparison.seeds
    if len(given) == 1:
        return f"Seed {given[0]} alone: no intervals."
    dense = list(given) == list(range(given[0], given[-1] + 1))
    named = f"{given[0]} to {given[-1]}" if dense else ", ".join(map(str, given))
    return f"Means over seeds {named}; below them, smaller, their 95 % bootstrap intervals."


def by_scenario(comparisons: Sequence[Comparison]) -> str:
    """V of every controller in every scenario, and the mean score over those that tell controllers apart."""
    results = [{one.name: one for one in comparison.controllers} for comparison in comparisons]
    names = sorted({name for each in results for name in each}, key=lambda name: -_mean_score(results, name))
    heads = [escape(comparison.provenance.scenario.split("-")[0]) for comparison in comparisons]
    rows = [
        _row(
            escape(controller_name(name)),
            f"{_mean_score(results, name):.2f}" if np.isfinite(_mean_score(results, name)) else "–",
            *(text(each[name].means["value"], 3) if name in each else "–" for each in results),
            kind="ours" if name == OURS else "",
        )
        for name in names
    ]
    for bound in dict.fromkeys(name for comparison in comparisons for name in comparison.bounds):
        cells = [f"{_mean(c.bounds[bound].values()):.3f}" if bound in c.bounds else "–" for c in comparisons]
        rows.append(_row(escape(BOUNDS.get(bound, bound)), "", *cells, kind="bound"))
    return _table(["", "mean score", *heads], rows)


def _mean_score(results: Sequence[dict[str, ControllerResult]], name: str) -> float:
    """Over the scenarios that count; minus infinity where there is none."""
    scores = [score.mean for each in results if name in each and (score := each[name].score) is not None]
    return _mean(scores) if scores else -np.inf


def figures(comparison: Comparison) -> str:
    """All figures of one scenario, a row for each controller; columns in which nobody has anything are left out."""
    shown = [c for c in COLUMNS if any((found := of(one, c)) and found.mean for one in comparison.controllers)]
    rows = [
        _row(
            escape(controller_name(one.name)),
            text(one.means["value"], 3),
            text(one.score, 2),
            *(text(of(one, column), column.decimals) for column in shown),
            kind="ours" if one.name == OURS else "",
        )
        for one in comparison.controllers
    ]
    for name, by_seed in comparison.bounds.items():
        rows.append(
            _row(
                escape(BOUNDS.get(name, name)), f"{_mean(by_seed.values()):.3f}", *[""] * (len(shown) + 1), kind="bound"
            )
        )
    return _table(["", "V", "score", *(escape(column.head) for column in shown)], rows)


def excluded(comparison: Comparison) -> str:
    """A word where the scenario does not count."""
    if not comparison.excluded:
        return ""
    return (
        '<p class="note">The HPA and the best that could be had are less than 0.05 of V apart here: '
        "this scenario tells nobody apart, and does not count in the score.</p>"
    )


def tiers(record: Record) -> str:
    """What the users of each tier got."""
    rows = [
        _row(
            escape(one.tier), f"{one.asked:,.0f}", *(_percent(n, one.asked) for n in (one.good, one.late, one.refused))
        )
        for one in series.tiers(record)
    ]
    return _table(["tier", "asked", "in time", "late", "refused or unanswered"], rows)


def losses(record: Record) -> str:
    """Which cells and users alone were below their first variant, for how long, and what they had meanwhile."""
    found = series.losses(record)
    if not found:
        return '<p class="note">Nothing was taken from anybody.</p>'
    rows = [
        _row(
            escape(series.title(one.cell)),
            f"{one.minutes:.1f}",
            escape(one.deepest),
            f"{one.users:,.0f}",
            f"{one.asked:,.0f}",
            *(_percent(n, one.asked) for n in (one.good, one.late, one.refused)),
        )
        for one in found
    ]
    heads = ["cell", "min below the first variant", "deepest", "users, about", "asked meanwhile"]
    return _table([*heads, "in time", "late", "refused or unanswered"], rows)


def explanations() -> str:
    """What each column says."""
    said = [
        (
            "V",
            "tier weight × feature value × quality of the variant × served within the objective, "
            "over the same of all fresh asks",
        ),
        (
            "score",
            "(V - V of the HPA) / (V of the best - V of the HPA); the best is the greater of O2's and everybody's",
        ),
        *((column.head, column.says) for column in COLUMNS),
    ]
    return "<dl>" + "".join(f"<dt>{escape(head)}</dt><dd>{escape(says)}</dd>" for head, says in said) + "</dl>"


def _row(*cells: str, kind: str = "") -> str:
    return f"<tr{f' class={kind}' if kind else ''}>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _table(heads: Iterable[str], rows: Iterable[str]) -> str:
    head = "".join(f"<th>{cell}</th>" for cell in heads)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "–"


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))
