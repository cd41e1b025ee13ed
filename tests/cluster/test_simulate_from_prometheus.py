"""What would it have done to us yesterday? Asked of a real Prometheus that remembers a surge."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml
from msgspec import structs

from brownout.cli.main import main
from brownout.simulate.rates import rates
from brownout.simulate.scenario import Scenario, read
from brownout.simulate.shipped import shipped
from support.operator_world import FEATURE, World
from support.prometheus import Remembering, counters, prometheus

pytest_plugins = ("support.operator_fixtures",)

EVERY = 15
MEDIA = shipped()["s02-step"].parent / "manifests" / "media"
HOW = ["--last", "40m", "--step", "15s", "--seeds", "1", "--jobs", "1", "--manifests", str(MEDIA)]


@pytest.fixture(scope="module")
def yesterday() -> Scenario:
    """Free users' images step up eightfold: what Prometheus is told."""
    return structs.replace(read(shipped()["s02-step"]), seconds=45 * 60.0)


@pytest.fixture(scope="module")
def remembering(tmp_path_factory: pytest.TempPathFactory, yesterday: Scenario) -> Iterator[Remembering]:
    """The last 45 minutes of S2 as the reference server's counters, all of it let through; and what the operator says."""
    demand = rates(yesterday)[: EVERY * (45 * 60 // EVERY)].reshape(-1, EVERY, len(yesterday.demand)).mean(axis=1)
    end = time.time()
    with prometheus(tmp_path_factory.mktemp("prometheus")) as running:
        for name in ("brownout_feature_offered_total", "brownout_feature_admitted_total"):
            by_labels = {
                (
                    ("cohort", s.cohort),
                    ("feature", s.feature),
                    ("namespace", "default"),
                    ("tier", s.tier),
                ): column.tolist()
                for s, column in zip(yesterday.demand, demand.T, strict=True)
            }
            running.remember(counters(name, by_labels, end=end, every=EVERY), counter=True)
        gauges = [
            (end - ago, name, labels, value)
            for ago in range(45 * 60, -1, -EVERY)
            for name, labels, value in (
                ("brownout_pool_gpus", {"pool": "media", "state": "capacity"}, 24.0),
                ("brownout_scaler_replicas", {"namespace": "default", "scaler": "image", "state": "ready"}, 9.0),
            )
        ]
        running.remember(gauges, counter=False)
        yield running


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What is printed where the command ends with 2."""
    assert main(["simulate", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "Traceback" not in said.err
    return said.err


def test_yesterday_comes_back_as_it_was_and_can_be_run_again(
    remembering: Remembering, yesterday: Scenario, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved, first, again = tmp_path / "saved", tmp_path / "first.json", tmp_path / "again.json"
    assert (
        main(["simulate", "--from-prometheus", remembering.url, *HOW, "--save", str(saved), "--json", str(first)]) == 0
    )
    said = capsys.readouterr()
    assert "brownout" in said.out
    assert "HPA" in said.out
    found = read(saved / "scenario.yaml")
    assert (found.seconds, found.pool.nodes * found.pool.gpus_per_node) == (2400, 24)
    assert found.workloads["image"].start_replicas == 9
    assert found.workloads["image"].cold_start_seconds == 180
    assert found.paying == ("pro", "plus")
    was = rates(yesterday)[300:2700].mean(axis=0)
    came = {(s.feature, s.tier, s.cohort): r for s, r in zip(found.demand, rates(found).mean(axis=0), strict=True)}
    for stream, rate in zip(yesterday.demand, was, strict=True):
        assert came[stream.feature, stream.tier, stream.cohort] == pytest.approx(rate, rel=0.05)

    assert main(["simulate", str(saved / "scenario.yaml"), "--seeds", "1", "--jobs", "1", "--json", str(again)]) == 0
    assert json.loads(first.read_text())[0]["controllers"] == json.loads(again.read_text())[0]["controllers"]


def test_what_metrics_cannot_say_is_said(
    remembering: Remembering, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["simulate", "--from-prometheus", remembering.url, *HOW, "--save", str(tmp_path / "saved")])
    said = capsys.readouterr().err
    for words in ("Hidden demand", "truly cost", "how many replicas were ready: taken as", "retries as asks", "Worth"):
        assert words in said, words
        assert words in (tmp_path / "saved" / "scenario.yaml").read_text().replace("\n#   ", " "), words


def test_a_policy_without_series_is_named_with_its_query(
    remembering: Remembering, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(
        ["--from-prometheus", remembering.url, *HOW[:-1], _with_query(tmp_path, "sum(no_such_metric)")], capsys
    )
    assert "FeaturePolicy default/video: demand.offered: sum(no_such_metric): no series came back for the last" in said


def test_a_query_that_prometheus_does_not_understand_is_quoted_with_its_words(
    remembering: Remembering, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(["--from-prometheus", remembering.url, *HOW[:-1], _with_query(tmp_path, "sum by (tier")], capsys)
    assert "FeaturePolicy default/video: demand.offered: sum by (tier: Prometheus says (HTTP 400)" in said
    assert "parse error" in said


def test_series_without_a_tier_say_which_labels_they_have(
    remembering: Remembering, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    query = 'sum by (feature, cohort) (rate(brownout_feature_offered_total{feature="video"}[30s]))'
    said = refused(["--from-prometheus", remembering.url, *HOW[:-1], _with_query(tmp_path, query)], capsys)
    assert "has no label 'tier' (its labels: " in said
    assert "feature" in said


def test_a_time_before_anything_was_remembered_has_no_data(
    remembering: Remembering, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(["--from-prometheus", remembering.url, *HOW, "--last", "20s", "--step", "1s", "-n", "other"], capsys)
    assert "FeaturePolicy other/chat: demand.offered" in said
    assert 'namespace="other"' in said


def test_without_manifests_those_of_the_cluster_are_taken(
    remembering: Remembering, world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prometheus knows nothing of this namespace, so the question that it cannot answer says whose policy asked it."""
    monkeypatch.setenv("KUBECONFIG", str(world.cluster.kubeconfig))
    said = refused(["--from-prometheus", remembering.url, *HOW[:-2], "-n", world.namespace.name], capsys)
    assert f"FeaturePolicy {world.namespace.name}/{FEATURE}: demand.offered: " in said
    assert "no series came back" in said


def test_what_is_no_prometheus_is_told_from_one(capsys: pytest.CaptureFixture[str]) -> None:
    with _web_page() as url:
        said = refused(["--from-prometheus", url, *HOW], capsys)
    assert f"{url}: does not answer as Prometheus does (HTTP 200, '<html>hello</html>')" in said


def _with_query(folder: Path, query: str) -> str:
    """The manifests, where the offered rate of video is asked with another query."""
    bodies = [body for file in sorted(MEDIA.glob("*.yaml")) for body in yaml.safe_load_all(file.read_text())]
    for body in bodies:
        if (body["kind"], body["metadata"]["name"]) == ("FeaturePolicy", "video"):
            body["spec"]["demand"] = {"offered": {"query": query}}
    (folder / "all.yaml").write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": bodies}))
    return str(folder / "all.yaml")


@contextmanager
def _web_page() -> Iterator[str]:
    """A server that answers everything with a page."""

    class Page(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>hello</html>")

        def log_message(self, *_: object) -> None:
            """Nothing: a test prints only what it is about."""

    server = HTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
