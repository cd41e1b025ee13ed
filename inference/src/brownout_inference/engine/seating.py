"""Who takes part in the next step: those whose state the engine holds and those who wait, the most important first.

Whoever is held and not chosen is paused: its state stays, and it goes on where it stopped. Who waits displaces who runs only if it comes from another tier and the queue
serves it first; the least important are left out then, and of those the ones with most work left. Within a tier nobody is displaced: what has begun
is finished first, and what is paused goes on before anybody new. A pause ends, however many important requests come: whoever was paused for as long as the
queue lets anybody wait may finish, one such at a time.

Free places are not filled where those who are less important would make the step too long for the most important (`company`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from brownout_inference.engine.company import Company
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
    """`stepping` take part, the most important first; `joining` are those of them who are new; `left_out` are paused. `is_limited`: somebody was kept out for the company's sake."""

    stepping: Sequence[Seat]
    joining: Sequence[Seat]
    left_out: Sequence[Seat]
    is_limited: bool = False


def seat(
    held: Sequence[Seat],
    queue: TierQueue[Ticket],
    *,
    slots: float,
    places: float,
    most: int | None,
    now: float,
    company: Company | None = None,
) -> Seating:
    """Chooses for one step of `slots`, and takes from the queue who is new.

    The state of requests for at most `places` slots, and of at most `most` requests, is held at once. One request is always chosen, however large it is: that it
    does not fit has to be seen. Without `company` a full step is taken to last as long as any.
    """
    _let_one_finish(held, now)
    held_slots = sum([each.slots for each in held])
    if not len(queue) and held_slots <= slots + ROUNDING and (company is None or _are_of_one_tier(held)):
        return Seating(sorted(held, key=_importance), (), ())  # as below, and what most steps are like
    choice = _Choice(slots, places - held_slots, None if most is None else most - len(held), company)
    rest = sorted(held, key=_importance, reverse=True)
    head = queue.head(now)
    while True:
        following = rest[-1] if rest else None
        if head is not None and (following is None or _displaces(queue, head, following.ticket)):
            if choice.has_room(head, nobody=not held, is_let_through=_is_let_through(queue, head)):
                choice.add_new(Seat(queue.take(head), head.work.steps, head.work.slots))
                head = queue.head(now)
            else:
                head = None  # letting smaller ones overtake would starve it
        elif following is not None:
            choice.add_held(rest.pop())
        else:
            return Seating(choice.stepping, choice.joining, choice.left_out, choice.is_limited)


class _Choice:
    def __init__(self, slots: float, places: float, most: int | None, company: Company | None) -> None:
        self.stepping: list[Seat] = []
        self.joining: list[Seat] = []
        self.left_out: list[Seat] = []
        self.is_limited = False
        self._slots = slots
        self._places = places
        self._most = most
        self._company = company
        self._taken = 0.0
        self._highest: int | None = None
        self._highest_slots = 0.0

    def has_room(self, ticket: Ticket, *, nobody: bool, is_let_through: bool) -> bool:
        """Whether somebody new can join and step; always where `nobody` is held or chosen."""
        if nobody and not self.stepping:
            return True
        if self._most is not None and len(self.joining) >= self._most:
            return False
        slots = ticket.work.slots
        if slots > self._places + ROUNDING or not self._steps(slots):
            return False
        return is_let_through or self._is_welcome(ticket, slots)

    def add_new(self, seat: Seat) -> None:
        self._places -= seat.slots
        self.joining.append(seat)
        self._add(seat)

    def add_held(self, seat: Seat) -> None:
        stays = seat.ticket.aged or (
            seat.paused_at is None and self._company is not None and not self._company.may_pause
        )
        if self._steps(seat.slots) and (stays or self._is_welcome(seat.ticket, seat.slots)):
            self._add(seat)
        else:
            self.left_out.append(seat)

    def _steps(self, slots: float) -> bool:
        return slots <= self._slots + ROUNDING or not self.stepping

    def _is_welcome(self, ticket: Ticket, slots: float) -> bool:
        """Whether those who are more important have a step that is short enough, with this one in it."""
        if self._company is None or self._highest is None or ticket.priority >= self._highest:
            return True
        if self._company.allows(self._taken + slots, beside=self._highest_slots):
            return True
        self.is_limited = True
        return False

    def _add(self, seat: Seat) -> None:
        self._slots -= seat.slots
        self._taken += seat.slots
        if self._highest is None or seat.ticket.priority > self._highest:
            self._highest, self._highest_slots = seat.ticket.priority, 0.0
        if seat.ticket.priority == self._highest:
            self._highest_slots += seat.slots
        self.stepping.append(seat)


def _importance(seat: Seat) -> tuple[int, int, int, int]:
    aged, priority, _, number = order(seat.ticket)
    return aged, priority, seat.left, number


def _displaces(queue: TierQueue[Ticket], waiting: Ticket, held: Ticket) -> bool:
    if held.aged or waiting.priority == held.priority:
        return False
    return waiting.priority > held.priority or _is_let_through(queue, waiting)


def _is_let_through(queue: TierQueue[Ticket], head: Ticket) -> bool:
    """Whether the queue serves it next for its age, before what is more important."""
    return next(iter(queue)) is not head


def _are_of_one_tier(held: Sequence[Seat]) -> bool:
    return len({each.ticket.priority for each in held}) <= 1


def _let_one_finish(held: Sequence[Seat], now: float) -> None:
    waiting = [seat for seat in held if seat.paused_at is not None]
    if not waiting or any(seat.ticket.aged for seat in held):
        return
    longest = min(waiting, key=lambda seat: seat.paused_at or 0.0)
    if now - (longest.paused_at or 0.0) >= AGE_SECONDS:
        longest.ticket.aged = True
