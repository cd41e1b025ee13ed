"""`brownout drill` on a real control plane: what it measures, and that it ends: by itself, at once, and without us."""

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime

import pytest

from support.cluster import Manifest
from support.command import brownout, printed_json, start
from support.operator import Operator
from support.operator_world import API_VERSION, FEATURE, World
from support.waiting import wait_for

pytest_plugins = ("support.operator_fixtures",)


@pytest.fixture
def drilled(world: World, operator: Operator) -> World:
    """A world in which free users have the feature, and whose work is counted: one GPU-second for each request."""
    name = world.namespace.name
    busy = {"name": "work", "role": "Busy", "query": f'busy{{namespace="{name}"}}'}
    world.namespace.patch(API_VERSION, "InferenceScaler", "image", {"spec": {"metrics": [busy]}})
    world.set_load(pro=0.5, free=0.5, extra="busy 1.0")
    world.wait_for_variant("free", "full")
    wait_for(lambda: world.cluster.prometheus.query(f'busy{{namespace="{name}"}}'), "Prometheus counts the work")
    return world


def overrides(world: World) -> list[Manifest]:
    return world.namespace.list(API_VERSION, "FeatureOverride")


def overridden(world: World) -> str:
    cells = world.status("FeaturePolicy", FEATURE)["cells"]
    return str(next(cell for cell in cells if cell["tier"] == "free").get("overriddenTo", ""))


