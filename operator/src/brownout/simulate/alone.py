"""Users who are held back alone, while everybody else in their cell has what the cell has."""

from collections.abc import Mapping

import numpy as np

from brownout.decide.cells import FIRST
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
        self._variants: dict[CellKey, Ints] = {}

    def say(self, levels: Mapping[CellKey, Level]) -> int:
        """Take a controller's word, and return how many users have another level by it; who is not named is whole."""
        said = {key: level for key, level in levels.items() if key.audience.user and level != FIRST}
        changed = sum(said.get(key) != self._said.get(key) for key in said.keys() | self._said.keys())
        self._said = said
        return changed

    def tell(self, state: State) -> None:
        """Let the servers know."""
        for key in self._told:
            state.alone[self._users.number(key)] = NOWHERE
        for key, level in self._said.items():
            state.alone[self._users.number(key)] = level.variant
        self._told = self._said

    @property
    def told(self) -> Mapping[CellKey, Level]:
        """What the servers know."""
        return self._told

    def keep(self, tick: int) -> None:
        """Note what they have at the end of a tick."""
        for key, level in self._told.items():
            if key not in self._variants:
                self._variants[key] = np.zeros(self._ticks, dtype=np.int64)
            self._variants[key][tick] = level.variant

    def recorded(self, world: World, state: State, index: Mapping[CellKey, int]) -> tuple[Alone, ...]:
        """Everybody who was ever held back alone, by key. `index`: the places of cells."""
        found = []
        for key, variant in sorted(self._variants.items()):
            user = self._users.number(key)
            own = np.flatnonzero(world.ask_user == user)
            asked, good, late = (
                np.bincount(world.ask_tick[asks], minlength=self._ticks).astype(np.float64)
                for asks in (own, own[state.stage[own] == IN_TIME], own[state.stage[own] == LATE])
            )
            cell = index[parent_of(key)]
            found.append(Alone(name=key.audience.user, cell=cell, variant=variant, asked=asked, good=good, late=late))
        return tuple(found)
