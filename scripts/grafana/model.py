"""What dashboards are made of, and how it becomes Grafana's dashboard JSON.

A row of panels is written down once; numbers, places and the repetitive rest follow. Schema: Grafana's documented dashboard JSON
model (schemaVersion 39, Grafana 11 and later read it and migrate it by themselves).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from string import ascii_uppercase
from typing import Any

SCHEMA_VERSION = 39
COLUMNS = 24
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
TAG = "brownout"


@dataclass(frozen=True, slots=True)
class Query:
    """PromQL, and what a series is called; without a legend by its labels."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """`unit` is one of Grafana's; `says` is what a reader may want to know of it; `custom`, `options` and `defaults` are Grafana's."""

    type: str
    title: str
    queries: tuple[Query, ...]
    unit: str
    says: str
    width: int = 8
    height: int = 8
    table: bool = False
    defaults: dict[str, Any] = field(default_factory=dict)
    custom: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    transformations: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """A heading and the panels below it."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice among the values of a label of a metric. The metric may be narrowed by other variables.

    narrowed: "all" means those values, and not every value that there may be.
    """

    name: str
    metric: str
    label: str = ""
    narrowed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """One dashboard; `uid` is also the file's name, and part of its address."""

    uid: str
    title: str
    says: str
    variables: Sequence[Variable]
    rows: Sequence[Row]


def lines(title: str, *queries: Query, unit: str, says: str, stacked: bool = False, **more: Any) -> Panel:
    """Values over time; stacked where their sum means something."""
    custom = {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 30 if stacked else 8,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
    }
    options = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    defaults = {"min": 0} | more.pop("defaults", {})
    return Panel(
        type="timeseries",
        title=title,
        queries=queries,
        unit=unit,
        says=says,
        custom=custom,
        options=options,
        defaults=defaults,
        **more,
    )


def number(title: str, *queries: Query, unit: str, says: str, bad: float | None = None, **more: Any) -> Panel:
    """One number, or a few, as of now; from `bad` on in red."""
    steps = [{"color": "text", "value": None}]
    if bad is not None:
        steps.append({"color": "red", "value": bad})
    defaults = {"thresholds": {"mode": "absolute", "steps": steps}} | more.pop("defaults", {})
    options = {
        "colorMode": "value",
        "graphMode": "area",
        "justifyMode": "auto",
        "orientation": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "textMode": "auto",
    }
    more = {"width": 4, "height": 4} | more
    return Panel(
        type="stat", title=title, queries=queries, unit=unit, says=says, options=options, defaults=defaults, **more
    )


def states(title: str, *queries: Query, says: str, names: Sequence[str], **more: Any) -> Panel:
    """Whole numbers over time as bands of colour, by their names."""
    colors = ("green", "yellow", "orange", "red", "dark-red", "purple")
    mapping = {
        str(value): {"text": name, "color": colors[min(value, len(colors) - 1)], "index": value}
        for value, name in enumerate(names)
    }
    defaults = {"mappings": [{"type": "value", "options": mapping}]}
    options = {
        "alignValue": "left",
        "mergeValues": True,
        "rowHeight": 0.85,
        "showValue": "auto",
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False},
        "tooltip": {"mode": "single", "sort": "none"},
    }
    return Panel(
        type="state-timeline",
        title=title,
        queries=queries,
        unit="none",
        says=says,
        options=options,
        defaults=defaults,
        custom={"fillOpacity": 70, "lineWidth": 0},
        **more,
    )


def table(title: str, query: Query, *, columns: Sequence[str], value: str, unit: str, says: str, **more: Any) -> Panel:
    """The series of this moment, a line each: labels in this order, then the value under a name ("" leaves it away)."""
    order = {name: place for place, name in enumerate([*columns, "Value"])}
    organize = {
        "id": "organize",
        "options": {
            "excludeByName": {"Time": True} | ({} if value else {"Value": True}),
            "indexByName": order,
            "renameByName": {"Value": value} if value else {},
        },
    }
    return Panel(
        type="table",
        title=title,
        queries=(query,),
        unit=unit,
        says=says,
        table=True,
        custom={"align": "auto", "cellOptions": {"type": "auto"}, "filterable": True},
        options={"showHeader": True, "cellHeight": "sm"},
        transformations=(organize,),
        **more,
    )


def as_json(dashboard: Dashboard) -> dict[str, Any]:
    """The dashboard as Grafana reads it."""
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.says,
        "tags": [TAG],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "fiscalYearStartMonth": 0,
        "timezone": "browser",
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timepicker": {},
        "links": [
            {
                "type": "dashboards",
                "title": "Brownout",
                "tags": [TAG],
                "asDropdown": True,
                "includeVars": True,
                "keepTime": True,
                "targetBlank": False,
                "icon": "external link",
                "tooltip": "",
                "url": "",
            }
        ],
        "annotations": {"list": []},
        "templating": {"list": [_datasource(), *map(_variable, dashboard.variables)]},
        "panels": list(_placed(dashboard.rows)),
    }


def _placed(rows: Sequence[Row]) -> Iterable[dict[str, Any]]:
    """Panels from left to right and from top to bottom, each row below its heading."""
    number, y = 1, 0
    for row in rows:
        yield {
            "id": number,
            "type": "row",
            "title": row.title,
            "collapsed": False,
            "gridPos": {"h": 1, "w": COLUMNS, "x": 0, "y": y},
            "panels": [],
        }
        number, y, x, tallest = number + 1, y + 1, 0, 0
        for panel in row.panels:
            if x + panel.width > COLUMNS:
                x, y, tallest = 0, y + tallest, 0
            yield _panel(panel, number, {"h": panel.height, "w": panel.width, "x": x, "y": y})
            number, x, tallest = number + 1, x + panel.width, max(tallest, panel.height)
        y += tallest


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": number,
        "type": panel.type,
        "title": panel.title,
        "description": panel.says,
        "datasource": DATASOURCE,
        "gridPos": place,
        "targets": [
            _target(panel, query, letter) for query, letter in zip(panel.queries, ascii_uppercase, strict=False)
        ],
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "custom": panel.custom, "mappings": [], **panel.defaults},
            "overrides": [],
        },
        "options": panel.options,
    }
    if panel.transformations:
        found["transformations"] = list(panel.transformations)
    return found


def _target(panel: Panel, query: Query, letter: str) -> dict[str, Any]:
    now = panel.table or panel.type == "stat"
    return {
        "refId": letter,
        "datasource": DATASOURCE,
        "editorMode": "code",
        "expr": " ".join(query.expr.split()),
        "format": "table" if panel.table else "time_series",
        "legendFormat": query.legend or "__auto",
        "instant": panel.table,
        "range": not panel.table,
    } | ({"interval": "15s"} if not now else {})


def _datasource() -> dict[str, Any]:
    return {
        "name": "datasource",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
        "hide": 0,
        "includeAll": False,
        "multi": False,
        "options": [],
        "refresh": 1,
        "regex": "",
        "skipUrlSync": False,
    }


def _variable(variable: Variable) -> dict[str, Any]:
    query = f"label_values({variable.metric}, {variable.label or variable.name})"
    return {
        "name": variable.name,
        "label": variable.name,
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "allValue": None if variable.narrowed else ".*",
        "hide": 0,
        "includeAll": True,
        "multi": True,
        "options": [],
        "refresh": 2,
        "regex": "",
        "skipUrlSync": False,
        "sort": 1,
    }
