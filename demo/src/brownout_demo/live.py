"""What the terminal and the page show: the present moment and how each tier fared in the last seconds."""

from typing import Any

from rich.console import Group as Together
from rich.console import RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from brownout_demo.figures import fared
from brownout_demo.records import CellMoment, Moment, Record
from brownout_demo.schedule import phase

LOOK_BACK_SECONDS = 15.0
LAST_FLIPS = 8
STYLES = {"full": "green", "lite": "yellow", "denied": "red"}


def picture(record: Record, now: float) -> dict[str, Any]:
    """The present state as JSON values, for both."""
    moment = record.moments[-1] if record.moments else Moment(now, None, None, None, False, "", (), ())
    recent = [o for o in record.outcomes[-4000:] if o.at + o.seconds >= now - LOOK_BACK_SECONDS]
    return {
        "at": round(now, 1),
        "minutes": record.minutes,
        "phase": phase(now, minutes=record.minutes),
        "gpus": moment.gpus,
        "held": moment.held,
        "saturation": moment.saturation_percent,
        "ladder": moment.ladder,
        "scalers": [vars(scaler) for scaler in moment.scalers],
        "cells": [vars(cell) for cell in moment.cells],
        "tiers": fared(recent),
        "flips": [
            f"{flip.at:5.0f} s  {flip.feature} for {flip.tier}{'/' + flip.cohort if flip.cohort else ''}: "
            f"{_level(flip.from_variant, flip.from_percent)} -> {_level(flip.to_variant, flip.percent)}  {flip.message}"
            for flip in record.flips[-LAST_FLIPS:]
        ],
    }


def _level(variant: str, percent: int) -> str:
    return variant if percent == 100 else f"{variant} {percent} %"


def line(state: dict[str, Any]) -> str:
    """The state of `picture` in a line of a log."""
    ready = "".join(f", {s['name']} {_count(s['ready'])}/{_count(s['desired'])}" for s in state["scalers"])
    full = _percent(state["saturation"])
    return (
        f"[{state['phase']}] GPUs {_count(state['held'])}/{_count(state['gpus'])}, saturation {full}, "
        f"ladder {state['ladder'] or '-'}{ready}"
    )


def screen(record: Record, now: float, *, page: str) -> RenderableType:
    """The terminal's view."""
    state = picture(record, now)
    head = Text.assemble(
        (f" {state['phase']} ", "bold reverse"),
        f"  {now:.0f} s of {record.minutes * 60:.0f}   GPUs {_count(state['held'])}/{_count(state['gpus'])}   ",
        (f"saturation {_percent(state['saturation'])}", "red" if (state["saturation"] or 0) > 100 else "green"),
        f"   ladder {state['ladder'] or '-'}   {page}",
    )
    return Together(
        head,
        ProgressBar(total=record.minutes * 60, completed=min(now, record.minutes * 60)),
        _scalers(state),
        _ladder(record.moments[-1].cells if record.moments else ()),
        _tiers(state),
        Panel("\n".join(state["flips"]) or "nothing has been taken from anybody", title="last flips"),
    )


def _count(value: int | None) -> str:
    """A number; what is not known is not 0."""
    return "-" if value is None else str(value)


def _percent(value: int | None) -> str:
    return "unknown" if value is None else f"{value} %"


def _scalers(state: dict[str, Any]) -> Table:
    table = Table("workload", "ready", "coming", "desired", "demanded", "full", "why", expand=True)
    for s in state["scalers"]:
        numbers = [_count(s[name]) for name in ("ready", "coming", "desired", "demanded")]
        table.add_row(
            s["name"], *numbers, _percent(s["saturation_percent"]), Text(s["why"], overflow="ellipsis", no_wrap=True)
        )
    return table


def _ladder(cells: tuple[CellMoment, ...]) -> Table:
    table = Table("feature", "tier", "has", "why", expand=True)
    for cell in cells:
        who = f"{cell.tier}/{cell.cohort}" if cell.cohort else cell.tier
        has = Text(_level(cell.variant, cell.percent), STYLES.get(cell.variant, ""))
        table.add_row(cell.feature, who, has, Text(f"{cell.reason} {cell.message}", overflow="ellipsis", no_wrap=True))
    return table


def _tiers(state: dict[str, Any]) -> Table:
    table = Table(
        f"last {LOOK_BACK_SECONDS:.0f} s", "answered", "served", "in time", "refused", "failed", "p95", expand=True
    )
    for name, row in state["tiers"].items():
        p95 = "-" if row["p95_seconds"] is None else f"{row['p95_seconds']:.1f} s"
        numbers = [str(row[key]) for key in ("offered", "served", "within_objective", "refused", "failed")]
        table.add_row(name, *numbers, p95)
    return table
