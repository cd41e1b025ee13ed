"""A namespace of one test, and how this machine reaches the Services in it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from e2e.cluster import KindCluster
from e2e.hardening import hardened
from e2e.images import Images
from e2e.objects import Manifest
from e2e.release import SYSTEM
from flags.process import Asked
from support.cluster import Namespace, is_ready
from support.waiting import wait_for

RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


@dataclass(frozen=True, slots=True)
class Space(Namespace):
    """As the other tests' namespaces, but every pod in it is restricted."""

    kind: KindCluster
    images: Images

    def create(self, manifest: Manifest) -> Manifest:
        """Creates an object here, its pods hardened."""
        return self.kind.objects.create(hardened(manifest, self.images), namespace=self.name)

    def logs(self, name: str) -> str:
        """What a pod has printed since it last started."""
        return self.kind.objects.logs(name, namespace=self.name)


class NodePort(Asked):
    """A Service of type NodePort, asked through a node as anybody outside the cluster would."""

    def __init__(self, cluster: KindCluster, namespace: str, name: str, *, port: str = "http") -> None:
        service = cluster.objects.get("v1", "Service", name, namespace=namespace)
        ports = {each.get("name", ""): each for each in service["spec"]["ports"]}
        self.host = cluster.address(cluster.workers[-1])  # which no test drains
        self.http_port = int((ports.get(port) or next(iter(ports.values())))["nodePort"])

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.http_port}"

    def ask(
        self, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any, Mapping[str, str]]:
        """As anywhere; where there is no body, what came with it says who has answered."""
        status, said, came_with = super().ask(path, body, headers=headers)
        return status, said or f"nothing, with {came_with}", came_with


@contextmanager
def fresh_space(cluster: KindCluster, images: Images) -> Iterator[Space]:
    """A namespace with a random name, deleted afterwards without waiting."""
    name = f"test-{uuid4().hex[:8]}"
    cluster.objects.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": RESTRICTED}})
    space = Space(cluster, name, cluster, images)  # type: ignore[arg-type]
    wait_for(lambda: space.find("v1", "ServiceAccount", "default"), f"namespace {name} has a ServiceAccount")
    try:
        yield space
    finally:
        cluster.objects.delete("v1", "Namespace", name)


def pods(cluster: KindCluster, namespace: str, **labels: str) -> list[Manifest]:
    """The pods that are there to stay, by label."""
    found = cluster.objects.list("v1", "Pod", namespace=namespace, labels=labels)
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"] and pod["status"]["phase"] != "Failed"]


def parts(cluster: KindCluster, component: str) -> list[Manifest]:
    """The pods of one part of the chart, `operator` or `flags`."""
    return pods(cluster, SYSTEM, **{"app.kubernetes.io/component": component})


def wait_until_available(cluster: KindCluster, namespace: str, deployment: str, *, seconds: float = 120.0) -> Manifest:
    """Until a Deployment has rolled out: all its pods are of its newest template, and ready."""

    def rolled_out() -> Manifest | None:
        found = cluster.objects.get("apps/v1", "Deployment", deployment, namespace=namespace)
        wanted, status = found["spec"]["replicas"], found.get("status", {})
        done = (
            status.get("observedGeneration", 0) >= found["metadata"]["generation"]
            and status.get("updatedReplicas", 0) == wanted
            and status.get("readyReplicas", 0) == wanted
            and status.get("replicas", 0) == wanted
        )
        return found if done else None

    return wait_for(rolled_out, f"Deployment {deployment} in {namespace} has rolled out", seconds=seconds)


def restarts(pod: Manifest) -> int:
    """How often a pod's first container was started again."""
    return int(pod["status"]["containerStatuses"][0]["restartCount"])


def ready(cluster: KindCluster, pod: Manifest) -> bool:
    """Whether a pod is ready now."""
    found = cluster.objects.find("v1", "Pod", pod["metadata"]["name"], namespace=pod["metadata"]["namespace"])
    return found is not None and is_ready(found)
