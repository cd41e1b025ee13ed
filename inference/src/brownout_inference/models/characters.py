"""The language models: small transformers that continue a text, one character for each step.

What a text has been so far is kept as the keys and values of its last `WINDOW` characters in a slot of a cache that is allotted once. Positions are rotations
(Su et al., 2021, "RoFormer", arXiv:2104.09864), so that attention knows distances only and a slot can be a ring: the newest character takes the place of the oldest.
Each slot stands at a position of its own; requests join and leave between any two characters without copying anybody's past about.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

ALPHABET = "\n" + "".join(chr(code) for code in range(32, 127))
"""The characters that the models know; every other one is read as a space."""

END = "\n\n"
"""A paragraph ends an answer."""

WINDOW = 128
"""Characters that are looked back at."""

MOST_POSITIONS = 1024
"""Characters of prompt and answer together that a slot can go through."""

LONGEST_WAVE = 1000.0
FORGET = 0.1
"""What training drops out."""

_INDEX = {character: index for index, character in enumerate(ALPHABET)}


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What tells the networks apart: numbers for each character, layers, heads of attention."""

    width: int
    layers: int
    heads: int


SHAPES: Mapping[str, Shape] = {
    "full": Shape(width=128, layers=3, heads=4),
    "lite": Shape(width=64, layers=2, heads=2),
}
"""The models by name, best first."""


class Block(nn.Module):
    """Attention, then a layer for each character by itself."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.attention_norm = nn.LayerNorm(shape.width)
        self.ask = nn.Linear(shape.width, 3 * shape.width, bias=False)
        self.attended = nn.Linear(shape.width, shape.width, bias=False)
        self.norm = nn.LayerNorm(shape.width)
        self.inner = nn.Linear(shape.width, 4 * shape.width, bias=False)
        self.outer = nn.Linear(4 * shape.width, shape.width, bias=False)
        self.forget = nn.Dropout(FORGET)
        nn.init.zeros_(self.attended.weight)
        nn.init.zeros_(self.outer.weight)

    def asks(self, hidden: Tensor, cosines: Tensor, sines: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of (batch, length, width) characters, each (batch, heads, length, width / heads), turned by their positions."""
        batch, length, width = hidden.shape
        asked = self.ask(self.attention_norm(hidden)).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = asked.permute(2, 0, 3, 1, 4)
        return _rotate(query, cosines, sines), _rotate(key, cosines, sines), value

    def answers(self, hidden: Tensor, query: Tensor, key: Tensor, value: Tensor, shade: Tensor) -> Tensor:
        """What comes of `hidden` when its queries look at the keys where `shade` is 0, and not at those where it is minus infinity."""
        likeness = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
        found = torch.softmax(likeness + shade, dim=-1) @ value
        hidden = hidden + self.forget(self.attended(found.transpose(1, 2).flatten(2)))
        inner = nn.functional.relu(self.inner(self.norm(hidden))).square()
        outer: Tensor = self.forget(self.outer(inner))
        return hidden + outer


class CharacterModel(nn.Module):
    """Scores what comes next in a batch of texts."""

    cosines: Tensor
    sines: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.embedding = nn.Embedding(len(ALPHABET), shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.width)
        self.answer = nn.Linear(shape.width, len(ALPHABET), bias=False)
        self.forget = nn.Dropout(FORGET)
        nn.init.normal_(self.embedding.weight, std=0.5)
        half = shape.width // shape.heads // 2
        angles = torch.arange(MOST_POSITIONS)[:, None] * LONGEST_WAVE ** (-torch.arange(half) / half)
        self.register_buffer("cosines", angles.cos(), persistent=False)
        self.register_buffer("sines", angles.sin(), persistent=False)

    @property
    def layers(self) -> list[Block]:
        """The blocks in order."""
        return cast("list[Block]", list(self.blocks))

    def forward(self, tokens: Tensor) -> Tensor:
        """Texts from their beginning, `tokens` (batch, length) of at most WINDOW. Returns scores (batch, length, alphabet)."""
        length = tokens.shape[1]
        hidden = self.forget(self.embedding(tokens))
        shade = torch.full((length, length), float("-inf"), device=tokens.device).triu(1)
        for block in self.layers:
            query, key, value = block.asks(hidden, self.cosines[:length], self.sines[:length])
            hidden = block.answers(hidden, query, key, value, shade)
        scores: Tensor = self.answer(self.norm(hidden))
        return scores

    def go_on(
        self, tokens: Tensor, positions: Tensor, last: Tensor, *, cache: Tensor, slots: Tensor | slice, reach: int
    ) -> Tensor:
        """Reads `tokens` (batch, length) at `positions` (batch, length) of texts whose past lies in `slots` of `cache`, and writes them there.

        Returns scores (batch, alphabet) after the token at index `last` (batch,) of each row. No place of a slot from `reach` on is looked at. What a
        text's own positions have not come to is never looked at either, so that writing beyond them is no harm.
        """
        rows = torch.arange(cache.shape[2], device=tokens.device)[slots] if isinstance(slots, slice) else slots
        places = positions % WINDOW
        unseen = torch.arange(reach, device=tokens.device) > positions[:, None, :, None]
        shade = torch.where(unseen, float("-inf"), 0.0).to(cache.dtype)
        cosines, sines = self.cosines[positions][:, None], self.sines[positions][:, None]
        hidden = self.embedding(tokens)
        for block, (keys, values) in zip(self.layers, cache, strict=True):
            query, key, value = block.asks(hidden, cosines, sines)
            keys[rows[:, None], :, places] = key.transpose(1, 2)
            values[rows[:, None], :, places] = value.transpose(1, 2)
            hidden = block.answers(hidden, query, keys[slots][:, :, :reach], values[slots][:, :, :reach], shade)
        hidden = hidden[torch.arange(len(last), device=last.device), last]
        scores: Tensor = self.answer(self.norm(hidden))
        return scores


def empty_cache(shape: Shape, slots: int, *, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Room for the keys and values of `slots` texts: (layers, 2, slots, heads, WINDOW, width / heads)."""
    size = (shape.layers, 2, slots, shape.heads, WINDOW, shape.width // shape.heads)
    return torch.zeros(size, device=device, dtype=dtype)


def encode(text: str) -> list[int]:
    """The tokens of a text; characters outside the alphabet become spaces."""
    space = _INDEX[" "]
    return [_INDEX.get(character, space) for character in text]


def decode(tokens: list[int]) -> str:
    """The text of some tokens."""
    return "".join(ALPHABET[token] for token in tokens)


def _rotate(vectors: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    first, second = vectors.chunk(2, dim=-1)
    return torch.cat([first * cosines - second * sines, first * sines + second * cosines], dim=-1)
