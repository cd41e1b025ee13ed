"""The chart's NetworkPolicies on a network that keeps them: what the parts need of each other works, and nothing else does."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from brownout_localcluster.charts import install_chart
from e2e.cluster import KindCluster
from e2e.commands import CommandError
from e2e.hardening import hardened
from e2e.images import Images
from e2e.objects import Manifest
from e2e.product import Product
from e2e.release import CHART, MONITORING, RELEASE, SYSTEM, values
from e2e.space import Space, fresh_space, parts
from support.cluster import python_pod
from support.operator_world import GAUGES_PORT, SLEEP, gauges_pod
from support.waiting import holds_for, wait_for

HTTP, SYNC, PROMETHEUS = 8080, 8015, 9090
TAKES_EFFECT_SECONDS = 30.0
ASKER = python_pod("asker", SLEEP, container={"image": "python"})
CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2).close()"
NOBODY: Manifest = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "nobody"},
    "spec": {"podSelector": {"matchLabels": {"app": "gauges"}}, "policyTypes": ["Ingress"]},
}


def reaches(cluster: KindCluster, pod: Manifest, address: str, port: int) -> bool:
    """Whether a program in a pod gets a connection."""
    try:
        cluster.run_in(pod, "python", "-c", CONNECT, address, str(port))
    except CommandError:
        return False
    return True


def of(namespace: str) -> dict[str, Any]:
    """All pods of a namespace, as NetworkPolicies select them."""
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}


@pytest.fixture
def stranger(installed: KindCluster, images: Images) -> Iterator[Space]:
    """A namespace of somebody else, with a pod `asker`."""
    with fresh_space(installed, images) as space:
        asker(space)
        yield space


@pytest.fixture
def kept(installed: KindCluster, images: Images, stranger: Space) -> None:
    """A network that keeps NetworkPolicies, as kind's own does; not every one does, and the API server cannot tell."""
    with fresh_space(installed, images) as space:
        space.create(gauges_pod())
        address = space.wait_until_ready("gauges", seconds=60)["status"]["podIP"]
        pod = stranger.pod("asker")
        wait_for(lambda: reaches(installed, pod, address, GAUGES_PORT), "a pod reaches another")
        space.create(NOBODY)
        try:
            wait_for(
                lambda: not reaches(installed, pod, address, GAUGES_PORT), "nobody may", seconds=TAKES_EFFECT_SECONDS
            )
        except AssertionError:
            pytest.skip("the network of this cluster keeps no NetworkPolicy")


def asker(space: Space) -> Manifest:
    """A pod of a namespace from which somebody asks."""
    space.create(ASKER)
    return space.wait_until_ready("asker", seconds=60)


def test_the_parts_reach_what_they_need_and_nobody_else_reaches_them(
    kept: None, installed: KindCluster, product: Product, space: Space, stranger: Space, images: Images
) -> None:
    narrow = {
        "operator": {"from": [of(MONITORING)]},
        "flags": {"from": [of(space.name)]},
        "egress": {"enabled": True, "to": [{"to": [of(MONITORING)], "ports": [{"port": PROMETHEUS}]}]},
    }
    user, other = asker(space), stranger.pod("asker")
    operator, *_ = parts(installed, "operator")
    server, *_ = parts(installed, "flags")
    its, servers = operator["status"]["podIP"], server["status"]["podIP"]
    with ExitStack() as after:
        after.callback(install_chart, installed.kubeconfig, CHART, RELEASE, namespace=SYSTEM, values=values(images.tag))
        install_chart(
            installed.kubeconfig,
            CHART,
            RELEASE,
            namespace=SYSTEM,
            values=values(images.tag) | {"networkPolicy": narrow},
        )
        for pod, address, port in (
            (other, its, HTTP),
            (user, its, HTTP),
            (other, servers, HTTP),
            (other, servers, SYNC),
        ):
            wait_for(
                lambda pod=pod, address=address, port=port: not reaches(installed, pod, address, port),
                f"{pod['metadata']['namespace']} does not reach {address}:{port}",
                seconds=TAKES_EFFECT_SECONDS,
            )
        wait_for(
            lambda: not reaches(installed, operator, servers, HTTP), "the operator reaches nothing that it needs not"
        )
        holds_for(lambda: reaches(installed, user, servers, HTTP), "users' servers reach the flag servers", seconds=3)
        assert reaches(installed, user, servers, SYNC)
        product.shed()  # the operator reaches Prometheus and the API server
        installed.objects.create(hardened(ASKER, images), namespace=MONITORING)
        after.callback(installed.objects.delete, "v1", "Pod", "asker", namespace=MONITORING)
        wait_for(
            lambda: reaches(installed, installed.objects.get("v1", "Pod", "asker", namespace=MONITORING), its, HTTP),
            "Prometheus' namespace reaches it",
        )
