"""Sets the demo up: the cluster, the chart, the policies, the workloads. The files are those that anybody would apply."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from brownout_localcluster import GPUNode, LocalCluster, PrometheusSettings
from brownout_localcluster.charts import install_chart

ROOT = Path(__file__).resolve().parents[3]
NAMESPACE = "media"
SYSTEM = "brownout-system"
RELEASE = "brownout"
NODES = tuple(GPUNode(name=f"gpu-{i}", gpus=6, labels={"brownout.dev/gpu": "demo"}) for i in (1, 2))
PATIENCE_SECONDS = 180.0
MANAGER = "demo"

Say = Callable[[str], None]


class StageError(Exception):
    """The stage could not be set; the message says what did not come up, and where its log is."""


@contextmanager
def cluster(say: Say, *, keep_logs: Path | None) -> Iterator[LocalCluster]:
    """A local cluster with twelve GPUs and a Prometheus that scrapes every second."""
    with LocalCluster(
        nodes=NODES,
        prometheus=PrometheusSettings(scrape_seconds=1, lookback_seconds=15),
        keep_logs=keep_logs,
        say=say,
    ) as running:
        yield running


def install(running: LocalCluster, say: Say) -> None:
    """The chart, the workloads, and the policies once the workloads are there."""
    say("installing the chart: CRDs, RBAC, operator, flag server")
    install_chart(
        running.kubeconfig,
        ROOT / "charts" / "brownout",
        RELEASE,
        namespace=SYSTEM,
        values={"operator": {"prometheus": {"url": running.prometheus.url}}, "flags": {"replicas": 1}},
    )
    apply(running, ROOT / "demo" / "workloads" / "namespace.yaml")
    flags = service(running, SYSTEM, f"{RELEASE}-flags")
    running.objects.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "flags", "namespace": NAMESPACE},
            "data": {"FLAGD_HOST": flags, "FLAGD_SYNC_PORT": "8015", "FLAGD_SOURCE_SELECTOR": NAMESPACE},
        },
        manager=MANAGER,
    )
    say("applying demo/policies")
    for path in sorted((ROOT / "demo" / "policies").glob("*.yaml")):
        apply(running, path)
    say("starting the inference servers as pods")
    for name in ("chat", "image", "video"):
        apply(running, ROOT / "demo" / "workloads" / f"{name}.yaml")


def apply(running: LocalCluster, path: Path) -> None:
    """Every object of a file, namespaced ones without a namespace into the demo's."""
    for manifest in yaml.safe_load_all(path.read_text()):
        running.objects.apply(manifest, namespace=NAMESPACE, manager=MANAGER)


def service(running: LocalCluster, namespace: str, name: str) -> str:
    """The address of a Service."""
    found: dict[str, Any] = running.objects.get("v1", "Service", name, namespace=namespace)
    return str(found["spec"]["clusterIP"])


def hosts(running: LocalCluster) -> dict[str, str]:
    """host:port of each workload's Service."""
    return {name: f"{service(running, NAMESPACE, name)}:80" for name in ("chat", "image", "video")}


def wait_until_ready(running: LocalCluster, say: Say) -> None:
    """Until every Deployment has its replicas and the policies have been decided on once."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    said = ""
    while True:
        waiting = _waiting(running)
        if not waiting:
            return
        if (words := ", ".join(waiting)) != said:
            say(f"waiting for {words}")
            said = words
        if time.monotonic() > deadline:
            raise StageError(f"{words} did not become ready in {PATIENCE_SECONDS:.0f} s; logs: {running.layout.logs}")
        time.sleep(0.5)


def _waiting(running: LocalCluster) -> list[str]:
    waiting = []
    for deployment in running.objects.list("apps/v1", "Deployment"):
        wanted, ready = deployment["spec"]["replicas"], deployment.get("status", {}).get("readyReplicas", 0)
        if ready < wanted:
            waiting.append(f"{deployment['metadata']['name']} ({ready}/{wanted})")
    policies = running.objects.list("brownout.dev/v1alpha1", "FeaturePolicy")
    waiting += [f"policy {p['metadata']['name']}" for p in policies if not p.get("status", {}).get("cells")]
    return waiting


def versions(running: LocalCluster) -> dict[str, Any]:
    """What ran."""
    import platform
    from importlib.metadata import version

    served: dict[str, Any] = running.objects.call("GET", "/version")
    return {
        "brownout": version("brownout"),
        "kubernetes": served["gitVersion"],
        "python": platform.python_version(),
        "torch": version("torch"),
        "kopf": version("kopf"),
    }
