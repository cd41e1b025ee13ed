"""A flag set as OpenFeature's `FeatureFlag` resource, and whose such a resource is: pure.

The schema is that of the OpenFeature operator (core.openfeature.dev/v1beta1, `spec.flagSpec` in flagd's format). Its older releases
declare no `metadata`, neither of the set nor of a flag; the version is therefore an annotation too.
"""

import json
from enum import StrEnum
from typing import Any

from msgspec import Struct

from brownout.flags.render import FlagSet

GROUP, VERSION, KIND, PLURAL = "core.openfeature.dev", "v1beta1", "FeatureFlag", "featureflags"
API_VERSION = f"{GROUP}/{VERSION}"
MANAGED_BY, US = "app.kubernetes.io/managed-by", "brownout"
VERSION_ANNOTATION = "brownout.dev/flag-set-version"

Body = dict[str, Any]


class State(StrEnum):
    """What is so of a namespace's resource, for the metric."""

    WRITTEN = "written"
    NOT_OURS = "not_ours"
    """Somebody else's resource has the name, or took our label off; it is left as it is."""
    CONFLICT = "conflict"
    """Somebody else owns fields of it with other values; it stays as it is until they give them up."""
    NO_KIND = "no_kind"
    """The API server does not serve the kind."""
    FAILED = "failed"


class Found(Struct, frozen=True, kw_only=True):
    """The resource as it stands, without its flags."""

    uid: str
    resource_version: str
    generation: int
    ours: bool
    version: str


def found(metadata: Body) -> Found:
    """Reads an object's metadata."""
    return Found(
        uid=str(metadata.get("uid", "")),
        resource_version=str(metadata.get("resourceVersion", "")),
        generation=int(metadata.get("generation", 0)),
        ours=(metadata.get("labels") or {}).get(MANAGED_BY) == US,
        version=str((metadata.get("annotations") or {}).get(VERSION_ANNOTATION, "")),
    )


def document(flag_set: FlagSet, name: str, *, onto: Found | None, with_metadata: bool = True) -> Body:
    """What is applied: all that we say of the resource. `onto`: the very object it is for, or none if it is to be made."""
    content = json.loads(flag_set.document)
    if not with_metadata:
        del content["metadata"]
        for flag in content["flags"].values():
            flag.pop("metadata", None)
    exactly = {"uid": onto.uid, "resourceVersion": onto.resource_version} if onto else {}
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": name,
            "namespace": flag_set.namespace,
            "labels": {MANAGED_BY: US},
            "annotations": {VERSION_ANNOTATION: flag_set.version},
            **exactly,
        },
        "spec": {"flagSpec": content},
    }


def nothing(namespace: str, name: str, *, onto: Found) -> Body:
    """Applied onto an object, takes back every field that is ours alone, and leaves what others put there."""
    metadata = {"name": name, "namespace": namespace, "uid": onto.uid}
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata}
