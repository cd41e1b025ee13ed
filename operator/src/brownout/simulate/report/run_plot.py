"""One run over time, in panels one above the other."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from brownout.simulate.record import Floats, Record
from brownout.simulate.report import series
from brownout.simulate.report.theme import BAD, GOOD, GRID, INK, MIDDLE, MUTED, PALE

WIDTH_INCHES = 10.0
PANEL_INCHES = 0.8
LADDER_ROW_INCHES = 0.24
GAP_INCHES = 0.14
HEADED_GAP_INCHES = 0.42
LONG_SECONDS = 6 * 3600
"""Runs that are longer have an axis of hours."""
MARGINS_INCHES = (1.75, 0.15, 0.45)
"""Left, where the panels' names stand; right; and below."""


class _Column:
    """Panels one above the other on the same axis of minutes, so that what happens at the same time stands in one line."""

    def __init__(self, record: Record, heights: Sequence[float], heads: Sequence[int]) -> None:
        gaps = [HEADED_GAP_INCHES if panel in heads else GAP_INCHES for panel in range(len(heights))]
        left, right, below = MARGINS_INCHES
        tall = sum(heights) + sum(gaps) + below
        self.figure = Figure(figsize=(WIDTH_INCHES, tall))
        self.panels: list[Axes] = []
        at = tall
        for gap, height in zip(gaps, heights, strict=True):
            at -= gap + height
            place = (left / WIDTH_INCHES, at / tall, 1 - (left + right) / WIDTH_INCHES, height / tall)
            self.panels.append(self.figure.add_axes(place, sharex=self.panels[0] if self.panels else None))
        for panel in self.panels:
            _time(panel, record)
            panel.tick_params(labelbottom=panel is self.panels[-1])
        self.panels[-1].set_xlabel("hours" if _long(record) else "minutes")


def run_over_time(record: Record) -> Figure:
    """One run over time: requests by feature, the ladder, GPUs by workload, the pool."""
    features, rungs = series.features(record), series.rows(record)
    asks, loads = len(features), len(record.workloads)
    heights = [PANEL_INCHES] * asks + [max(0.5, LADDER_ROW_INCHES * len(rungs))]
    heights += [PANEL_INCHES] * loads + [1.6 * PANEL_INCHES]
    column = _Column(record, heights, heads=(0, asks, asks + 1, asks + loads + 1))
    panels = column.panels
    for panel, (name, cells) in zip(panels, features.items(), strict=False):
        _requests(panel, record, cells)
        _name(panel, name, "requests a second")
    _head(panels[0], "What users asked for, and got")
    _ladder(panels[asks], record, rungs)
    for w, panel in enumerate(panels[asks + 1 : -1]):
        _workload(panel, record, w)
        _name(panel, record.workloads[w], "GPUs")
    _head(panels[asks + 1], "GPUs of each workload")
    _pool(panels[-1], record)
    return column.figure


def _time(panel: Axes, record: Record) -> None:
    """The axis of minutes, with the times in which nobody could read a metric, and restarts of the controller."""
    panel.set_xlim(0, len(record.asked) * record.tick_seconds / 60)
    if _long(record):
        panel.xaxis.set_major_locator(MaxNLocator(nbins=9, steps=[1.2, 1.8, 2.4, 3.6, 6, 10]))
        panel.xaxis.set_major_formatter(FuncFormatter(lambda minutes, _: f"{minutes / 60:g}"))
    edges = np.flatnonzero(np.diff(np.concatenate([[False], record.stale, [False]]).astype(int)))
    for start, stop in edges.reshape(-1, 2) * record.tick_seconds / 60:
        panel.axvspan(start, stop, facecolor=GRID, edgecolor="none", alpha=0.6, zorder=0)
    for at in record.restarts:
        panel.axvline(at / 60, color=MUTED, linewidth=0.7, linestyle=(0, (1, 2)))


def _long(record: Record) -> bool:
    return len(record.asked) * record.tick_seconds > LONG_SECONDS


def _name(panel: Axes, name: str, unit: str) -> None:
    """What a panel shows, in the margin on its left."""
    for text, offset, colour in ((name, 1, INK), (unit, -10, MUTED)):
        panel.annotate(
            text,
            (0, 0.5),
            xycoords="axes fraction",
            xytext=(-34, offset),
            textcoords="offset points",
            ha="right",
            color=colour,
            fontsize=8,
        )


def _head(panel: Axes, text: str, handles: Sequence[Patch] | None = None) -> None:
    """The title of a group of panels, and on its right what the colours mean."""
    given: dict[str, Any] = {} if handles is None else {"handles": list(handles)}
    panel.set_title(text, x=-(MARGINS_INCHES[0] - 0.05) / (WIDTH_INCHES - sum(MARGINS_INCHES[:2])), fontweight="bold")
    panel.legend(loc="lower right", bbox_to_anchor=(1.0, 1.02), ncols=6, borderaxespad=0.2, **given)


def _requests(panel: Axes, record: Record, cells: list[int]) -> None:
    asked, good, late, offered = (
        counts[:, cells].sum(axis=1) for counts in (record.asked, record.good, record.late, record.offered)
    )
    into = series.bins(record, asked)
    rate = {name: series.a_second(c, into) for name, c in (("asked", asked), ("good", good), ("late", late))}
    _areas(
        panel,
        into.minutes,
        {
            "served within the objective": (rate["good"], GOOD),
            "late": (rate["late"], MIDDLE),
            "refused or unanswered": (np.maximum(0.0, rate["asked"] - rate["good"] - rate["late"]), BAD),
        },
    )
    _line(panel, into.minutes, series.a_second(offered, into), label="attempts, with retries, without hidden buttons")
    panel.set_ylim(bottom=0)
    panel.locator_params(axis="y", nbins=4)


