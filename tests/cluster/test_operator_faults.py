"""What an operator meets in its life, on a real control plane: each gets a condition with a sentence, costs only what it
names, takes no replica and changes no feature on data that is not there."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.operator import Operator, install_kinds
from support.operator_world import API_VERSION, FEATURE, World, deployment, ours, plan
from support.waiting import holds_for, wait_for

pytest_plugins = ("support.operator_fixtures",)


def surge(world: World) -> tuple[str, int]:
    """More than the pool carries: all GPUs are in use, and free users have lost something. Returns what they have."""
    world.set_load(pro=2, free=20)
    world.wait_for_replicas(4)
    wait_for(lambda: world.served("free") != ("full", 100), "free users lose something")
    wait_for(lambda: world.status("InferenceScaler", "image")["replicas"]["ready"] == 4, "four replicas are ready")
    return settled(lambda: world.served("free"))


def settled(look: Callable[[], tuple[str, int]]) -> tuple[str, int]:
    """What something is once it has stayed so for longer than a dwell and a step last."""
    seen = look()

    def stays() -> bool:
        nonlocal seen
        before, seen = seen, look()
        assert before == seen
        holds_for(lambda: look() == seen, f"it stays {seen}", seconds=8)
        return True

    wait_for(stays, "it settles", seconds=60)
    return seen


def test_demand_that_is_missing_changes_no_feature(world: World, operator: Operator) -> None:
    lost = surge(world)
    broken = {"demand": {"offered": {"query": "sum("}, "admitted": {"query": "sum("}}}
    world.namespace.patch(API_VERSION, "FeaturePolicy", FEATURE, {"spec": broken})
    found = world.wait_for_sentence("FeaturePolicy", FEATURE, "MetricsAvailable", "demand.offered")
    assert found["status"] == "False"
    world.set_load(pro=0.1, free=0.1)
    holds_for(lambda: world.served("free") == lost, "free users keep what they have", seconds=8)
    assert world.replicas() == 4


def test_prometheus_that_stops_in_mid_surge_freezes_everything_and_nothing_is_lost(
    world: World, operator: Operator
) -> None:
    lost = surge(world)
    world.cluster.prometheus.stop()
    try:
        found = world.wait_for_sentence("InferenceScaler", "image", "MetricsAvailable", "Prometheus cannot be reached")
        assert found["status"] == "False"
        holds_for(lambda: world.served("free") == lost, "free users keep what they have", seconds=8)
        assert world.replicas() == 4
    finally:
        world.cluster.prometheus.start()
    wait_for(
        lambda: world.condition("InferenceScaler", "image", "MetricsAvailable")["status"] == "True",
        "evidence is back",
        seconds=60,
    )
    world.set_load(pro=0.5, free=0.5, admitted=0.05)
    world.wait_for_variant("free", "full", seconds=120)


def test_a_prometheus_that_hangs_does_not_hang_the_operator(world: World, operator: Operator) -> None:
    world.wait_for_replicas(2)
    world.cluster.prometheus.pause()
    try:
        world.wait_for_sentence("InferenceScaler", "image", "MetricsAvailable", "no answer from Prometheus")
        assert "the last tick ended" in operator.get("/livez")
        assert world.replicas() == 2
    finally:
        world.cluster.prometheus.resume()


def test_an_operator_killed_in_mid_surge_reverses_nothing_when_it_is_back(world: World, operator: Operator) -> None:
    lost = surge(world)
    before = world.status("FeaturePolicy", FEATURE)
    operator.kill()
    operator.start()
    holds_for(lambda: world.served("free") == lost and world.replicas() == 4, "nothing is reversed", seconds=8)
    after = world.status("FeaturePolicy", FEATURE)
    assert after["version"] == before["version"]
    assert [cell["since"] for cell in after["cells"]] == [cell["since"] for cell in before["cells"]]
    world.set_load(pro=0.5, free=0.5, admitted=0.05)
    world.wait_for_variant("free", "full", seconds=120)


def test_a_pod_that_never_becomes_ready_is_given_up_and_said(world: World, operator: Operator) -> None:
    never: dict[str, Any] = {"readinessProbe": {"exec": {"command": ["false"]}, "periodSeconds": 1}}
    world.namespace.create(deployment("video", **never))
    cold = {"expectedSeconds": 2, "giveUpAfterSeconds": 10}
    world.namespace.create(world.scaler("video", scaleTargetRef={"name": "video"}, coldStart=cold))
    found = world.wait_for_sentence("InferenceScaler", "video", "Ready", "did not become ready within")
    assert (found["status"], found["reason"]) == ("False", "PodsNotReady")
    assert world.status("InferenceScaler", "video")["replicas"]["ready"] == 0
    world.set_load(pro=1, free=1)
    wait_for(lambda: world.replicas() >= 3, "the other workload still gets GPUs")


def test_advise_decides_and_publishes_and_writes_nothing(world: World, operator: Operator) -> None:
    world.wait_for_replicas(2)
    advise = {"spec": {"mode": "Advise"}}
    world.namespace.patch(API_VERSION, "InferenceScaler", "image", advise)
    world.namespace.patch(API_VERSION, "FeaturePolicy", FEATURE, advise)
    wait_for(lambda: world.status("FeaturePolicy", FEATURE)["observedGeneration"] == 2, "the new mode is seen")
    world.set_load(pro=2, free=20)
    wait_for(lambda: world.status("InferenceScaler", "image")["replicas"]["desired"] > 2, "more would be written")
    wait_for(lambda: world.pool_status()["saturation"]["percent"] > 100, "the pool is saturated")
    holds_for(lambda: world.replicas() == 2, "no replicas are written", seconds=5)
    assert world.served("free") == ("full", 100)
    assert "Advise" in world.status("InferenceScaler", "image")["summary"]


def test_paused_leaves_everything_as_it_is(world: World, operator: Operator) -> None:
    lost = surge(world)
    paused = {"spec": {"mode": "Paused"}}
    world.namespace.patch(API_VERSION, "InferenceScaler", "image", paused)
    world.namespace.patch(API_VERSION, "FeaturePolicy", FEATURE, paused)
    wait_for(lambda: world.status("FeaturePolicy", FEATURE)["observedGeneration"] == 2, "the new mode is seen")
    world.set_load(pro=0.1, free=0.1)
    holds_for(lambda: world.replicas() == 4 and world.served("free") == lost, "everything stays", seconds=10)


def test_a_person_who_scales_by_hand_is_not_fought_within_a_tick_and_then_overruled(
    world: World, operator: Operator
) -> None:
    world.wait_for_replicas(2)
    world.namespace.patch("apps/v1", "Deployment", "image", {"spec": {"replicas": 1}})
    world.wait_for_replicas(2)


def test_replicas_that_may_not_be_written_are_a_condition(world: World, operator: Operator) -> None:
    world.wait_for_replicas(2)
    operator.forbid("deployments/scale")
    world.set_load(pro=1.5, free=1.8)
    found = world.wait_for_sentence("InferenceScaler", "image", "Ready", "may not write its /scale", "scaleTargets")
    assert (found["status"], found["reason"]) == ("False", "NotWritten")
    assert world.condition("FeaturePolicy", FEATURE, "Ready")["status"] == "True"


def test_all_policies_vanishing_at_once_is_not_taken_for_none(world: World, operator: Operator) -> None:
    world.namespace.create(world.policy("video"))
    wait_for(lambda: world.served("free", "video"), "both policies are in use")
    objects = world.cluster.objects
    wait_for(
        lambda: len(objects.list(API_VERSION, "FeaturePolicy")) == 2, "earlier tests' policies are gone", seconds=90
    )
    surge(world)
    world.namespace.delete(API_VERSION, "FeaturePolicy", FEATURE)
    world.namespace.delete(API_VERSION, "FeaturePolicy", "video")
    wait_for(lambda: operator.metric("brownout_kind_unseen", kind="FeaturePolicy") == 1, "the kind is not known")
    holds_for(lambda: world.replicas() == 4, "no replica is taken", seconds=8)
    world.namespace.create(world.policy())
    wait_for(lambda: operator.metric("brownout_kind_unseen", kind="FeaturePolicy") == 0, "it is known again")


def test_an_api_server_that_goes_away_is_waited_for(world: World, operator: Operator) -> None:
    world.wait_for_replicas(2)
    api_server = world.cluster.component("kube-apiserver")
    api_server.stop()
    holds_for(lambda: "the last tick ended" in operator.get("/livez"), "the operator lives", seconds=4)
    api_server.start()
    wait_for(lambda: world.replicas() == 2, "the API server is back", seconds=60)
    world.set_load(pro=1.5, free=1.8)
    world.wait_for_replicas(4, seconds=60)


def test_what_was_deleted_while_the_watch_was_broken_is_noticed(world: World, operator: Operator) -> None:
    world.namespace.create(ours("UserTier", "professional", priority=80, match=[plan("pro")]))
    world.wait_for_sentence("UserTier", "professional", "Ready", "matches the same users")
    assert world.status("UserTier", "free")["tried"] == 3
    api_server = world.cluster.component("kube-apiserver")
    operator.send(signal.SIGSTOP)
    world.namespace.delete(API_VERSION, "UserTier", "professional")
    api_server.stop()
    api_server.start()
    wait_for(lambda: world.namespace.find(API_VERSION, "UserTier", "professional") is None, "it is gone", seconds=60)
    operator.send(signal.SIGCONT)
    wait_for(lambda: world.status("UserTier", "free")["tried"] == 2, "the operator knows", seconds=60)


def test_a_right_that_is_lacking_is_said_and_waited_for(world: World, tmp_path: Path) -> None:
    with Operator(world.cluster, world.namespace.name, tmp_path, started=False) as operator:
        operator.forbid("nodes")
        operator.launch()
        wait_for(lambda: "the right to list and watch nodes" in operator.waits_for(), "it says what it lacks")
        holds_for(lambda: world.replicas() == 1, "it decides nothing", seconds=2)
        operator.forbid()
        wait_for(operator.ready, "it decides", seconds=60)
        world.wait_for_replicas(2, seconds=90)


def test_a_kind_that_is_taken_away_ends_the_operator_which_then_waits_for_it(world: World, operator: Operator) -> None:
    world.wait_for_replicas(2)
    name = "featureoverrides.brownout.dev"
    world.cluster.objects.delete("apiextensions.k8s.io/v1", "CustomResourceDefinition", name)
    try:
        wait_for(operator.ended, "the operator ends rather than see nothing", seconds=60)
        assert "start it again" in operator.log()
        operator.launch()
        wait_for(lambda: "the kind FeatureOverride" in operator.waits_for(), "it says what it lacks", seconds=60)
    finally:
        install_kinds(world.cluster)
    wait_for(operator.ready, "it decides", seconds=60)
    assert world.served("free") == ("full", 100)


def test_workloads_that_may_not_be_watched_are_read_by_their_scale(world: World, tmp_path: Path) -> None:
    with Operator(world.cluster, world.namespace.name, tmp_path, started=False) as operator:
        operator.forbid("deployments", "statefulsets")
        operator.start()
        world.wait_for_replicas(2)
        world.set_load(pro=1.5, free=1.8)
        world.wait_for_replicas(4)


def test_any_kind_with_a_scale_can_be_a_target(world: World, tmp_path: Path) -> None:
    replica_set = deployment("video") | {"kind": "ReplicaSet"}
    world.namespace.create(replica_set)
    target = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "video"}
    world.namespace.create(world.scaler("video", scaleTargetRef=target, minReplicas=2))
    with Operator(world.cluster, world.namespace.name, tmp_path) as operator:
        world.wait_for_sentence(
            "InferenceScaler", "video", "Ready", "may not read /scale of ReplicaSet", "scaleTargets"
        )
        operator.grant({"apiGroups": ["apps"], "resources": ["replicasets/scale"], "verbs": ["get", "patch"]})
        wait_for(
            lambda: world.namespace.get("apps/v1", "ReplicaSet", "video")["spec"]["replicas"] == 2,
            "the ReplicaSet has its two replicas",
            seconds=60,
        )
        wait_for(lambda: world.status("InferenceScaler", "video")["replicas"]["ready"] == 2, "both are ready")
