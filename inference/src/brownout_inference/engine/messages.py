"""What the server and the engine's process say to each other: pickled values on a pair of sockets, a length before each.

One message says who leaves, who joins and who takes part in the next step, and is answered when that is made. Where the device sets no pace the engine may go on by itself
until something changes: it looks for messages between two steps, nothing waits for the way there and back, and steps of which nobody waits to hear are reported
together (`reports`). However many came while a step was made, the next step is what the last of them asks for (`together`); one step for each would leave the engine ever farther behind what is wanted
where requests come faster than steps are made. Only these two, one of which started
the other, can write to the sockets, so nothing that is unpickled comes from elsewhere.
"""

import pickle
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from brownout_inference.engine.interface import Memory
from brownout_inference.work import Work

LENGTH = struct.Struct("!Q")


@dataclass(frozen=True, kw_only=True)
class Advance:
    """One step. `keys` are who takes part, the most important first; those who have left meanwhile are passed over.

    With `go_on` the engine makes further steps of the same until another message comes. Where somebody has finished, the first of `standby` join who fit into `slots` then,
    one for each; where nobody is left there it stops, unless nobody waits (`past_ends`).
    """

    number: int = 0
    go_on: bool = False
    past_ends: bool = False
    slots: float = 0.0
    standby: tuple[tuple[int, Work], ...] = ()
    leaves: tuple[int, ...] = ()
    joins: tuple[tuple[int, Work], ...] = ()
    keys: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Advanced:
    """What became of a step of message `number`. `going_on` says that the next one is under way already, with those from standby who are `seated`.

    `stepped` have made their step; who of the keys is neither there nor in `failed` or `no_room` had no memory for it (`full`). `no_room` could not join for lack
    of memory. `failed` says why, and has left; of `unsuitable` ones whoever asked is told it. `broken` says why nothing can be computed any more.
    `seconds` is what the step took in the engine, `earlier_seconds` what those before it took that were not reported: the same requests made them, and nothing else came of them.
    """

    number: int = 0
    going_on: bool = False
    seated: tuple[int, ...] = ()
    stepped: tuple[int, ...] = ()
    pieces: Mapping[int, Any] = field(default_factory=dict)
    finished: Mapping[int, Any] = field(default_factory=dict)
    failed: Mapping[int, str] = field(default_factory=dict)
    unsuitable: tuple[int, ...] = ()
    no_room: tuple[int, ...] = ()
    full: bool = False
    broken: str = ""
    seconds: float = 0.0
    earlier_seconds: tuple[float, ...] = ()
    memory: Memory | None = None

    @property
    def all_seconds(self) -> tuple[float, ...]:
        """What each step took that this speaks of."""
        return (*self.earlier_seconds, self.seconds)


def following(asked: Advance, advanced: Advanced) -> Advance:
    """The step that an engine makes by itself after that one."""
    joins = tuple(each for each in asked.standby if each[0] in advanced.seated)
    standby = asked.standby[len(joins) :]
    return replace(asked, leaves=(), joins=joins, standby=standby, keys=(*asked.keys, *advanced.seated))


def together(earlier: Advance, later: Advance) -> Advance:
    """What two messages say that came while a step was under way: the step that the later one asks for, with whoever leaves and joins by either."""
    gone = set(later.leaves)
    joins = tuple(each for each in earlier.joins if each[0] not in gone)
    return replace(later, leaves=(*earlier.leaves, *later.leaves), joins=(*joins, *later.joins))


@dataclass(frozen=True)
class Loading:
    """What is being loaded, and which part of all loading is done, 0..1."""

    what: str
    part: float


@dataclass(frozen=True)
class Loaded:
    """The engine has warmed up; `slots` fit into a step."""

    slots: int
    memory: Memory


@dataclass(frozen=True)
class NotLoaded:
    """The engine could not be made. `final` where another try would end in the same way."""

    message: str
    final: bool


def encode(message: Any) -> bytes:
    """The bytes of a message, its length first."""
    body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return LENGTH.pack(len(body)) + body
