"""The five kinds on a real API server: what it accepts, refuses, fills in and shows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from brownout.api.resources import RESOURCES, Stored, decode
from brownout.api.schema import API_VERSION, Resource
from brownout_localcluster import LocalCluster
from brownout_localcluster.errors import ApiError
from support.cluster import Namespace
from support.examples import EXAMPLES, SAMPLES, example, objects_in
from support.operator import install_kinds
from support.refusals import BOUNDS, IMMUTABLE, OVERRIDE, RULES, Refusal

KINDS = {resource.kind: resource for resource in RESOURCES}
Create = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.fixture(scope="module", autouse=True)
def kinds(cluster: LocalCluster) -> None:
    """The five kinds, served."""
    install_kinds(cluster)


@pytest.fixture
def create(cluster: LocalCluster) -> Create:
    """Creates an object as a dry run: checked and filled in by the server, and not kept.

    Fields that the server does not know are an error, as with `kubectl apply --validate`.
    """

    def dry(body: dict[str, Any]) -> dict[str, Any]:
        body = body | {"metadata": {"name": body["metadata"]["name"]}}
        path = cluster.objects.path(body["apiVersion"], body["kind"], namespace="default")
        return cluster.objects.call("POST", path, body, parameters={"dryRun": "All", "fieldValidation": "Strict"})

    return dry


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_every_sample_is_accepted(sample: Path, create: Create) -> None:
    bodies = [body for body in objects_in(sample) if body["apiVersion"] == API_VERSION]
    assert bodies
    for body in bodies:
        create(body)


@pytest.mark.parametrize("refusal", RULES, ids=lambda refusal: refusal.title)
def test_a_broken_rule_is_refused_with_a_sentence_that_says_what_to_write(refusal: Refusal, create: Create) -> None:
    with pytest.raises(ApiError) as refused:
        create(refusal.body)
    assert refused.value.status == 422
    assert refusal.message in refused.value.message


@pytest.mark.parametrize("refusal", BOUNDS, ids=lambda refusal: refusal.title)
def test_a_value_out_of_bounds_is_refused_by_the_name_of_its_field(refusal: Refusal, create: Create) -> None:
    with pytest.raises(ApiError) as refused:
        create(refusal.body)
    assert refused.value.status == 422
    assert refusal.message in refused.value.message


def test_an_override_cannot_be_changed(namespace: Namespace) -> None:
    body = example(*OVERRIDE)
    del body["metadata"]["namespace"]
    namespace.create(body)
    with pytest.raises(ApiError) as refused:
        namespace.patch(API_VERSION, "FeatureOverride", "incident-4711", {"spec": {"reason": "another"}})
    assert IMMUTABLE in refused.value.message


def test_defaults_appear_on_read(create: Create) -> None:
    spec = create(example("InferenceScaler", "image-small"))["spec"]
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "image-small"}
    assert spec["mode"] == "Auto"
    assert (spec["minReplicas"], spec["maxReplicas"]) == (1, 10)
    assert spec["queue"] == {"objectiveSeconds": 5, "drainSeconds": 15, "order": "Tiered"}
    assert spec["coldStart"] == {"expectedSeconds": 120, "giveUpAfterSeconds": 900}
    assert spec["forecast"] == {"method": "Trend"}
    assert spec["stale"] == {"afterSeconds": 60, "fallbackAfterSeconds": 600}
    assert spec["behavior"] == {"scaleUp": {"selectPolicy": "Max"}, "scaleDown": {"selectPolicy": "Max"}}


def test_defaults_appear_inside_what_is_written_in_part(create: Create) -> None:
    spec = create(example("FeaturePolicy", "image-generation", **{"spec.restore": {"stepPercent": 10}}))["spec"]
    assert spec["restore"] == {"afterSeconds": 120, "stepPercent": 10, "stepSeconds": 30}
    assert spec["demand"]["admitted"]["cohortLabel"] == "cohort"


@pytest.mark.parametrize("quantity", [12, "12", "0.5", "700m", "1k"])
def test_a_quantity_is_a_whole_number_or_text_and_is_stored_as_written(quantity: int | str, create: Create) -> None:
    field = "spec.variants[0].costs[0].gpuSecondsPerRequest"
    stored = create(example("FeaturePolicy", "image-generation", **{field: quantity}))
    assert stored["spec"]["variants"][0]["costs"][0]["gpuSecondsPerRequest"] == quantity


def test_a_value_of_a_variant_is_kept_verbatim(create: Create) -> None:
    value = {"enabled": True, "nested": {"list": [1, "two", None, 0.5]}, "empty": {}}
    stored = create(example("FeaturePolicy", "image-generation", **{"spec.variants[0].value": value}))
    assert stored["spec"]["variants"][0]["value"] == value


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_what_the_server_stores_is_what_the_operator_reads(sample: Path, create: Create) -> None:
    for body in objects_in(sample):
        if body["apiVersion"] != API_VERSION:
            continue
        resource = KINDS[body["kind"]]
        written, stored = decode(resource, body, 0.0), decode(resource, create(body), 0.0)
        assert isinstance(written, Stored), written
        assert isinstance(stored, Stored), stored
        assert stored.spec == written.spec


def test_a_status_without_its_moments_is_stored(namespace: Namespace) -> None:
    body = example("FeaturePolicy", "image-generation")
    del body["metadata"]["namespace"]
    namespace.create(body)
    cell = {"tier": "free", "cohort": "", "variant": "full", "percent": 100, "since": "", "expectedReturn": ""}
    condition = {"type": "Ready", "status": "True", "reason": "Accepted", "message": "", "lastTransitionTime": ""}
    status = {"version": 1, "cells": [cell], "conditions": [condition]}
    namespace.patch(API_VERSION, "FeaturePolicy", "image-generation", {"status": status}, part="status")
    assert namespace.get(API_VERSION, "FeaturePolicy", "image-generation")["status"] == status


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.kind)
def test_kubectl_finds_a_kind_by_its_short_name_and_prints_its_columns(
    resource: Resource, cluster: LocalCluster, namespace: Namespace
) -> None:
    body = next(b for b in objects_in(EXAMPLES / "full.yaml") if b["kind"] == resource.kind)
    body["metadata"] = {"name": namespace.name}
    try:
        namespace.create(body)
        table = cluster.kubectl("get", resource.short_names[0], namespace.name, "-n", namespace.name, "-o", "wide")
    finally:
        cluster.kubectl(
            "delete", resource.plural, namespace.name, "-n", namespace.name, "--ignore-not-found", check=False
        )
    heads = table.splitlines()[0].split()
    assert heads == ["NAME", *(column.name.upper() for column in resource.columns)]
    assert namespace.name in table.splitlines()[1]


def test_all_kinds_are_listed_under_one_category(cluster: LocalCluster) -> None:
    listed = cluster.kubectl("api-resources", "--categories=brownout", "-o", "name").split()
    assert listed == sorted(f"{resource.plural}.brownout.dev" for resource in RESOURCES)


def test_kubectl_explains_a_field(cluster: LocalCluster) -> None:
    explained = cluster.kubectl("explain", "inferencescaler.spec.stale")
    assert "Missing is never zero" in explained
    assert "a sample older than this is missing" in explained
