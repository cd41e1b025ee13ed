"""One token more for each row of a batch: what the device needs in one copy, and what it chose, read when it is there.

Between two steps a GPU must not wait for Python. So the next step is given to it before the tokens of this one are read: each row takes its token from where the last step
left it on the device, and while that runs the host turns tokens into text and hears who takes part next. Such a step is a guess of who goes on. A wrong
guess costs nothing but a row: what was computed of a request is the same whenever it is computed, and is dropped where nobody wants it.
"""

from collections.abc import Hashable, Mapping, Sequence
from random import Random
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from brownout_inference.engine.hardware import Hardware

GREEDY_BELOW = 0.01
"""A temperature below this takes the likeliest token."""

FROM_HOST = -1
"""In place of a row of the last step: the token was told."""

BELOW_ONE = np.nextafter(np.float32(1), np.float32(0))
"""A chance of nearly 1 would be rounded to 1, which chooses the last token of the vocabulary however unlikely it is."""

DRAWN_AT_ONCE = 64


class Chances:
    """A request's own random numbers, 0..1, by the token that they choose: the same whoever else is in the batch, and however often it is computed."""

    def __init__(self, seed: int | None) -> None:
        self._random = Random(seed)
        self._drawn: list[float] = []

    def of(self, token: int) -> float:
        """The number that chooses the `token`-th token, from 0."""
        while token >= len(self._drawn):
            self._drawn += [self._random.random() for _ in range(DRAWN_AT_ONCE)]
        return self._drawn[token]


class Turn(NamedTuple):
    """What one row goes on from: its last token or the row of the last step that chose it, and where that token stands in its text."""

    place: int
    token: int
    from_row: int
    position: int
    temperature: float
    chance: float


def pack(turns: Sequence[Turn], *, rows: int, scratch: int) -> "np.ndarray[Any, np.dtype[np.int32]]":
    """All turns as one block (5, rows) of 32-bit words, each in the column of its place; the others write to the position `scratch`."""
    block = np.zeros((5, rows), np.int32)
    block[1], block[2] = FROM_HOST, scratch
    numbers = block.view(np.float32)
    places, tokens, from_rows, positions, temperatures, chances = map(list, zip(*turns, strict=True))
    block[0, places], block[1, places], block[2, places] = tokens, from_rows, positions
    numbers[3, places] = temperatures
    numbers[4, places] = np.minimum(np.asarray(chances, np.float32), BELOW_ONE)
    return block


def unpack(block: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """On the device: tokens and positions (rows, 1), temperatures and chances (rows,). `chosen` is what the last step chose, by row."""
    numbers = block.view(torch.float32)
    from_row = block[1].long()
    tokens = torch.where(from_row >= 0, chosen[from_row.clamp(min=0)], block[0].long())
    return tokens[:, None], block[2].long()[:, None], numbers[3], numbers[4]


def choose(scores: Tensor, temperature: Tensor, chance: Tensor) -> Tensor:
    """The likeliest of `scores` (batch, vocabulary), or by temperature the one in whose part of 0..1 the row's `chance` falls."""
    likelihoods = torch.softmax(scores / temperature.clamp(min=GREEDY_BELOW)[:, None], dim=-1).cumsum(dim=-1)
    drawn = (likelihoods <= chance[:, None] * likelihoods[:, -1:]).sum(dim=-1).clamp(max=scores.shape[-1] - 1)
    return torch.where(temperature < GREEDY_BELOW, scores.argmax(dim=-1), drawn)


class Pending:
    """Tokens that the device is choosing. `rows` says whose is where; `chosen` may be overwritten by the next step."""

    def __init__(self, rows: Mapping[Any, int], chosen: Tensor, hardware: Hardware) -> None:
        self.rows = rows
        self._event: torch.cuda.Event | None = None
        self._chosen = chosen
        if hardware.is_gpu:
            self._chosen = torch.empty(chosen.shape, dtype=chosen.dtype, pin_memory=True)
            self._chosen.copy_(chosen, non_blocking=True)
            self._event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._event.record()

    def read(self, whose: Sequence[Hashable]) -> list[int]:
        """Waits, and returns the tokens of these."""
        if self._event is not None:
            self._event.synchronize()
        tokens: list[int] = self._chosen.tolist()
        return [tokens[self.rows[each]] for each in whose]
