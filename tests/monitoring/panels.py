"""The dashboards' files, and every query in them as Grafana would send it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from support.examples import REPOSITORY

FOLDER = REPOSITORY / "charts" / "brownout" / "files" / "dashboards"
FILES = sorted(FOLDER.glob("*.json"))


class Asked(NamedTuple):
    """A query of a panel, with the labels that its legend or its columns name."""

    dashboard: str
    panel: dict[str, Any]
    expr: str
    legend: str

    def __str__(self) -> str:
        return f"{self.dashboard}: {self.panel['title']}: {self.expr}"


def load(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """All but the headings of rows."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def queries() -> Iterator[Asked]:
    """Everything that the dashboards ask, with all of each variable chosen."""
    for path in FILES:
        dashboard = load(path)
        for panel in panels(dashboard):
            for target in panel["targets"]:
                yield Asked(dashboard["uid"], panel, filled(target["expr"], dashboard), target["legendFormat"])


def filled(expr: str, dashboard: dict[str, Any]) -> str:
    """A query with its variables' values."""
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            expr = expr.replace(f"${variable['name']}", variable["allValue"] or ".*")
    return expr.replace("$__rate_interval", "1m")
