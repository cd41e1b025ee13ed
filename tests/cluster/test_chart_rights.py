"""The chart with everything that it can run, and the API server's audit log: who has a right uses it, and who asks has the right."""

import base64
import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
import yaml

from brownout_localcluster import GPUNode, LocalCluster
from brownout_localcluster.charts import install_chart, run_chart_tests, uninstall_chart
from support import feature_flag_kind
from support.chart import CHART
from support.chart_rights import Event, Manifest, denied, granted, unused, used
from support.cluster import IMAGES, Namespace, fresh_namespace, is_ready
from support.operator_world import FEATURE, World, deployment, ours, override
from support.redis import programs
from support.waiting import wait_for

SYSTEM, RELEASE = "brownout-system", "brownout"
PASSWORD = "correct-horse"
SCALED_GROUP = "example.com"
TARGETS = [
    {"apiGroups": ["apps"], "resources": ["deployments", "statefulsets"]},
    {"apiGroups": [SCALED_GROUP], "resources": ["trains"]},
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """A control plane of its own, which writes down what ServiceAccounts ask."""
    with LocalCluster(
        nodes=[GPUNode(name="gpu-1", gpus=8)],
        images=IMAGES | {"valkey/valkey": [programs()["valkey"]]},
        prometheus=True,
        audit=True,
    ) as running:
        feature_flag_kind.install(running)
        running.objects.create(scaled_kind())
        yield running


class Installed:
    """A release with a product, after a surge, and what its accounts have asked of the API server since it was installed."""

    def __init__(self, cluster: LocalCluster, world: World, manifest: str, *, asked_before: int) -> None:
        self.cluster = cluster
        self.product = world.namespace
        self.objects: list[Manifest] = [one for one in yaml.safe_load_all(manifest) if one]
        self._asked_before = asked_before

    @property
    def _asked(self) -> list[Event]:
        return self.cluster.asked()[self._asked_before :]

    def unused(self, account: str, *, namespace: str = SYSTEM) -> list[str]:
        """The rights of an account with which it did nothing."""
        grants = granted(self.objects, account, namespace=namespace)
        assert grants, f"nothing is granted to {account}"
        return unused(grants, used(self._asked, account, namespace=namespace))

    def denied(self, account: str, *, namespace: str = SYSTEM) -> set[str]:
        """What an account was refused."""
        return {str(right) for right in denied(self._asked, account, namespace=namespace)}

    def address(self, service: str, namespace: str = SYSTEM) -> str:
        """host:port of a Service's first port."""
        spec = self.cluster.objects.get("v1", "Service", service, namespace=namespace)["spec"]
        return f"{spec['clusterIP']}:{spec['ports'][0]['port']}"


@pytest.fixture(scope="module")
def whole(cluster: LocalCluster) -> Iterator[Installed]:
    """The release for the whole cluster, with Valkey and a workload."""
    with fresh_namespace(cluster) as product:
        workload = {
            **{"name": "server", "namespace": product.name, "model": "image", "features": [FEATURE]},
            **{"gpus": 0, "stepSeconds": 0.1, "port": 8000, "deletionCostSeconds": 1},
        }
        values = {
            "redis": {"enabled": True, "auth": {"secretRef": {"name": "valkey"}}},
            "inference": {"workloads": [workload]},
        }
        with installed(cluster, product, values) as release:
            yield release


@pytest.fixture(scope="module")
def confined(cluster: LocalCluster, whole: Installed) -> Iterator[Installed]:
    """The release for one namespace; the other one is gone."""
    uninstall_chart(cluster.kubeconfig, RELEASE, namespace=SYSTEM)
    wait_for(
        lambda: not pods(cluster),
        "the pods of the other release ask nothing any more",
        seconds=60,
    )
    with (
        fresh_namespace(cluster) as product,
        installed(cluster, product, {"watchNamespaces": [product.name]}) as release,
    ):
        yield release


@contextmanager
def installed(cluster: LocalCluster, product: Namespace, values: dict[str, Any]) -> Iterator[Installed]:
    """Installs the chart, sets a product up in a namespace, and has it go through a surge."""
    before = len(cluster.asked())
    cluster.objects.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}})
    secret(cluster, "prometheus", url=cluster.prometheus.url)
    secret(cluster, "valkey", password=PASSWORD)
    values = {"operator": {"featureFlag": "brownout"}, "flags": {"replicas": 1}, "scaleTargets": TARGETS} | values
    manifest = install_chart(cluster.kubeconfig, CHART, RELEASE, namespace=SYSTEM, values=values)
    world = World(cluster, product, capacity={"gpus": 8})
    wait_for(lambda: ready(cluster, SYSTEM, {"operator", "flags"}), "the release is ready", seconds=120)
    world.create()
    try:
        surge(world)
        workloads = {"inference"} if "inference" in values else set()
        wait_for(lambda: ready(cluster, product.name, workloads), "the workload is ready, with its flags", seconds=60)
        yield Installed(cluster, world, manifest, asked_before=before)
    finally:
        world.delete()


