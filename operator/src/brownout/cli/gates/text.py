"""Gates as a person reads them."""

import textwrap
from collections.abc import Iterator

import msgspec

from brownout.cli.gates.model import Gate, Why

_MARKS = {"yes": "[yes]", "no": "[no] ", "part": "[part]", "-": "[-]  "}
_INDENT = 24


def text(found: Why, *, width: int = 120) -> str:
    """The answer first, then every gate with its evidence."""
    return "\n".join(_lines(found, width))


def _lines(found: Why, width: int) -> Iterator[str]:
    whom = found.context.get("targetingKey") or "a user without a targetingKey"
    audience = f"{found.tier}/{found.cohort}" if found.cohort else found.tier or "no tier"
    yield f"{found.feature} in {found.namespace} for {whom} ({audience}): {found.variant or 'no answer'}"
    yield from _named("decided by", found.decided_by, width)
    yield from _named("value", msgspec.json.encode(found.value).decode(), width)
    yield from _named("told to them", found.notice, width)
    yield from _named("expected back", found.expected_return, width)
    yield from _named("answer", f"reason {found.reason}, flag {found.flag_key}, set {found.version}", width)
    yield ""
    for gate in found.gates:
        yield from _gate(gate, width)


def _named(name: str, value: str, width: int) -> Iterator[str]:
    if value:
        yield from _wrapped(f"  {name}", value, width)


def _gate(gate: Gate, width: int) -> Iterator[str]:
    yield from _wrapped(f"{_MARKS[gate.says]:<7}{gate.name}", gate.found, width)
    for line in gate.evidence:
        yield from _wrapped("", line, width)


def _wrapped(head: str, words: str, width: int) -> Iterator[str]:
    lines = textwrap.wrap(words, max(40, width - _INDENT), break_long_words=False, break_on_hyphens=False) or [""]
    yield f"{head:<{_INDENT}}{lines[0]}"
    yield from (" " * _INDENT + line for line in lines[1:])
