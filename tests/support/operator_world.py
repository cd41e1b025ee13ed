"""A small product for tests of the operator: one pool, one workload, tiers and a feature, and gauges that the test sets.

Load is not made but stated: a pod serves whatever gauges the test wrote last, a real Prometheus scrapes it, and the objects'
queries read them. So a test says "four requests a second for free users" and waits for what the operator makes of it.
"""

import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from brownout_localcluster import LocalCluster
from support.cluster import Manifest, Namespace
from support.operator import install_kinds
from support.waiting import wait_for

API_VERSION = "brownout.dev/v1alpha1"
FEATURE = "image-generation"
GAUGES_PORT = 9000

GAUGES = f"""
import http.server, os

text = b""

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(text)

    def do_PUT(self):
        global text
        text = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass

http.server.HTTPServer((os.environ["POD_IP"], {GAUGES_PORT}), Handler).serve_forever()
"""

SLEEP = "import signal; signal.sigwait({signal.SIGTERM})"


class World:
    """A namespace with a workload `image` of one GPU a replica, its scaler, tiers `pro` and `free`, and one feature.

    A request of the full variant costs one GPU-second, so that N requests a second keep N GPUs busy. `capacity` is the pool's, four
    GPUs unless given. With `nodes`, labels, the workload's pods ask for a GPU of a node that carries them.
    """

    def __init__(
        self,
        cluster: LocalCluster,
        namespace: Namespace,
        *,
        capacity: Manifest | None = None,
        nodes: dict[str, str] | None = None,
    ) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.pool = f"pool-{uuid4().hex[:8]}"
        self._capacity = capacity or {"gpus": 4}
        self._nodes = nodes

    def create(self) -> None:
        """Everything, and a calm load."""
        namespace = self.namespace
        self.cluster.objects.patch("v1", "Namespace", namespace.name, {"metadata": {"labels": {"pool": self.pool}}})
        self.start_gauges()
        namespace.create(deployment("image", gpus=int(self._nodes is not None), nodes=self._nodes))
        self.cluster.objects.create(
            ours(
                "GPUPool",
                self.pool,
                namespaceSelector={"matchLabels": {"pool": self.pool}},
                capacity=self._capacity,
            )
        )
        namespace.create(self.scaler())
        namespace.create(ours("UserTier", "pro", priority=90, match=[plan("pro")]))
        namespace.create(ours("UserTier", "free", priority=10))
        namespace.create(self.policy())

    def delete(self) -> None:
        """What is not of the namespace."""
        self.cluster.objects.delete(API_VERSION, "GPUPool", self.pool)

    def scaler(self, name: str = "image", **spec: Any) -> Manifest:
        """The scaler of the workload `image`: reacts at once, in both directions."""
        return ours(
            "InferenceScaler",
            name,
            **{
                "poolRef": {"name": self.pool},
                "scaleTargetRef": {"name": "image"},
                "gpusPerReplica": 1,
                "maxReplicas": 10,
                "coldStart": {"expectedSeconds": 2},
                "forecast": {"method": "None"},
                "behavior": {"scaleDown": {"stabilizationWindowSeconds": 5}},
                "stale": {"afterSeconds": 5},
            }
            | spec,
        )

    def policy(self, name: str = FEATURE, **spec: Any) -> Manifest:
        """The feature: full or denied; `pro` always has it."""
        return ours(
            "FeaturePolicy",
            name,
            **{
                "flagKey": name,
                "variants": [
                    {
                        "name": "full",
                        "value": {"enabled": True},
                        "costs": [{"scaler": "image", "gpuSecondsPerRequest": "1"}],
                    },
                    {"name": "denied", "value": {"enabled": False}},
                ],
                "tiers": [
                    {"tierRef": {"name": "pro"}, "availability": "Always"},
                    {"tierRef": {"name": "free"}, "availability": "Auto"},
                ],
                "demand": {
                    which: {
                        "query": f'sum by (tier, cohort) ({which}{{namespace="{self.namespace.name}",feature="{name}"}})'
                    }
                    for which in ("offered", "admitted")
                },
                "restore": {"afterSeconds": 5, "stepPercent": 100, "stepSeconds": 1},
            }
            | spec,
        )

    @contextmanager
    def added(self, manifest: Manifest) -> Iterator[None]:
        """An object that is there while the block runs."""
        self.namespace.create(manifest)
        try:
            yield
        finally:
            self.namespace.delete(manifest["apiVersion"], manifest["kind"], manifest["metadata"]["name"])

    def start_gauges(self) -> None:
        """A pod that serves the gauges, scraped by the cluster's Prometheus."""
        self.namespace.create(gauges_pod())
        self.namespace.wait_until_ready(
            "gauges", seconds=90
        )  # the scheduler comes back that slowly, as the controllers do

    def wait_until_measured(self) -> None:
        """Until Prometheus has the gauges. It finds a new pod at once, or half a minute after an API server that a test before took away has come back."""
        query = f'offered{{namespace="{self.namespace.name}"}}'
        wait_for(lambda: self.cluster.prometheus.query(query), "the gauges are measured", seconds=120)

    def set_load(self, *, pro: float = 0.0, free: float = 0.0, admitted: float | None = None, extra: str = "") -> None:
        """Offered requests a second by tier, all of them admitted, or so many of the free ones; `extra` is further text of gauges."""
        let_through = free if admitted is None else admitted
        lines = [
            f'{which}{{feature="{FEATURE}",tier="{tier}",cohort=""}} {rate}'
            for which, of_free in (("offered", free), ("admitted", let_through))
            for tier, rate in (("pro", pro), ("free", of_free))
        ]
        self.set_gauges("\n".join([*lines, extra, ""]))

    def set_gauges(self, text: str) -> None:
        """The whole text that Prometheus scrapes from now on."""
        address = self.namespace.pod("gauges")["status"]["podIP"]
        connection = http.client.HTTPConnection(address, GAUGES_PORT, timeout=5)
        connection.request("PUT", "/metrics", text.encode())
        connection.getresponse().read()
        connection.close()

    def replicas(self, name: str = "image") -> int:
        """What the workload's spec says."""
        return int(self.namespace.get("apps/v1", "Deployment", name)["spec"]["replicas"])

    def status(self, kind: str, name: str) -> Manifest:
        """The status of one of our objects; empty while there is none."""
        return dict(self.namespace.get(API_VERSION, kind, name).get("status") or {})

    def pool_status(self) -> Manifest:
        """The pool's status."""
        return dict(self.cluster.objects.get(API_VERSION, "GPUPool", self.pool).get("status") or {})

    def served(self, tier: str, name: str = FEATURE) -> tuple[str, int]:
        """The variant of a tier, and the percentage of its users who have it. Raises KeyError while status has no such cell."""
        for cell in self.status("FeaturePolicy", name).get("cells", ()):
            if cell["tier"] == tier:
                return cell["variant"], cell["percent"]
        raise KeyError(tier)

    def condition(self, kind: str, name: str, condition: str) -> Manifest:
        """A condition of one of our objects. Raises LookupError while there is none."""
        return condition_of(self.status(kind, name), condition)

    def wait_for_sentence(self, kind: str, name: str, condition: str, *words: str, seconds: float = 40) -> Manifest:
        """Until a condition's message has all these words; returns the condition."""

        def said() -> Manifest | None:
            found = self.condition(kind, name, condition)
            return found if all(word in found.get("message", "") for word in words) else None

        return wait_for(said, f"{kind} {name} says {words} in {condition}", seconds=seconds)

    def wait_for_replicas(self, count: int, *, seconds: float = 30.0) -> None:
        """Until the workload's spec has so many."""
        wait_for(lambda: self.replicas() == count, f"image has {count} replicas", seconds=seconds)

    def wait_for_variant(self, tier: str, variant: str, *, percent: int = 100, seconds: float = 30.0) -> None:
        """Until all users of a tier have a variant."""
        wait_for(
            lambda: self.served(tier) == (variant, percent),
            f"{tier} has {variant}",
            seconds=seconds,
        )