def surge(world: World) -> None:
    """Every kind of target is scaled, the pool is saturated, the feature taken, an override made."""
    product = world.namespace
    pool = {"spec": {"prometheus": {"secretRef": {"name": "prometheus"}}}}
    world.cluster.objects.patch("brownout.dev/v1alpha1", "GPUPool", world.pool, pool)
    product.create(stateful_set("chat"))
    two = [{"name": "load", "query": "vector(2)", "target": {"type": "AverageValue", "value": "1"}}]
    product.create(world.scaler("chat", scaleTargetRef={"kind": "StatefulSet", "name": "chat"}, metrics=two))
    train = {
        "apiVersion": f"{SCALED_GROUP}/v1",
        "kind": "Train",
        "metadata": {"name": "video"},
        "spec": {"replicas": 1},
    }
    product.create(train)
    product.patch(f"{SCALED_GROUP}/v1", "Train", "video", {"status": {"selector": "app=video"}}, part="status")
    target = {"apiVersion": f"{SCALED_GROUP}/v1", "kind": "Train", "name": "video"}
    product.create(world.scaler("video", scaleTargetRef=target, metrics=two))
    world.set_load(pro=0.5, free=0.5)
    world.wait_for_variant("free", "full", seconds=60)
    wait_for(lambda: is_scaled(world, "StatefulSet", "apps/v1", "chat"), "the StatefulSet was scaled", seconds=60)
    wait_for(lambda: is_scaled(world, "Train", f"{SCALED_GROUP}/v1", "video"), "the other kind was scaled", seconds=60)
    world.set_load(pro=0.5, free=40)
    world.wait_for_variant("free", "denied", seconds=90)
    until = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    product.create(override("incident", "full", until=until))
    wait_for(lambda: world.status("FeatureOverride", "incident"), "the override has a status", seconds=60)
    flag = lambda: product.find(feature_flag_kind.API_VERSION, feature_flag_kind.KIND, "brownout")  # noqa: E731
    wait_for(flag, "the FeatureFlag is written", seconds=60)


def is_scaled(world: World, kind: str, api_version: str, name: str) -> bool:
    """Whether a workload has more than the one replica that it began with. Raises AssertionError with what its scaler says."""
    replicas = world.namespace.get(api_version, kind, name)["spec"]["replicas"]
    assert replicas > 1, world.status("InferenceScaler", name)
    return True


def ready(cluster: LocalCluster, namespace: str, parts: set[str]) -> bool:
    """Whether these parts of the release are in a namespace, and ready. Raises AssertionError with the log of one that is not."""
    found = set()
    for pod in pods(cluster, namespace=namespace):
        name = pod["metadata"]["name"]
        assert is_ready(pod), f"{name} is not ready; its log ends with\n{cluster.pod_logs(namespace, name)[-2000:]}"
        found.add(pod["metadata"]["labels"]["app.kubernetes.io/component"])
    return found >= parts


