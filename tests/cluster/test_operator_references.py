"""Objects that name what is not there, claim the same, or cannot be read: each has a condition with a sentence, and costs
only itself. One product for all of them; a test leaves it as calm as it was."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from brownout_localcluster import LocalCluster
from support.cluster import fresh_namespace
from support.operator import CRDS, Operator, install_kinds
from support.operator_world import API_VERSION, FEATURE, World, calm_world, deployment, ours, override, plan
from support.waiting import holds_for, wait_for


@pytest.fixture(scope="module")
def world(cluster: LocalCluster) -> Iterator[World]:
    """A small product with a calm load."""
    with fresh_namespace(cluster) as namespace, calm_world(cluster, namespace) as world:
        yield world


@pytest.fixture(scope="module")
def operator(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """Its operator, with the chart's rights."""
    with Operator(world.cluster, world.namespace.name, tmp_path_factory.mktemp("operator")) as operator:
        world.wait_for_replicas(2)
        yield operator


def test_a_policy_that_names_a_missing_scaler_says_so_and_the_others_go_on(world: World, operator: Operator) -> None:
    variants = [
        {"name": "full", "costs": [{"scaler": "nobody", "gpuSecondsPerRequest": "1"}]},
        {"name": "denied"},
    ]
    with world.added(world.policy("video", variants=variants)):
        found = world.wait_for_sentence("FeaturePolicy", "video", "Ready", "costs[0].scaler", "'nobody'", "image")
        assert (found["status"], found["reason"]) == ("False", "NotFound")
        assert world.condition("FeaturePolicy", FEATURE, "Ready")["status"] == "True"
        world.set_load(pro=1, free=1)
        world.wait_for_replicas(3)
        world.set_load(pro=0.5, free=0.5)
        world.wait_for_replicas(2)


def test_a_policy_that_names_a_missing_tier_says_so_and_serves_the_others(world: World, operator: Operator) -> None:
    tiers = [{"tierRef": {"name": "gold"}}, {"tierRef": {"name": "free"}}]
    with world.added(world.policy("video", tiers=tiers)):
        found = world.wait_for_sentence(
            "FeaturePolicy", "video", "Ready", "tiers[0].tierRef.name", "'gold'", "free, pro"
        )
        assert found["reason"] == "NotFound"
        assert world.served("free", "video") == ("full", 100)


def test_a_scaler_whose_workload_is_missing_says_so_and_the_others_go_on(world: World, operator: Operator) -> None:
    with world.added(world.scaler("video", scaleTargetRef={"name": "video"})):
        found = world.wait_for_sentence("InferenceScaler", "video", "Ready", "scaleTargetRef.name", "'video'", "image")
        assert found["status"] == "False"
        assert world.condition("InferenceScaler", "image", "Ready")["status"] == "True"
        with world.added(deployment("video")):
            wait_for(
                lambda: world.condition("InferenceScaler", "video", "Ready")["status"] == "True", "it is there now"
            )


def test_a_scaler_of_another_kind_without_scale_says_so(world: World, operator: Operator) -> None:
    target = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "image"}
    with world.added(world.scaler("video", scaleTargetRef=target)):
        found = world.wait_for_sentence(
            "InferenceScaler", "video", "Ready", "scaleTargetRef.kind", "DaemonSet", "/scale"
        )
        assert found["status"] == "False"


def test_two_tiers_that_match_the_same_user_are_told_apart(world: World, operator: Operator) -> None:
    with world.added(ours("UserTier", "professional", priority=80, match=[plan("pro")])):
        found = world.wait_for_sentence("UserTier", "professional", "Ready", "pro matches the same users")
        assert (found["status"], found["reason"]) == ("False", "Conflict")
        assert world.condition("UserTier", "pro", "Ready")["status"] == "True"


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("sum(", "does not understand the query"),
        ("sum(nothing_of_the_kind)", "returns nothing"),
        ("vector(0) / vector(0)", "returns NaN"),
        ("vector(1) / vector(0)", "returns infinity"),
        ('offered{namespace="NAMESPACE"}', "more than one series"),
    ],
)
def test_a_metric_without_a_number_is_missing_and_takes_no_replica(
    world: World, operator: Operator, query: str, words: str
) -> None:
    target = {"type": "AverageValue", "value": "1"}
    metric = {"name": "odd", "query": query.replace("NAMESPACE", world.namespace.name), "target": target}
    world.namespace.patch(API_VERSION, "InferenceScaler", "image", {"spec": {"metrics": [metric]}})
    try:
        found = world.wait_for_sentence("InferenceScaler", "image", "MetricsAvailable", "odd", words)
        assert (found["status"], found["reason"]) == ("False", "Missing")
        world.set_load(pro=0.1, free=0.1)
        holds_for(lambda: world.replicas() == 2, "no replica goes while a metric is missing", seconds=7)
        world.set_load(pro=1, free=1)
        world.wait_for_replicas(3)
    finally:
        world.namespace.patch(API_VERSION, "InferenceScaler", "image", {"spec": {"metrics": []}})
        world.set_load(pro=0.5, free=0.5)
    world.wait_for_replicas(2)


