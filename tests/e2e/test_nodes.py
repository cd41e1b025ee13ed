"""Nodes that are drained and pods that are evicted: capacity follows, features follow capacity, and come back."""

from collections.abc import Iterator

import pytest

from e2e.cluster import KindCluster
from e2e.hardening import TMP_MIB
from e2e.objects import Manifest
from e2e.product import FOR_FREE, FOR_PRO, FULL, Product, sentences
from e2e.release import RELEASE, SYSTEM
from e2e.space import NodePort, Space, parts, pods, wait_until_available
from support.waiting import wait_for

NODES = {"nodes": {"selector": {"matchLabels": {"brownout.dev/gpu": "demo"}}}}


@pytest.fixture
def product(installed: KindCluster, space: Space) -> Iterator[Product]:
    """As elsewhere, but the pool's capacity is that of the nodes: twelve GPUs."""
    made = Product(installed, space, capacity=NODES)
    try:
        made.create()
        yield made
    finally:
        made.delete()


def drain(cluster: KindCluster, node: str, namespaces: set[str]) -> None:
    """What `kubectl drain` does, in some namespaces: no new pods, and an eviction for each that is there, repeated while a budget forbids it."""
    cluster.objects.patch("v1", "Node", node, {"spec": {"unschedulable": True}})

    def left() -> list[str]:
        here = [
            (pod["metadata"]["namespace"], pod["metadata"]["name"])
            for pod in cluster.objects.list("v1", "Pod")
            if pod["spec"].get("nodeName") == node
            and pod["metadata"]["namespace"] in namespaces
            and pod["metadata"].get("ownerReferences")
        ]
        for namespace, name in here:
            cluster.objects.evict(name, namespace=namespace)
        return here

    wait_for(lambda: not left(), f"{node} is drained", seconds=120)


def test_a_drained_node_takes_features_along_and_brings_them_back(
    installed: KindCluster, product: Product, flags: NodePort
) -> None:
    node = installed.workers[0]
    product.set_load(pro=2.0, free=6.0)  # eight GPUs and some room: more than one node has
    wait_for(lambda: product.gpus_held() >= 9, "the workload has its GPUs", seconds=90)
    product.wait_for_variant("free", "full", seconds=90)  # the load rose faster than pods do
    with product.asked(flags) as traffic:
        try:
            drain(installed, node, {SYSTEM, product.namespace.name})
            wait_for(lambda: product.served("free") != ("full", 100), "free users lose the feature", seconds=60)
        finally:
            installed.objects.patch("v1", "Node", node, {"spec": {"unschedulable": None}})
        wait_for(lambda: product.served("free") == ("full", 100), "the feature is back", seconds=120)
        wait_for(lambda: set(traffic.latest(FOR_FREE).values()) == {FULL}, "free users have the feature back")
    assert not traffic.failures, sentences(traffic.failures)
    assert {each.said for way in product.ways(flags) for each in traffic.answers[way, FOR_PRO]} == {FULL}
    for part in ("operator", "flags"):
        wait_until_available(installed, SYSTEM, f"{RELEASE}-{part}")


def test_evicted_flag_servers_are_replaced_without_a_failed_evaluation(
    installed: KindCluster, product: Product, flags: NodePort
) -> None:
    with product.asked(flags) as traffic:
        for pod in parts(installed, "flags"):
            name = pod["metadata"]["name"]
            wait_for(
                lambda name=name: installed.objects.evict(name, namespace=SYSTEM), f"{name} may be evicted", seconds=60
            )
            wait_for(lambda name=name: not _there(installed, name), f"{name} has ended", seconds=60)
            wait_until_available(installed, SYSTEM, f"{RELEASE}-flags")
        assert set(traffic.latest(FOR_FREE).values()) == {FULL}
    assert not traffic.failures, sentences(traffic.failures)


def test_a_pod_that_its_kubelet_evicts_is_replaced_and_no_feature_goes_for_it(
    installed: KindCluster, product: Product, flags: NodePort
) -> None:
    product.set_load(pro=0.9, free=0.4)
    wait_for(lambda: len(running(installed, product)) == product.replicas() > 1, "the workload runs", seconds=60)
    victim = running(installed, product)[0]
    too_much = f"open('/tmp/much', 'wb').write(bytes({2 * TMP_MIB} << 20))"
    with product.asked(flags) as traffic:
        installed.run_in(victim, "python", "-c", too_much)

        def evicted() -> bool:
            found = product.namespace.get("v1", "Pod", victim["metadata"]["name"])
            return found["status"].get("reason") == "Evicted"

        wait_for(evicted, "the kubelet evicts it", seconds=150)
        wait_for(lambda: len(running(installed, product)) == product.replicas(), "another is in its place", seconds=60)
    assert not traffic.failures, sentences(traffic.failures)
    assert {each.said for way in product.ways(flags) for each in traffic.answers[way, FOR_FREE]} == {FULL}


def running(cluster: KindCluster, product: Product) -> list[Manifest]:
    """The workload's running pods."""
    return [pod for pod in pods(cluster, product.namespace.name, app="image") if pod["status"]["phase"] == "Running"]


def _there(cluster: KindCluster, pod: str) -> bool:
    """Whether a pod of the chart is still there, if only to end."""
    return cluster.objects.find("v1", "Pod", pod, namespace=SYSTEM) is not None
