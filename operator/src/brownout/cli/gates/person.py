"""The user as a command names them: JSON, key=value pairs, or @file."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from brownout.cli.failure import failed
from brownout.flags.context import BadContextError, parse


def context(words: Sequence[str]) -> dict[str, Any]:
    """An evaluation context. Raises CommandError where it is none, in the words with which OFREP would refuse it.

    A value is read as JSON where it is a number, true, false, null, a list, an object or quoted text, else as text;
    targetingKey is always text. A dot in a key descends, as it does in a UserTier's match.
    """
    found: dict[str, Any] = {}
    for word in words:
        if word.startswith("@"):
            found |= _object(_text_of(word[1:]), where=word)
        elif word.lstrip().startswith("{"):
            found |= _object(word, where="USER-CONTEXT")
        else:
            for pair in word.split(","):
                _put(found, pair)
    try:
        return parse(json.dumps({"context": found}).encode())
    except BadContextError as error:
        raise failed(str(error)) from None


def _object(text: str, *, where: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise failed(f"{where}: is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise failed(f'{where}: found {text.strip()[:40]}; write an object, such as {{"targetingKey": "u-1"}}')
    inner = found.get("context")
    return inner if isinstance(inner, dict) and len(found) == 1 else found  # an OFREP request's body is taken as it is


def _text_of(name: str) -> str:
    try:
        return Path(name).read_text("utf-8")
    except OSError as error:
        raise failed(f"@{name}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise failed(f"@{name}: is not UTF-8 text") from None


def _put(found: dict[str, Any], pair: str) -> None:
    key, equals, value = pair.partition("=")
    if not equals or not key:
        raise failed(
            f"USER-CONTEXT: found {pair!r}; write JSON, @FILE, or pairs such as targetingKey=u-1 plan=free "
            "accountCreatedAt=1790000000, and the feature last"
        )
    *above, last = [key] if key == "targetingKey" else key.split(".")
    inside = found
    for part in above:
        inside = inside.setdefault(part, {})
        if not isinstance(inside, dict):
            raise failed(f"USER-CONTEXT: {key}: {part} has a value already; it cannot also have parts")
    inside[last] = value if key == "targetingKey" else _value(value)


def _value(text: str) -> Any:
    try:
        return msgspec.json.decode(text.encode())
    except msgspec.DecodeError:
        return text
