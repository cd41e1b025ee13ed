"""A request's context is read, or refused with a sentence that names the field."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brownout.flags.context import DEEPEST, BadContextError, parse


@pytest.mark.parametrize("body", [b"", b"  ", b"{}", b'{"context": null}', b'{"context": {}}'])
def test_without_a_context_the_user_is_unknown(body: bytes) -> None:
    assert parse(body) == {}


def test_attributes_are_taken_as_they_are() -> None:
    assert parse(b'{"context": {"targetingKey": "u", "a": [1, 2.5, null]}}') == {
        "targetingKey": "u",
        "a": [1, 2.5, None],
    }


def test_a_targeting_key_that_is_null_is_absent() -> None:
    assert parse(b'{"context": {"targetingKey": null}}') == {"targetingKey": None}


def nested(depth: int) -> bytes:
    return b'{"context": {"a": {"b": ' + b"[" * depth + b"]" * depth + b"}}}"


def test_nesting_is_bounded() -> None:
    assert parse(nested(DEEPEST - 2))
    with pytest.raises(BadContextError, match=r"context\.a: nested more than"):
        parse(nested(DEEPEST + 1))


def outcome(body: bytes) -> Any:
    try:
        return parse(body)
    except BadContextError as bad:
        return bad


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_bytes_from_a_stranger_are_a_context_or_a_sentence(body: bytes) -> None:
    found = outcome(body)
    if isinstance(found, BadContextError):
        assert found.code in {"PARSE_ERROR", "INVALID_CONTEXT"}
        assert ": " in found.sentence
    else:
        assert isinstance(found, dict)
