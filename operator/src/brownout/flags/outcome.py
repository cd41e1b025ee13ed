"""What a cell's users get, compiled: the rule at one place of a flag as an answer, or as a function of the user and the second.

Read back from the document and checked by rendering it again, as the tests of audiences are.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import mmh3

from brownout.flags.audience import Logic
from brownout.flags.cells import TURN_SECONDS, TURN_STRIDE, Share
from brownout.flags.classify import UnknownLogicError
from brownout.flags.render import by_the_second, split

Answer = TypeVar("Answer")

Outcome = Callable[[Any, int], Answer]
"""The answer for a targetingKey, None where there is none, at a Unix second."""


def compiled(
    rule: Logic, *, flag_key: str, answer: Callable[[str], Answer], otherwise: Answer
) -> Answer | Outcome[Answer]:
    """The answer of a rule, where it is the same for everybody, or the function that finds it.

    answer: the answer for the name of a variant. otherwise: the answer where the rule comes to nothing, because a targetingKey
    cannot be hashed. Raises UnknownLogicError.
    """
    match rule:
        case str(variant):
            return answer(variant)
        case {"if": [{"!!": _}, {"fractional": [_, [str(variant), int(percent)], [str(rest), _]]}, _]}:
            share = Share(variant, percent, rest)
            if split(share, flag_key) == rule:
                return _by_user(share, flag_key, answer=answer, otherwise=otherwise)
        case {"if": [{"<": [_, float(turn) | int(turn)]}, str(variant), str(rest)]}:
            share = Share(variant, round(100 * turn / TURN_SECONDS), rest)
            if by_the_second(share) == rule:
                return _by_second(share, answer=answer)
        case {"if": [{"in": [{"var": "targetingKey"}, [*_]]}, _, *_]}:
            return _alone(rule, flag_key=flag_key, answer=answer, otherwise=otherwise)
    raise UnknownLogicError(f"flag {flag_key!r} has an outcome that is not rendered: {rule!r:.200}")


def _by_user(share: Share, flag_key: str, *, answer: Callable[[str], Answer], otherwise: Answer) -> Outcome[Answer]:
    upper, lower = answer(share.variant), answer(share.otherwise)
    percent = share.percent

    def find(targeting_key: Any, second: int) -> Answer:
        if not targeting_key:
            return lower
        try:
            return upper if bucket(flag_key + targeting_key) < percent else lower
        except (UnicodeEncodeError, TypeError):
            return otherwise

    return find


def _by_second(share: Share, *, answer: Callable[[str], Answer]) -> Outcome[Answer]:
    upper, lower = answer(share.variant), answer(share.otherwise)
    turns = share.percent * TURN_SECONDS / 100
    return lambda targeting_key, second: upper if second * TURN_STRIDE % TURN_SECONDS < turns else lower


def _alone(rule: Any, *, flag_key: str, answer: Callable[[str], Answer], otherwise: Answer) -> Outcome[Answer]:
    """Users who are held back alone, and the rule for everybody else."""
    *parts, last = rule["if"]
    users: dict[str, Answer | Outcome[Answer]] = {}
    for test, then in zip(parts[::2], parts[1::2], strict=True):
        match test:
            case {"in": [{"var": "targetingKey"}, [*names]]} if set(test) == {"in"}:
                outcome = compiled(then, flag_key=flag_key, answer=answer, otherwise=otherwise)
                users = {**dict.fromkeys(names, outcome), **users}
            case _:
                raise UnknownLogicError(f"flag {flag_key!r} names users in a way that is not rendered: {test!r:.200}")
    rest = compiled(last, flag_key=flag_key, answer=answer, otherwise=otherwise)

    def find(targeting_key: Any, second: int) -> Answer:
        found = users.get(targeting_key, rest) if isinstance(targeting_key, str) else rest
        return found(targeting_key, second) if callable(found) else found

    return find


def bucket(text: str) -> int:
    """The percent of a text, 0 to 99, as flagd's `fractional` has it since its third version.

    MurmurHash3 (32 bits, seed 0) over the text in canonical CBOR, scaled to 100 as a fraction of 2^32. Raises
    UnicodeEncodeError for lone surrogates, which have no UTF-8.
    """
    return mmh3.hash(cbor_text(text), signed=False) * 100 >> 32


def cbor_text(text: str) -> bytes:
    """A text string in canonical CBOR (RFC 8949, 3 and 4.2.1): major type 3, the shortest length, UTF-8."""
    content = text.encode()
    size = len(content)
    if size < 24:
        return bytes((0x60 | size,)) + content
    if size < 1 << 8:
        return b"\x78" + size.to_bytes(1, "big") + content
    if size < 1 << 16:
        return b"\x79" + size.to_bytes(2, "big") + content
    return b"\x7a" + size.to_bytes(4, "big") + content
