"""Reads manifests as an API server would get them, and remembers the line of every field.

YAML is read without timestamps: kubectl sends a moment as the text it is written as, and so do we. A key that is written
twice is an error here, because the second would silently win.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path as File
from typing import Any, NamedTuple

import yaml

from brownout.cli.validation.findings import Path

SUFFIXES = (".yaml", ".yml", ".json")


class UnreadableError(Exception):
    """A file that is no YAML, or that says something twice. Its text names the file and line."""


class Manifest(NamedTuple):
    """One document: its body, and the node that knows where each field stands."""

    file: str
    node: yaml.Node
    body: Any

    def line(self, path: Path) -> int:
        """The line of a field, or of the nearest part of its path that is written."""
        node = self.node
        for part in path:
            inner = _child(node, part)
            if inner is None:
                break
            node = inner
        return int(node.start_mark.line) + 1


class _Loader(yaml.SafeLoader):
    """YAML 1.1 as Kubernetes reads it: y and n are booleans too, moments are text; and no key twice."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    bool_values = {**yaml.SafeLoader.bool_values, "y": True, "n": False}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is written twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^[yYnN]$"), list("yYnN"))


def files(given: list[str]) -> Iterator[File]:
    """The manifests that are named, and those in folders that are named. Raises FileNotFoundError."""
    for name in given:
        place = File(name)
        if place.is_dir():
            yield from sorted(found for found in place.rglob("*") if found.suffix in SUFFIXES)
        elif place.exists():
            yield place
        else:
            raise FileNotFoundError(f"{name}: no such file or folder")


def texts(given: list[str]) -> Iterator[tuple[str, str]]:
    """The manifests that are named, - being standard input: where each is from, and its text.

    Raises OSError or UnicodeDecodeError where one cannot be read.
    """
    if "-" in given:
        yield "(standard input)", sys.stdin.read()
    for file in files([name for name in given if name != "-"]):
        yield str(file), file.read_text("utf-8")


def read(name: str, text: str) -> list[Manifest]:
    """The objects in a file; those of a List one by one. Raises UnreadableError."""
    loader = _Loader(text)
    try:
        found = []
        while loader.check_node():
            node = loader.get_node()
            assert node is not None
            found += _items(name, node, loader.construct_document(node))
        return found
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UnreadableError(f"{name}:{line}: error: {error.problem}; mend the YAML") from None
    except yaml.YAMLError as error:
        raise UnreadableError(f"{name}: error: {error}; write UTF-8 text") from None
    finally:
        loader.dispose()


def _items(name: str, node: yaml.Node, body: Any) -> list[Manifest]:
    if body is None:
        return []
    items = _child(node, "items") if isinstance(body, dict) and body.get("kind") == "List" else None
    if isinstance(items, yaml.SequenceNode):
        return [Manifest(name, item, body["items"][index]) for index, item in enumerate(items.value)]
    return [Manifest(name, node, body)]


def _child(node: yaml.Node, part: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == part), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        item: yaml.Node = node.value[part]
        return item
    return None
