"""Evaluation of one flag set, in the words that OFREP uses: compiled once for each version, then a look into a table.

    context --classifier--> audience (one for all flags) --table--> outcome (one for each flag) --> the answer, encoded already

`openfeature-flagd-core` is the reference: properties hold both to the same answer. Only the standard OpenFeature reasons and
error codes leave this module: the Python OFREP provider fails open on any other.
"""

import time
from collections.abc import Sequence
from typing import Any

import msgspec
from openfeature.exception import ErrorCode

from brownout.flags.classify import Context, Place, classifier, outcomes
from brownout.flags.outcome import Outcome, compiled
from brownout.flags.render import AUDIENCE, FlagSet

STATIC, TARGETING_MATCH, DEFAULT = "STATIC", "TARGETING_MATCH", "DEFAULT"


class Evaluation:
    """A flag's answer for one user, as OFREP writes it. `value` is the variant's, verbatim. Made once, and shared."""

    __slots__ = ("_head", "_tail", "key", "metadata", "reason", "value", "variant")

    def __init__(
        self, *, key: str, value: Any, reason: str, variant: str, metadata: dict[str, Any], tail: bytes
    ) -> None:
        self.key = key
        self.value = value
        self.reason = reason
        self.variant = variant
        self.metadata = metadata
        head = {"key": key, "value": value, "reason": reason, "variant": variant}
        self._head = msgspec.json.encode(head)[:-1]
        self._tail = tail

    @property
    def content(self) -> bytes:
        """The answer as JSON."""
        return self._head + self._tail

    @property
    def pieces(self) -> tuple[bytes, bytes]:
        """The answer as JSON in two parts; all answers of a flag share the second."""
        return self._head, self._tail

    def __repr__(self) -> str:
        return f"Evaluation({self.content.decode()})"


class Failure(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Why there is no answer, as OFREP writes it: an OpenFeature error code, and a sentence."""

    key: str
    error_code: str
    error_details: str


class Answers(Sequence[Evaluation]):
    """One user's answers for every flag of a set, by key.

    identity: with the version of the set it tells these answers from all others; as short as it can be, because a client that
    has them already is told so without their being written.
    """

    __slots__ = ("_found", "_metadata", "identity")

    def __init__(self, found: list[Evaluation], *, metadata: bytes, identity: bytes) -> None:
        self._found = found
        self._metadata = metadata
        self.identity = identity

    def __getitem__(self, place: Any) -> Any:
        return self._found[place]

    def __len__(self) -> int:
        return len(self._found)

    @property
    def content(self) -> bytes:
        """OFREP's bulk answer as JSON."""
        pieces: list[bytes] = []
        for evaluation in self._found:
            pieces += evaluation.pieces
            pieces.append(b",")
        return b"".join((b'{"flags":[', *pieces[:-1], b'],"metadata":', self._metadata, b"}"))


class Evaluator:
    """One flag set, ready to answer. Immutable: another set is another evaluator."""

    def __init__(self, flag_set: FlagSet) -> None:
        """Raises UnknownLogicError where a flag is not as the renderer writes it."""
        content = msgspec.json.decode(flag_set.document)
        self.flag_set = flag_set
        self.metadata: dict[str, Any] = content["metadata"]
        self._metadata = msgspec.json.encode(self.metadata)
        flags: dict[str, dict[str, Any]] = content["flags"]
        self.keys = tuple(sorted(flags))
        skeleton = _rule(flags[AUDIENCE])
        self._place: Place = classifier(skeleton)
        rows = [_row(key, flags[key], skeleton, self.metadata) for key in self.keys]
        self._rows = dict(zip(self.keys, rows, strict=True))
        self._columns = [_Column(n, outcomes) for n, outcomes in enumerate(zip(*rows, strict=True))]

    def evaluate(self, key: str, context: Context, *, now: float | None = None) -> Evaluation | Failure:
        """The answer for one flag; `context` is OFREP's, with `targetingKey` among the attributes.

        now: Unix seconds, for accounts' ages; the present where it is not given.
        """
        row = self._rows.get(key)
        if row is None:
            sentence = f"no flag {key!r} is served for namespace {self.flag_set.namespace!r}"
            return Failure(key=key, error_code=ErrorCode.FLAG_NOT_FOUND.value, error_details=sentence)
        second = int(time.time() if now is None else now)
        found = row[self._place(context, second)]
        return found if isinstance(found, Evaluation) else found(context.get("targetingKey"), second)

    def evaluate_all(self, context: Context, *, now: float | None = None) -> Answers:
        """The answers for every flag of the set, by key."""
        second = int(time.time() if now is None else now)
        column = self._columns[self._place(context, second)]
        found, identity = column.answers(context.get("targetingKey"), second)
        return Answers(found, metadata=self._metadata, identity=identity)


class _Column:
    """What one audience has of every flag: mostly the same for everybody in it, and a few flags that depend on the user."""

    def __init__(self, place: int, found: Sequence[Evaluation | Outcome[Evaluation]]) -> None:
        self._name = str(place).encode()
        self._fixed = [each if isinstance(each, Evaluation) else None for each in found]
        self._open = [(n, each) for n, each in enumerate(found) if not isinstance(each, Evaluation)]

    def answers(self, targeting_key: Any, second: int) -> tuple[list[Evaluation], bytes]:
        answers: list[Any] = self._fixed.copy()
        variants = [self._name]
        for place, outcome in self._open:
            found = answers[place] = outcome(targeting_key, second)
            variants.append(found.variant.encode())
        return answers, b" ".join(variants)


def _rule(flag: dict[str, Any]) -> Any:
    return flag.get("targeting", flag["defaultVariant"])


def _row(
    key: str, flag: dict[str, Any], skeleton: Any, set_metadata: dict[str, Any]
) -> list[Evaluation | Outcome[Evaluation]]:
    """What a flag has for each audience. Equal answers are one object."""
    metadata = {**set_metadata, **flag["metadata"]}
    tail = b',"metadata":' + msgspec.json.encode(metadata) + b"}"
    made: dict[tuple[str, str], Evaluation] = {}

    def answer(variant: str, reason: str) -> Evaluation:
        if (variant, reason) not in made:
            value = flag["variants"][variant]
            made[variant, reason] = Evaluation(
                key=key, value=value, reason=reason, variant=variant, metadata=metadata, tail=tail
            )
        return made[variant, reason]

    reason = TARGETING_MATCH if "targeting" in flag else STATIC
    otherwise = answer(flag["defaultVariant"], DEFAULT)
    return [
        compiled(rule, flag_key=key, answer=lambda variant: answer(variant, reason), otherwise=otherwise)
        for rule in outcomes(skeleton, _rule(flag))
    ]
