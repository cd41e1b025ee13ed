"""From a typed struct to the structural OpenAPI schema that an API server accepts.

msgspec's own JSON schema has `$ref` and unions with null, which structural schemas forbid; so this walks `msgspec.inspect`
and writes the small part of OpenAPI that Kubernetes understands. What is optional is left out of `required` and is never
null. A default of a nested field shows on read only if every parent has one, so parents of defaults get `default: {}`; an
empty text, list or map is no default, because its absence says the same.

Status is written by us alone and has no defaults; a moment in it is plain text, so that one that is not known yet ("") never
makes the API server refuse all the rest.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import inspect as types

from brownout.api.schema import Object, Rule

Schema = dict[str, Any]


def schema_of(struct: type[Object], *, status: bool = False) -> Schema:
    """The structural schema of a spec, or of a status. Raises TypeError, naming the type, for what has no such schema."""
    node = types.type_info(struct)
    assert isinstance(node, types.StructType)
    return _object(node, status)


def _schema(node: types.Type, status: bool) -> Schema:
    if isinstance(node, types.Metadata):
        extra = dict(node.extra_json_schema or {})
        if examples := extra.pop("examples", ()):
            extra["example"] = examples[0]
        if status:
            extra = {key: value for key, value in extra.items() if key not in ("format", "pattern", "example")}
        return _schema(node.type, status) | extra
    for kind, write in _WRITERS:
        if isinstance(node, kind):
            return write(node, status)
    raise TypeError(f"{node!r} has no structural schema; use text, integers, Literal, tuples, dicts and Object")


def _object(node: types.StructType, status: bool) -> Schema:
    if not issubclass(node.cls, Object):
        raise TypeError(f"{node.cls.__name__} has no structural schema; derive it from Object")
    schema: Schema = {}
    if prose := _prose(node.cls):
        schema["description"] = prose
    schema["type"] = "object"
    schema["properties"] = {field.encode_name: _field(field, status) for field in node.fields}
    if required := [field.encode_name for field in node.fields if field.required]:
        schema["required"] = required
    if rules := [] if status else [_rule(rule) for rule in node.cls.rules]:
        schema["x-kubernetes-validations"] = rules
    return schema


def _field(field: types.Field, status: bool) -> Schema:
    schema = _schema(field.type, status)
    default = None if status or field.default is msgspec.NODEFAULT else field.default
    if isinstance(default, Object):
        if default != type(default)():
            raise TypeError(f"{field.name}: a default that differs from its type's own defaults cannot be written")
        if any("default" in nested for nested in schema["properties"].values()):
            schema["default"] = {}
    elif default not in (None, "", ()):
        schema["default"] = default
    return schema


def _rule(rule: Rule) -> Schema:
    schema = {"rule": rule.rule, "message": rule.message}
    if rule.field_path:
        schema["fieldPath"] = rule.field_path
    return schema


def _text(node: types.StrType, status: bool) -> Schema:
    bounds: Schema = {"minLength": node.min_length, "maxLength": node.max_length}
    if not status:
        bounds["pattern"] = node.pattern
    return {"type": "string"} | _given(bounds)


def _integer(node: types.IntType, status: bool) -> Schema:
    return {"type": "integer", "format": "int64"} | _given({"minimum": node.ge, "maximum": node.le})


def _boolean(node: types.BoolType, status: bool) -> Schema:
    return {"type": "boolean"}


def _enum(node: types.LiteralType, status: bool) -> Schema:
    return {"type": "string", "enum": list(node.values)}


def _list(node: types.VarTupleType, status: bool) -> Schema:
    items = _schema(node.item_type, status)
    bounds = _given({"minItems": node.min_length, "maxItems": node.max_length})
    return {"type": "array", "items": items, "x-kubernetes-list-type": "atomic"} | bounds


def _map(node: types.DictType, status: bool) -> Schema:
    bounds = _given({"minProperties": node.min_length, "maxProperties": node.max_length})
    if isinstance(node.value_type, types.AnyType):
        return {"type": "object", "x-kubernetes-preserve-unknown-fields": True} | bounds
    return {"type": "object", "additionalProperties": _schema(node.value_type, status)} | bounds


def _union(node: types.UnionType, status: bool) -> Schema:
    present = [member for member in node.types if not isinstance(member, types.NoneType)]
    if len(present) == 1:
        return _schema(present[0], status)
    if {type(member) for member in present} == {types.IntType, types.StrType}:
        return {"x-kubernetes-int-or-string": True}
    raise TypeError(f"{node!r} has no structural schema; only X | None and int | str do")


_WRITERS: tuple[tuple[type[types.Type], Callable[[Any, bool], Schema]], ...] = (
    (types.StructType, _object),
    (types.StrType, _text),
    (types.IntType, _integer),
    (types.BoolType, _boolean),
    (types.LiteralType, _enum),
    (types.VarTupleType, _list),
    (types.DictType, _map),
    (types.UnionType, _union),
)


def _prose(struct: type) -> str:
    """A docstring as one line, as `kubectl explain` wraps it itself."""
    return " ".join((struct.__dict__.get("__doc__") or "").split())


def _given(bounds: Schema) -> Schema:
    return {key: value for key, value in bounds.items() if value is not None}
