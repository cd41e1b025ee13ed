"""What is wrong with a scenario's file, in words that name the place, what was found and what to write.

The decoder's own path says `[...]` for a name in a mapping, and that a field is unknown without those that are known. So the
file is walked beside its types until the smallest part that is refused.
"""

from collections.abc import Iterator
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
from msgspec import Struct

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
OF_SECONDS = ("at", "start", "end", "rise", "hold", "fall", "period")
"""Fields that are seconds and do not say so in their name."""


def refusal(raw: Any, kind: Any, error: msgspec.ValidationError) -> str:
    """The sentence for what cannot be made of `kind`; the decoder's own where nothing better is known."""
    return _refusal(raw, kind, "") or str(error)


def _refusal(raw: Any, kind: Any, place: str) -> str | None:
    """None where it is as it should be."""
    try:
        msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        plain = _plain(kind)
        for name, value, inner in _parts(raw, plain):
            if found := _refusal(
                value, inner, f"{place}{name}" if name.startswith("[") else f"{place}.{name}".strip(".")
            ):
                return found
        if isinstance(plain, type) and issubclass(plain, Struct) and isinstance(raw, dict):
            return _of_fields(raw, plain, place) or f"{_at(place)}{error}"
        return f"{_at(place)}{_of_value(raw, place, str(error))}"
    return None


def _plain(kind: Any) -> Any:
    """The type without its limits, and without the None that stands for nothing said."""
    if get_origin(kind) is Annotated:
        return _plain(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        kinds = [one for one in get_args(kind) if one is not type(None)]
        return _plain(kinds[0]) if len(kinds) == 1 else kind
    return kind


def _parts(raw: Any, kind: Any) -> Iterator[tuple[str, Any, Any]]:
    """Name, value and type of what is inside."""
    origin = get_origin(kind)
    if isinstance(raw, dict) and isinstance(kind, type) and issubclass(kind, Struct):
        fields = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
        yield from ((name, raw[name], fields[name]) for name in fields if name in raw)
    elif isinstance(raw, dict) and origin is dict:
        yield from ((str(name), value, get_args(kind)[1]) for name, value in raw.items())
    elif isinstance(raw, list) and origin is tuple:
        yield from ((f"[{index}]", value, get_args(kind)[0]) for index, value in enumerate(raw))


def _of_fields(raw: dict[Any, Any], kind: type[Struct], place: str) -> str | None:
    fields = msgspec.structs.fields(kind)
    known = [field.encode_name for field in fields if field.encode_name != "folder"]
    for name in raw:
        if str(name) not in [field.encode_name for field in fields]:
            meant = get_close_matches(str(name), known, n=1)
            instead = f"write {meant[0]}" if meant else "leave it out"
            return f"{_at(place)}unknown field {name}; {instead}; known are {', '.join(known)}"
    for field in fields:
        if field.required and field.encode_name not in raw:
            return f"{_at(place)}{field.encode_name} is missing; write it"
    return None


def _of_value(raw: Any, place: str, words: str) -> str:
    name = place.rpartition(".")[2]
    if isinstance(raw, str) and (name.lower().endswith("seconds") or name in OF_SECONDS):
        return f"found {raw!r}; write a number of seconds, such as {_seconds(raw)}"
    if raw is None:
        return f"found nothing; {words}"
    return f"found {raw!r}; {words}" if isinstance(raw, str | int | float) else words


def _seconds(text: str) -> str:
    """What somebody meant who wrote `40m`; some number for anything else."""
    number, unit = text.strip()[:-1], text.strip()[-1:]
    return f"{float(number) * UNITS[unit]:g}" if unit in UNITS and number.replace(".", "", 1).isdecimal() else "60"


def _at(place: str) -> str:
    return f"{place}: " if place else ""
