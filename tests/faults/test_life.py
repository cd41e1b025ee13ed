"""What an operator meets in everyday life: pods that do not start, rights that are lacking, people. Each gets a condition with a
sentence, costs only what it names, takes no replica and changes no feature on data that is not there."""

from pathlib import Path
from typing import Any

from support.operator import Operator
from support.operator_world import API_VERSION, FEATURE, World, deployment
from support.surge import surge
from support.waiting import holds_for, wait_for


def test_demand_that_is_missing_changes_no_feature(world: World, operator: Operator) -> None:
    lost = surge(world)
    broken = {"demand": {"offered": {"query": "sum("}, "admitted": {"query": "sum("}}}
    world.namespace.patch(API_VERSION, "FeaturePolicy", FEATURE, {"spec": broken})
    found = world.wait_for_sentence("FeaturePolicy", FEATURE, "MetricsAvailable", "demand.offered")
    assert found["status"] == "False"
    world.set_load(pro=0.1, free=0.1)
    holds_for(lambda: world.served("free") == lost, "free users keep what they have", seconds=8)
    assert world.replicas() == 4


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


def test_a_right_that_is_lacking_is_said_and_waited_for(world: World, tmp_path: Path) -> None:
    with Operator(world.cluster, world.namespace.name, tmp_path, started=False) as operator:
        operator.forbid("nodes")
        operator.launch()
        wait_for(lambda: "the right to list and watch nodes" in operator.waits_for(), "it says what it lacks")
        holds_for(lambda: world.replicas() == 1, "it decides nothing", seconds=2)
        operator.forbid()
        wait_for(operator.ready, "it decides", seconds=60)
        world.wait_for_replicas(2)


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
