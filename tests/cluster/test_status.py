"""`brownout status` on a real control plane: once, in the formats that scripts read, and live."""

import json
import os
import pty
import select
import signal
import subprocess
import time
from typing import Any

from support.cluster import python_pod
from support.command import BROWNOUT, brownout, environment, printed_json, start
from support.operator import Operator
from support.operator_world import API_VERSION, FEATURE, SLEEP, World, override
from support.waiting import wait_for

pytest_plugins = ("support.operator_fixtures",)

FAR = "2099-01-01T00:00:00Z"


def test_the_overview_has_the_same_objects_in_every_format(world: World, operator: Operator) -> None:
    where, of = world.cluster.kubeconfig, ("-n", world.namespace.name)
    world.wait_for_variant("free", "full")
    world.namespace.create(override("mine", "denied", until=FAR))

    def seen() -> bool:
        found = printed_json(brownout(where, "status", "-o", "json", *of))
        rows = {row["tier"]: row["has"] for row in found["features"]}
        return rows == {"free": "denied, by override", "pro": "denied, by override"}

    wait_for(seen, "both tiers are overridden")
    found = printed_json(brownout(where, "status", "-o", "json", *of))
    assert [row["name"] for row in found["overrides"]] == ["mine"]
    assert [row["name"] for row in found["scalers"]] == ["image"]
    names = brownout(where, "status", "-o", "name", *of).stdout.split()
    assert f"featurepolicy.brownout.dev/{FEATURE}" in names
    assert f"gpupool.brownout.dev/{world.pool}" in names
    plain = brownout(where, "status", *of).stdout
    assert f"{world.namespace.name}/mine" in plain
    assert "\x1b" not in plain
    assert "OFFERED" in brownout(where, "status", "-o", "wide", *of).stdout
    assert f"{world.namespace.name}/{FEATURE}" in brownout(where, "status", "-A").stdout


def test_saturation_that_is_not_known_is_nowhere_shown_as_zero(world: World, operator: Operator) -> None:
    where, of = world.cluster.kubeconfig, ("-n", world.namespace.name)
    world.set_load(pro=0.0, free=0.0)
    wait_for(lambda: world.status("InferenceScaler", "image")["saturationPercent"] == 0, "a measured 0 is 0")
    ratio = ("brownout_scaler_saturation_ratio{", f'"{world.namespace.name}"')
    assert line_of(operator.get("/metrics"), *ratio).endswith(" 0.0")

    world.set_gauges("")  # nobody answers for the demand any more
    wait_for(lambda: "saturationPercent" not in world.status("InferenceScaler", "image"), "it is not known")
    wait_for(lambda: world.pool_status()["saturation"] == {"unknown": 1}, "nor is the pool's")
    assert world.condition("InferenceScaler", "image", "Saturated")["status"] == "Unknown"
    assert "demanded" not in world.status("InferenceScaler", "image")["replicas"]
    assert line_of(operator.get("/metrics"), *ratio) == ""
    rows = printed_json(brownout(where, "status", "-o", "json", *of))
    assert [row["saturationPercent"] for row in (*rows["scalers"], *pools(rows, world))] == [None, None]
    shown = brownout(where, "status", *of).stdout
    assert "unknown" in line_of(shown, f"{world.namespace.name}/image ")
    assert "unknown" in line_of(shown, f"{world.pool} ")
    assert "  saturation   unknown" in brownout(where, "explain", "scaler", "image", *of).stdout.splitlines()

    before = world.replicas()
    operator.kill()
    operator.start()  # and what status does not say is not read back as nothing
    assert "saturationPercent" not in world.status("InferenceScaler", "image")
    assert world.replicas() == before
    world.set_load(pro=0.5, free=0.5)
    wait_for(lambda: world.status("InferenceScaler", "image").get("saturationPercent", 0) > 0, "it is known again")


def line_of(page: str, *words: str) -> str:
    """The first line with these words; empty where there is none."""
    return next((line for line in page.splitlines() if all(word in line for word in words)), "")


