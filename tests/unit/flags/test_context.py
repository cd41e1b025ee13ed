"""A request's context is read, or refused with a sentence that names the field."""

import json
import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brownout.flags.context import DEEPEST, MAX_BODY_BYTES, BadContextError, parse


@pytest.mark.parametrize("body", [b"", b"  ", b"{}", b'{"context": null}', b'{"context": {}}'])
def test_without_a_context_the_user_is_unknown(body: bytes) -> None:
    assert parse(body) == {}


@pytest.mark.parametrize("body", [b"\x0c", b" \x0b"])
def test_what_is_no_space_in_json_is_no_absent_body(body: bytes) -> None:
    with pytest.raises(BadContextError, match="body: "):
        parse(body)


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


# What is refused, and by which name

NINES = b"9" * 400


@pytest.mark.parametrize(
    ("body", "code", "beginning"),
    [
        (b'{"context": {"b": 1, "a": NaN}}', "PARSE_ERROR", "context.a: NaN"),
        (b'{"context": {"a": -Infinity}}', "PARSE_ERROR", "context.a: NaN, Infinity"),
        (b'{"context": {"a": 1e999}}', "PARSE_ERROR", "context.a: "),
        (b'{"context": {"a": {"b": [-1e999]}}}', "PARSE_ERROR", "context.a: "),
        (b'{"context": {"a": ' + NINES + b"}}", "INVALID_CONTEXT", "context.a: a number beyond what a double holds"),
        (b'{"context": {"a": [{"b": -' + NINES + b"}]}}", "INVALID_CONTEXT", "context.a: a number beyond"),
        (b'{"context": {"a": ' + 100 * NINES + b"}}", "PARSE_ERROR", "context.a: "),
        (rb'{"context": {"a": "\ud800"}}', "PARSE_ERROR", "context.a: a lone surrogate"),
        (rb'{"context": {"a": ["\udc00\ud800"]}}', "PARSE_ERROR", "context.a: a lone surrogate"),
        (rb'{"context": {"\ud800": 1}}', "PARSE_ERROR", r"context.\ud800: a lone surrogate"),
        (b'{"context": {"a": "\xff"}}', "PARSE_ERROR", "context.a: not UTF-8"),
        (b'{"context": {"a": "\x01"}}', "PARSE_ERROR", "body: "),
        (b'{"context": {"a": 01}}', "PARSE_ERROR", "body: "),
        (b'\xef\xbb\xbf{"context": {}}', "PARSE_ERROR", "body: "),
        (b'{"context": {"plan": "free", "plan": "pro"}}', "INVALID_CONTEXT", "context.plan: written twice"),
        (rb'{"context": {"plan": "free", "pl\u0061n": "pro"}}', "INVALID_CONTEXT", "context.plan: written twice"),
        (b'{"context": {"a": {"b": 1, "b": 1}}}', "INVALID_CONTEXT", "context: b is written twice in one object"),
        (b'{"context": {}, "context": {"plan": "pro"}}', "INVALID_CONTEXT", "context: written twice"),
        (b'{"context": {"' + b"n" * 1000 + b'": NaN}}', "PARSE_ERROR", "context." + "n" * 80 + "…: "),
    ],
    ids=lambda value: repr(value)[:50],
)
def test_a_sentence_names_the_attribute_at_fault(body: bytes, code: str, beginning: str) -> None:
    found = outcome(body)
    assert isinstance(found, BadContextError), found
    assert found.sentence.startswith(beginning)
    assert found.code == code
    assert len(found.sentence.encode()) < 300


WITHOUT_WRAPPER = [
    ({"targetingKey": "u"}, "targetingKey", '{"context": {"targetingKey": ...}}'),
    ({"plan": "pro", "targetingKey": "u"}, "targetingKey", '{"context": {"targetingKey": ...}}'),
    ({"targetingKey": "u", "context": None}, "targetingKey", '{"context": {"targetingKey": ...}}'),
    ({"targetingKey": "u", "context": {"plan": "pro"}}, "targetingKey", '{"context": {"targetingKey": ...}}'),
    ({"targetingKey": "u", "context": {}}, "targetingKey", '{"context": {"targetingKey": ...}}'),
    ({"plan": "pro"}, "plan", '{"context": {...}}'),
    ({"plan": "pro", "context": None}, "plan", '{"context": {...}}'),
    ({"evaluationContext": {"targetingKey": "u"}}, "evaluationContext", '{"context": {...}}'),
    ({"flag": "chat", "evaluation_context": {}}, "evaluation_context", '{"context": {...}}'),
    ({"Context": {"targetingKey": "u"}}, "Context", '{"context": {...}}'),
    ({"n" * 1000: 1}, "n" * 80 + "…", '{"context": {...}}'),
]


