"""Walking the schemas of the generated definitions."""

from collections.abc import Iterator
from typing import Any

from brownout.api.generate import definition
from brownout.api.schema import Resource


def schema(resource: Resource, part: str) -> dict[str, Any]:
    """The schema of a kind's spec or status."""
    root = definition(resource)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    found: dict[str, Any] = root["properties"][part]
    return found


def nodes(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """A schema and all schemas below it, with their paths."""
    yield path, node
    for name, inner in node.get("properties", {}).items():
        yield from nodes(inner, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in node:
            yield from nodes(node[key], f"{path}[]")
