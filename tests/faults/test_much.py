"""Too much of something: objects that nobody can read, by the thousand, and one that is as large as an object can be."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from brownout_localcluster import LocalCluster
from support.chronicle import chronicle
from support.operator import Operator, install_kinds
from support.operator_world import API_VERSION, World
from support.size import sized
from support.surge import converges, lasting_surge
from support.waiting import wait_for

UNREADABLE = sized(bounded=200, whole=1000)
MEGABYTE = 1_000_000
LABEL = {"unreadable": "yes"}
ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
SHAPES: tuple[dict[str, Any], ...] = (
    {},
    {"poolRef": 5, "scaleTargetRef": {"name": "image"}},
    {"poolRef": {"name": "gpus"}, "scaleTargetRef": "image"},
    {"poolRef": {"name": "gpus"}, "scaleTargetRef": {"name": "image"}, "maxReplicas": "many"},
    {"poolRef": {"name": "gpus"}, "scaleTargetRef": {"name": "image"}, "metrics": {"kv": 1}},
)
"""Specs of a scaler that no version of ours has written."""


def test_objects_that_nobody_can_read_by_the_thousand_hold_nothing_up(world: World, operator: Operator) -> None:
    world.wait_for_replicas(2)
    with anything_goes(world.cluster):
        for number in range(UNREADABLE):
            name, spec = f"unreadable-{number}", SHAPES[number % len(SHAPES)]
            body = {
                "apiVersion": API_VERSION,
                "kind": "InferenceScaler",
                "metadata": {"name": name, "labels": LABEL},
                "spec": spec,
            }
            world.namespace.create(body)
        wait_for(
            lambda: operator.metric("brownout_objects_invalid", kind="InferenceScaler") == UNREADABLE,
            "the operator has seen them",
            seconds=60,
        )
        with chronicle(world) as seen:
            lasting_surge(world)
        seen.no_replica_was_lost()
        for number in (0, 1, 3, UNREADABLE - 1):
            found = world.wait_for_sentence(
                "InferenceScaler", f"unreadable-{number}", "Ready", "spec:", seconds=sized(bounded=60, whole=240)
            )
            assert (found["status"], found["reason"]) == ("False", "Invalid")
        converges(world)
        path = world.cluster.objects.path(API_VERSION, "InferenceScaler", namespace=world.namespace.name)
        world.cluster.objects.call("DELETE", path, parameters={"labelSelector": "unreadable=yes"})
        wait_for(lambda: operator.metric("brownout_objects_invalid") == 0, "they are gone", seconds=60)
    assert operator.metric("brownout_tick_errors_total") == 0


def test_a_policy_of_a_megabyte_is_one_policy_more(world: World, operator: Operator) -> None:
    variants = [
        {"name": "full", "value": {"enabled": True, "prompt": "x" * MEGABYTE}, "costs": []},
        {"name": "denied", "value": {"enabled": False}},
    ]
    world.namespace.create(world.policy("huge", variants=variants))
    wait_for(lambda: world.served("free", "huge") == ("full", 100), "it is in use", seconds=60)
    assert world.condition("FeaturePolicy", "huge", "Ready")["status"] == "True"
    with chronicle(world) as seen:
        lasting_surge(world)
    seen.no_replica_was_lost()
    converges(world)
    assert world.served("free", "huge") == ("full", 100)


@contextmanager
def anything_goes(cluster: LocalCluster) -> Iterator[None]:
    """Scalers of any shape are taken, as after an upgrade that went wrong; in the end the kind is as it should be."""
    name = "inferencescalers.brownout.dev"
    found = cluster.objects.get("apiextensions.k8s.io/v1", "CustomResourceDefinition", name)
    versions = found["spec"]["versions"]
    schema = versions[0]["schema"]["openAPIV3Schema"]
    schema["properties"]["spec"] = ANYTHING
    schema.pop("x-kubernetes-validations", None)
    cluster.objects.patch("apiextensions.k8s.io/v1", "CustomResourceDefinition", name, {"spec": {"versions": versions}})
    try:
        wait_for(lambda: _takes_anything(cluster), "scalers of any shape are taken")
        yield
    finally:
        install_kinds(cluster)


def _takes_anything(cluster: LocalCluster) -> bool:
    body = {"apiVersion": API_VERSION, "kind": "InferenceScaler", "metadata": {"name": "anything"}, "spec": {}}
    path = cluster.objects.path(API_VERSION, "InferenceScaler", namespace="default")
    cluster.objects.call("POST", path, body, parameters={"dryRun": "All"})
    return True
