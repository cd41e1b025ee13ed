"""Products by the hundred on a real API server, for an operator that is measured: a scaler, a workload and a policy for each model.

The control plane is real, and so is Prometheus with what it scrapes. No controller and no scheduler runs meanwhile: a thousand
Deployments would start a thousand processes, so their pods are written as they would be, ready, and stay as they are written.
"""

import queue
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from brownout_localcluster import GPUNode, LocalCluster, PrometheusSettings
from brownout_localcluster.objects import Objects
from support.cluster import IMAGES, Manifest, Namespace
from support.operator import install_kinds
from support.operator_world import API_VERSION, GAUGES_PORT, ours, plan
from support.waiting import wait_for

NAMESPACES = 10
TIERS = {"pro": 100, "plus": 50, "free": 10}
RATE = 4.0
"""Requests a second of each tier of each feature; each costs a sixtieth of a GPU-second, so that a fifth of one GPU is busy."""
COST = "16m"
WRITERS = 4

EXPORTER = f"""
import http.server, os, time

began = time.time()
features, tiers = range(int(os.environ["FIRST"]), int(os.environ["LAST"])), {tuple(TIERS)!r}
rates = [
    'brownout_feature_%s_total{{feature="model-%05d",tier="%s",cohort=""}} ' % (which, number, tier)
    for which in ("offered", "admitted") for number in features for tier in tiers
]
busy = ['busy_gpu_seconds_total{{scaler="model-%05d"}} ' % number for number in features]
queue = "".join('queue_gpu_seconds{{scaler="model-%05d"}} 0\\n' % number for number in features)

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        age = time.time() - began
        total, work = "%.3f\\n" % (age * {RATE}), "%.3f\\n" % (age * 0.2)
        body = (total.join(rates) + total + work.join(busy) + work + queue).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

http.server.HTTPServer((os.environ["POD_IP"], {GAUGES_PORT}), Handler).serve_forever()
"""
"""Counters that rise at a constant pace, for the models of one namespace."""


