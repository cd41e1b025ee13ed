"""One manifest against its kind: fields, bounds and rules, then as a typed object."""

import copy
import re
from collections.abc import Iterator
from typing import Any

from brownout.api.openapi import Schema, schema_of
from brownout.api.resources import RESOURCES, InvalidObject, Key, Stored, decode
from brownout.api.schema import API_VERSION, GROUP, Resource
from brownout.cli.validation import rules, structural
from brownout.cli.validation.findings import Problem, nearest, shown

KINDS = {resource.kind: resource for resource in RESOURCES}
_OBJECT_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


def is_ours(body: Any) -> bool:
    """Whether a manifest is one of our group's; all others are somebody else's to check."""
    if not isinstance(body, dict):
        return False
    group, slash, _ = str(body.get("apiVersion", "")).partition("/")
    return bool(slash) and group == GROUP


def problems(body: dict[str, Any]) -> list[Problem]:
    """What the API server would refuse, and fields that it would drop."""
    if wrong := list(_identity(body)):
        return wrong
    resource = KINDS[body["kind"]]
    found = [*_metadata(resource, body.get("metadata")), *structural.problems(body, _document(resource), ())]
    return found or list(rules.broken(_stored(resource, body)["spec"], schema_of(resource.spec), ("spec",)))


def sound_part(body: dict[str, Any]) -> dict[str, Any] | None:
    """What is left of a manifest without the fields that its schema refuses; None where that is no object of its kind.

    An entry of a list takes the whole list with it, so that the places of the others stay what they are.
    """
    if list(_identity(body)) or list(_metadata(KINDS[body["kind"]], body.get("metadata"))):
        return None
    document = _document(KINDS[body["kind"]])
    rest = copy.deepcopy(body)
    while found := next(structural.problems(rest, document, ()), None):
        path = found.path
        while path and not isinstance(path[-1], str):
            path = path[:-1]
        if len(path) < 2:
            return None
        above: Any = rest
        for part in path[:-1]:
            above = above[part]
        del above[path[-1]]
    return rest


def typed(body: dict[str, Any], *, namespace: str) -> "tuple[Resource, Stored[Any, Any] | InvalidObject]":
    """A manifest without problems as the operator would see it, in `namespace` where it names none itself."""
    resource = KINDS[body["kind"]]
    stored = _stored(resource, body)
    meta = dict(stored["metadata"])
    meta["namespace"] = meta.get("namespace", namespace) if resource.namespaced else ""
    return resource, decode(resource, stored | {"metadata": meta}, created_at=0.0)


def key_of(body: dict[str, Any], *, namespace: str) -> Key:
    """The object's place, as far as the manifest says it."""
    meta = body.get("metadata")
    name, own = (
        (meta.get("name", "?"), meta.get("namespace", namespace)) if isinstance(meta, dict) else ("?", namespace)
    )
    resource = KINDS.get(str(body.get("kind")))
    return Key(str(own) if resource is None or resource.namespaced else "", str(name))


def _identity(body: dict[str, Any]) -> Iterator[Problem]:
    if body["apiVersion"] != API_VERSION:
        yield Problem(("apiVersion",), f"found {shown(body['apiVersion'])}; write {API_VERSION}")
    kind = body.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        yield Problem(("kind",), f"found {shown(kind)}; {nearest(str(kind), KINDS)}")


def _metadata(resource: Resource, meta: Any) -> Iterator[Problem]:
    if not isinstance(meta, dict) or "name" not in meta:
        yield Problem(("metadata",), "name is missing; write it")
        return
    name = meta["name"]
    if not isinstance(name, str) or not _OBJECT_NAME.fullmatch(name):
        yield Problem(
            ("metadata", "name"), f"found {shown(name)}; write lower-case letters, digits and dashes, such as image-xl"
        )
    if not resource.namespaced and "namespace" in meta:
        yield Problem(("metadata", "namespace"), f"a {resource.kind} belongs to the whole cluster; remove it")


def _document(resource: Resource) -> Schema:
    """The schema of a whole manifest. Metadata and status are not a person's to get wrong here."""
    free: Schema = {"type": "object"}
    return {
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": free,
            "spec": schema_of(resource.spec),
            "status": free,
        },
    }


def _stored(resource: Resource, body: dict[str, Any]) -> dict[str, Any]:
    stored = structural.with_defaults(body, _document(resource))
    assert isinstance(stored, dict)
    return stored
