"""Who takes part in the next step: those whose state the engine holds and those who wait, the most important first.

Whoever is held and not chosen is paused: its state stays, and it goes on where it stopped. Who waits displaces who runs only if it comes from another tier and the queue
serves it first; the least important are left out then, and of those the ones with most work left. Within a tier nobody is displaced: what has begun
is finished first, and what is paused goes on before anybody new. A pause ends, however many important requests come: whoever was paused for as long as the
queue lets anybody wait may finish, one such at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from brownout_inference.ticket import Ticket
from brownout_inference.tier_queue import AGE_SECONDS, TierQueue, order
from brownout_inference.work import Work

ROUNDING = 1e-9
"""Slots may be fractions, whose sums are not exact."""


@dataclass(eq=False)
class Seat:
    """A ticket whose state the engine holds. `left` is how many steps it still needs at most, `paused_at` since when it is left out, on the device's clock."""

    ticket: Ticket
    left: int
    slots: float
    paused_at: float | None = None
    is_begun_by_engine: bool = False

    def begun_by_engine(self, work: Work) -> None:
        """The engine seated it itself, with what it was offered: what has begun is not changed any more, though the flags may have said otherwise meanwhile."""
        if not self.is_begun_by_engine:
            self.ticket.work, self.left, self.slots = work, work.steps, work.slots
            self.is_begun_by_engine = True


@dataclass(frozen=True)
class Seating:
    """`stepping` take part, the most important first; `joining` are those of them who are new; `left_out` are paused."""

    stepping: Sequence[Seat]
    joining: Sequence[Seat]
    left_out: Sequence[Seat]


def seat(
    held: Sequence[Seat], queue: TierQueue[Ticket], *, slots: float, places: float, most: int | None, now: float
) -> Seating:
    """Chooses for one step of `slots`, and takes from the queue who is new.

    The state of requests for at most `places` slots, and of at most `most` requests, is held at once. One request is always chosen, however large it is: that it
    does not fit has to be seen.
    """
    _let_one_finish(held, now)
    held_slots = sum([each.slots for each in held])
    if not len(queue) and held_slots <= slots + ROUNDING:
        return Seating(sorted(held, key=_importance), (), ())  # as below, and what most steps are like
    choice = _Choice(slots, places - held_slots, None if most is None else most - len(held))
    rest = sorted(held, key=_importance, reverse=True)
    head = queue.head(now)
    while True:
        following = rest[-1] if rest else None
        if head is not None and (following is None or _displaces(queue, head, following.ticket)):
            if choice.has_room(head, nobody=not held):
                choice.add_new(Seat(queue.take(head), head.work.steps, head.work.slots))
                head = queue.head(now)
            else:
                head = None  # letting smaller ones overtake would starve it
        elif following is not None:
            choice.add_held(rest.pop())
        else:
            return Seating(choice.stepping, choice.joining, choice.left_out)


class _Choice:
    def __init__(self, slots: float, places: float, most: int | None) -> None:
        self.stepping: list[Seat] = []
        self.joining: list[Seat] = []
        self.left_out: list[Seat] = []
        self._slots = slots
        self._places = places
        self._most = most

    def has_room(self, ticket: Ticket, *, nobody: bool) -> bool:
        """Whether somebody new can join and step; always where `nobody` is held or chosen."""
        if nobody and not self.stepping:
            return True
        if self._most is not None and len(self.joining) >= self._most:
            return False
        return ticket.work.slots <= self._places + ROUNDING and self._steps(ticket.work.slots)

    def add_new(self, seat: Seat) -> None:
        self._places -= seat.slots
        self.joining.append(seat)
        self._add(seat)

    def add_held(self, seat: Seat) -> None:
        if self._steps(seat.slots):
            self._add(seat)
        else:
            self.left_out.append(seat)

    def _steps(self, slots: float) -> bool:
        return slots <= self._slots + ROUNDING or not self.stepping

    def _add(self, seat: Seat) -> None:
        self._slots -= seat.slots
        self.stepping.append(seat)


def _importance(seat: Seat) -> tuple[int, int, int, int]:
    aged, priority, _, number = order(seat.ticket)
    return aged, priority, seat.left, number


def _displaces(queue: TierQueue[Ticket], waiting: Ticket, held: Ticket) -> bool:
    if held.aged or waiting.priority == held.priority:
        return False
    return waiting.priority > held.priority or next(iter(queue)) is not waiting  # the queue lets it through for its age


def _let_one_finish(held: Sequence[Seat], now: float) -> None:
    waiting = [seat for seat in held if seat.paused_at is not None]
    if not waiting or any(seat.ticket.aged for seat in held):
        return
    longest = min(waiting, key=lambda seat: seat.paused_at or 0.0)
    if now - (longest.paused_at or 0.0) >= AGE_SECONDS:
        longest.ticket.aged = True