@pytest.fixture
def drills(drilled: World) -> "Iterator[list[subprocess.Popen[str]]]":
    """Drills that are under way; none is left behind."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


def drill(world: World, drills: "list[subprocess.Popen[str]]", *words: str) -> "subprocess.Popen[str]":
    process = start(world.cluster.kubeconfig, "drill", FEATURE, "-n", world.namespace.name, *words)
    drills.append(process)
    return process


def test_a_drill_tells_what_the_rung_saved_beside_what_the_plan_said(
    drilled: World, drills: "list[subprocess.Popen[str]]"
) -> None:
    measured = ("--prometheus-url", drilled.cluster.prometheus.url)
    process = drill(drilled, drills, "--for", "20s", "--before", "4s", "--settle", "8s", "-o", "json", *measured)
    wait_for(lambda: overridden(drilled) == "denied", "the override is in force", seconds=40)
    drilled.set_load(pro=0.5, free=0.5, admitted=0.0, extra="busy 0.5")
    out, err = process.communicate(timeout=120)

    assert process.returncode == 0, err
    report = json.loads(out)
    assert (report["audience"], report["variant"], report["ended"]) == ("free", "denied", "ended")
    assert report["predicted"] == pytest.approx(0.5, abs=0.05)
    assert report["saved"] == pytest.approx(0.5, abs=0.1), report
    (image,) = report["scalers"]
    assert image["before"]["busy"] == pytest.approx(1.0)
    assert report["notes"] == []
    assert overrides(drilled) == []
    wait_for(lambda: overridden(drilled) == "", "free is the loop's again")


def test_ctrl_c_ends_a_drill_at_once(drilled: World, drills: "list[subprocess.Popen[str]]") -> None:
    process = drill(drilled, drills, "--for", "10m", "--before", "1s")
    wait_for(lambda: overrides(drilled), "the override is there")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "; stopped" in out
    assert overrides(drilled) == []
    assert "Traceback" not in err


def test_a_drill_ends_by_itself_though_its_command_was_killed(
    drilled: World, drills: "list[subprocess.Popen[str]]"
) -> None:
    process = drill(drilled, drills, "--for", "12s", "--before", "1s")
    (found,) = wait_for(lambda: overrides(drilled), "the override is there")
    process.kill()  # SIGKILL: nothing of it runs any more
    process.communicate()

    ends = datetime.fromisoformat(found["spec"]["expireTime"]).timestamp()
    assert ends <= time.time() + 13
    wait_for(lambda: overridden(drilled) == "denied", "it is in force without the command")
    wait_for(lambda: overridden(drilled) == "", "it is over", seconds=30)
    assert time.time() >= ends - 1
    told = printed_json(
        brownout(drilled.cluster.kubeconfig, "why", "plan=free", FEATURE, "-n", drilled.namespace.name, "-o", "json")
    )
    assert told["variant"] == "full"
    assert [word["status"]["state"] for word in overrides(drilled)] == ["Expired"]


def test_a_drill_does_not_stand_above_a_persons_word(drilled: World, drills: "list[subprocess.Popen[str]]") -> None:
    deny = ("override", FEATURE, "--everybody", "--variant", "denied", "--for", "1h", "--reason", "x", "--name", "mine")
    assert brownout(drilled.cluster.kubeconfig, *deny, "-n", drilled.namespace.name).returncode == 0
    process = drill(drilled, drills, "--for", "10s", "--before", "1s")
    _, err = process.communicate(timeout=90)
    assert process.returncode == 1
    assert err.startswith("error: mine stands above the loop there")


# Where nothing can be measured nothing is taken


def refusal(world: World, drills: "list[subprocess.Popen[str]]", *words: str) -> str:
    """What a drill that must not begin says; nothing was taken for it."""
    process = drill(world, drills, "--for", "10s", "--before", "20s", *words)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1, err
    assert overrides(world) == []
    assert overridden(world) == ""
    line = err.splitlines()[-1]
    assert line.startswith("error: nothing can be measured, so nothing was taken from anybody: ")
    return line


def test_without_an_answer_of_prometheus_nothing_is_taken(
    drilled: World, drills: "list[subprocess.Popen[str]]"
) -> None:
    assert "Prometheus cannot be reached" in refusal(drilled, drills, "--prometheus-url", "http://127.0.0.1:9")


def test_a_feature_for_which_nobody_asks_is_not_drilled(drilled: World, drills: "list[subprocess.Popen[str]]") -> None:
    drilled.set_load(pro=0.5, free=0.0, extra="busy 0.5")
    wait_for(lambda: offered(drilled, "free") == [0.0], "Prometheus has heard that nobody asks")
    url = drilled.cluster.prometheus.url
    assert "nobody of free asks for it now" in refusal(drilled, drills, "--prometheus-url", url)


def test_a_workload_of_which_nothing_is_known_is_not_drilled(
    drilled: World, drills: "list[subprocess.Popen[str]]"
) -> None:
    drilled.set_gauges("")
    drilled.wait_for_sentence("FeaturePolicy", FEATURE, "MetricsAvailable", "the query returns nothing")
    wait_for(lambda: "saturationPercent" not in drilled.status("InferenceScaler", "image"), "its saturation is unknown")
    said = refusal(drilled, drills)
    assert "is known" in said
    assert said.endswith("a Prometheus is named by --prometheus-url")


def test_a_drill_ends_at_once_when_it_cannot_be_measured_any_more(
    drilled: World, drills: "list[subprocess.Popen[str]]"
) -> None:
    url = drilled.cluster.prometheus.url
    process = drill(drilled, drills, "--for", "5m", "--before", "2s", "--settle", "1s", "--prometheus-url", url)
    wait_for(lambda: overridden(drilled) == "denied", "the override is in force", seconds=40)
    drilled.set_gauges("")
    out, err = process.communicate(timeout=45)

    assert process.returncode == 1, err
    assert "ended early, because it could not be measured any more: " in out
    assert err.splitlines()[-1].startswith(
        "error: the drill was ended early, because it could not be measured any more"
    )
    assert overrides(drilled) == []
    wait_for(lambda: overridden(drilled) == "", "what was taken is given back")


def offered(world: World, tier: str) -> list[float]:
    """What Prometheus says of a tier's asks."""
    found = world.cluster.prometheus.query(f'offered{{namespace="{world.namespace.name}",tier="{tier}"}}')
    return [value for _, value in found]
