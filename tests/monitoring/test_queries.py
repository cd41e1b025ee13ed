"""Every query of dashboards and alerts reads metrics and labels that our programs really export. Prometheus itself parses them."""

import re
from collections.abc import Iterator

import pytest

from monitoring.exported import labels_of
from monitoring.panels import FILES, load, queries
from monitoring.promql import TARGET, UnknownError, labels
from monitoring.rules import alerts
from support.examples import SAMPLES
from support.prometheus import Remembering, prometheus


@pytest.fixture(scope="module")
def parser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remembering]:
    with prometheus(tmp_path_factory.mktemp("prometheus")) as running:
        yield running


def answer_labels(parser: Remembering, expr: str) -> frozenset[str]:
    return labels(parser.get("parse_query", query=expr), labels_of())


def test_panels_ask_for_what_is_exported_and_name_labels_that_the_answer_has(parser: Remembering) -> None:
    wrong = []
    for asked in queries():
        try:
            there = answer_labels(parser, asked.expr)
        except UnknownError as error:
            wrong.append(f"{asked}: {error}")
            continue
        named = set(re.findall(r"{{(\w+)}}", asked.legend))
        if asked.panel["type"] == "table":
            columns = asked.panel["transformations"][0]["options"]["indexByName"]
            named |= set(columns) - {"Value"}
        wrong += [f"{asked}: the answer has no label {name}" for name in named - there]
    assert not wrong


def test_alerts_ask_for_what_is_exported_and_name_labels_that_the_answer_has(parser: Remembering) -> None:
    wrong = []
    for name, rule in alerts().items():
        try:
            there = answer_labels(parser, rule["expr"])
        except UnknownError as error:
            wrong.append(f"{name}: {error}")
            continue
        said = " ".join(rule["annotations"].values())
        wrong += [
            f"{name}: the answer has no label {label}" for label in set(re.findall(r"\$labels\.(\w+)", said)) - there
        ]
    assert not wrong


def test_variables_offer_values_of_labels_that_are_exported(parser: Remembering) -> None:
    for path in FILES:
        dashboard = load(path)
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "datasource":
                continue
            found = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
            assert found is not None, variable["query"]
            chosen = re.sub(r"\$\w+", ".*", found[1])
            assert found[2] in answer_labels(parser, chosen), variable["query"]


@pytest.mark.parametrize(
    ("expr", "sentence"),
    [
        ("brownout_cells", "no program exports brownout_cells"),
        ('brownout_pool_gpus{pol="h100"}', "brownout_pool_gpus: no label pol"),
        ("sum by (scaler) (brownout_pool_gpus)", "sum by: no label scaler"),
        ("brownout_pool_gpus * on (pool) brownout_scaler_saturated", r"\* on: no label pool"),
        ("brownout_tick_duration_seconds", "no program exports brownout_tick_duration_seconds"),
    ],
)
def test_a_query_of_something_that_is_not_exported_is_found(parser: Remembering, expr: str, sentence: str) -> None:
    with pytest.raises(UnknownError, match=sentence):
        answer_labels(parser, expr)


def test_only_labels_that_any_scrape_adds_are_taken_for_granted() -> None:
    assert set(TARGET) == {"namespace", "pod", "job", "instance"}


def test_samples_ask_for_what_is_exported() -> None:
    named = {(path.name, name) for path in SAMPLES for name in re.findall(r"\bbrownout_\w+", path.read_text())}
    assert {"full.yaml"} <= {file for file, _ in named}
    assert {one for one in named if one[1] not in labels_of()} == set()
