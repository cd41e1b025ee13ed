"""Processes that hang or die, as kubelets find them: whoever asks for flags is answered, and nothing flips for it."""

import pytest

from e2e.cluster import KindCluster
from e2e.objects import Manifest
from e2e.product import DENIED, FOR_FREE, Product, longest_wait, sentences
from e2e.release import SYSTEM
from e2e.space import NodePort, parts, ready, restarts
from support.waiting import wait_for

FEW = 10
"""A request may be on its way to a process in the moment in which that hangs, and the Service does not know yet."""
LONGEST_WAIT_SECONDS = 5.0


def again(cluster: KindCluster, pod: Manifest) -> Manifest | None:
    """A pod, if its container has been started again since and is ready."""
    found = cluster.objects.get("v1", "Pod", pod["metadata"]["name"], namespace=SYSTEM)
    return found if restarts(found) > restarts(pod) and ready(cluster, found) else None


def test_what_hangs_is_found_by_its_probes_and_goes_on_where_it_was(
    installed: KindCluster, product: Product, flags: NodePort
) -> None:
    server, *_ = parts(installed, "flags")
    hung = [server, *parts(installed, "operator")]
    product.shed()
    with product.asked(flags) as traffic:
        for pod in hung:
            installed.signal(pod, "STOP")
        wait_for(lambda: not ready(installed, server), "the kubelet finds the flag server not ready", seconds=60)
        before = len(traffic.failures)
        for pod in hung:
            wait_for(lambda pod=pod: again(installed, pod), "the kubelet starts it again", seconds=120)
        wait_for(lambda: set(traffic.latest(FOR_FREE).values()) == {DENIED}, "free users are answered")
        assert product.served("free") == ("denied", 100)
    assert {each.said for way in product.ways(flags) for each in traffic.answers[way, FOR_FREE]} == {DENIED}
    assert len(traffic.failures) - before <= FEW, sentences(traffic.failures[before:])
    product.wait_until_decided_on()


@pytest.mark.parametrize("component", ["operator", "flags"])
def test_a_killed_process_comes_back_and_nothing_has_flipped(
    installed: KindCluster, product: Product, flags: NodePort, component: str
) -> None:
    product.shed()
    killed = parts(installed, component)
    with product.asked(flags) as traffic:
        for pod in killed:  # every replica, one after the other
            installed.signal(pod, "KILL")
            wait_for(lambda pod=pod: again(installed, pod), "the kubelet starts it again", seconds=90)
        wait_for(lambda: set(traffic.latest(FOR_FREE).values()) == {DENIED}, "free users are answered")
    assert {each.said for way in product.ways(flags) for each in traffic.answers[way, FOR_FREE]} == {DENIED}
    assert all(each.refused for each in traffic.failures), sentences(traffic.failures)
    assert component == "flags" or not traffic.failures, sentences(traffic.failures)
    assert longest_wait(traffic) < LONGEST_WAIT_SECONDS  # the other replica answers whoever asks again
    product.wait_until_decided_on()
