"""Stored objects from files, such as `kubectl get brownout -A -o yaml` writes: for when the cluster is far, or long gone."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from brownout.api.resources import RESOURCES, InvalidObject, Stored, decode
from brownout.cli.overview import Objects
from brownout.cli.validation.manifests import UnreadableError, read


class NoObjectsError(Exception):
    """Nothing could be read. Its text says why, and what to do about it."""


def from_files(names: Iterable[str], kinds: Iterable[str], namespace: str | None) -> Objects:
    """The objects of these kinds in files (- is standard input): those of a namespace (None: of all), and all that have none.

    Raises NoObjectsError.
    """
    resources = {resource.kind: resource for resource in RESOURCES}
    found: dict[str, list[Stored[Any, Any] | InvalidObject]] = {kind: [] for kind in kinds}
    try:
        for name in names:
            for manifest in read(name, sys.stdin.read() if name == "-" else Path(name).read_text("utf-8")):
                body = manifest.body
                if isinstance(body, dict) and body.get("kind") in found:
                    one = decode(resources[body["kind"]], body, 0.0)
                    if namespace in (None, one.key.namespace) or not one.key.namespace:
                        found[body["kind"]].append(one)
    except (OSError, UnicodeDecodeError, UnreadableError) as error:
        raise NoObjectsError(str(error)) from None
    return found
