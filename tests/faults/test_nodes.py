"""GPUs go away under a product: a quota is cut, nodes are cordoned, drained and lost, pods crash."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from brownout_localcluster import GPUNode, LocalCluster
from support.api_proxy import ApiProxy
from support.chronicle import chronicle
from support.cluster import Namespace
from support.operator import Operator
from support.operator_world import API_VERSION, FEATURE, World, calm_world
from support.size import sized
from support.surge import converges, lasting_surge
from support.waiting import holds_for, wait_for

QUOTA = "gpu-quota"
STAYS_SECONDS = sized(bounded=8, whole=60)


class Nodes:
    """Two nodes of two GPUs each, for one test."""

    def __init__(self, cluster: LocalCluster) -> None:
        self._cluster = cluster
        suffix = uuid4().hex[:8]
        self.labels = {"nodes": suffix}
        self.names = [f"node-{suffix}-{number}" for number in (1, 2)]
        for name in self.names:
            cluster.add_node(GPUNode(name=name, gpus=2, labels=self.labels))

    def cordon(self, name: str, *, on: bool = True) -> None:
        """Nothing new comes to a node; or again it does."""
        self._cluster.objects.patch("v1", "Node", name, {"spec": {"unschedulable": on}})

    def drain(self, name: str, namespace: Namespace) -> None:
        """Cordon it, and evict what runs there."""
        self.cordon(name)
        for pod in namespace.list("v1", "Pod", labels={"app": "image"}):
            if pod["spec"].get("nodeName") == name:
                eviction: dict[str, Any] = {
                    "apiVersion": "policy/v1",
                    "kind": "Eviction",
                    "metadata": {"name": pod["metadata"]["name"], "namespace": namespace.name},
                }
                path = self._cluster.objects.path("v1", "Pod", pod["metadata"]["name"], namespace=namespace.name)
                self._cluster.objects.call("POST", f"{path}/eviction", eviction)

    def lose(self, name: str) -> None:
        """The machine is gone, and so are its object and its pods."""
        self._cluster.objects.delete("v1", "Node", name)
        for namespace, pod in [
            (pod["metadata"]["namespace"], pod["metadata"]["name"])
            for pod in self._cluster.objects.list("v1", "Pod")
            if pod["spec"].get("nodeName") == name
        ]:
            self._cluster.objects.delete("v1", "Pod", pod, namespace=namespace, grace_seconds=0)

    def add(self, name: str) -> None:
        """A machine of this name is there (again)."""
        self._cluster.add_node(GPUNode(name=name, gpus=2, labels=self.labels))

    def remove(self) -> None:
        """None of them is left."""
        for name in self.names:
            if self._cluster.objects.find("v1", "Node", name):
                self._cluster.objects.delete("v1", "Node", name)


@pytest.fixture
def nodes(cluster: LocalCluster) -> Iterator[Nodes]:
    """Two nodes of two GPUs each."""
    found = Nodes(cluster)
    yield found
    found.remove()


@pytest.fixture
def world(cluster: LocalCluster, namespace: Namespace, nodes: Nodes) -> Iterator[World]:
    """A small product on these nodes, with a calm load."""
    capacity = {"nodes": {"selector": {"matchLabels": nodes.labels}}}
    with calm_world(cluster, namespace, capacity=capacity, nodes=nodes.labels) as world:
        soon = {"spec": {"coldStart": {"giveUpAfterSeconds": 10}}}
        namespace.patch(API_VERSION, "InferenceScaler", "image", soon)
        yield world


def ready(world: World) -> int | None:
    """How many replicas serve, as the scaler's status has it."""
    found = world.status("InferenceScaler", "image").get("replicas", {}).get("ready")
    return None if found is None else int(found)


def four_serve(world: World) -> None:
    """Paying users fill all four GPUs."""
    lasting_surge(world)
    wait_for(lambda: ready(world) == 4, "four replicas serve", seconds=60)


def says_what_is_lost(world: World) -> None:
    """The pool has half its GPUs, the policy says why it sheds, and the scaler which pods find no place."""
    wait_for(lambda: world.pool_status()["gpus"]["capacity"] == 2, "the pool has two GPUs")
    assert world.pool_status()["gpus"]["limitedBy"] == "nodes"
    found = world.wait_for_sentence("FeaturePolicy", FEATURE, "Shedding", "")
    assert found["status"] == "True", found
    [cell] = [cell for cell in world.status("FeaturePolicy", FEATURE)["cells"] if cell["tier"] == "free"]
    assert "on 2 ready GPUs" in cell["message"], cell
    found = world.wait_for_sentence("InferenceScaler", "image", "ScalingLimited", "limited by nodes")
    assert (found["status"], found["reason"]) == ("True", "PoolExhausted")
    found = world.wait_for_sentence("InferenceScaler", "image", "Ready", "2 pods did not become ready within")
    assert (found["status"], found["reason"]) == ("False", "PodsNotReady")


