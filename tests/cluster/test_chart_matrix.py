"""Every rendering of the matrix is taken by a real API server, field by field, and its pods by the restricted standard."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from brownout_localcluster import LocalCluster
from brownout_localcluster.charts import ChartError, preview_chart
from brownout_localcluster.errors import ApiError
from support.chart import CASES, CHART, PRODUCT, RELEASE, SYSTEM, Manifest, manifests
from support.chart_policies import name_of, pods
from support.monitor_kinds import MONITORS
from support.waiting import wait_for

RESTRICTED = "chart-restricted"


@pytest.fixture(scope="module")
def places(cluster: LocalCluster) -> Iterator[LocalCluster]:
    """The namespaces that the matrix names, one with the restricted standard, and a runtime class."""
    labels = {RESTRICTED: {"pod-security.kubernetes.io/enforce": "restricted"}}
    for name in (SYSTEM, PRODUCT, RESTRICTED):
        meta = {"name": name, "labels": labels.get(name, {})}
        cluster.objects.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
    runtime = {
        "apiVersion": "node.k8s.io/v1",
        "kind": "RuntimeClass",
        "metadata": {"name": "nvidia"},
        "handler": "nvidia",
    }
    cluster.objects.apply(runtime)
    yield cluster
    for name in (SYSTEM, PRODUCT, RESTRICTED):
        cluster.objects.delete("v1", "Namespace", name)


TRIED: dict[str, str] = {}
"""What was said of an object before: most are the same in most cases."""


def try_out(cluster: LocalCluster, manifest: Manifest) -> str:
    """What the API server says against an object; empty where it would take it. Nothing is changed."""
    key = json.dumps(manifest, sort_keys=True)
    if key not in TRIED:
        TRIED[key] = _try_out(cluster, manifest)
    return TRIED[key]


def _try_out(cluster: LocalCluster, manifest: Manifest) -> str:
    meta = manifest["metadata"]
    path = cluster.objects.path(
        manifest["apiVersion"], manifest["kind"], meta.get("name"), namespace=meta.get("namespace")
    )
    parameters = {"fieldManager": "tests", "force": "true", "dryRun": "All", "fieldValidation": "Strict"}
    try:
        cluster.objects.call(
            "PATCH", path, manifest, content_type="application/apply-patch+yaml", parameters=parameters
        )
    except ApiError as error:
        return f"{name_of(manifest)}: {error}"
    return ""


def restricted(pod: Manifest, name: str) -> Manifest:
    """A pod of a template, where the standard is enforced; the account, which is not there, is none of the standard's."""
    spec = {key: value for key, value in pod["spec"].items() if key != "serviceAccountName"}
    # What templates may leave out, and the pod of a StatefulSet has.
    claims = [v["name"] for v in spec.get("volumes", ())]
    mounted = {m["name"] for container in spec["containers"] for m in container.get("volumeMounts", ())}
    spec["volumes"] = [
        *spec.get("volumes", ()),
        *({"name": n, "emptyDir": {}} for n in sorted(mounted.difference(claims))),
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": RESTRICTED, "labels": pod["metadata"]["labels"]},
        "spec": spec,
    }


@pytest.mark.parametrize("case", CASES)
def test_the_api_server_takes_every_object(places: LocalCluster, case: str) -> None:
    assert [said for one in manifests(case) if (said := try_out(places, one))] == []


@pytest.mark.parametrize("case", CASES)
def test_every_pod_fits_the_restricted_standard(places: LocalCluster, case: str) -> None:
    tried = [restricted(pod, one["metadata"]["name"]) for one, pod in pods(manifests(case))]
    assert [said for one in tried if (said := try_out(places, one))] == []


def test_the_restricted_standard_is_enforced_where_pods_are_tried(places: LocalCluster) -> None:
    one, pod = next(pods(manifests("as it is")))
    pod = {**pod, "spec": pod["spec"] | {"securityContext": {}}}
    assert "runAsNonRoot" in try_out(places, restricted(pod, one["metadata"]["name"]))


