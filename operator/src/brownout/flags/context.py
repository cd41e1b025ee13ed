"""The evaluation context of an OFREP request: what a stranger sends, read in bounded time and memory.

What cannot be taken is a sentence that names the field, never a traceback and never a guess.
"""

from typing import Any

import msgspec

DEEPEST = 16
MAX_BODY_BYTES = 64 * 1024

PARSE_ERROR, INVALID_CONTEXT = "PARSE_ERROR", "INVALID_CONTEXT"


class BadContextError(Exception):
    """A request that gets a 400: an OFREP error code, and a sentence that names the field."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


def parse(body: bytes) -> dict[str, Any]:
    """The context of a request body; without a body, or without a context in it, the empty one: the unknown user.

    Raises BadContextError: PARSE_ERROR where the body is not JSON, INVALID_CONTEXT where it is and cannot be a context.
    """
    if not body.strip():
        return {}
    try:
        content = msgspec.json.decode(body)
    except RecursionError:
        raise BadContextError(PARSE_ERROR, f"body: nested more than {DEEPEST} deep") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadContextError(PARSE_ERROR, f"body: {error}") from None
    if not isinstance(content, dict):
        raise BadContextError(PARSE_ERROR, f"body: expected an object, found {_kind(content)}")
    context = content.get("context")
    if context is None:
        return {}
    if not isinstance(context, dict):
        raise BadContextError(INVALID_CONTEXT, f"context: expected an object, found {_kind(context)}")
    targeting_key = context.get("targetingKey")
    if targeting_key is not None and not isinstance(targeting_key, str):
        raise BadContextError(INVALID_CONTEXT, f"context.targetingKey: expected a string, found {_kind(targeting_key)}")
    _check_depth(context)
    return context


def _check_depth(context: dict[str, Any]) -> None:
    level: list[tuple[str, Any]] = list(context.items())
    for _ in range(DEEPEST):
        level = [(field, inner) for field, value in level for inner in _inside(value)]
        if not level:
            return
    raise BadContextError(INVALID_CONTEXT, f"context.{level[0][0]}: nested more than {DEEPEST} deep")


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


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
