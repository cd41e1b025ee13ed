"""The language model: a recurrent network that continues a text, one character for each step.

A GRU carries its whole past in one vector for each sequence. That makes the state of a slot small and of fixed size, so requests can join and
leave the batch between any two characters without copying caches about.
"""

import torch
from torch import Tensor, nn

ALPHABET = "\n" + "".join(chr(code) for code in range(32, 127))
"""The characters that the model knows; every other one is read as a space."""

END = "\n\n"
"""A paragraph ends an answer."""

EMBEDDING = 64
STATE = 256
FORGET = 0.3
"""What training drops out: without it the network learns its small text by heart."""

_INDEX = {character: index for index, character in enumerate(ALPHABET)}


class CharacterModel(nn.Module):
    """Scores what comes next in a batch of texts."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(len(ALPHABET), EMBEDDING)
        self.memory = nn.GRU(EMBEDDING, STATE, batch_first=True)
        self.forget = nn.Dropout(FORGET)
        self.answer = nn.Linear(STATE, len(ALPHABET))

    def forward(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """`tokens` is (batch, length), `state` (1, batch, STATE). Returns scores (batch, length, alphabet) and the new state."""
        hidden, state = self.memory(self.forget(self.embedding(tokens)), state)
        return self.answer(self.forget(hidden)), state


def encode(text: str) -> list[int]:
    """The tokens of a text; characters outside the alphabet become spaces."""
    space = _INDEX[" "]
    return [_INDEX.get(character, space) for character in text]


def decode(tokens: list[int]) -> str:
    """The text of some tokens."""
    return "".join(ALPHABET[token] for token in tokens)


def empty_state(batch: int) -> Tensor:
    """The state of `batch` texts that have not begun."""
    return torch.zeros(1, batch, STATE)
