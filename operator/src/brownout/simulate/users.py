"""Who the simulated users are: a number through all streams of demand, and a name, as servers have it for those who ask most."""

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

from brownout.api.resources import Key
from brownout.decide.evidence import Sample
from brownout.decide.outcome import CellKey
from brownout.decide.snapshot import Audience, Rates
from brownout.simulate.heaviest import MOST_NAMED, NOBODY, Heaviest
from brownout.simulate.record import Floats
from brownout.simulate.scenario import Stream


class Users:
    """The users of a scenario's streams, each of the cell of its stream (`cells`, in the order of the streams)."""

    def __init__(self, streams: Sequence[Stream], cells: Sequence[CellKey]) -> None:
        self._streams, self._cells = streams, cells
        self._sizes = np.array([stream.users for stream in streams], dtype=np.int64)
        self._firsts: list[int] = (np.cumsum(self._sizes) - self._sizes).tolist()
        self._keys: dict[int, CellKey] = {}
        by_cell: dict[CellKey, dict[int, range]] = {}
        for stream, (cell, first, size) in enumerate(zip(cells, self._firsts, self._sizes.tolist(), strict=True)):
            by_cell.setdefault(cell, {})[stream] = range(first, first + min(size, MOST_NAMED))
        self._several = [some for some in by_cell.values() if len(some) > 1]

    def key(self, user: int) -> CellKey:
        """The cell that a user is when held back alone, with a name that is its stream's and its number."""
        found = self._keys.get(user)
        if found is None:
            stream = self._stream(user)
            cell = self._cells[stream]
            name = f"{self._streams[stream].name or 'user'}-{user}"
            found = self._keys[user] = CellKey(cell.policy, Audience(cell.audience.tier, cell.audience.cohort, name))
        return found

    def number(self, key: CellKey) -> int:
        """The user of a cell of one user; ValueError where there is none of that name in it."""
        number = key.audience.user.rpartition("-")[2]
        everybody = int(self._sizes.sum())
        user = int(number) if number.isdecimal() else everybody
        if user >= everybody or self.key(user) != key:
            raise ValueError(f"{key}: it has no user {key.audience.user!r}; write a name that servers gave")
        return user

    def named(self, heaviest: Heaviest | None, at: float) -> dict[Key, Rates]:
        """The heaviest users by policy and name, as of a moment; of servers that count none (None) there are none."""
        found: dict[Key, Rates] = {}
        if heaviest is None:
            return found
        for users, rates in zip(heaviest.users.tolist(), heaviest.rates.tolist(), strict=True):
            if users[0] == NOBODY:
                continue
            of_policy = found.setdefault(self.key(users[0]).policy, {})
            for user, rate in zip(users, rates, strict=True):
                if user != NOBODY:
                    of_policy[(self._keys.get(user) or self.key(user)).audience] = Sample(rate, at)
        return found

    def rate(self, key: CellKey, streams: Floats) -> float:
        """What one user truly asks for, where all users of each stream ask for `streams` [S] and each for the same."""
        stream = self._stream(self.number(key))
        return float(streams[stream] / self._sizes[stream])

    def heaviest(self, streams: Floats) -> Heaviest:
        """Who truly asks most of each cell that has several streams, as many as servers name. Users of one stream ask alike.

        `streams` [S]: what all users of each ask for. [several cells, most]
        """
        each = (streams / self._sizes).tolist()
        users, rates = [], []
        for some in self._several:
            few = ((each[stream], user) for stream, them in some.items() for user in them if each[stream] > 0)
            heavy = sorted(few, key=lambda one: (-one[0], one[1]))[:MOST_NAMED]
            heavy += [(0.0, NOBODY)] * (MOST_NAMED - len(heavy))
            users.append([user for _, user in heavy])
            rates.append([rate for rate, _ in heavy])
        return Heaviest(np.array(users, dtype=np.int64), np.array(rates))

    def _stream(self, user: int) -> int:
        return bisect_right(self._firsts, user) - 1
