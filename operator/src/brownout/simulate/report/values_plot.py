"""What V came to, by scenario and controller, with intervals over seeds."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from brownout.simulate.report.theme import BAD, GOOD, GRID, INK, MUTED, controller_name
from brownout.simulate.results import Comparison, ControllerResult
from brownout.simulate.tournament import HPA, IDEAL, OURS

WIDTH_INCHES = 10.0
FAR_BEHIND = 0.08
"""Of V: controllers that are further than this below Brownout and the HPA are shown at the edge, as an arrow."""
ROW_INCHES = 0.34
MARGINS_INCHES = (1.9, 2.5, 0.55, 0.5)
"""Left, with the scenarios' names; right, with the best of the others; above and below."""


def values(comparisons: Sequence[Comparison]) -> Figure:
    """A row for each scenario: Brownout, the HPA, everybody else, and the best that foresight could have done."""
    left, right, above, below = MARGINS_INCHES
    tall = above + below + ROW_INCHES * len(comparisons)
    figure = Figure(figsize=(WIDTH_INCHES, tall))
    place = (left / WIDTH_INCHES, below / tall, 1 - (left + right) / WIDTH_INCHES, 1 - (above + below) / tall)
    panel = figure.add_axes(place)
    least = _least(comparisons)
    for row, comparison in enumerate(reversed(comparisons)):
        _scenario(panel, row, comparison, least=least)
    panel.set_xlim(left=least - 0.01)
    panel.set_yticks(range(len(comparisons)), [one.provenance.scenario for one in reversed(comparisons)])
    panel.set_ylim(-0.6, len(comparisons) - 0.4)
    panel.grid(visible=True, axis="x")
    panel.grid(visible=False, axis="y")
    panel.set_xlabel("V: worth of what was served within its objective, of the worth of all that was asked for")
    _legend(panel)
    return figure


def _least(comparisons: Sequence[Comparison]) -> float:
    """Where the axis begins: a little below the worst of those that matter, so that one far behind does not squeeze them."""
    means = [(one.name, one.means["value"].mean) for comparison in comparisons for one in comparison.controllers]
    return max(min(v for _, v in means), min(v for name, v in means if name in (OURS, HPA)) - FAR_BEHIND)


def _scenario(panel: Axes, row: int, comparison: Comparison, *, least: float) -> None:
    others = [one for one in comparison.controllers if one.name not in (OURS, IDEAL, HPA)]
    panel.axhline(row, color=GRID, linewidth=0.6, zorder=0)
    for one in others:
        value = one.means["value"].mean
        marker = "o" if value >= least else "<"
        panel.plot(max(value, least), row, marker, color=MUTED, markersize=3.5, alpha=0.55, markeredgewidth=0)
    for one in comparison.controllers:
        if one.name == HPA:
            _estimate(panel, row, one, colour=BAD, marker="D", size=4.5)
        elif one.name == OURS:
            _estimate(panel, row, one, colour=GOOD, marker="o", size=7.0)
        elif one.name == IDEAL:
            panel.plot(one.means["value"].mean, row, "o", color=GOOD, markersize=10, fillstyle="none")
    ceiling = float(np.mean(list(comparison.bounds[comparison.programme].values())))
    panel.plot([ceiling, ceiling], [row - 0.28, row + 0.28], color=INK, linewidth=1.4)
    if others:
        best = max(others, key=lambda one: one.means["value"].mean)
        panel.annotate(
            f"{best.means['value'].mean:.3f}  {controller_name(best.name)}",
            (1.0, row),
            xycoords=("axes fraction", "data"),
            xytext=(12, 0),
            textcoords="offset points",
            va="center",
            color=MUTED,
            fontsize=7.5,
        )


def _estimate(panel: Axes, row: int, one: ControllerResult, *, colour: str, marker: str, size: float) -> None:
    """A mean with the interval of its resamples."""
    value = one.means["value"]
    panel.plot([value.low, value.high], [row, row], color=colour, linewidth=2.2, alpha=0.5, solid_capstyle="butt")
    panel.plot(value.mean, row, marker, color=colour, markersize=size, markeredgewidth=0)


def _legend(panel: Axes) -> None:
    entries = (
        ("Brownout, 95 % interval", "o", GOOD, 7.0, "full"),
        ("the same rules, told the truth (O3)", "o", GOOD, 9.0, "none"),
        ("HPA", "D", BAD, 4.5, "full"),
        ("others", "o", MUTED, 3.5, "full"),
        ("with foresight (O2)", "|", INK, 9.0, "full"),
    )
    handles = [
        panel.plot([], [], marker, color=colour, markersize=size, fillstyle=fill, label=label, linestyle="none")[0]
        for label, marker, colour, size, fill in entries
    ]
    panel.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(-(MARGINS_INCHES[0] - 0.1) / (WIDTH_INCHES - sum(MARGINS_INCHES[:2])), 1.0),
        ncols=len(handles),
        borderaxespad=0.6,
    )
    panel.annotate(
        "best of the others",
        (1.0, 1.0),
        xycoords="axes fraction",
        xytext=(12, 6),
        textcoords="offset points",
        color=MUTED,
        fontsize=7.5,
    )
