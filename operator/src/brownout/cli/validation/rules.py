"""The rules between fields: what `x-kubernetes-validations` says, of an object with its defaults filled in.

The API server says one sentence for each rule, whatever the object: an expression that names what was found would cost more
than it allows. Where that sentence leaves one searching, it is said here of the field itself.
"""

from collections.abc import Callable, Iterator
from typing import Any

from brownout.api.openapi import Schema
from brownout.cli.validation import cel
from brownout.cli.validation.findings import Path, Problem


def broken(value: Any, schema: Schema, path: Path) -> Iterator[Problem]:
    """The rules that the value breaks, in it and below it. Rules about changes (`oldSelf`) have nothing to compare with."""
    for entry in schema.get("x-kubernetes-validations", ()):
        if "oldSelf" not in entry["rule"] and not cel.rule(entry["rule"])(value):
            if in_detail := _IN_DETAIL.get(entry["message"]):
                yield from in_detail(value, path)
                continue
            below = entry.get("fieldPath", "").removeprefix(".")
            yield Problem((*path, *below.split(".")) if below else path, entry["message"])
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from broken(item, schema["items"], (*path, index))
    elif isinstance(value, dict):
        for key, inner in schema.get("properties", {}).items():
            if key in value:
                yield from broken(value[key], inner, (*path, key))


def _no_such_lowest(spec: Any, path: Path) -> Iterator[Problem]:
    names = [variant["name"] for variant in spec["variants"]]
    for index, entry in enumerate(spec["tiers"]):
        if entry.get("lowest", names[0]) not in names:
            found = f"tier {entry['tierRef']['name']}: there is no variant {entry['lowest']!r}"
            yield Problem((*path, "tiers", index, "lowest"), f"{found}; write one of {', '.join(names)}")


_IN_DETAIL: dict[str, Callable[[Any, Path], Iterator[Problem]]] = {
    "lowest names no variant of this policy; write one of the names under variants": _no_such_lowest,
}
"""By the rule's sentence: what breaks it, field by field."""
