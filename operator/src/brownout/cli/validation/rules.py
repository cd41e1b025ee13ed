"""The rules between fields: what `x-kubernetes-validations` says, of an object with its defaults filled in."""

from collections.abc import Iterator
from typing import Any

from brownout.api.openapi import Schema
from brownout.cli.validation import cel
from brownout.cli.validation.findings import Path, Problem


def broken(value: Any, schema: Schema, path: Path) -> Iterator[Problem]:
    """The rules that the value breaks, in it and below it. Rules about changes (`oldSelf`) have nothing to compare with."""
    for entry in schema.get("x-kubernetes-validations", ()):
        if "oldSelf" not in entry["rule"] and not cel.rule(entry["rule"])(value):
            below = entry.get("fieldPath", "").removeprefix(".")
            yield Problem((*path, *below.split(".")) if below else path, entry["message"])
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from broken(item, schema["items"], (*path, index))
    elif isinstance(value, dict):
        for key, inner in schema.get("properties", {}).items():
            if key in value:
                yield from broken(value[key], inner, (*path, key))