def test_no_object_of_a_user_carries_finalizers_or_annotations_of_ours(world: World, operator: Operator) -> None:
    for kind, name in (("InferenceScaler", "image"), ("FeaturePolicy", FEATURE), ("UserTier", "free")):
        metadata = world.namespace.get(API_VERSION, kind, name)["metadata"]
        assert "finalizers" not in metadata
        assert "annotations" not in metadata
    workload = world.namespace.get("apps/v1", "Deployment", "image")["metadata"]
    assert "finalizers" not in workload
    assert set(workload.get("annotations", {})) == {"deployment.kubernetes.io/revision"}


def test_each_changed_decision_is_an_event(world: World, operator: Operator) -> None:

    def notes() -> list[str]:
        return [
            event["note"]
            for event in world.namespace.list("events.k8s.io/v1", "Event")
            if event["reportingController"] == "brownout.dev/operator"
            and event["regarding"]["kind"] == "InferenceScaler"
        ]

    wait_for(lambda: any("1 -> 2 replicas" in note for note in notes()), "an Event tells of the new replicas")


def test_it_is_ready_only_once_every_kind_was_listed(world: World, operator: Operator) -> None:
    assert operator.ready()
    assert "the last tick ended" in operator.get("/livez")
    assert operator.metric("brownout_tick_errors_total") == 0


def test_an_override_stands_above_the_loop_and_ends_when_it_is_deleted(world: World, operator: Operator) -> None:
    world.wait_for_variant("free", "full")
    until = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    world.namespace.create(override("incident", "denied", until=until))
    wait_for(lambda: world.condition("FeaturePolicy", FEATURE, "Overridden")["status"] == "True", "the override stands")
    world.namespace.delete(API_VERSION, "FeatureOverride", "incident")
    wait_for(lambda: world.condition("FeaturePolicy", FEATURE, "Overridden")["status"] == "False", "it is gone")


def test_an_object_that_cannot_be_read_says_why_and_keeps_the_rest_of_its_status(
    world: World, operator: Operator
) -> None:
    world.namespace.create(ours("UserTier", "odd", priority=20, match=[plan("odd")]))
    wait_for(lambda: world.condition("UserTier", "odd", "Ready")["status"] == "True", "the tier is accepted")
    tried = world.status("UserTier", "odd")["tried"]
    loosen_priorities(world.cluster)
    try:
        odd = {"spec": {"priority": 5000}}
        wait_for(lambda: world.namespace.patch(API_VERSION, "UserTier", "odd", odd), "the looser schema is served")
        found = world.wait_for_sentence("UserTier", "odd", "Ready", "spec", "<= 1000", "priority")
        assert (found["status"], found["reason"]) == ("False", "Invalid")
        assert world.status("UserTier", "odd")["tried"] == tried
        assert world.served("free") == ("full", 100)
    finally:
        world.namespace.patch(API_VERSION, "UserTier", "odd", {"spec": {"priority": 20}})
        install_kinds(world.cluster)
    wait_for(lambda: world.condition("UserTier", "odd", "Ready")["status"] == "True", "the tier is accepted again")


def loosen_priorities(cluster: LocalCluster) -> None:
    """Serve the kind as a later version might, so that an object gets in which this version cannot read."""
    kind = yaml.safe_load((CRDS / "usertiers.yaml").read_text())
    spec = kind["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    del spec["properties"]["priority"]["maximum"]
    cluster.objects.apply(kind)
