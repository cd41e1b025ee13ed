"""The small product of the operator's tests, on kind: load is stated by gauges, so that a test says what it needs and no more."""

import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from typing import Any

from e2e.cluster import GPU, KindCluster
from e2e.space import NodePort, Space, parts
from flags.traffic import Failure, Traffic, answer, bulk, single, traffic
from support.operator_world import FEATURE, GAUGES_PORT, World, deployment, gauges_pod, ours, plan
from support.waiting import wait_for

USERS: Mapping[str, Mapping[str, Any]] = {
    "free": {"plan": "free", "targetingKey": "ana"},
    "pro": {"plan": "pro", "targetingKey": "pia"},
}
FULL = answer("full", {"enabled": True})
DENIED = answer("denied_capacity", {"enabled": False})
KNOWN = """
import sys, urllib.request as r
url = f"http://{sys.argv[1]}:8080/{sys.argv[2]}/ofrep/v1/evaluate/flags"
r.urlopen(r.Request(url, b'{"context": {}}', {"Content-Type": "application/json"}), timeout=5)
"""
"""Run in a flag server: fails while that serves nothing for a namespace."""
FOR_FREE, FOR_PRO = f"{FEATURE} for free", f"{FEATURE} for pro"


class Product(World):
    """Four GPUs unless `capacity` says otherwise; a workload `image` of one GPU a replica; `pro` always has the feature, `free` may lose it."""

    def __init__(self, cluster: KindCluster, namespace: Space, *, capacity: dict[str, Any] | None = None) -> None:
        super().__init__(cluster, namespace)  # type: ignore[arg-type]
        self.kind = cluster
        self.capacity = capacity or {"gpus": 4}

    def create(self) -> None:
        """Everything, and a calm load: two of the GPUs are needed."""
        namespace, objects = self.namespace, self.kind.objects
        objects.patch("v1", "Namespace", namespace.name, {"metadata": {"labels": {"pool": self.pool}}})
        self.start_gauges()
        namespace.create(deployment("image", gpus=1))
        selector = {"matchLabels": {"pool": self.pool}}
        objects.create(ours("GPUPool", self.pool, namespaceSelector=selector, capacity=self.capacity))
        namespace.create(self.scaler())
        namespace.create(ours("UserTier", "pro", priority=90, match=[plan("pro")]))
        namespace.create(ours("UserTier", "free", priority=10))
        namespace.create(self.policy())
        self.set_load(pro=0.5, free=0.5)
        self.wait_for_variant("free", "full", seconds=60)
        for server in parts(self.kind, "flags"):  # one that a test before cut off may still be about to catch up
            served = partial(self.kind.run_in, server, "python", "-c", KNOWN, server["status"]["podIP"], namespace.name)
            wait_for(lambda served=served: served() == "", "every flag server serves it", seconds=90)

    def start_gauges(self) -> None:
        """A pod with the gauges and a Service to set them by."""
        self.namespace.create(gauges_pod())
        ports = [{"name": "http", "port": GAUGES_PORT}]
        service = {"type": "NodePort", "selector": {"app": "gauges"}, "ports": ports}
        self.namespace.create({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "gauges"}, "spec": service})
        self.namespace.wait_until_ready("gauges", seconds=60)

    def set_gauges(self, text: str) -> None:
        """The whole text that Prometheus scrapes from now on."""
        url = NodePort(self.kind, self.namespace.name, "gauges").url
        request = urllib.request.Request(f"{url}/metrics", data=text.encode(), method="PUT")

        def put() -> bool:
            urllib.request.urlopen(request, timeout=2).close()
            return True

        wait_for(put, "the gauges' Service answers")  # a moment after its pod is ready

    def shed(self) -> None:
        """A load that four GPUs do not carry, until the free users have lost the feature and nothing else is coming."""
        self.set_load(pro=3.8, free=6.0)
        self.wait_for_variant("free", "denied", seconds=60)
        wait_for(lambda: self.gpus_held() == 4, "the workload has all GPUs of the pool", seconds=60)
        self.set_load(pro=3.8, free=6.0, admitted=0.0)
        self.wait_for_variant("free", "denied", seconds=60)

    def calm_down(self) -> None:
        """The calm load again, until the free users have the feature back."""
        self.set_load(pro=0.5, free=0.5)
        self.wait_for_variant("free", "full", seconds=120)

    def wait_until_decided_on(self) -> None:
        """Until the operator has given something back on a new load, and says on which. All of it would take a minute more."""
        self.set_load(pro=1.0, free=0.5)

        def on_the_new_load() -> bool:
            cells = {cell["tier"]: cell for cell in self.status("FeaturePolicy", FEATURE)["cells"]}
            return float(cells["pro"]["offered"]) == 1.0 and cells["free"]["variant"] == "full"

        wait_for(on_the_new_load, "the operator decides on the load of now", seconds=90)

    def ways(self, flags: NodePort) -> dict[str, Callable[[], Iterator[tuple[str, str]]]]:
        """Every way of asking over HTTP, for a user of each tier."""
        ask = {"OFREP": single, "OFREP bulk": bulk}
        return {name: partial(each, flags, self.namespace.name, [FEATURE], USERS) for name, each in ask.items()}

    @contextmanager
    def asked(self, flags: NodePort) -> Iterator[Traffic]:
        """Traffic of users while the block runs."""
        with traffic(self.ways(flags)) as running:
            yield running

    def gpus_held(self) -> int:
        """GPUs of the running pods of the workload."""
        running = [
            pod
            for pod in self.namespace.list("v1", "Pod", labels={"app": "image"})
            if pod["status"]["phase"] == "Running"
        ]
        return sum(int(pod["spec"]["containers"][0]["resources"]["limits"][GPU]) for pod in running)


def sentences(failures: Sequence[Failure]) -> str:
    """What went wrong and when, a line each, in seconds from the first."""
    lines = [f"{each.at - failures[0].at:7.2f} s  {each.way}: {each.sentence}" for each in failures]
    return "\n".join([f"{len(lines)} questions without an answer that could be used", *lines])


def longest_wait(traffic: Traffic) -> float:
    """The longest time, in seconds, in which no question got an answer."""
    answered = sorted(each.at for given in traffic.answers.values() for each in given)
    return max(later - earlier for earlier, later in pairwise(answered))
