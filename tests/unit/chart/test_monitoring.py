"""Alerts and dashboards as Helm renders them."""

import json
from typing import Any

import yaml

from brownout_localcluster.charts import render_chart
from monitoring.exported import exported
from monitoring.panels import FILES
from monitoring.rules import CHART, RULES, RUNBOOKS, alerts


def objects(kind: str, **values: Any) -> dict[str, dict[str, Any]]:
    """The rendered objects of a kind by their names."""
    text = render_chart(CHART, "brownout", namespace="brownout-system", values=values)
    found = [each for each in yaml.safe_load_all(text) if each and each["kind"] == kind]
    return {each["metadata"]["name"]: each for each in found}


def rules_of(rendered: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {
        rule["alert"]: rule for each in rendered.values() for group in each["spec"]["groups"] for rule in group["rules"]
    }


def test_neither_is_there_unless_asked_for() -> None:
    assert not objects("PrometheusRule")
    assert not objects("ConfigMap")


def test_alerts_arrive_as_they_are_written_with_the_addresses_of_their_runbooks() -> None:
    url = "https://runbooks.example.com/brownout"
    rendered = objects("PrometheusRule", prometheusRule={"enabled": True, "runbookUrl": f"{url}/"})
    assert set(rendered) == {f"brownout-{path.stem}" for path in RULES}
    written = alerts()
    for name, rule in rules_of(rendered).items():
        linked = rule["annotations"].pop("runbook_url")
        assert linked == f"{url}/{name}.md"
        assert (RUNBOOKS / linked.rpartition("/")[2]).is_file(), name
        assert rule["annotations"] == {
            key: text for key, text in written[name]["annotations"].items() if key != "runbook_url"
        }
        assert {**rule, "annotations": {}} == {**written[name], "annotations": {}}
    assert set(rules_of(rendered)) == set(written)


def test_alerts_link_nothing_where_nobody_says_where_runbooks_are() -> None:
    rendered = rules_of(objects("PrometheusRule", prometheusRule={"enabled": True}))
    assert set(rendered) == set(alerts())
    assert all(set(rule["annotations"]) == {"summary", "description"} for rule in rendered.values())


def test_rules_carry_the_labels_by_which_a_prometheus_selects_them() -> None:
    rendered = objects("PrometheusRule", prometheusRule={"enabled": True, "labels": {"release": "monitoring"}})
    for rule in rendered.values():
        assert rule["metadata"]["labels"]["release"] == "monitoring"
        assert rule["metadata"]["labels"]["app.kubernetes.io/instance"] == "brownout"
        assert rule["metadata"]["namespace"] == "brownout-system"


def test_dashboards_arrive_byte_for_byte_where_the_sidecar_looks_for_them() -> None:
    rendered = objects(
        "ConfigMap",
        dashboards={"enabled": True, "namespace": "grafana", "annotations": {"grafana_folder": "Brownout"}},
    )
    data = {name: text for each in rendered.values() for name, text in each["data"].items()}
    assert data == {path.name: path.read_text().strip() for path in FILES}
    for each in rendered.values():
        assert each["metadata"]["namespace"] == "grafana"
        assert each["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert each["metadata"]["annotations"] == {"grafana_folder": "Brownout"}
        assert all(json.loads(text)["uid"] for text in each["data"].values())


def test_inference_servers_name_no_namespace_of_their_own() -> None:
    assert not [each.name for each in exported()["inference"].values() if "namespace" in each.labels]