def pools(rows: dict[str, Any], world: World) -> list[dict[str, Any]]:
    """The rows of this world's pool: other tests' pools are the cluster's too."""
    return [row for row in rows["pools"] if row["name"] == world.pool]


def test_a_persons_word_is_told_as_it_is_served_whether_or_not_an_operator_runs(
    world: World, operator: Operator
) -> None:
    where, of = world.cluster.kubeconfig, ("-n", world.namespace.name)
    world.wait_for_variant("free", "full")
    operator.kill()  # status is as old as can be
    world.namespace.create(override("mine", "denied", until=FAR))
    created = world.namespace.get(API_VERSION, "FeatureOverride", "mine")["metadata"]["creationTimestamp"]

    rows = printed_json(brownout(where, "status", "-o", "json", *of))["features"]
    assert {row["tier"]: (row["has"], row["reason"], row["since"]) for row in rows} == dict.fromkeys(
        ("free", "pro"), ("denied, by override", "Override", created)
    )
    (told,) = printed_json(brownout(where, "explain", "policy", FEATURE, "--tier", "free", "-o", "json", *of))
    assert (told["rule"], told["because"], told["since"]) == ("Override", "FeatureOverride mine: a test", created)

    world.namespace.delete(API_VERSION, "FeatureOverride", "mine")
    (row,) = printed_json(brownout(where, "status", "-o", "json", *of))["features"]
    assert (row["tier"], row["has"]) == ("", "full")


def test_that_nobody_decides_is_said_before_what_was_decided_last(world: World) -> None:
    labels = {"app.kubernetes.io/name": "brownout", "app.kubernetes.io/component": "operator"}

    def warned() -> str:
        return brownout(world.cluster.kubeconfig, "status", "-n", world.namespace.name).stderr

    wait_for(lambda: "nobody decides now unless one runs elsewhere" in warned(), "there is no pod of an operator")
    never_ready = {"readinessProbe": {"httpGet": {"port": 9, "path": "/readyz"}}}
    world.namespace.create(python_pod("operator-1", SLEEP, labels=labels, container=never_ready))
    wait_for(lambda: f"no operator is ready ({world.namespace.name}/operator-1)" in warned(), "it is named")
    world.namespace.create(python_pod("operator-2", SLEEP, labels=labels))
    wait_for(lambda: "nobody decides" not in warned(), "one that is ready is enough")


def test_watching_tells_of_each_change_and_ends_with_ctrl_c(world: World, operator: Operator) -> None:
    world.wait_for_variant("free", "full")
    process = start(world.cluster.kubeconfig, "status", "--watch", "-o", "json", "-n", world.namespace.name)
    assert process.stdout is not None
    try:
        first = json.loads(process.stdout.readline())
        assert first["overrides"] == []
        world.namespace.create(override("mine", "denied", until=FAR))
        told = json.loads(process.stdout.readline())
        while [row["name"] for row in told["overrides"]] != ["mine"]:
            told = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.communicate()


def test_a_terminal_gets_one_page_that_changes_in_place(world: World, operator: Operator) -> None:
    world.wait_for_variant("free", "full")
    ours, theirs = pty.openpty()
    command = [*BROWNOUT, "status", "--watch", "-n", world.namespace.name]
    variables = environment(world.cluster.kubeconfig) | {"TERM": "xterm-256color", "LINES": "40"}
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=variables)
    os.close(theirs)
    shown = b""

    def has(words: bytes) -> bool:
        nonlocal shown
        while select.select([ours], [], [], 0)[0]:
            try:
                shown += os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
        return words in shown

    try:
        wait_for(lambda: has(b"everybody it is for"), "the page shows the feature")
        world.namespace.create(override("mine", "denied", until=FAR))
        wait_for(lambda: has(b"denied, by override"), "the page shows the override")
        process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + 10
        while process.poll() is None and time.monotonic() < deadline:
            has(b"")  # a terminal that nobody reads from holds its writer up
        assert process.returncode == 0, shown[-2000:]
        assert b"\x1b[?1049l" in shown  # back on the first screen
        assert b"Traceback" not in shown
    finally:
        process.kill()
        process.wait()
        os.close(ours)
