"""The first event of a process is seen: what an alert looks at the rise of is exported from the start, as 0.

For Prometheus a series that is born at 1 has not increased. So whatever `rate` and `increase` of the rules select has to be there
before anything happens, which is derived from the rules, so that a new one cannot miss it.
"""

from collections.abc import Iterator

import pytest
from prometheus_client import generate_latest

from brownout.api.resources import RESOURCES
from brownout.api.schema import Resource
from brownout.flags.beliefs import KINDS
from brownout.flags.metrics import Metrics as FlagMetrics
from brownout.publish.metrics import Metrics as OperatorMetrics
from brownout_inference.metrics import Meters
from monitoring.exported import from_the_start
from monitoring.promql import chosen, rises
from monitoring.rules import alerts
from support.prometheus import Remembering, prometheus


@pytest.fixture(scope="module")
def parser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remembering]:
    with prometheus(tmp_path_factory.mktemp("prometheus")) as running:
        yield running


def test_what_alerts_look_at_the_rise_of_is_there_from_the_start(parser: Remembering) -> None:
    missing, seen = [], 0
    for name, rule in alerts().items():
        for selector in rises(parser.get("parse_query", query=rule["expr"])):
            for labels in chosen(selector):
                seen += 1
                series = [
                    each
                    for each in from_the_start()
                    if each.name == selector["name"] and labels.items() <= each.labels.items()
                ]
                missing += [f"{name}: {selector['name']}{labels}"] * (not series)
    assert seen > 10
    assert not missing


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.plural)
def test_unreadable_objects_are_counted_from_0_for_each_kind(kind: Resource) -> None:
    page = generate_latest(FlagMetrics().registry).decode()
    assert f'brownout_flags_unreadable_objects_total{{kind="{kind.plural}"}} 0.0' in page


@pytest.mark.parametrize("operation", ["read", "write"])
def test_errors_of_the_snapshot_are_counted_from_0_for_each_operation(operation: str) -> None:
    page = generate_latest(FlagMetrics().registry).decode()
    assert f'brownout_flags_snapshot_errors_total{{operation="{operation}"}} 0.0' in page


@pytest.mark.parametrize("kind", RESOURCES, ids=lambda kind: kind.kind)
def test_refused_statuses_are_counted_from_0_for_each_kind(kind: Resource) -> None:
    assert f'brownout_kubernetes_api_errors_total{{what="{kind.kind}"}} 0.0' in OperatorMetrics().page().decode()


def test_refusals_and_failures_of_a_cell_are_counted_from_0_since_its_first_request() -> None:
    meters = Meters("image")
    meters.offered("images", "pro", "")
    page = meters.page().decode()
    at = 'cohort="",feature="images",reason="{}",tier="pro"'
    for reason in ("queue_full", "too_late"):
        assert f"brownout_feature_refused_total{{{at.format(reason)}}} 0.0" in page
    assert f"brownout_feature_failed_total{{{at.format('engine')}}} 0.0" in page
