"""What tests on the real control plane share: a namespace of their own, and pods built in a line."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from brownout_localcluster import LocalCluster
from brownout_localcluster.errors import ApiError
from support.waiting import wait_for

Manifest = dict[str, Any]

IMAGES = {"python": [sys.executable]}
"""Besides this project's own images: `python` runs `args` with the interpreter of the tests."""


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace of one test. Manifests given to it need no namespace of their own."""

    cluster: LocalCluster
    name: str

    def create(self, manifest: Manifest) -> Manifest:
        """Creates an object here."""
        return self.cluster.objects.create(manifest, namespace=self.name)

    def apply(self, manifest: Manifest) -> Manifest:
        """Creates or changes an object here by server-side apply."""
        return self.cluster.objects.apply(manifest, namespace=self.name)

    def get(self, api_version: str, kind: str, name: str) -> Manifest:
        """Reads an object of this namespace."""
        return self.cluster.objects.get(api_version, kind, name, namespace=self.name)

    def find(self, api_version: str, kind: str, name: str) -> Manifest | None:
        """Reads an object of this namespace, or None."""
        return self.cluster.objects.find(api_version, kind, name, namespace=self.name)

    def list(self, api_version: str, kind: str, *, labels: dict[str, str] | None = None) -> list[Manifest]:
        """Lists the objects of this namespace."""
        return self.cluster.objects.list(api_version, kind, namespace=self.name, labels=labels)

    def patch(self, api_version: str, kind: str, name: str, patch: Manifest, *, part: str = "") -> Manifest:
        """Merges a patch into an object of this namespace, or into its subresource `part`."""
        return self.cluster.objects.patch(api_version, kind, name, patch, namespace=self.name, part=part)

    def delete(self, api_version: str, kind: str, name: str, *, grace_seconds: int | None = None) -> None:
        """Deletes an object of this namespace, without waiting."""
        self.cluster.objects.delete(api_version, kind, name, namespace=self.name, grace_seconds=grace_seconds)

    def pod(self, name: str) -> Manifest:
        """Reads a pod."""
        return self.get("v1", "Pod", name)

    def logs(self, name: str) -> str:
        """What a pod has printed, over all its restarts."""
        return self.cluster.pod_logs(self.name, name)

    def wait_until_ready(self, name: str, *, seconds: float = 30.0) -> Manifest:
        """Waits for a pod to be ready and returns it."""

        def ready() -> Manifest | None:
            pod = self.pod(name)
            return pod if is_ready(pod) else None

        try:
            return wait_for(ready, f"pod {name} is ready", seconds=seconds)
        except AssertionError as error:
            status = self.pod(name).get("status")
            raise AssertionError(f"{error}\nits status: {status}\nits log: {self.logs(name)[-2000:]}") from None


@contextmanager
def nobody_waits_for_the_api_server(cluster: LocalCluster) -> Iterator[None]:
    """If the API server was another one at the end of the block, those who lost it are started again.

    Client-go asks for a lost API server at ever longer intervals, up to half a minute; the next test would wait for all of them.
    """
    api_server = cluster.component("kube-apiserver")
    before = api_server.pid
    yield
    if api_server.pid != before:
        for name in ("kube-controller-manager", "kube-scheduler", "prometheus"):
            cluster.component(name).stop()
            cluster.component(name).start()


@contextmanager
def fresh_namespace(cluster: LocalCluster, *, labels: dict[str, str] | None = None) -> Iterator[Namespace]:
    """A namespace with a random name, usable at once, deleted afterwards without waiting."""
    name = f"test-{uuid4().hex[:8]}"
    cluster.objects.create(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels or {}}}
    )
    namespace = Namespace(cluster, name)
    wait_for(
        lambda: namespace.find("v1", "ServiceAccount", "default"),
        f"namespace {name} has a ServiceAccount",
        seconds=90,  # controllers come back that slowly where a test before ended the API server
    )
    try:
        yield namespace
    finally:
        # Without their grace periods: whoever comes next wants the GPUs.
        cluster.objects.call(
            "DELETE", cluster.objects.path("v1", "Pod", namespace=name), parameters={"gracePeriodSeconds": "0"}
        )
        cluster.objects.delete("v1", "Namespace", name)


def python_pod(name: str, program: str, **spec: Any) -> Manifest:
    """A pod that runs `program`, a text of Python. `annotations` and `labels` go to its metadata, `gpus` to its limits,
    `container` is merged into its container, everything else into its spec."""
    annotations, labels = spec.pop("annotations", {}), spec.pop("labels", {})
    container = {"name": "main", "image": "python:3", "args": ["-u", "-c", program]} | spec.pop("container", {})
    if gpus := spec.pop("gpus", 0):
        container["resources"] = {"limits": {"nvidia.com/gpu": str(gpus)}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels, "annotations": annotations},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 5} | spec,
    }


def is_ready(pod: Manifest) -> bool:
    """Whether a pod's Ready condition is True."""
    conditions = pod.get("status", {}).get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def container_status(pod: Manifest) -> Manifest:
    """The status of a pod's first container; empty while there is none."""
    statuses = pod.get("status", {}).get("containerStatuses") or [{}]
    return dict(statuses[0])


def describe_failure(namespace: Namespace) -> str:
    """The pods of a namespace and the ends of their logs, for the report of a failed test."""
    try:
        parts = [
            namespace.cluster.kubectl("get", "pods,services,events", "-n", namespace.name, "-o", "wide", check=False)
        ]
        parts += [
            f"--- log of pod {name} ends with\n{namespace.logs(name)[-3000:]}"
            for name in sorted(pod["metadata"]["name"] for pod in namespace.list("v1", "Pod"))
        ]
    except (OSError, ApiError) as error:
        return f"the cluster does not answer: {error!r}"
    return "\n".join([*parts, "all logs of the session will be in out/test-logs"])
