"""What is wrong with a body or a file of another shape than expected: which field, what was found, what to write.

The decoder's own words leave out what was found and which values there are, and its path says `[...]` for a name in a mapping. So what was read is walked beside
its types until the smallest part that is refused.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
from msgspec import Struct, inspect

LONGEST_FOUND = 60
"""Characters of what was found that are said again."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """The field, such as `messages[0].role`, '' for the whole; `words` go on after its name. `known` are the fields that there are, where this one is unknown."""

    field: str
    words: str
    known: tuple[str, ...] = ()

    def sentence(self, whole: str) -> str:
        """Without a full stop; `whole` is what the whole is called."""
        if self.known:
            return f"unknown field {self.field}; write one of {_listed(self.known, 'or')}, or leave it out"
        return f"{self.field or whole} {self.words}"


def fault(raw: Any, kind: Any, *, strict: bool = True) -> Fault | None:
    """What keeps `raw` (dicts, lists, texts, numbers) from becoming `kind`; None where nothing does. Not strict: a text may stand for a number."""
    return _fault(raw, kind, "", strict=strict)


def shown(value: Any) -> str:
    """What was found, as JSON, cut where it is long."""
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= LONGEST_FOUND else f"{text[:LONGEST_FOUND]}..."


def one_of(values: Sequence[Any]) -> str:
    """The values to choose from, as JSON."""
    return _listed([shown(value) for value in values], "or")


def _fault(raw: Any, kind: Any, place: str, *, strict: bool) -> Fault | None:
    try:
        msgspec.convert(raw, kind, strict=strict)
    except msgspec.ValidationError:
        plain = _plain(kind, raw)
        if isinstance(raw, dict) and _is_struct(plain) and (found := _of_fields(raw, plain, place)):
            return found
        if isinstance(raw, dict) and get_origin(plain) is dict and (odd := [n for n in raw if not isinstance(n, str)]):
            words = f"is no text; write a text as its name, such as '{odd[0]}' in quotes"
            return Fault(field=f"{place}.{odd[0]}".removeprefix("."), words=words)
        for name, value, inner in _parts(raw, plain):
            if found := _fault(value, inner, f"{place}{name}".removeprefix("."), strict=strict):
                return found
        return Fault(field=place, words=f"is {shown(raw)}; write {_words(inspect.type_info(kind))}")
    return None


def _plain(kind: Any, raw: Any) -> Any:
    """The type without its limits, of several the one that is for such a value."""
    if get_origin(kind) is Annotated:
        return _plain(get_args(kind)[0], raw)
    if get_origin(kind) in (Union, UnionType):
        kinds = [_plain(each, raw) for each in get_args(kind)]
        fitting = [
            each
            for each in kinds
            if (isinstance(raw, list) and get_origin(each) is list)
            or (isinstance(raw, dict) and (get_origin(each) is dict or _is_struct(each)))
        ]
        return fitting[0] if fitting else kind
    return kind


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Struct)


def _parts(raw: Any, kind: Any) -> Iterator[tuple[str, Any, Any]]:
    """Name, value and type of what is inside."""
    if isinstance(raw, dict) and _is_struct(kind):
        fields = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
        yield from ((f".{name}", raw[name], inner) for name, inner in fields.items() if name in raw)
    elif isinstance(raw, dict) and get_origin(kind) is dict:
        yield from ((f".{name}", value, get_args(kind)[1]) for name, value in raw.items())
    elif isinstance(raw, list) and get_origin(kind) is list:
        yield from ((f"[{place}]", value, get_args(kind)[0]) for place, value in enumerate(raw))


def _of_fields(raw: dict[Any, Any], kind: type[Struct], place: str) -> Fault | None:
    """A field that is not there, or one that has to be."""
    fields = msgspec.structs.fields(kind)
    known = tuple(field.encode_name for field in fields)
    before = f"{place}." if place else ""
    if kind.__struct_config__.forbid_unknown_fields:
        for name in raw:
            if name not in known:
                return Fault(field=f"{before}{name}"[:80], words="is unknown", known=known)
    for field in fields:
        if field.required and field.encode_name not in raw:
            return Fault(
                field=f"{before}{field.encode_name}", words=f"is missing; write {_words(inspect.type_info(field.type))}"
            )
    return None


def _words(kind: inspect.Type) -> str:
    """What may be written, for people."""
    match kind:
        case inspect.IntType():
            return f"a whole number{_range(kind)}"
        case inspect.FloatType():
            return f"a number{_range(kind)}"
        case inspect.StrType():
            return f"a text{_length(kind, ' characters')}"
        case inspect.ListType():
            return f"a list{_length(kind, '')}"
        case inspect.BoolType():
            return "true or false"
        case inspect.LiteralType():
            return one_of(kind.values)
        case inspect.EnumType():
            return one_of([each.value for each in kind.cls])
        case inspect.UnionType():
            return " or ".join(_words(each) for each in kind.types if not isinstance(each, inspect.NoneType))
    return "an object"


def _range(kind: inspect.IntType | inspect.FloatType) -> str:
    if kind.ge is not None and kind.le is not None:
        return f" from {kind.ge} to {kind.le}"
    if kind.ge is not None:
        return f" of {kind.ge} or more"
    return "" if kind.gt is None else f" of more than {kind.gt}"


def _length(kind: inspect.StrType | inspect.ListType, of: str) -> str:
    if kind.min_length and kind.max_length is not None:
        return f" of {kind.min_length} to {kind.max_length}{of}"
    if kind.min_length:
        return f" of {kind.min_length}{of} or more"
    return "" if kind.max_length is None else f" of at most {kind.max_length}{of}"


def _listed(words: Sequence[str], last: str) -> str:
    *first, end = words
    return f"{', '.join(first)} {last} {end}" if first else end
