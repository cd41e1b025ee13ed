"""`brownout diagnose` on a real control plane with the chart on it: what is in the bundle, what it says, and that no secret is in it."""

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from brownout_localcluster import GPUNode, LocalCluster, PrometheusSettings
from brownout_localcluster.charts import install_chart
from support.cluster import IMAGES, Namespace, fresh_namespace, is_ready
from support.command import brownout
from support.examples import REPOSITORY
from support.operator_world import FEATURE, World
from support.waiting import wait_for

SYSTEM = "brownout-system"
SECRET = "S3cr3t-0f-th1s-t3st"
PLANTED = f"postgres://app:{SECRET}@db:5432/app"


@pytest.fixture(scope="module")
def installed() -> Iterator[LocalCluster]:
    """A cluster with the chart, whose operator and flag server have secrets in their environment."""
    nodes = [GPUNode(name="gpu-1", gpus=8)]
    prometheus = PrometheusSettings(scrape_seconds=1, lookback_seconds=15)
    with LocalCluster(nodes=nodes, images=IMAGES, prometheus=prometheus) as cluster:
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "planted"},
            "stringData": {"token": SECRET},
        }
        planted = [{"name": "HARMLESS_NAME", "value": SECRET}]
        values = {
            "flags": {"replicas": 1, "extraEnv": planted},
            "operator": {
                "extraEnv": planted,
                "prometheus": {"url": cluster.prometheus.url},
                "extraArgs": ["--tick-seconds=0.5"],
            },
        }
        install_chart(
            cluster.kubeconfig, REPOSITORY / "charts" / "brownout", "brownout", namespace=SYSTEM, values=values
        )
        cluster.objects.create(secret, namespace=SYSTEM)
        wait_for(
            lambda: all(map(is_ready, pods(cluster))) and len(pods(cluster)) == 2, "the pods are ready", seconds=90
        )
        yield cluster


def pods(cluster: LocalCluster) -> list[dict[str, Any]]:
    return cluster.objects.list("v1", "Pod", namespace=SYSTEM, labels={"app.kubernetes.io/name": "brownout"})


@pytest.fixture
def product(installed: LocalCluster) -> Iterator[World]:
    """A small product with a calm load, decided on by the chart's operator, with secrets in its objects."""
    with fresh_namespace(installed) as namespace:
        world = World(installed, namespace)
        world.create()
        secretive = [
            {
                "name": "full",
                "value": {"upstream": {"apiKey": SECRET}},
                "costs": world.policy()["spec"]["variants"][0]["costs"],
            }
        ]
        world.namespace.apply(
            world.policy("with-a-key", variants=[*secretive, {"name": "denied", "value": {"no": True}}])
        )
        env = {
            "spec": {
                "template": {"spec": {"containers": [{"name": "main", "env": [{"name": "DB", "value": PLANTED}]}]}}
            }
        }
        annotated = {"metadata": {"annotations": {"example.com/token": SECRET}}}
        world.namespace.patch("apps/v1", "Deployment", "image", annotated)
        path = installed.objects.path("apps/v1", "Deployment", "image", namespace=namespace.name)
        installed.objects.call("PATCH", path, env, content_type="application/strategic-merge-patch+json")
        try:
            world.set_load(pro=0.5, free=0.5, extra=_other_feature("with-a-key"))
            world.wait_for_variant("free", "full")
            known = lambda kind, name: world.condition(kind, name, "MetricsAvailable")["status"] == "True"  # noqa: E731
            wait_for(lambda: known("InferenceScaler", "image"), "the scaler's evidence is there")
            wait_for(lambda: known("FeaturePolicy", "with-a-key"), "the policies' evidence is there")
            yield world
        finally:
            world.delete()


def _other_feature(name: str) -> str:
    return "\n".join(
        f'{which}{{feature="{name}",tier="{tier}",cohort=""}} 0.1'
        for which in ("offered", "admitted")
        for tier in ("pro", "free")
    )