@contextmanager
def calm_world(
    cluster: LocalCluster,
    namespace: Namespace,
    *,
    capacity: Manifest | None = None,
    nodes: dict[str, str] | None = None,
) -> Iterator[World]:
    """A small product with a calm load: two of the pool's four GPUs are needed."""
    install_kinds(cluster)
    world = World(cluster, namespace, capacity=capacity, nodes=nodes)
    world.create()
    try:
        world.set_load(pro=0.5, free=0.5)
        world.wait_until_measured()
        yield world
    finally:
        world.delete()


def condition_of(status: Manifest, kind: str) -> Manifest:
    """A condition by its type. Raises LookupError while there is none."""
    for condition in status.get("conditions", ()):
        if condition["type"] == kind:
            return dict(condition)
    raise LookupError(f"no condition {kind} in {status}")


def ours(kind: str, name: str, **spec: Any) -> Manifest:
    """One of our objects."""
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}


def override(name: str, variant: str, *, until: str) -> Manifest:
    """An override of all cells of the feature."""
    return ours(
        "FeatureOverride", name, policyRef={"name": FEATURE}, variant=variant, expireTime=until, reason="a test"
    )


def plan(value: str) -> Manifest:
    """A match on the attribute `plan`."""
    return {"key": "plan", "operator": "In", "values": [value]}


def gauges_pod() -> Manifest:
    """A pod that serves whatever gauges it was given, and asks to be scraped."""
    annotations = {"prometheus.io/scrape": "true", "prometheus.io/port": str(GAUGES_PORT)}
    container = {
        "name": "main",
        "image": "python",
        "args": ["-u", "-c", GAUGES],
        "env": [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
        "readinessProbe": {"httpGet": {"port": GAUGES_PORT, "path": "/metrics"}, "periodSeconds": 1},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "gauges", "annotations": annotations, "labels": {"app": "gauges"}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
    }


def deployment(
    name: str, *, replicas: int = 1, gpus: int = 0, nodes: dict[str, str] | None = None, **container: Any
) -> Manifest:
    """A workload whose pods do nothing, and are ready at once unless a probe says otherwise; `nodes` are labels of theirs."""
    limits = {"resources": {"limits": {"nvidia.com/gpu": str(gpus)}}} if gpus else {}
    main = {"name": "main", "image": "python", "args": ["-u", "-c", SLEEP]} | limits | container
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [main], "terminationGracePeriodSeconds": 1, "nodeSelector": nodes or {}},
            },
        },
    }
