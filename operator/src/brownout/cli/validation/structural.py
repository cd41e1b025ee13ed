"""Holds a value against a structural schema, as the API server does: types, bounds, required fields; and unknown fields.

The API server drops fields that it does not know, or warns; here they are errors, because a misspelt `lowest` must not cost
somebody a feature. Defaults are filled in afterwards, since rules between fields are written for the object as stored.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from brownout.api.openapi import Schema
from brownout.cli.validation.findings import Path, Problem, nearest, shown

_WORDS = {
    "string": "text",
    "integer": "a whole number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a map",
}
_TYPES: dict[str, type] = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict}


def problems(value: Any, schema: Schema, path: Path) -> Iterator[Problem]:
    """Everything in which the value is not what the schema says."""
    wrong = _type_problem(value, schema)
    if wrong:
        yield Problem(path, wrong)
    elif isinstance(value, dict):
        yield from _map_problems(value, schema, path)
    elif isinstance(value, list):
        yield from _size_problems(len(value), schema, path, "Items", "entries")
        for index, item in enumerate(value):
            yield from problems(item, schema["items"], (*path, index))
    elif isinstance(value, str):
        yield from _text_problems(value, schema, path)
    elif isinstance(value, int):
        yield from _number_problems(value, schema, path)


def with_defaults(value: Any, schema: Schema) -> Any:
    """The value as the API server stores it."""
    if isinstance(value, list):
        return [with_defaults(item, schema["items"]) for item in value]
    if not isinstance(value, dict) or "properties" not in schema:
        return value
    absent = {k: inner["default"] for k, inner in schema["properties"].items() if k not in value and "default" in inner}
    return {
        key: with_defaults(item, schema["properties"].get(key, {})) if key in schema["properties"] else item
        for key, item in {**value, **absent}.items()
    }


def _type_problem(value: Any, schema: Schema) -> str:
    if schema.get("x-kubernetes-int-or-string"):
        right, wanted = isinstance(value, int | str) and not isinstance(value, bool), "a whole number, or text"
    else:
        kind = schema["type"]
        right = isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))
        wanted = _WORDS[kind]
    if right:
        return ""
    hint = _for_example(schema)
    if isinstance(value, bool):
        hint += "; YAML reads on, off, yes, no, y and n as booleans, quote them"
    elif isinstance(value, float) and schema.get("x-kubernetes-int-or-string"):
        hint = f', in quotes: "{value}"'
    return f"found {shown(value)}; write {wanted}{hint}"


def _map_problems(value: dict[Any, Any], schema: Schema, path: Path) -> Iterator[Problem]:
    yield from _size_problems(len(value), schema, path, "Properties", "entries")
    for key in schema.get("required", ()):
        if key not in value:
            yield Problem(path, f"{key} is missing; write it")
    fields = schema.get("properties")
    for key, item in value.items():
        if not isinstance(key, str):
            yield Problem(path, f"found the key {shown(key)}; write text, quoted if YAML reads it as something else")
        elif fields is not None and key in fields:
            yield from problems(item, fields[key], (*path, key))
        elif fields is not None:
            yield Problem((*path, key), f"there is no such field; {nearest(key, fields)}")
        elif "additionalProperties" in schema:
            yield from problems(item, schema["additionalProperties"], (*path, key))


def _size_problems(size: int, schema: Schema, path: Path, what: str, word: str) -> Iterator[Problem]:
    least, most = schema.get(f"min{what}", 0), schema.get(f"max{what}")
    if size < least:
        yield Problem(path, f"found {size} {word}; write at least {least}")
    if most is not None and size > most:
        yield Problem(path, f"found {size} {word}; write at most {most}")


def _text_problems(value: str, schema: Schema, path: Path) -> Iterator[Problem]:
    if "enum" in schema and value not in schema["enum"]:
        yield Problem(path, f"found {shown(value)}; {nearest(value, schema['enum'])}")
        return
    yield from _size_problems(len(value), schema, path, "Length", "characters")
    pattern = schema.get("pattern")
    if pattern and not re.search(pattern.replace("$", r"\Z"), value):
        yield Problem(path, f"found {shown(value)}; write text that matches {pattern}{_for_example(schema)}")
    elif schema.get("format") == "date-time" and not _is_moment(value):
        yield Problem(path, f"found {shown(value)}, which is no moment; write one{_for_example(schema)}")


def _number_problems(value: int, schema: Schema, path: Path) -> Iterator[Problem]:
    least, most = schema.get("minimum"), schema.get("maximum")
    if (least is not None and value < least) or (most is not None and value > most):
        bounds = f"from {least} to {most}" if most is not None else f"of at least {least}"
        yield Problem(path, f"found {value}; write a number {bounds}")


def _is_moment(value: str) -> bool:
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _for_example(schema: Schema) -> str:
    return f", such as {shown(schema['example'])}" if "example" in schema else ""
