"""The run as one picture: what was asked for, what was answered, GPUs and replicas, and who lost what."""

from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from math import nan
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes

from brownout_demo.records import CellMoment, Record
from brownout_demo.schedule import OBJECTIVE_SECONDS

mpl.use("agg")
import matplotlib.pyplot as plt

COLOURS = {"full": "#2a9d8f", "lite": "#e9c46a", "denied": "#e76f51"}
BUCKET_SECONDS = 5


def draw(record: Record, path: Path) -> None:
    """Write the plot; as PNG."""
    figure, axes = plt.subplots(4, 1, figsize=(11, 13), sharex=True, height_ratios=[2, 2, 2, 3])
    _demand(axes[0], record)
    _latency(axes[1], record)
    _gpus(axes[2], record)
    _cells(axes[3], record)
    axes[3].set_xlabel("seconds")
    axes[3].set_xlim(0, record.minutes * 60)
    figure.tight_layout()
    figure.savefig(path, dpi=90)
    plt.close(figure)


def _demand(axis: Axes, record: Record) -> None:
    images = [o for o in record.outcomes if o.group.feature == "image-generation"]
    for label, endings, colour in (
        ("asked for", ("served", "refused", "failed"), "#264653"),
        ("served", ("served",), COLOURS["full"]),
        ("refused", ("refused",), COLOURS["denied"]),
    ):
        counted = Counter(int(o.at // BUCKET_SECONDS) for o in images if o.ending in endings)
        times = [bucket * BUCKET_SECONDS for bucket in range(int(record.minutes * 60 / BUCKET_SECONDS))]
        axis.plot(times, [counted[t // BUCKET_SECONDS] / BUCKET_SECONDS for t in times], label=label, color=colour)
    axis.set_ylabel("images a second")
    axis.legend(loc="upper left")


def _latency(axis: Axes, record: Record) -> None:
    for tier, colour in (("pro", "#264653"), ("plus", COLOURS["full"]), ("free", COLOURS["denied"])):
        served = [
            o
            for o in record.outcomes
            if o.group.feature == "image-generation" and o.group.tier == tier and o.ending == "served"
        ]
        axis.plot([o.at for o in served], [o.seconds for o in served], ".", markersize=3, label=tier, color=colour)
    axis.axhline(OBJECTIVE_SECONDS["image-generation"], color="grey", linestyle="--", linewidth=1)
    axis.set_ylabel("seconds to an image")
    axis.legend(loc="upper left")


def _gpus(axis: Axes, record: Record) -> None:
    times = [m.at for m in record.moments]
    names = sorted({s.name for m in record.moments for s in m.scalers})
    ready = {
        name: [_gap(next((s.ready for s in m.scalers if s.name == name), 0)) for m in record.moments] for name in names
    }
    axis.stackplot(times, *ready.values(), labels=[f"{n} ready" for n in ready], alpha=0.8, step="post")
    axis.plot(
        times, [_gap(m.held) for m in record.moments], color="black", linewidth=1, label="held", drawstyle="steps-post"
    )
    axis.plot(times, [_gap(m.gpus) for m in record.moments], color="red", linewidth=1, linestyle="--", label="pool")
    axis.set_ylabel("GPUs")
    axis.legend(loc="upper left", ncols=len(names) + 2)


def _gap(value: int | None) -> float:
    """A point of a line; where it is not known the line has a gap."""
    return nan if value is None else float(value)


def _cells(axis: Axes, record: Record) -> None:
    """A bar for each cell that may be shed: its colour says what its users have."""
    changed = {flip.cell for flip in record.flips}
    if not record.moments:
        return
    rows = [c for c in record.moments[-1].cells if (c.feature, c.tier, c.cohort) in changed]
    for row, cell in enumerate(rows):
        for start, end, now in _spans(record, (cell.feature, cell.tier, cell.cohort)):
            share, width = now.percent / 100, end - start
            below = "lite" if now.variant == "full" and cell.feature == "image-generation" else "denied"
            for bottom, height, variant in ((row, share, now.variant), (row + 0.8 * share, 1 - share, below)):
                axis.barh(
                    bottom, width, left=start, height=0.8 * height, color=COLOURS.get(variant, "grey"), align="edge"
                )
    axis.set_yticks([row + 0.4 for row in range(len(rows))])
    axis.set_yticklabels([f"{c.feature}\n{c.tier}{'/' + c.cohort if c.cohort else ''}" for c in rows], fontsize=8)
    for name, colour in COLOURS.items():
        axis.plot([], [], color=colour, linewidth=6, label=name)
    axis.legend(loc="lower right", ncols=3)


def _spans(record: Record, key: tuple[str, str, str]) -> Iterator[tuple[float, float, CellMoment]]:
    """The times for which a cell stayed as it was: start, end, and how it was."""
    seen = [(m.at, c) for m in record.moments for c in m.cells if (c.feature, c.tier, c.cohort) == key]
    for _, run in groupby(seen, key=lambda item: (item[1].variant, item[1].percent)):
        spell = list(run)
        after = next((at for at, _ in seen if at > spell[-1][0]), spell[-1][0])
        yield spell[0][0], after, spell[0][1]
