"""Users who are held back alone, while everybody else in their cell has what the cell has."""

from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import structs

from brownout.decide.cells import FIRST, Cell
from brownout.decide.heavy import parent_of
from brownout.decide.outcome import CellKey, Level
from brownout.simulate.kernel import IN_TIME, LATE, NOWHERE, State, World
from brownout.simulate.record import Alone, Ints
from brownout.simulate.users import Users


class HeldBack:
    """What a controller says of single users, what the servers have been told, and what became of it, tick by tick."""

    def __init__(self, users: Users, ticks: int) -> None:
        self._users, self._ticks = users, ticks
        self._said: dict[CellKey, Level] = {}
        self._told: dict[CellKey, Level] = {}
        self._depths: dict[CellKey, Ints] = {}

    def say(self, levels: Mapping[CellKey, Level]) -> int:
        """Take a controller's word, and return how many users have another level by it; who is not named is whole."""
        said = {key: level for key, level in levels.items() if key.audience.user and level != FIRST}
        if not said and not self._said:
            return 0
        changed = sum(said.get(key) != self._said.get(key) for key in said.keys() | self._said.keys())
        self._said = said
        return changed

    def tell(self, state: State) -> None:
        """Let the servers know."""
        for key in self._told:
            state.alone[self._users.number(key)] = NOWHERE
        for key, level in self._said.items():
            state.alone[self._users.number(key)] = _depth(level)
        self._told = self._said

    @property
    def told(self) -> Mapping[CellKey, Level]:
        """What the servers know."""
        return self._told

    def keep(self, tick: int) -> None:
        """Note what they have at the end of a tick."""
        for key, level in self._told.items():
            if key not in self._depths:
                self._depths[key] = np.zeros(self._ticks, dtype=np.int64)
            self._depths[key][tick] = _depth(level)

    def recorded(self, world: World, state: State, cells: Sequence[Cell]) -> tuple[Alone, ...]:
        """Everybody who was ever held back alone, by key."""
        places = {cell.key: place for place, cell in enumerate(cells)}
        found = []
        for key, depth in sorted(self._depths.items()):
            user = self._users.number(key)
            own = np.flatnonzero(world.ask_user == user)
            asked, good, late = (
                np.bincount(world.ask_tick[asks], minlength=self._ticks).astype(np.float64)
                for asks in (own, own[state.stage[own] == IN_TIME], own[state.stage[own] == LATE])
            )
            of = places[parent_of(key)]
            cell = structs.replace(cells[of], key=key, alone=True)
            found.append(
                Alone(
                    cell=cell, of=of, variant=depth // 100, percent=100 - depth % 100, asked=asked, good=good, late=late
                )
            )
        return tuple(found)


def _depth(level: Level) -> int:
    """How far down, in percent of a variant."""
    return 100 * level.variant + 100 - level.percent
