"""Which tier and cohort a user is in, test by test, each compiled as the flag server compiles it."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from brownout.api.tier import Match
from brownout.cli.durations import span
from brownout.cli.gates.model import Gate
from brownout.cli.validation.findings import shown
from brownout.flags.audience import REMAINDER, Tier, in_order, test_of
from brownout.flags.classify import attribute, classifier


class Person(Struct, frozen=True):
    """A user's evaluation context, at a moment in Unix seconds."""

    context: dict[str, Any]
    now: float

    @property
    def targeting_key(self) -> str:
        """Empty where there is none."""
        return str(self.context.get("targetingKey") or "")

    def passes(self, match: Match) -> bool:
        """Whether one test holds, by the flag server's own reading of it."""
        asked = classifier({"if": [test_of(match), "yes", "no"]})
        return asked(self.context, int(self.now)) == 0

    def value(self, key: str) -> Any:
        """What the context has at an attribute; None where there is nothing."""
        return attribute(key)(self.context)


class Placed(Struct, frozen=True):
    """Where a user belongs. `tier` is None where the namespace has no tiers."""

    tier: Tier | None
    cohort: str
    gates: tuple[Gate, ...]


def place(person: Person, tiers: Iterable[Tier]) -> Placed:
    """The tier and cohort of a user, with the tests that led there."""
    ordered = in_order(tiers)
    if not ordered:
        return Placed(None, REMAINDER, (Gate(name="tier", says="no", found="this namespace has no UserTier"),))
    found, evidence = ordered[-1], []
    for tier in ordered[:-1]:
        holds, lines = _all(person, tier.spec.match)
        evidence += [f"{tier.key.name}: {line}" for line in lines]
        if holds:
            found = tier
            break
    else:
        why = "has no match: everybody else" if not found.spec.match else "is the last tier: unknown users get it"
        evidence.append(f"{found.key.name}: {why}")
    tried = ordered.index(found) + 1
    words = f"{found.key.name}, tried as number {tried} of {len(ordered)}; priority {found.spec.priority}"
    cohort, gate = _cohort(person, found)
    return Placed(found, cohort, (Gate(name="tier", says="-", found=words, evidence=tuple(evidence)), gate))


def _cohort(person: Person, tier: Tier) -> tuple[str, Gate]:
    evidence = []
    for cohort in tier.spec.cohorts:
        holds, lines = _all(person, cohort.match)
        evidence += [f"{cohort.name}: {line}" for line in lines]
        if holds:
            words = f"{cohort.name}, shed before the rest of {tier.key.name}"
            return cohort.name, Gate(name="cohort", says="-", found=words, evidence=tuple(evidence))
    words = f"none; the rest of {tier.key.name}" if tier.spec.cohorts else f"{tier.key.name} has no cohorts"
    return REMAINDER, Gate(name="cohort", says="-", found=words, evidence=tuple(evidence))


def _all(person: Person, matches: Sequence[Match]) -> tuple[bool, list[str]]:
    """Whether all tests hold, with a line for each up to the first that does not."""
    lines = []
    for match in matches:
        holds = person.passes(match)
        lines.append(f"{'yes' if holds else 'no'}: {_asked(match)}; found {_found(person, match)}")
        if not holds:
            return False, lines
    return True, lines


def _asked(match: Match) -> str:
    if match.operator in ("In", "NotIn"):
        return f"{match.key} {match.operator} [{', '.join(match.values)}]"
    if match.seconds is not None:
        return f"{match.key} {match.operator} {span(match.seconds)} ({match.seconds} s)"
    return f"{match.key} {match.operator}"


def _found(person: Person, match: Match) -> str:
    value = person.value(match.key)
    if value is None:
        return "nothing" + (", which counts as young" if match.operator == "YoungerThan" else "")
    text = shown(value)
    if match.seconds is None:
        return text
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"{text}, which is not a number of Unix seconds and counts as young"
    return f"{text}{''.join(_age(float(value), person.now))}"


def _age(moment: float, now: float) -> Iterator[str]:
    if moment <= 1:
        yield ", which is what an unset field looks like, and counts as young"
        return
    try:
        yield f" ({datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M} UTC, "
    except (ValueError, OverflowError, OSError):
        yield " ("
    yield "in the future: counts as young)" if moment > now else f"{span(now - moment)} ago)"
