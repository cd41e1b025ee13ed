"""Evaluation of one flag set: compiled once for each version, then a look into a table.

    context --classifier--> audience (one for all flags) --table--> outcome (one for each flag) --> the answer, encoded already

`openfeature-flagd-core` is the reference: properties hold both to the same answer. A version differs from the one before in few
flags, and only those are compiled anew.
"""

import time
from collections.abc import Sequence
from typing import Any

import msgspec

from brownout.flags.answers import (
    DEFAULT,
    STATIC,
    TARGETING_MATCH,
    Answers,
    Choice,
    Evaluation,
    Failure,
    Frame,
    SetMetadata,
)
from brownout.flags.audience import Logic
from brownout.flags.classify import Context, Place, UnknownLogicError, classifier, outcomes
from brownout.flags.names import LONGEST_KEY, shown
from brownout.flags.outcome import Outcome, compiled
from brownout.flags.render import AUDIENCE, FlagSet

__all__ = ["Answers", "Evaluation", "Evaluator", "Failure"]

Row = list[Choice | Outcome[Choice]]
"""What a flag has for each audience."""


class Evaluator:
    """One flag set, ready to answer. Immutable: another set is another evaluator."""

    def __init__(self, flag_set: FlagSet, *, before: "Evaluator | None" = None) -> None:
        """`before` is the evaluator of the set before. Raises UnknownLogicError where a flag is not as the renderer writes it."""
        self.flag_set = flag_set
        self.metadata = flag_set.metadata
        self.keys = tuple(sorted(flag_set.flags))
        self._set = SetMetadata(self.metadata)
        self._skeleton: Logic
        self._place: Place
        known = before if before is not None and before.flag_set.flags[AUDIENCE] == flag_set.flags[AUDIENCE] else None
        if known is not None:
            self._skeleton, self._place = known._skeleton, known._place
        else:
            self._skeleton = _rule(msgspec.json.decode(flag_set.flags[AUDIENCE]))
            self._place = classifier(self._skeleton)
        self._rows = {key: self._row(key, known) for key in self.keys}
        self._columns = [_Column(n, found, self._set) for n, found in enumerate(zip(*self._rows.values(), strict=True))]

    def _row(self, key: str, before: "Evaluator | None") -> Row:
        content = self.flag_set.flags[key]
        if before is not None and before.flag_set.flags.get(key) == content:
            return before._rows[key]
        return _row(key, msgspec.json.decode(content), self._skeleton, self.metadata)

    def evaluate(self, key: str, context: Context, *, now: float | None = None) -> Evaluation | Failure:
        """The answer for one flag; `context` is OFREP's, with `targetingKey` among the attributes.

        now: Unix seconds, for accounts' ages; the present where it is not given.
        """
        row = self._rows.get(key)
        if row is None:
            key = shown(key, LONGEST_KEY)
            sentence = f"no flag {key!r} is served for namespace {self.flag_set.namespace!r}"
            return Failure(key=key, error_code="FLAG_NOT_FOUND", error_details=sentence)
        second = int(time.time() if now is None else now)
        found = row[self._place(context, second)]
        if not isinstance(found, Choice):
            found = found(context.get("targetingKey"), second)
        return Evaluation(found, self._set)

    def evaluate_all(self, context: Context, *, now: float | None = None) -> Answers:
        """The answers for every flag of the set, by key."""
        second = int(time.time() if now is None else now)
        return self._columns[self._place(context, second)].answers(context.get("targetingKey"), second)


class _Column:
    """What one audience has of every flag: mostly the same for everybody in it, and a few flags that depend on the user."""

    def __init__(self, place: int, found: Sequence[Choice | Outcome[Choice]], set_metadata: SetMetadata) -> None:
        self._name = str(place).encode()
        self._fixed = [each if isinstance(each, Choice) else None for each in found]
        self._open = [(n, each) for n, each in enumerate(found) if not isinstance(each, Choice)]
        self._set = set_metadata
        self._frame: Frame | None = None

    def answers(self, targeting_key: Any, second: int) -> Answers:
        choices: list[Any] = self._fixed.copy()
        variants = [self._name]
        for place, outcome in self._open:
            found = choices[place] = outcome(targeting_key, second)
            variants.append(found.encoded_variant)
        return Answers(choices, self._set, identity=b" ".join(variants), frame=self.frame)

    def frame(self) -> Frame:
        """The bulk answer but for what depends on the user; written when it is first asked for."""
        if self._frame is None:
            self._frame = Frame(self._fixed, self._set)
        return self._frame


def _rule(flag: dict[str, Any]) -> Any:
    return flag.get("targeting", flag["defaultVariant"])


def _row(key: str, flag: dict[str, Any], skeleton: Any, set_metadata: dict[str, Any]) -> Row:
    """What a flag has for each audience. Equal answers are one object."""
    metadata: dict[str, Any] = flag["metadata"]
    if metadata.keys() & set_metadata.keys():
        raise UnknownLogicError(
            f"flag {key!r} has metadata of the set's: {sorted(metadata.keys() & set_metadata.keys())}"
        )
    made: dict[tuple[str, str], Choice] = {}

    def choice(variant: str, reason: str) -> Choice:
        if (variant, reason) not in made:
            value = flag["variants"][variant]
            made[variant, reason] = Choice(key=key, value=value, reason=reason, variant=variant, metadata=metadata)
        return made[variant, reason]

    reason = TARGETING_MATCH if "targeting" in flag else STATIC
    otherwise = choice(flag["defaultVariant"], DEFAULT)
    return [
        compiled(rule, flag_key=key, answer=lambda variant: choice(variant, reason), otherwise=otherwise)
        for rule in outcomes(skeleton, _rule(flag))
    ]