def pods(cluster: LocalCluster, *, namespace: str | None = None) -> list[Manifest]:
    """The release's pods that have not ended; those of `helm test` have, and stay for whoever wants to read what they said."""
    found = cluster.objects.list("v1", "Pod", namespace=namespace, labels={"app.kubernetes.io/instance": RELEASE})
    return [pod for pod in found if pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")]


def secret(cluster: LocalCluster, name: str, **data: str) -> None:
    body = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    meta = {"name": name, "namespace": SYSTEM}
    cluster.objects.apply({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": body})


def stateful_set(name: str) -> Manifest:
    made = deployment(name)
    return made | {"kind": "StatefulSet", "spec": made["spec"] | {"serviceName": name}}


def scaled_kind() -> Manifest:
    """A kind that is neither a Deployment nor a StatefulSet, with a /scale."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    paths = {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }
    version = {
        **{"name": "v1", "served": True, "storage": True, "subresources": {"status": {}, "scale": paths}},
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": anything, "status": anything}}},
    }
    names = {"kind": "Train", "plural": "trains", "singular": "train", "listKind": "TrainList"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"trains.{SCALED_GROUP}"},
        "spec": {"group": SCALED_GROUP, "names": names, "scope": "Namespaced", "versions": [version]},
    }


def post(url: str, body: dict[str, Any], **headers: str) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"} | headers)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.status, json.load(answer)


def test_helm_test_passes_on_a_release_that_works(whole: Installed) -> None:
    said = run_chart_tests(whole.cluster.kubeconfig, RELEASE, namespace=SYSTEM)
    assert f"{whole.product.name}: " in said


def test_quotas_are_counted_in_the_releases_valkey(whole: Installed) -> None:
    tiers = [{"tierRef": {"name": "free"}, "quota": {"limit": 3, "period": "Day"}}]
    whole.product.create(
        ours(
            "FeaturePolicy",
            "poems",
            flagKey="poems",
            variants=[{"name": "full", "value": {}}, {"name": "denied", "value": {}}],
            tiers=tiers,
        )
    )
    at = f"http://{whole.address('brownout-flags')}/{whole.product.name}/v1/quota/poems/reserve"
    context = {"targetingKey": "ana", "plan": "free"}
    status, _ = wait_for(lambda: post(at, {"context": context}), "a unit is reserved", seconds=30)
    assert status == 200
    host, _, port = whole.address("brownout-redis").partition(":")
    with redis.Redis(host=host, port=int(port), password=PASSWORD) as valkey:
        assert valkey.dbsize() > 0
    with pytest.raises(redis.AuthenticationError), redis.Redis(host=host, port=int(port)) as stranger:
        stranger.dbsize()


def test_a_workload_of_the_chart_serves_by_the_flags_of_its_namespace(whole: Installed) -> None:
    at = f"http://{whole.address('server', whole.product.name)}/v1/images/generations"
    status, answer = post(at, {"prompt": "a seven"})
    assert status == 200
    assert answer["data"]


@pytest.mark.parametrize("account", ["brownout-operator", "brownout-flags"])
def test_every_right_in_the_cluster_is_used_and_none_is_missing(whole: Installed, account: str) -> None:
    assert whole.unused(account) == []
    assert whole.denied(account) == set()


def test_a_workload_may_patch_pods_and_does(whole: Installed) -> None:
    unused = lambda: whole.unused("server", namespace=whole.product.name)  # noqa: E731
    wait_for(lambda: not unused(), "the workload has said what a scale-down of its pod costs", seconds=30)
    assert whole.denied("server", namespace=whole.product.name) == set()


@pytest.mark.parametrize("account", ["brownout-operator", "brownout-flags"])
def test_every_right_in_chosen_namespaces_is_used_and_none_is_missing(confined: Installed, account: str) -> None:
    assert confined.unused(account) == []
    assert confined.denied(account) == set()


def test_in_chosen_namespaces_policies_and_workloads_are_out_of_reach_elsewhere(confined: Installed) -> None:
    for account, what in (
        ("brownout-operator", "inferencescalers.brownout.dev"),
        ("brownout-operator", "deployments.apps"),
        ("brownout-flags", "featurepolicies.brownout.dev"),
    ):
        asked = ("auth", "can-i", "list", what, "--as", f"system:serviceaccount:{SYSTEM}:{account}")
        assert confined.cluster.kubectl(*asked, "-n", confined.product.name, check=False).strip() == "yes"
        assert confined.cluster.kubectl(*asked, "-n", SYSTEM, check=False).strip() == "no"