@pytest.mark.parametrize(("body", "field", "write"), WITHOUT_WRAPPER, ids=lambda value: repr(value)[:50])
def test_attributes_outside_of_a_context_are_refused_with_what_to_write(
    body: dict[str, Any], field: str, write: str
) -> None:
    found = outcome(json.dumps(body).encode())
    assert isinstance(found, BadContextError), found
    assert found.code == "INVALID_CONTEXT"
    assert found.sentence.startswith(f"{field}: ")
    assert write in found.sentence


@pytest.mark.parametrize("context", ["u", ["u"], 7, True])
def test_a_context_that_is_no_object_is_refused(context: Any) -> None:
    found = outcome(json.dumps({"context": context}).encode())
    assert isinstance(found, BadContextError)
    assert found.sentence.startswith("context: expected an object, found ")


@pytest.mark.parametrize(
    "body",
    [
        {"context": {"targetingKey": "u"}, "targetingKey": "other"},
        {"context": {"targetingKey": "u"}, "clientVersion": 3},
        {"context": {}, "evaluationContext": {}},
    ],
    ids=repr,
)
def test_what_else_stands_beside_a_context_is_left_alone(body: dict[str, Any]) -> None:
    assert parse(json.dumps(body).encode()) == body["context"]


def test_what_a_ledger_is_told_beside_the_context_needs_none() -> None:
    assert parse(b'{"reservation": "r"}', beside={"reservation"}) == {}
    with pytest.raises(BadContextError, match="reservation: "):
        parse(b'{"reservation": "r"}')


@pytest.mark.parametrize(
    "context",
    [
        {"a": "10:30:00", "b": {"c": "::"}, "d": '{"a": 1, "a": 2}'},
        {"a": {"b": 1}, "b": {"b": 1}},
        {"a": 2**64, "b": -(10**308), "c": 1.7976931348623157e308, "d": 5e-324},
        {"a": "\x00", "": 1, "\ufeff": "\U0001f600"},
        {"accountCreatedAt": "2024-01-01T00:00:00Z"},
        {"accountCreatedAt": None, "plan": ["pro"]},
    ],
    ids=repr,
)
def test_an_odd_context_is_a_context(context: dict[str, Any]) -> None:
    assert parse(json.dumps({"context": context}).encode()) == context
    assert parse(json.dumps({"context": context}, ensure_ascii=False).encode()) == context


def filled(begin: bytes, part: bytes, end: bytes) -> bytes:
    """The longest body of this form."""
    count = (MAX_BODY_BYTES - len(begin) - len(end)) // len(part)
    return begin + part * count + end


LARGE = [
    filled(b"", b"[", b""),
    filled(b'{"context": {"a": ', b'{"a":', b""),
    filled(b'{"context": {"a": [', b"[],", b"[]]}}"),
    filled(b'{"context": {"a": [', b"1e999,", b"1]}}"),
    filled(b'{"context": {"a": 1', b"0", b"}}"),
    filled(b'{"context": {"a": "', rb"\ud800", b'"}}'),
    filled(b'{"context": {"a": "', b":", b'"}}'),
    filled(b'{"context": {', b'"k":1,', b'"k":1}}'),
    b'{"context": {' + b",".join(b'"k%d":1' % n for n in range(6_000)) + b',"k5999":2}}',
    b'{"context": {' + b",".join(b'"k%d":":"' % n for n in range(5_000)) + b"}}",
    filled(b'{"a": ' + b"[" * 900 + b"]" * 900 + b', "context": {', b'"k":1,', b'"k":1}}'),
    filled(b'"', b"\\", b""),
    filled(b"", b"\x00", b""),
    filled(b"", b" ", b""),
]


@pytest.mark.parametrize("body", LARGE, ids=lambda body: repr(body)[:40])
def test_the_largest_bodies_are_read_in_bounded_time_and_memory(body: bytes) -> None:
    assert len(body) <= MAX_BODY_BYTES
    assert min(_seconds_of(body) for _ in range(3)) < 0.1
    tracemalloc.start()
    outcome(body)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100 * MAX_BODY_BYTES


def _seconds_of(body: bytes) -> float:
    """Processor time to read it; of a few times the least, for other work on the machine makes it more."""
    began = time.process_time()
    outcome(body)
    return time.process_time() - began