def test_a_field_that_nobody_knows_is_refused_where_objects_are_tried(places: LocalCluster) -> None:
    service = next(one for one in manifests("as it is") if one["kind"] == "Service")
    assert "portz" in try_out(places, service | {"spec": service["spec"] | {"portz": []}})


def preview(cluster: LocalCluster, **values: Any) -> list[Manifest]:
    """What an installation on this cluster would apply."""
    printed = preview_chart(cluster.kubeconfig, CHART, RELEASE, namespace=SYSTEM, values=values)
    return [one for one in yaml.safe_load_all(printed) if one]


@pytest.mark.parametrize("key", ["podMonitor", "serviceMonitor"])
def test_a_monitor_without_its_kind_ends_the_installation_with_what_to_do(places: LocalCluster, key: str) -> None:
    kind = key[0].upper() + key[1:]
    with pytest.raises(ChartError, match=f"{key}.enabled: this cluster has no kind {kind}"):
        preview(places, **{key: {"enabled": True}})


@pytest.fixture(scope="module")
def monitors(places: LocalCluster) -> Iterator[LocalCluster]:
    """The cluster with the Prometheus Operator's kinds of monitors."""
    for definition in MONITORS:
        places.objects.apply(definition)
    listed = f"/apis/{MONITORS[0]['spec']['group']}/v1"

    def served() -> bool:
        try:
            found = {resource["kind"] for resource in places.objects.call("GET", listed)["resources"]}
        except ApiError:
            return False
        return found >= {definition["spec"]["names"]["kind"] for definition in MONITORS}

    wait_for(served, "the kinds of monitors are served")
    yield places
    for definition in MONITORS:
        places.objects.delete(definition["apiVersion"], definition["kind"], definition["metadata"]["name"])


def test_monitors_find_the_pods_and_are_what_the_prometheus_operator_takes(monitors: LocalCluster) -> None:
    workloads = [{"name": "image", "namespace": PRODUCT, "features": ["image-generation"]}]
    more: dict[str, Any] = {"enabled": True, "interval": "5s", "labels": {"release": "prometheus"}}
    without_kinds = {"crds": {"enabled": False}, "scrapeAnnotations": False}  # they may be there, and not Helm's
    for key, kind in (("podMonitor", "PodMonitor"), ("serviceMonitor", "ServiceMonitor")):
        objects = preview(monitors, **{key: more}, inference={"workloads": workloads}, **without_kinds)
        ours, products = (one for one in objects if one["kind"] == kind)
        scraped = [one for one in objects if one["kind"] == ("Service" if key == "serviceMonitor" else "Deployment")]
        for monitor, honored, namespace in ((ours, {"honorLabels": True}, SYSTEM), (products, {}, PRODUCT)):
            assert try_out(monitors, monitor) == ""
            assert monitor["metadata"]["labels"]["release"] == "prometheus"
            spec = monitor["spec"]
            (endpoint,) = spec["podMetricsEndpoints" if key == "podMonitor" else "endpoints"]
            assert endpoint == {"port": "http", "path": "/metrics", "interval": "5s", **honored}
            assert spec["namespaceSelector"] == {"matchNames": [namespace]}
            found = [one for one in scraped if one["metadata"]["namespace"] == namespace]
            labels = spec["selector"]["matchLabels"]
            parts = spec["selector"]["matchExpressions"][0]["values"]
            assert {one["metadata"]["labels"]["app.kubernetes.io/component"] for one in found} == set(parts)
            assert all(labels.items() <= one["metadata"]["labels"].items() for one in found)


def test_two_kinds_of_monitors_would_count_twice_and_are_refused(monitors: LocalCluster) -> None:
    with pytest.raises(ChartError, match="everything would be counted twice"):
        preview(monitors, podMonitor={"enabled": True}, serviceMonitor={"enabled": True})
