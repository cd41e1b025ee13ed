"""The evaluation context of an OFREP request: what a stranger sends, read in bounded time and memory.

What cannot be taken is a sentence that names the field, never a traceback and never a guess. Among it is what two readers could
read differently, and what other evaluators of the same flags could not hold: a name twice in one object, a lone surrogate, a
number beyond a double. Anything else is a context, however odd, because a refusal makes clients serve the code's own default:
an attribute that is missing, or no date, earns nothing (`audience.py`), and that is the whole of its punishment.
"""

import json
import re
import sys
from collections.abc import Container, Iterable
from math import isfinite
from typing import Any

import msgspec

from brownout.flags.misplaced import misplaced

DEEPEST = 16
MAX_BODY_BYTES = 64 * 1024
LONGEST_NAME = 80
"""Characters of a field's name in a sentence."""

PARSE_ERROR, INVALID_CONTEXT = "PARSE_ERROR", "INVALID_CONTEXT"

GREATEST = int(sys.float_info.max)
SURROGATE = re.compile("[\ud800-\udfff]")

JSON_SPACE = b" \t\n\r"
"""RFC 8259, 2: a form feed is none."""

CONTAINERS = (dict, list)

_decode = msgspec.json.Decoder().decode


class BadContextError(Exception):
    """A request that gets a 400: an OFREP error code, and a sentence that names the field."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


def parse(body: bytes, *, beside: Container[str] = ()) -> dict[str, Any]:
    """The context of a request body; without a body, or without a context in it, the empty one: the unknown user.

    beside: the members that a body may have beside its context, or without one. Raises BadContextError: PARSE_ERROR where the body is not JSON, INVALID_CONTEXT where it is and cannot be a context.
    """
    if not body or not body.strip(JSON_SPACE):
        return {}
    try:
        content = _decode(body)
    except RecursionError:
        raise _too_deep("body", PARSE_ERROR) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unreadable(body, error) from None
    if not isinstance(content, dict):
        raise BadContextError(PARSE_ERROR, f"body: expected an object, found {_kind(content)}")
    context = content.get("context")
    if context is not None and not isinstance(context, dict):
        raise BadContextError(INVALID_CONTEXT, f"context: expected an object, found {_kind(context)}")
    if (context is None or len(content) > 1) and (found := misplaced(content, context, beside=beside)):
        raise BadContextError(INVALID_CONTEXT, f"{_shortened(found[0])}: {found[1]}")
    if context is None:
        context = {}
    targeting_key = context.get("targetingKey")
    if targeting_key is not None and not isinstance(targeting_key, str):
        raise BadContextError(INVALID_CONTEXT, f"context.targetingKey: expected a string, found {_kind(targeting_key)}")
    members = len(content) + len(context)
    for name, value in context.items():
        if isinstance(value, CONTAINERS):
            members += _check(name, value)
        elif isinstance(value, int) and not -GREATEST <= value <= GREATEST:
            raise _beyond(name)
    if (
        body.count(b":") > members
    ):  # every member has a colon: with no more of them than members no name can be there twice
        _check_names(body)
    return context


def _check(field: str, value: Any) -> int:
    """Checks depth and numbers of an attribute; returns how many members its objects have together."""
    members = 0
    level = [value]
    for _ in range(DEEPEST):
        inner: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                members += len(each)
                inner.extend(each.values())
            elif isinstance(each, list):
                inner.extend(each)
            elif isinstance(each, int) and not -GREATEST <= each <= GREATEST:
                raise _beyond(field)
        if not inner:
            return members
        level = inner
    raise _too_deep(_named(field), INVALID_CONTEXT)


def _check_names(body: bytes) -> None:
    """Raises where an object has a name twice: which value is meant depends on the reader (RFC 8259, 4)."""
    objects: list[tuple[str, dict[str, Any]]] = []

    def once(members: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(members)
        if len(found) < len(members):
            objects.append((_first_repeated(name for name, _ in members), found))
        return found

    try:
        content = json.loads(body, object_pairs_hook=once)
    except RecursionError:
        raise _too_deep("body", PARSE_ERROR) from None
    if not objects:
        return
    twice, where = objects[0]
    if where is content:
        raise BadContextError(INVALID_CONTEXT, f"{_shortened(twice)}: written twice; write it once")
    if where is content.get("context"):
        raise BadContextError(INVALID_CONTEXT, f"{_named(twice)}: written twice; write it once")
    raise BadContextError(
        INVALID_CONTEXT, f"context: {_shortened(twice)} is written twice in one object; write it once"
    )


def _first_repeated(names: Iterable[str]) -> str:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    raise AssertionError("a name is repeated")


def _unreadable(body: bytes, error: Exception) -> BadContextError:
    """Why a body cannot be read, with the attribute at fault where a more lenient reader finds one."""
    try:
        content = json.loads(body.decode(errors="surrogateescape"), parse_int=_integer)
    except (ValueError, RecursionError):
        return BadContextError(PARSE_ERROR, f"body: {error}")
    context = content.get("context") if isinstance(content, dict) else None
    for name, value in context.items() if isinstance(context, dict) else ():
        if fault := _fault([name, value]):
            return BadContextError(PARSE_ERROR, f"{_named(name)}: {fault}")
    return BadContextError(PARSE_ERROR, f"body: {_fault(content) or error}")


def _integer(digits: str) -> float:
    """An integer as a double: no matter how many digits it has, that takes no longer than reading them."""
    return float(digits)


def _fault(value: Any) -> str | None:
    """What a strict reader of JSON refuses in a value."""
    todo = [value]
    while todo:
        each = todo.pop()
        if isinstance(each, dict):
            todo += [*each.keys(), *each.values()]
        elif isinstance(each, list):
            todo += each
        elif isinstance(each, float) and not isfinite(each):
            return "NaN, Infinity or a number beyond what a double holds; write a finite number"
        elif isinstance(each, str) and not each.isascii() and (found := SURROGATE.search(each)):
            return "not UTF-8" if "\udc80" <= found[0] <= "\udcff" else "a lone surrogate; write both halves, or none"
    return None


def _too_deep(what: str, code: str) -> BadContextError:
    return BadContextError(code, f"{what}: nested more than {DEEPEST} deep")


def _beyond(field: str) -> BadContextError:
    return BadContextError(
        INVALID_CONTEXT, f"{_named(field)}: a number beyond what a double holds; write a smaller one"
    )


def _named(field: str) -> str:
    return f"context.{_shortened(field)}"


def _shortened(name: str) -> str:
    """A name that a sentence can carry."""
    shown = name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"
    return shown.encode(errors="backslashreplace").decode()


def _kind(value: Any) -> str:
    """The JSON word for a value."""
    words = {
        dict: "an object",
        list: "an array",
        str: "a string",
        bool: "a boolean",
        int: "a number",
        float: "a number",
    }
    return words.get(type(value), "null")
