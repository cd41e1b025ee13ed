"""An HPA for the replicas, and something beside it for the users: neither knows of the other, as in the field."""

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from brownout.decide.outcome import CellKey, Level
from brownout.simulate.controller import Action, Observation, Setting
from brownout.simulate.controllers import hpa
from brownout.simulate.controllers.ladder import Group, Scope, groups


class Shedder(Protocol):
    """Sets levels and quotas, and no replicas. An Action says all that holds, at each tick."""

    def decide(self, seen: Observation) -> Action: ...

    def restart(self) -> None: ...


class Combined:
    """Both at each tick."""

    def __init__(self, setting: Setting, scaling: hpa.Parameters, shedder: Shedder) -> None:
        self._scaling = hpa.HPA(setting, scaling)
        self._shedder = shedder

    def restart(self) -> None:
        self._scaling.restart()
        self._shedder.restart()

    def decide(self, seen: Observation) -> Action:
        replicas = self._scaling.decide(seen).replicas
        shed = self._shedder.decide(seen)
        return Action(replicas=replicas, levels=shed.levels, quotas=shed.quotas)


class Loop(Protocol):
    """One feedback loop on one ladder: where on it users are to be."""

    def position(self, seen: Observation) -> float: ...

    def restart(self) -> None: ...


class OnLadder:
    """A loop for each group of cells."""

    def __init__(self, setting: Setting, scope: Scope, loop: Callable[[Group], Loop]) -> None:
        self._tracks = [Track(group, loop(group)) for group in groups(setting.cells, scope)]
        self._action = Action()

    def restart(self) -> None:
        for track in self._tracks:
            track.loop.restart()

    def decide(self, seen: Observation) -> Action:
        moved = False
        for track in self._tracks:
            position = track.loop.position(seen)
            if position != track.position:
                track.position, track.levels = position, track.group.ladder.levels(position)
                moved = True
        if moved:
            levels: dict[CellKey, Level] = {}
            for track in self._tracks:
                levels |= track.levels
            self._action = Action(levels=levels)
        return self._action


class Track(Struct):
    """One group, its loop, and where the loop stood last."""

    group: Group
    loop: Loop
    position: float = 0.0
    levels: dict[CellKey, Level] = {}
