"""The key-value cache of a language model's whole batch: a place of fixed length for each request, in one block of memory for each layer.

Those who take part in a step lie in the first places, so that the step reads them where they are; who is paused is moved behind them, once and not for
every token. Fixed places waste what short texts do not fill, and in return nothing is allocated while serving, a CUDA graph can be used, and a model
needs no attention kernel of ours. transformers' own continuous batching was looked at: it keeps pages, but its manager owns thread, queue and order, it
has no step in which some are left out, and its sampling has one seed for all; its paged cache without the manager is no public API.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import Cache

from brownout_inference.engine.interface import DeviceFullError

ALIGNED_LENGTH = 16
"""Places are a multiple of this long: fused attention wants masks so aligned."""


@dataclass(frozen=True)
class LayerShape:
    """One layer's heads (of keys and values), and how long a key and a value are."""

    heads: int
    key: int
    value: int

    def bytes_per_token(self, dtype: torch.dtype) -> int:
        return self.heads * (self.key + self.value) * dtype.itemsize


class KeyValues(Cache):  # type: ignore[misc] # transformers is untyped here
    """The cache, as transformers' models see it for the rows that `look_at` chose.

    The last token of each place is a scratch: rows that only fill up a batch write there. So `context`, the most tokens of a request, is one less than `length`.
    """

    def __init__(
        self, shapes: Sequence[LayerShape], *, places: int, context: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        super().__init__(layers=[])
        self.places = places
        self.context = context
        self.length = -(-(context + 1) // ALIGNED_LENGTH) * ALIGNED_LENGTH

        # Zeros and not just any memory: what is masked still meets a probability of zero, and zero times NaN is NaN.
        def make(shape: LayerShape, size: int) -> Tensor:
            return torch.zeros(places, shape.heads, self.length, size, device=device, dtype=dtype)

        self._keys = [make(shape, shape.key) for shape in shapes]
        self._values = [make(shape, shape.value) for shape in shapes]
        self._first: int | None = None
        self._rows = self._positions = torch.zeros(1, 1, dtype=torch.long, device=device)
        self._read = self.length

    @property
    def scratch(self) -> int:
        """The position to which rows write that nobody reads."""
        return self.length - 1

    def look_at(self, rows: Tensor, positions: Tensor, *, read: int, first: int | None = None) -> None:
        """Chooses for the next call of the model: `rows` (batch,) of places, `positions` (batch, tokens) of what is new, the first `read` tokens to be seen.

        With `first`, the rows are the first so many places, which then need not be copied together.
        """
        self._rows, self._positions, self._read, self._first = rows, positions, read, first

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """Writes what is new of a layer (batch, heads, tokens, size) and returns all that is to be seen."""
        return (
            self._put(self._keys[layer_idx], key_states),
            self._put(self._values[layer_idx], value_states),
        )

    def _put(self, block: Tensor, new: Tensor) -> Tensor:
        block[self._rows[:, None], :, self._positions] = new.transpose(1, 2)
        seen = block[:, :, : self._read]
        return seen[: self._first] if self._first is not None else seen.index_select(0, self._rows)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Not known for a batch whose rows differ: positions are always given."""
        return 0

    def exchange(self, place: int, other: int) -> None:
        """Puts what lies in one place into the other."""
        blocks = self._keys + self._values
        aside = [block[place].clone() for block in blocks]
        torch._foreach_copy_([block[place] for block in blocks], [block[other] for block in blocks])
        torch._foreach_copy_([block[other] for block in blocks], aside)

    def move(self, source: int, target: int) -> None:
        """Copies what lies in `source` to `target`."""
        blocks = self._keys + self._values
        torch._foreach_copy_([block[target] for block in blocks], [block[source] for block in blocks])


class Seating:
    """Which request has which place of the cache."""

    def __init__(self, cache: KeyValues) -> None:
        self._cache = cache
        self._place: dict[Hashable, int] = {}

    def __len__(self) -> int:
        return len(self._place)

    def place(self, key: Hashable) -> int:
        """The place of a request that has one."""
        return self._place[key]

    def take(self, key: Hashable) -> None:
        """Gives a request a free place. Raises DeviceFullError where there is none."""
        taken = set(self._place.values())
        free = next((place for place in range(self._cache.places) if place not in taken), None)
        if free is None:
            raise DeviceFullError(f"all {self._cache.places} places of the key-value cache are taken")
        self._place[key] = free

    def give_back(self, key: Hashable) -> None:
        """Frees a request's place."""
        self._place.pop(key, None)

    def to_the_front(self, keys: Sequence[Hashable]) -> None:
        """Moves requests so that these have the first places, in any order."""
        if not keys or max(map(self._place.__getitem__, keys)) < len(keys):
            return
        chosen = set(keys)
        at = {place: key for key, place in self._place.items()}
        holes = [place for place in range(len(keys)) if at.get(place) not in chosen]
        behind = [key for key in keys if self._place[key] >= len(keys)]
        for hole, key in zip(holes, behind, strict=True):
            place = self._place[key]
            if (other := at.get(hole)) is None:
                self._cache.move(place, hole)
            else:
                self._cache.exchange(place, hole)
                self._place[other] = place
            self._place[key] = hole
