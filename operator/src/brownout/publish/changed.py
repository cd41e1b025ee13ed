"""Whether a status is worth a write.

A status explains decisions, and numbers ride along; live values are metrics. A write for each number that moved would be a
write for each object at each tick, to the API server and to everybody who watches. So there are three classes:

- decisive: what was decided, what is so (counts of replicas, GPUs, rungs; conditions): written at once;
- explanatory: reasons, and messages apart from the numbers in them: written, but not more often than every few seconds;
- numbers: written, as seldom, where they moved far; in calm, very far. Noise writes nothing.
"""

import re
from datetime import datetime
from typing import Any

SETTLE_SECONDS = 10.0
"""The least time between two writes of one object that decide nothing."""
MOVED_POINTS = 10
"""Percentage points that count as moved while something happens."""
MOVED_FAR_POINTS = 25
"""Percentage points that count as moved in calm."""
MOVED_RETURN_SECONDS = 20.0
"""A cell's expected return is worth a write when it is off by this much."""

FIGURES = ("saturationPercent", "percent", "demanded", "offered", "admitted", "backlog")
"""What may come to be known, and not to be known any more."""

NOISY = frozenset(
    {"", "Demand", "Forecast", "Steady", "Stabilization", "Behavior", "MinReplicas", "SurvivorsCannotCarry"}
)
"""Rules among which a scaler's last one changes with noise; any other says how something is that people look for."""

Body = dict[str, Any]

_TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z?")
_NUMBER = re.compile(r"(?<![\w-])\d+(?:[.,]\d+)*(?![\w-])")


def worth_writing(old: Body, new: Body, *, since_last_write: float | None) -> bool:
    """Whether `new` should replace `old`; `since_last_write` in seconds, None where there was none that we know of."""
    if old == new:
        return False
    if _decisive(old) != _decisive(new):
        return True
    if since_last_write is not None and since_last_write < SETTLE_SECONDS:
        return False
    if _explained(old) != _explained(new):
        return True
    happening = _happening(new)
    if happening and _rule(old) != _rule(new):
        return True
    if happening:
        return _moved(old, new) >= MOVED_POINTS or _return_moved(old, new)
    return max(_moved(old, new), _offered_moved(old, new)) >= MOVED_FAR_POINTS


def _decisive(status: Body) -> Body:
    """What was decided, and what is so."""
    replicas, gpus, saturation = (status.get(name, {}) for name in ("replicas", "gpus", "saturation"))
    return {
        "observedGeneration": status.get("observedGeneration"),
        "version": status.get("version"),
        "state": status.get("state"),
        "tried": status.get("tried"),
        "cells": _cells(
            status, "tier", "cohort", "user", "variant", "percent", "overriddenTo", "since", "lastShedAt", "reversals"
        ),
        "overridden": status.get("cells") if isinstance(status.get("cells"), int) else None,
        "replicas": {name: replicas.get(name) for name in ("desired", "current", "ready", "coming")},
        "decisions": status.get("decisions"),
        "memory": status.get("memory"),
        "gpus": {name: gpus.get(name) for name in ("capacity", "granted", "held", "limitedBy")},
        "holders": status.get("holders"),
        "ladder": status.get("ladder"),
        "saturatedSince": saturation.get("since"),
        "conditions": {c["type"]: (c["status"], c.get("observedGeneration")) for c in status.get("conditions", [])},
    }


def _explained(status: Body) -> Body:
    """Reasons, and messages without their numbers."""
    return {
        "conditions": {c["type"]: (c["reason"], _words(c.get("message", ""))) for c in status.get("conditions", [])},
        "cells": [
            (c.get("reason"), _words(c.get("message", "")), *_refusal(c), "expectedReturn" in c)
            for c in _cell_list(status)
        ],
        "limitedBy": status.get("limitedBy"),
        "rule": "" if _rule(status) in NOISY else _rule(status),
        "known": _known(status),
        "reclaim": status.get("reclaim", {}).get("to"),
        "summary": None if "replicas" in status else _words(status.get("summary", "")),
    }


def _known(status: Body) -> list[tuple[str, str]]:
    """Which figures are there: one that is no longer known is not to stand for one that is."""
    parts = [("", status), *((name, status.get(name, {})) for name in ("replicas", "demand", "saturation"))]
    return [(name, figure) for name, part in parts for figure in FIGURES if figure in part]


def _refusal(cell: Body) -> tuple[str, str]:
    return cell.get("refusedBy", ""), _words(cell.get("refusal", ""))


def _rule(status: Body) -> str:
    """The rule that decided about a scaler; in calm it may change with noise, and decides nothing."""
    return str(status.get("summary", "")).partition(":")[0] if "replicas" in status else ""


def _cell_list(status: Body) -> list[Body]:
    cells = status.get("cells")
    return cells if isinstance(cells, list) else []


def _cells(status: Body, *names: str) -> list[Body]:
    return [{name: cell.get(name) for name in names} for cell in _cell_list(status)]


def _words(message: str) -> str:
    return _NUMBER.sub("#", _TIME.sub("#", message))


def _happening(status: Body) -> bool:
    """Whether somebody has reason to watch this object now."""
    replicas = status.get("replicas", {})
    if replicas.get("coming") or replicas.get("desired") != replicas.get("current"):
        return True
    return any(
        c["type"] in ("Saturated", "Shedding", "ScalingLimited") and c["status"] == "True"
        for c in status.get("conditions", [])
    )


def _moved(old: Body, new: Body) -> int:
    """By how many percentage points the saturation moved; 0 where it is not known of both."""
    before, now = _saturation(old), _saturation(new)
    return 0 if before is None or now is None else abs(now - before)


def _offered_moved(old: Body, new: Body) -> float:
    """By how many percent of the capacity a scaler's offered demand moved: what is asked for is not always let through."""
    before, now = (status.get("demand", {}) for status in (old, new))
    if "offered" not in before or "offered" not in now:
        return 0
    capacity = float(now.get("capacity", 0))
    return abs(float(now["offered"]) - float(before["offered"])) * 100 / capacity if capacity > 0 else 0


def _saturation(status: Body) -> int | None:
    """In percent: a scaler's own, or that of a pool's worst."""
    found = status.get("saturationPercent", status.get("saturation", {}).get("percent"))
    return None if found is None else int(found)


def _return_moved(old: Body, new: Body) -> bool:
    pairs = zip(_cell_list(old), _cell_list(new), strict=True)
    return any(
        abs(_seconds(after["expectedReturn"]) - _seconds(before["expectedReturn"])) >= MOVED_RETURN_SECONDS
        for before, after in pairs
        if "expectedReturn" in before and "expectedReturn" in after
    )


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()
