"""The dashboards are what they are generated from, and what Grafana documents of its dashboard JSON."""

import json
from collections import Counter
from itertools import combinations
from typing import Any

import pytest

import dashboards
from monitoring.panels import FILES, load, panels

UNITS = {"none", "percentunit", "s", "reqps", "ops", "bytes", "dtdurations", "bool_yes_no"}
"""Those of Grafana's that we use: https://github.com/grafana/grafana/blob/main/packages/grafana-data/src/valueFormats/categories.ts"""
TYPES = {"row", "timeseries", "stat", "table", "state-timeline"}
COLUMNS = 24

every = pytest.mark.parametrize("dashboard", [load(path) for path in FILES], ids=[path.stem for path in FILES])


def test_the_committed_files_are_what_the_description_generates() -> None:
    assert {path: path.read_text() for path in FILES} == dashboards.documents()


def test_each_dashboard_has_an_address_of_its_own_that_is_its_files_name() -> None:
    uids = [load(path)["uid"] for path in FILES]
    assert uids == [path.stem for path in FILES]
    assert all(len(uid) <= 40 for uid in uids)
    assert len({load(path)["title"] for path in FILES}) == len(FILES)


@every
def test_panels_have_numbers_and_places_of_their_own(dashboard: dict[str, Any]) -> None:
    assert max(Counter(panel["id"] for panel in dashboard["panels"]).values()) == 1
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        assert place["x"] >= 0
        assert place["x"] + place["w"] <= COLUMNS
    for one, other in combinations(dashboard["panels"], 2):
        assert not overlap(one["gridPos"], other["gridPos"]), (one["title"], other["title"])


def overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    """Whether two places share a cell of the grid."""
    return (
        one["x"] < other["x"] + other["w"]
        and other["x"] < one["x"] + one["w"]
        and one["y"] < other["y"] + other["h"]
        and other["y"] < one["y"] + one["h"]
    )


@every
def test_every_panel_says_what_it_shows_in_a_unit_and_asks_the_chosen_prometheus(dashboard: dict[str, Any]) -> None:
    assert {panel["type"] for panel in dashboard["panels"]} <= TYPES
    for panel in panels(dashboard):
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["targets"], panel["title"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])
        assert all(target["instant"] != target["range"] for target in panel["targets"])


@every
def test_titles_are_unique_and_variables_are_used(dashboard: dict[str, Any]) -> None:
    assert max(Counter(panel["title"] for panel in panels(dashboard)).values()) == 1
    text = json.dumps(dashboard["panels"])
    for variable in dashboard["templating"]["list"]:
        name = variable["name"]
        assert f"${name}" in text or f"${{{name}}}" in text, name
