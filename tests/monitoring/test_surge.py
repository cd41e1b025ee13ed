"""In a real surge every panel has something to show, and a scrape as the docs describe it gives the labels that alerts rely on."""

import time
from collections.abc import Iterator

import pytest

from brownout_localcluster import LocalCluster
from monitoring.panels import Asked, queries
from monitoring.rules import alerts
from monitoring.surge import HOME, Surge, surge
from support.cluster import fresh_namespace

SECONDS = 120

SILENT = {
    "Learned cost over declared cost": "nothing is busy: load is stated here",
    "Missing or stale numbers": "none is",
    "Changes of direction within an hour": "nothing has come back yet",
    "Refused by the API server": "it refuses nothing",
    "FeatureFlag resources": "none are asked for",
    "Failed lists and watches": "none fails",
    "Renderings, and what could not be read": "all can be read",
    "Requests that were not counted": "all are",
    "Failed": "nothing fails",
    "Memory of the device": "a CPU does not tell",
}
"""Panels of which some or all queries have no series here, because what they count has not happened."""


@pytest.fixture(scope="module")
def running(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Surge]:
    with (
        fresh_namespace(cluster) as namespace,
        surge(cluster, namespace, tmp_path_factory.mktemp("surge")) as everything,
    ):
        yield everything


async def test_every_panel_shows_something(running: Surge) -> None:
    wanted = [asked for asked in queries() if asked.panel["title"] not in SILENT]
    until = time.monotonic() + SECONDS
    while empty := [asked for asked in wanted if not running.answer(asked.expr)]:
        assert time.monotonic() < until, "\n".join(map(str, empty))
        await running.ask()


async def test_legends_and_columns_have_values(running: Surge) -> None:
    """A label that is misspelt in a query's `by` is empty in its answer."""
    empty = [
        f"{asked}: {series['metric']}"
        for asked in queries()
        for series in running.answer(asked.expr)
        if not _named(asked) <= set(series["metric"])
    ]
    assert not empty


def _named(asked: Asked) -> set[str]:
    """The labels of a panel's legend; a cohort's and a refusal's may be empty, which Prometheus takes for none."""
    return {word.split("}}")[0] for word in asked.legend.split("{{")[1:]} - {"cohort"}


def test_products_metrics_keep_their_own_namespace_and_processes_have_that_of_their_pod(running: Surge) -> None:
    product = running.world.namespace.name
    (replicas,) = running.answer('brownout_scaler_replicas{state="desired"}')
    assert replicas["metric"]["namespace"] == product
    (tick,) = running.answer("brownout_last_tick_timestamp_seconds")
    assert tick["metric"]["namespace"] == HOME
    (length,) = running.answer('brownout_inference_running{workload="image"}')
    assert length["metric"]["namespace"] == product


def test_the_alert_of_refused_protected_users_joins_what_operator_and_servers_say(running: Surge) -> None:
    """Its two sides come from two programs; where their labels differ it would never fire."""
    firing = running.answer(alerts()["BrownoutProtectedUsersRefused"]["expr"])
    assert [series["metric"]["tier"] for series in firing] == ["pro"]
