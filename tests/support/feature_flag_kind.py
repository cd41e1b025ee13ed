"""The FeatureFlag kind as the OpenFeature operator defines it, written anew from its published schema (core.openfeature.dev/v1beta1)."""

from typing import Any

from brownout_localcluster import LocalCluster
from brownout_localcluster.errors import ApiError
from support.waiting import wait_for

API_VERSION, KIND = "core.openfeature.dev/v1beta1", "FeatureFlag"
DEFINITION = "featureflags.core.openfeature.dev"
RULE = {"apiGroups": ["core.openfeature.dev"], "resources": ["featureflags"], "verbs": ["get", "create", "patch"]}
"""What an operator needs that writes them."""

ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def definition(*, with_metadata: bool = True) -> dict[str, Any]:
    """The CustomResourceDefinition; older releases declare no metadata."""
    metadata = {"metadata": ANYTHING} if with_metadata else {}
    flag = {
        "type": "object",
        "required": ["defaultVariant", "state", "variants"],
        "properties": {
            "state": {"type": "string", "enum": ["ENABLED", "DISABLED"]},
            "variants": ANYTHING,
            "defaultVariant": {"type": "string"},
            "targeting": ANYTHING,
            **metadata,
        },
    }
    flag_spec = {
        "type": "object",
        "required": ["flags"],
        "properties": {"flags": {"type": "object", "additionalProperties": flag}, "$evaluators": ANYTHING, **metadata},
    }
    schema = {
        "type": "object",
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": {"type": "object", "properties": {"flagSpec": flag_spec}},
            "status": {"type": "object"},
        },
    }
    version = {
        "name": "v1beta1",
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": schema},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": DEFINITION},
        "spec": {
            "group": "core.openfeature.dev",
            "names": {
                "kind": KIND,
                "listKind": "FeatureFlagList",
                "plural": "featureflags",
                "singular": "featureflag",
                "shortNames": ["ff"],
            },
            "scope": "Namespaced",
            "versions": [version],
        },
    }


def install(cluster: LocalCluster, *, with_metadata: bool = True) -> None:
    """Serve the kind; every resource of it that was there before is gone."""
    remove(cluster)
    cluster.objects.create(definition(with_metadata=with_metadata))
    wait_for(lambda: _served(cluster), "the kind is served")


def remove(cluster: LocalCluster) -> None:
    """Serve the kind no more."""
    if _defined(cluster):
        cluster.objects.delete("apiextensions.k8s.io/v1", "CustomResourceDefinition", DEFINITION)
    wait_for(lambda: not _defined(cluster) and not _served(cluster), "the kind is gone")


def _defined(cluster: LocalCluster) -> bool:
    return cluster.objects.find("apiextensions.k8s.io/v1", "CustomResourceDefinition", DEFINITION) is not None


def _served(cluster: LocalCluster) -> bool:
    try:
        cluster.objects.call("GET", f"/apis/{API_VERSION}/featureflags")
    except ApiError:
        return False
    return True