def diagnose(world: World, folder: Path, *words: str, kubeconfig: Path | None = None, code: int = 0) -> str:
    """Writes a bundle into a folder; returns the page."""
    where = kubeconfig or world.cluster.kubeconfig
    ran = brownout(where, "diagnose", "-n", world.namespace.name, "-o", str(folder), *words)
    assert ran.returncode == code, ran.stderr + ran.stdout
    assert "Traceback" not in ran.stderr
    return ran.stdout


def everything(folder: Path) -> str:
    return "\n".join(file.read_text() for file in sorted(folder.rglob("*")) if file.is_file())


def test_a_bundle_has_everything_and_no_secret(product: World, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    page = diagnose(product, out, "--prometheus-url", product.cluster.prometheus.url)
    names = {str(file.relative_to(out)) for file in out.rglob("*") if file.is_file()}
    expected = {
        *("summary.txt", "errors.txt", "versions.yaml", "definitions.yaml", "rights.txt", "events.yaml"),
        *(f"objects/{kind}.yaml" for kind in ("gpupool", "inferencescaler", "usertier", "featurepolicy")),
        *(f"decisions/{name}" for name in ("status.txt", "status.yaml", "explain.txt", "history.txt")),
        *("gpus/nodes.yaml", "processes/pods.yaml", "processes/deployments.yaml"),
        *("workloads/targets.yaml", "workloads/pods.yaml", "prometheus/queries.yaml"),
        *(f"metrics/{SYSTEM}.{pod['metadata']['name']}.txt" for pod in pods(product.cluster)),
        *(
            f"logs/{SYSTEM}.{pod['metadata']['name']}.{pod['spec']['containers'][0]['name']}.log"
            for pod in pods(product.cluster)
        ),
    }
    assert expected <= names, expected - names
    assert "Nothing looks wrong, as far as could be seen." in page, page
    assert (out / "summary.txt").read_text() == page
    assert (out / "errors.txt").read_text() == ""
    assert FEATURE in (out / "decisions" / "explain.txt").read_text()
    assert f"{FEATURE} for pro: full 100 %" in (out / "decisions" / "history.txt").read_text()
    answers = yaml.safe_load((out / "prometheus" / "queries.yaml").read_text())
    assert {one["answer"] for one in answers if one["field"] == "demand.offered"} == {"2 series"}
    assert "brownout_last_tick_timestamp_seconds" in everything(out)
    assert "yes       operator" in (out / "rights.txt").read_text()
    assert "HARMLESS_NAME" in everything(out)
    assert SECRET not in everything(out)
    assert PLANTED not in everything(out)
    assert (out / "summary.txt").stat().st_mode & 0o077 == 0


def test_an_archive_has_the_same_and_nothing_is_written_over(product: World, tmp_path: Path) -> None:
    archive = tmp_path / "incident.tar.gz"
    page = diagnose(product, archive)
    assert "prometheus: not asked" in page
    with tarfile.open(archive) as found:
        names = found.getnames()
        assert "incident/summary.txt" in names
        assert "incident/decisions/status.txt" in names
        assert all(SECRET.encode() not in found.extractfile(name).read() for name in names)  # type: ignore[union-attr]
    assert archive.stat().st_mode & 0o077 == 0
    again = brownout(product.cluster.kubeconfig, "diagnose", "-o", str(archive))
    assert again.returncode == 1
    assert "is there already" in again.stderr


def test_what_is_wrong_is_on_the_page(product: World, tmp_path: Path) -> None:
    namespace, objects = product.namespace, product.cluster.objects
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "image"}
    hpa = {"scaleTargetRef": target, "maxReplicas": 3}
    namespace.create(
        {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "old"}, "spec": hpa}
    )
    rules = objects.get("rbac.authorization.k8s.io/v1", "ClusterRole", "brownout-operator")["rules"]
    lessened = [rule for rule in rules if "resourcequotas" not in rule["resources"]]
    objects.patch("rbac.authorization.k8s.io/v1", "ClusterRole", "brownout-operator", {"rules": lessened})
    try:
        product.set_gauges("")
        wait_for(
            lambda: product.condition("FeaturePolicy", FEATURE, "MetricsAvailable")["status"] == "False", "it is seen"
        )
        page = diagnose(product, tmp_path / "bundle", "--prometheus-url", product.cluster.prometheus.url)
    finally:
        objects.patch("rbac.authorization.k8s.io/v1", "ClusterRole", "brownout-operator", {"rules": rules})
    assert f"FeaturePolicy {namespace.name}/{FEATURE}: evidence is missing" in page
    assert f"FeaturePolicy {namespace.name}/{FEATURE}: demand.offered: no series" in page
    assert (
        f"HorizontalPodAutoscaler {namespace.name}/old and InferenceScaler {namespace.name}/image both scale image"
        in page
    )
    assert f"operator ({SYSTEM}/brownout-operator) may not: " in page
    assert "list resourcequotas" in page


