"""Which prompts a step reads on in, and how far.

To read a prompt is work of its own before every other request gets its next token, so it is bounded. For a GPU a few prompts are hardly more work than one: where many
are given tokens, a prompt waits some steps for others to be read with it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

PREFILL_TOKENS = 1024
"""Tokens of prompts that a step reads at most, of all requests together."""

PREFILL_TOKENS_OF_MANY = 2048
"""So many where more wait for their prompt to be read than are given tokens: then there are few whom it delays."""

FEW_WAIT = 16
"""Prompts are read at once where at least one waits for so many that are given tokens."""

ENOUGH_TOKENS = 512
"""And where so much is to be read that it keeps a GPU busy."""

PATIENT_STEPS = 4
"""A prompt waits for others so many steps at most."""

CHUNKS = (16, 32, 64, 128, 256, 512)
"""A prompt is read in pieces that are filled up to one of these lengths; few lengths, few CUDA graphs."""


@dataclass(frozen=True, order=True)
class Chunk:
    """`count` tokens of a request's prompt, filled up to `length`."""

    length: int
    key: int
    count: int


class Prefill:
    """Chooses chunks step by step."""

    def __init__(self) -> None:
        self._waited = 0

    def choose(self, unread: Mapping[int, int], *, decoding: int) -> list[Chunk]:
        """What to read, shortest chunks first: `unread` tokens by request, beside so many that are given tokens."""
        few = sum(unread.values()) < ENOUGH_TOKENS and FEW_WAIT * len(unread) < decoding
        if not unread or (few and self._waited < PATIENT_STEPS):
            self._waited += bool(unread)
            return []
        self._waited = 0
        budget = PREFILL_TOKENS_OF_MANY if len(unread) > decoding else PREFILL_TOKENS
        chosen = []
        for key, tokens in unread.items():
            if budget < CHUNKS[0]:
                break
            length = at_least(CHUNKS, min(tokens, _at_most(CHUNKS, budget)))
            chosen.append(Chunk(length, key, min(tokens, length)))
            budget -= length
        return sorted(chosen)


def at_least(sizes: Sequence[int], number: int) -> int:
    """The smallest of the sizes, in order, that is not less; the number itself where there is none."""
    return next((size for size in sizes if size >= number), number)


def _at_most(sizes: Sequence[int], number: int) -> int:
    return max(size for size in sizes if size <= number)
