"""What an upgrade of the chart changes on a real API server: objects that cannot become others, and numbers that are others' to say."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from brownout_localcluster import LocalCluster
from brownout_localcluster.charts import install_chart, uninstall_chart
from support.chart import CHART, IMAGE, RELEASE
from support.cluster import Namespace, fresh_namespace

Upgrade = Callable[..., None]
NOTHING_RUNS: dict[str, Any] = {"crds": {"enabled": False}, "rbac": {"people": False}, "operator": {"replicas": 0}}


def apply(cluster: LocalCluster, namespace: str, chart: Path = CHART, **values: Any) -> None:
    """Installs or upgrades the release in a namespace, without operators and flag servers."""
    values["flags"] = {"replicas": 0} | values.get("flags", {})
    install_chart(cluster.kubeconfig, chart, RELEASE, namespace=namespace, values=NOTHING_RUNS | values)


@pytest.fixture
def upgrade(cluster: LocalCluster, namespace: Namespace) -> Iterator[Upgrade]:
    """Installs the release in the test's namespace, and upgrades it from then on."""

    def to(**values: Any) -> None:
        apply(cluster, namespace.name, watchNamespaces=[namespace.name], **values)

    yield to
    uninstall_chart(cluster.kubeconfig, RELEASE, namespace=namespace.name)


def test_valkey_gets_a_volume_and_loses_it_again(namespace: Namespace, upgrade: Upgrade) -> None:
    for keeps in (False, True, False):
        upgrade(redis={"enabled": True, "persistence": {"enabled": keeps}})
        found = [kind for kind in ("Deployment", "StatefulSet") if namespace.find("apps/v1", kind, "brownout-redis")]
        assert found == ["StatefulSet" if keeps else "Deployment"]


def test_sync_that_an_older_chart_published_is_taken_back_inside(
    cluster: LocalCluster, namespace: Namespace, upgrade: Upgrade, tmp_path: Path
) -> None:
    older = tmp_path / "chart"
    shutil.copytree(CHART, older)
    flags = older / "templates" / "flags.yaml"
    flags.write_text(flags.read_text().replace("  type: ClusterIP #", "  type: NodePort #"))
    apply(cluster, namespace.name, older, watchNamespaces=[namespace.name])
    assert all("nodePort" in port for port in namespace.get("v1", "Service", "brownout-flags")["spec"]["ports"])

    upgrade(flags={"service": {"type": "NodePort"}})
    inside = namespace.get("v1", "Service", "brownout-flags")["spec"]
    assert inside["type"] == "ClusterIP"
    assert not any("nodePort" in port for port in inside["ports"])
    (port,) = namespace.get("v1", "Service", "brownout-flags-public")["spec"]["ports"]
    assert port["name"] == "http"
    assert port["nodePort"]
    upgrade()
    assert namespace.find("v1", "Service", "brownout-flags-public") is None


def test_releases_of_one_name_live_in_two_namespaces(cluster: LocalCluster) -> None:
    with ExitStack() as after:
        for _ in range(2):
            namespace = after.enter_context(fresh_namespace(cluster))
            apply(cluster, namespace.name, watchNamespaces=[namespace.name])
            after.callback(uninstall_chart, cluster.kubeconfig, RELEASE, namespace=namespace.name)
            assert namespace.find("apps/v1", "Deployment", "brownout-operator")


@pytest.mark.parametrize("scaled", [None, 5])
def test_a_number_of_replicas_that_is_taken_out_leaves_what_runs(
    namespace: Namespace, upgrade: Upgrade, scaled: int | None
) -> None:
    here = IMAGE | {"namespace": namespace.name, "gpus": 0}
    upgrade(inference={"workloads": [here | {"replicas": 2}]})
    if scaled:
        scale(namespace, scaled)
    for annotation in ("first", "second"):  # the number stays out of the values from now on
        upgrade(inference={"workloads": [here | {"podAnnotations": {"upgrade": annotation}}]})
        assert replicas(namespace) == (scaled or 2)
    scale(namespace, 7)
    upgrade(inference={"workloads": [here]})
    assert replicas(namespace) == 7


def test_a_workload_without_a_number_keeps_what_it_was_scaled_to(namespace: Namespace, upgrade: Upgrade) -> None:
    here = IMAGE | {"namespace": namespace.name, "gpus": 0}
    upgrade(inference={"workloads": [here]})
    scale(namespace, 4)
    upgrade(inference={"workloads": [here | {"podAnnotations": {"upgrade": "first"}}]})
    assert replicas(namespace) == 4
    assert "brownout.dev/replicas" not in namespace.get("apps/v1", "Deployment", "image")["metadata"]["annotations"]


def scale(namespace: Namespace, to: int) -> None:
    namespace.patch("apps/v1", "Deployment", "image", {"spec": {"replicas": to}}, part="scale")


def replicas(namespace: Namespace) -> int:
    return int(namespace.get("apps/v1", "Deployment", "image")["spec"]["replicas"])