def test_a_prometheus_that_does_not_answer_is_told_once_and_spoils_nothing(product: World, tmp_path: Path) -> None:
    page = diagnose(product, tmp_path / "bundle", "--prometheus-url", "http://127.0.0.1:1")
    assert page.count("Prometheus cannot be reached") == 1
    assert "Prometheus: every query: Prometheus cannot be reached" in page
    assert (tmp_path / "bundle" / "decisions" / "status.txt").exists()


def test_who_may_read_little_gets_what_they_may_and_is_told_the_rest(product: World, tmp_path: Path) -> None:
    kubeconfig = viewer(product.namespace, tmp_path)
    page = diagnose(product, tmp_path / "bundle", kubeconfig=kubeconfig)
    assert "What could not be had:" in page
    assert "forbidden" in (tmp_path / "bundle" / "errors.txt").read_text()
    assert FEATURE in (tmp_path / "bundle" / "decisions" / "status.txt").read_text()
    rights = (tmp_path / "bundle" / "rights.txt").read_text().splitlines()
    assert f"yes       you: list featurepolicies.brownout.dev in {product.namespace.name}" in rights
    assert "no        you: list nodes" in rights
    assert max(map(len, page.splitlines())) < 260


def test_who_may_view_one_namespace_has_its_policies_explained_and_is_told_that_pools_are_not_shown(
    product: World, tmp_path: Path
) -> None:
    kubeconfig = viewer(product.namespace, tmp_path)
    of = ("-n", product.namespace.name)
    told = brownout(kubeconfig, "explain", "policy", FEATURE, *of)
    assert told.returncode == 0, told.stderr
    assert f"FeaturePolicy {product.namespace.name}/{FEATURE}" in told.stdout
    assert "pools are not shown" in told.stderr
    refused = brownout(kubeconfig, "explain", "pool", *of)
    assert refused.returncode == 2
    assert "Forbidden" in refused.stderr


def viewer(namespace: Namespace, folder: Path) -> Path:
    """A kubeconfig of somebody with brownout-view in one namespace, and nothing else."""
    api, objects = "rbac.authorization.k8s.io/v1", namespace.cluster.objects
    namespace.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "viewer"}})
    namespace.create(
        {
            "apiVersion": api,
            "kind": "RoleBinding",
            "metadata": {"name": "viewer"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "brownout-view"},
            "subjects": [{"kind": "ServiceAccount", "name": "viewer", "namespace": namespace.name}],
        }
    )
    path = objects.path("v1", "ServiceAccount", "viewer", namespace=namespace.name)
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
    token = objects.call("POST", f"{path}/token", request)["status"]["token"]
    config = json.loads(namespace.cluster.kubeconfig.read_text())
    config["users"] = [{"name": config["users"][0]["name"], "user": {"token": token}}]
    file = folder / "viewer"
    file.write_text(json.dumps(config))
    return file


def test_a_cluster_that_does_not_answer_is_said_and_what_there_is_is_kept(tmp_path: Path) -> None:
    cluster = {"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}
    config = {
        "clusters": [cluster],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    (tmp_path / "config").write_text(json.dumps(config))
    ran = brownout(tmp_path / "config", "diagnose", "-o", str(tmp_path / "bundle"))
    assert ran.returncode == 1
    assert "nothing could be read of the cluster" in ran.stderr
    assert "no answer" in (tmp_path / "bundle" / "errors.txt").read_text()