def test_nodes_that_are_cordoned_keep_what_runs_on_them(world: World, operator: Operator, nodes: Nodes) -> None:
    four_serve(world)
    with chronicle(world) as seen:
        nodes.cordon(nodes.names[0])
        wait_for(lambda: world.pool_status()["gpus"]["capacity"] != 4, "the pool has fewer GPUs to give")
        holds_for(lambda: ready(world) == 4, "four replicas serve", seconds=STAYS_SECONDS)
        nodes.cordon(nodes.names[0], on=False)
        wait_for(lambda: world.pool_status()["gpus"]["capacity"] == 4, "the pool has four GPUs again")
    seen.nothing_changed()
    converges(world)


def test_nodes_that_are_drained_cost_what_ran_on_them_and_no_more(
    world: World, operator: Operator, nodes: Nodes
) -> None:
    world.set_load(pro=1.5, free=1.9)
    wait_for(lambda: ready(world) == 4, "four replicas serve", seconds=60)
    with chronicle(world) as seen:
        nodes.drain(nodes.names[0], world.namespace)
        wait_for(lambda: ready(world) == 2, "two replicas serve", seconds=60)
        wait_for(lambda: world.served("free") != ("full", 100), "free users make room", seconds=60)
        says_what_is_lost(world)
        nodes.cordon(nodes.names[0], on=False)
        wait_for(lambda: ready(world) == 4, "four replicas serve", seconds=90)
        converges(world)
    assert all(("pro", "", "full", 100) in cells for cells in seen.served)


def test_nodes_that_are_lost_cost_what_ran_on_them_and_no_more(world: World, operator: Operator, nodes: Nodes) -> None:
    world.set_load(pro=1.5, free=1.9)
    wait_for(lambda: ready(world) == 4, "four replicas serve", seconds=60)
    with chronicle(world) as seen:
        nodes.lose(nodes.names[0])
        wait_for(lambda: ready(world) == 2, "two replicas serve", seconds=60)
        wait_for(lambda: world.served("free") != ("full", 100), "free users make room", seconds=60)
        says_what_is_lost(world)
        nodes.add(nodes.names[0])
        wait_for(lambda: ready(world) == 4, "four replicas serve", seconds=90)
        converges(world)
    assert all(("pro", "", "full", 100) in cells for cells in seen.served)


def test_a_quota_that_is_cut_below_its_use_takes_nothing_that_runs(
    cluster: LocalCluster, namespace: Namespace, api: ApiProxy, nodes: Nodes, tmp_path: Path
) -> None:
    quota = {"metadata": {"name": QUOTA}, "spec": {"hard": {"requests.nvidia.com/gpu": "4"}}}
    namespace.create({"apiVersion": "v1", "kind": "ResourceQuota"} | quota)
    capacity = {"quotas": [{"namespace": namespace.name, "name": QUOTA}]}
    with (
        calm_world(cluster, namespace, capacity=capacity, nodes=nodes.labels) as world,
        Operator(cluster, namespace.name, tmp_path, server=api.url),
    ):
        four_serve(world)
        with chronicle(world) as seen:
            cut(namespace, 2)
            wait_for(lambda: world.pool_status()["gpus"]["capacity"] == 2, "the pool has two GPUs", seconds=60)
            gpus = world.pool_status()["gpus"]
            assert (gpus["held"], gpus["limitedBy"]) == (4, "quotas")
            found = world.wait_for_sentence("InferenceScaler", "image", "ScalingLimited", "limited by quotas")
            assert (found["status"], found["reason"]) == ("True", "PoolExhausted")
            holds_for(lambda: ready(world) == 4, "four replicas serve", seconds=STAYS_SECONDS)
        seen.nothing_changed()
        cut(namespace, 4)
        converges(world)


def cut(namespace: Namespace, gpus: int) -> None:
    """The quota allows so many GPUs from now on."""
    namespace.patch("v1", "ResourceQuota", QUOTA, {"spec": {"hard": {"requests.nvidia.com/gpu": str(gpus)}}})


def test_pods_that_crash_again_and_again_are_no_capacity(world: World, operator: Operator) -> None:
    """A new image that does not start: what it replaces serves on, and users lose no more than what is missing."""
    world.set_load(pro=1.5, free=1.9)
    wait_for(lambda: ready(world) == 4, "four replicas serve", seconds=60)
    with chronicle(world) as seen:
        template = {"spec": {"template": {"metadata": {"annotations": {"localcluster.brownout.dev/fail": "true"}}}}}
        world.namespace.patch("apps/v1", "Deployment", "image", template)
        for pod in world.namespace.list("v1", "Pod", labels={"app": "image"})[:2]:
            world.namespace.delete("v1", "Pod", pod["metadata"]["name"], grace_seconds=0)
        wait_for(lambda: (ready(world) or 0) <= 3, "fewer replicas serve", seconds=60)
        found = world.wait_for_sentence("InferenceScaler", "image", "Ready", "did not become ready", seconds=90)
        assert (found["status"], found["reason"]) == ("False", "PodsNotReady")
        template["spec"]["template"]["metadata"]["annotations"]["localcluster.brownout.dev/fail"] = "false"
        world.namespace.patch("apps/v1", "Deployment", "image", template)
        wait_for(lambda: ready(world) == 4, "four replicas serve", seconds=120)
        converges(world)
    assert all(("pro", "", "full", 100) in cells for cells in seen.served)
    assert world.condition("InferenceScaler", "image", "Ready")["status"] == "True"