def _workload(panel: Axes, record: Record, w: int) -> None:
    ready, held, pending = (gpus[:, w] for gpus in (record.ready, record.held, record.pending))
    _areas(
        panel,
        _minutes(record),
        {
            "ready": (ready, GOOD),
            "loading": (np.maximum(0.0, held - ready), MIDDLE),
            "pending": (pending, BAD),
        },
    )
    _asked_for(panel, record, record.latent[:, w])
    _gpus_up_to(panel, record, record.latent[:, w])


def _pool(panel: Axes, record: Record) -> None:
    minutes = _minutes(record)
    blues = mpl.colormaps["Blues"](np.linspace(0.85, 0.35, len(record.workloads)))
    held = zip(record.workloads, record.held.T, blues, strict=True)
    _areas(panel, minutes, {name: (gpus, to_hex(blue)) for name, gpus, blue in held})
    _asked_for(panel, record, record.latent.sum(axis=1))
    _line(panel, minutes, record.gpus, label="the pool", width=1.5)
    _gpus_up_to(panel, record, record.latent.sum(axis=1))
    _name(panel, "all workloads", "GPUs")
    _head(panel, "GPUs of the pool")


def _asked_for(panel: Axes, record: Record, flow: Floats) -> None:
    into = series.bins(record)
    label = "needed to serve all that is asked for"
    _line(panel, into.minutes, series.a_second(flow * record.tick_seconds, into), label=label)


def _gpus_up_to(panel: Axes, record: Record, flow: Floats) -> None:
    """An axis of GPUs up to half again the pool: what is asked for beyond that is said in words."""
    most, top = float(flow.max()), 1.5 * float(record.gpus.max())
    panel.set_ylim(bottom=0, top=top if most > top else None)
    panel.locator_params(axis="y", nbins=4, integer=True)
    if most > top:
        at = float(_minutes(record)[int(flow.argmax())])
        panel.annotate(
            f"up to {most:.0f}",
            (at, top),
            xytext=(0, -2),
            textcoords="offset points",
            color=MUTED,
            fontsize=7,
            ha="center",
            va="top",
        )


def _ladder(panel: Axes, record: Record, rungs: list[series.Row]) -> None:
    """A row for each cell and user alone, what loses first at the bottom; within a row the shares of its users on each variant."""
    minutes = _minutes(record)
    for row, share in enumerate(rung.shares for rung in rungs):
        colours = variant_colours(share.shape[1])
        level = np.full(len(minutes), float(row))
        for v in reversed(range(share.shape[1])):  # the best variant on top, so that what is taken grows from below
            height = 0.8 * share[:, v]
            _band(panel, minutes, level, level + height, colour=colours[v])
            level = level + height
    panel.set_yticks([row + 0.4 for row in range(len(rungs))], [rung.title for rung in rungs])
    panel.set_ylim(-0.1, max(1.0, float(len(rungs))))
    panel.grid(visible=False)
    shown = (("first variant", PALE), ("a lower one", MIDDLE), ("denied", BAD))
    _head(panel, "The ladder: the lowest is taken first", [Patch(color=colour, label=label) for label, colour in shown])


def variant_colours(count: int) -> list[str]:
    """From the best variant to the denial."""
    between = [MIDDLE, "#d68a3c", "#c9662f"]
    return [PALE, *(between[min(v, len(between) - 1)] for v in range(count - 2)), BAD][:count]


def _minutes(record: Record) -> Floats:
    """Where each tick begins."""
    minutes: Floats = np.arange(len(record.asked)) * record.tick_seconds / 60
    return minutes


def _areas(axis: Axes, minutes: Floats, parts: dict[str, tuple[Floats, str]]) -> None:
    level = np.zeros(len(minutes))
    for label, (values, colour) in parts.items():
        _band(axis, minutes, level, level + values, colour=colour, label=label)
        level = level + values


def _band(axis: Axes, minutes: Floats, low: Floats, high: Floats, *, colour: str, label: str = "") -> None:
    """The area between two series of steps that begin at `minutes`; moments at which neither changes are not written."""
    changes = (np.diff(low, prepend=np.nan) != 0) | (np.diff(high, prepend=np.nan) != 0)
    changes[-1] = True
    at = np.flatnonzero(changes)
    end = 2 * minutes[-1] - minutes[-2] if len(minutes) > 1 else minutes[-1] + 1
    axis.fill_between(
        np.append(minutes[at], end),
        np.append(low[at], low[-1]),
        np.append(high[at], high[-1]),
        where=np.append((high > low)[at], high[-1] > low[-1]) | np.append(False, (high > low)[at]),
        step="post",
        facecolor=colour,
        linewidth=0,
        label=label,
    )


def _line(panel: Axes, minutes: Floats, values: Floats, *, label: str, width: float = 0.8) -> None:
    panel.step(
        np.append(minutes, 2 * minutes[-1] - minutes[max(0, len(minutes) - 2)]),
        np.append(values, values[-1]),
        where="post",
        color=INK,
        linewidth=width,
        label=label,
    )
