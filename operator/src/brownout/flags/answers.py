"""Answers in the words that OFREP uses, encoded before anybody asks.

What a variant of a flag looks like in JSON is the same in every version of the set but for the version itself, which flagd's
format hands down from the set's metadata into each flag's. So a variant is two pieces, and the set puts its own between them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

STATIC, TARGETING_MATCH, DEFAULT = "STATIC", "TARGETING_MATCH", "DEFAULT"
"""Of the standard OpenFeature reasons those that a rendered flag can have: the Python OFREP provider fails open on any other."""


class Choice:
    """One variant of a flag, ready to be answered in any version of its set."""

    __slots__ = ("encoded_variant", "head", "key", "metadata", "reason", "tail", "value", "variant")

    def __init__(self, *, key: str, value: Any, reason: str, variant: str, metadata: Mapping[str, Any]) -> None:
        self.key = key
        self.value = value
        self.reason = reason
        self.variant = variant
        self.encoded_variant = variant.encode()
        self.metadata = metadata
        answer = {"key": key, "value": value, "reason": reason, "variant": variant}
        self.head = msgspec.json.encode(answer)[:-1] + b',"metadata":{'
        own = msgspec.json.encode(metadata)
        self.tail = b"," + own[1:] + b"}" if metadata else b"}}"


class SetMetadata:
    """What a set says of itself in each of its answers."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self.content = content
        self.encoded = msgspec.json.encode(content)
        self.members = self.encoded[1:-1]


class Evaluation:
    """A flag's answer for one user. `value` is the variant's, verbatim."""

    __slots__ = ("_choice", "_set")

    def __init__(self, choice: Choice, set_metadata: SetMetadata) -> None:
        self._choice = choice
        self._set = set_metadata

    @property
    def key(self) -> str:
        return self._choice.key

    @property
    def value(self) -> Any:
        return self._choice.value

    @property
    def reason(self) -> str:
        return self._choice.reason

    @property
    def variant(self) -> str:
        return self._choice.variant

    @property
    def metadata(self) -> dict[str, Any]:
        return {**self._set.content, **self._choice.metadata}

    @property
    def content(self) -> bytes:
        """OFREP's answer as JSON."""
        return self._choice.head + self._set.members + self._choice.tail

    def __repr__(self) -> str:
        return f"Evaluation({self.content.decode()})"


class Failure(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Why there is no answer, as OFREP writes it: an OpenFeature error code, and a sentence."""

    key: str
    error_code: str
    error_details: str


class Frame:
    """A bulk answer with what everybody has of it written, and places for the rest."""

    __slots__ = ("_members", "_pieces", "_places")

    def __init__(self, choices: Sequence[Choice | None], set_metadata: SetMetadata) -> None:
        self._members = set_metadata.members
        self._pieces: list[bytes] = []
        self._places: list[tuple[int, int]] = []
        written = [b'{"flags":[']
        for number, choice in enumerate(choices):
            if number:
                written.append(b",")
            if choice is not None:
                written += (choice.head, self._members, choice.tail)
                continue
            self._pieces += (b"".join(written), b"")
            self._places.append((len(self._pieces) - 1, number))
            written = []
        self._pieces.append(b"".join((*written, b'],"metadata":', set_metadata.encoded, b"}")))

    def filled(self, choices: Sequence[Choice]) -> bytes:
        """The answer to one user."""
        pieces = self._pieces.copy()
        for place, number in self._places:
            choice = choices[number]
            pieces[place] = choice.head + self._members + choice.tail
        return b"".join(pieces)


class Answers(Sequence[Evaluation]):
    """One user's answers for every flag of a set, by key.

    identity: with the version of the set it tells these answers from all others; as short as it can be, because a client that
    has them already is told so without their being written.
    """

    __slots__ = ("_found", "_frame", "_set", "identity")

    def __init__(
        self, found: list[Choice], set_metadata: SetMetadata, *, identity: bytes, frame: Callable[[], Frame]
    ) -> None:
        self._found = found
        self._set = set_metadata
        self._frame = frame
        self.identity = identity

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [Evaluation(choice, self._set) for choice in self._found[place]]
        return Evaluation(self._found[place], self._set)

    def __len__(self) -> int:
        return len(self._found)

    @property
    def content(self) -> bytes:
        """OFREP's bulk answer as JSON."""
        return self._frame().filled(self._found)
