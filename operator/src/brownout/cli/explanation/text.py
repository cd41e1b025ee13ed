"""Explanations as a person reads them: one in full, its parts in brief."""

from collections.abc import Iterable, Iterator

from brownout.cli.explanation.model import Explanation, Need

_MARKS = {True: "[yes]", False: "[no] ", None: "[?]  "}


def text(explanations: Iterable[Explanation]) -> str:
    """Each in full, with an empty line between two."""
    return "\n\n".join("\n".join(_full(one)) for one in explanations)


def _full(one: Explanation) -> Iterator[str]:
    yield one.subject
    lines = {"has": one.has, "rule": one.rule, "because": one.because, "since": one.since}
    yield from _named({name: value for name, value in lines.items() if value})
    yield from _named(one.numbers)
    if one.needs:
        yield f"  {one.goal}:"
        yield from (f"    {_need(need)}" for need in one.needs)
    yield from _named({"expected": one.expected} if one.expected else {})
    yield from _list("lately", one.history)
    yield from _list("look at", one.troubles)
    for part in one.parts:
        yield from _brief(part)


def _named(values: dict[str, str]) -> Iterator[str]:
    for name, value in values.items():
        yield f"  {name:<12} {value}"


def _list(name: str, lines: Iterable[str]) -> Iterator[str]:
    for index, line in enumerate(lines):
        yield f"  {name if index == 0 else '':<12} {line}"


def _need(need: Need) -> str:
    found = f": {need.found}" if need.found else ""
    at = f" ({need.at})" if need.at else ""
    return f"{_MARKS[need.met]} {need.what}{found}{at}"


def _brief(one: Explanation) -> Iterator[str]:
    """A part in a few lines: how it is and why; the first thing that is not so yet; when it is expected."""
    yield f"  - {one.subject}: {one.has}"
    if one.because:
        yield f"      {one.rule}: {one.because}" + (f" (since {one.since})" if one.since else "")
    waits = next((need for need in one.needs if need.met is False), None)
    if waits is not None:
        yield f"      waits until {_need(waits).removeprefix(_MARKS[False]).strip()}"
    if one.expected:
        yield f"      expected {one.expected}"
    yield from (f"      look at {trouble}" for trouble in one.troubles)