class Models:
    """`count` models in ten namespaces, each with a pool that has room for twice as many replicas."""

    def __init__(self, cluster: LocalCluster, namespaces: list[Namespace], count: int) -> None:
        self.cluster = cluster
        self.namespaces = namespaces
        self.count = count
        self._each = count // len(namespaces)

    def create(self) -> None:
        """Everything, in the order in which it is referred to."""
        exporters = [self._exporter(at) for at in range(len(self.namespaces))]
        for namespace, exporter in zip(self.namespaces, exporters, strict=True):
            namespace.create(exporter)
        for namespace in self.namespaces:
            namespace.wait_until_ready("exporter", seconds=60)
        for name in ("kube-controller-manager", "kube-scheduler"):
            self.cluster.component(name).stop()
        for at, namespace in enumerate(self.namespaces):
            labels = {"metadata": {"labels": {"pool": self.pool(at)}}}
            self.cluster.objects.patch("v1", "Namespace", namespace.name, labels)
            selector = {"matchLabels": {"pool": self.pool(at)}}
            pool = ours("GPUPool", self.pool(at), namespaceSelector=selector, capacity={"gpus": 2 * self._each})
            self.cluster.objects.create(pool)
            for tier, priority in TIERS.items():
                namespace.create(ours("UserTier", tier, priority=priority, match=[plan(tier)]))
        self._each_model(self._create)

    def pool(self, at: int) -> str:
        """The pool of a namespace."""
        return f"pool-{self.namespaces[at].name}"

    def versions(self) -> dict[tuple[str, str, str], str]:
        """The resourceVersion of each of our objects and their workloads: it changes with any write."""
        kinds = [(API_VERSION, kind) for kind in ("GPUPool", "InferenceScaler", "UserTier", "FeaturePolicy")]
        return {
            (kind, found["metadata"].get("namespace", ""), found["metadata"]["name"]): found["metadata"][
                "resourceVersion"
            ]
            for api_version, kind in [*kinds, ("apps/v1", "Deployment")]
            for found in self.cluster.objects.list(api_version, kind)
        }

    def _each_model(self, act: Callable[[Objects, int], None]) -> None:
        """Do something about each model, several at a time, each writer with a connection of its own."""
        connections: queue.SimpleQueue[Objects] = queue.SimpleQueue()
        opened = [Objects(self.cluster.kubeconfig) for _ in range(WRITERS)]
        for objects in opened:
            connections.put(objects)

        def with_a_connection(number: int) -> None:
            objects = connections.get()
            try:
                act(objects, number)
            finally:
                connections.put(objects)

        with ThreadPoolExecutor(WRITERS) as pool:
            for done in [pool.submit(with_a_connection, number) for number in range(self.count)]:
                done.result()
        for objects in opened:
            objects.close()

    def _create(self, objects: Objects, number: int) -> None:
        at, name = number // self._each, f"model-{number:05}"
        namespace = self.namespaces[at].name
        for manifest in (
            _deployment(name),
            _pod(name),
            self._scaler(name, self.pool(at)),
            _policy(name),
        ):
            objects.create(manifest, namespace=namespace)
        objects.patch("v1", "Pod", f"{name}-0", {"status": READY}, namespace=namespace, part="status")

    def _scaler(self, name: str, pool: str) -> Manifest:
        return ours(
            "InferenceScaler",
            name,
            poolRef={"name": pool},
            scaleTargetRef={"name": name},
            gpusPerReplica=1,
            metrics=[
                {"name": "queue", "role": "Backlog", "query": f'sum(queue_gpu_seconds{{scaler="{name}"}})'},
                {
                    "name": "busy",
                    "role": "Busy",
                    "query": f'sum(rate(busy_gpu_seconds_total{{scaler="{name}"}}[30s]))',
                },
            ],
        )

    def _exporter(self, at: int) -> Manifest:
        environment = {"FIRST": str(at * self._each), "LAST": str((at + 1) * self._each)}
        container = {
            "name": "main",
            "image": "python",
            "args": ["-u", "-c", EXPORTER],
            "env": [
                {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                *({"name": name, "value": value} for name, value in environment.items()),
            ],
            "readinessProbe": {"httpGet": {"port": GAUGES_PORT, "path": "/metrics"}, "periodSeconds": 1},
        }
        annotations = {"prometheus.io/scrape": "true", "prometheus.io/port": str(GAUGES_PORT)}
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "exporter", "annotations": annotations},
            "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
        }


READY = {
    "phase": "Running",
    "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
}


def _deployment(name: str) -> Manifest:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "model"}]}},
        },
    }


def _pod(name: str) -> Manifest:
    """Its only pod. It is bound to no node, or somebody would run it."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"{name}-0", "labels": {"app": name}},
        "spec": {"containers": [{"name": "main", "image": "model"}]},
    }


def _policy(name: str) -> Manifest:
    """Full or denied for three tiers, by the reference server's metrics."""
    return ours(
        "FeaturePolicy",
        name,
        flagKey=name,
        variants=[
            {
                "name": "full",
                "value": {"enabled": True},
                "costs": [{"scaler": name, "gpuSecondsPerRequest": COST}],
            },
            {"name": "denied", "value": {"enabled": False}},
        ],
        tiers=[
            {"tierRef": {"name": "pro"}, "availability": "Always"},
            {"tierRef": {"name": "plus"}, "availability": "Auto"},
            {"tierRef": {"name": "free"}, "availability": "Auto"},
        ],
    )


@contextmanager
def models(count: int) -> Iterator[Models]:
    """So many models on a cluster of their own, which ends with the block."""
    with LocalCluster(
        nodes=[GPUNode(name="gpu-1", gpus=8)],
        images=IMAGES,
        prometheus=PrometheusSettings(scrape_seconds=5, lookback_seconds=30),
    ) as cluster:
        install_kinds(cluster)
        made = Models(cluster, [_namespace(cluster, f"product-{at}") for at in range(NAMESPACES)], count)
        made.create()
        yield made


def _namespace(cluster: LocalCluster, name: str) -> Namespace:
    cluster.objects.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    found = Namespace(cluster, name)
    wait_for(lambda: found.find("v1", "ServiceAccount", "default"), f"namespace {name} has a ServiceAccount")
    return found
