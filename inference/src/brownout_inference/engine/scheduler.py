"""The loop between queue and engine: before each step it chooses who takes part, after it it hands out what is done.

Who is chosen is decided anew for every step (`seating`), within what the device can hold (`bound`). What runs is never cut, whatever the flags say: it may be paused for
somebody more important, and only a client that has gone gives up its place. A step is sent off before the results of the one before are handed out, so the
engine works while the server writes answers.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from brownout_inference.engine.bound import Bound
from brownout_inference.engine.device import PacedDevice
from brownout_inference.engine.interface import Memory
from brownout_inference.engine.messages import Advance, Advanced
from brownout_inference.engine.process import EngineGoneError
from brownout_inference.engine.seating import Seat, Seating, seat
from brownout_inference.metrics import Meters
from brownout_inference.pace import Pace
from brownout_inference.ticket import Ticket
from brownout_inference.tier_queue import TierQueue, order

log = logging.getLogger(__name__)

DOES_NOT_FIT = "the device has no memory for it, not even alone"


class EngineError(Exception):
    """The model failed on this request. Where it was not the request's fault, `retry_after_seconds` says when another try makes sense."""

    def __init__(self, message: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class Advancing(Protocol):
    """An engine that makes one step at a time; in a process of its own, or in a test's."""

    def advance(self, asked: Advance) -> "asyncio.Future[Advanced]":
        """Begins a step at once. The future raises EngineGoneError where the engine is lost."""


@dataclass
class _Batch:
    """What belongs to one life of the engine."""

    seats: dict[int, Seat] = field(default_factory=dict)
    leaving: list[int] = field(default_factory=list)


class Scheduler:
    """One engine with its queue. `pause_slots` bounds the slots of requests that are paused."""

    def __init__(
        self,
        *,
        device: PacedDevice,
        queue: TierQueue[Ticket],
        pace: Pace,
        max_batch: int,
        meters: Meters,
        pause_slots: float | None = None,
    ) -> None:
        self.queue = queue
        self.pace = pace
        self.preemptions = 0
        self.losses = 0
        self.memory = Memory()
        """What the engine said it uses when it was last asked."""
        self._pause_slots = max_batch if pause_slots is None else pause_slots
        self._device = device
        self._meters = meters
        self._batch = _Batch()
        self._wake = asyncio.Event()
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._undelivered: list[tuple[Callable[[Any], None], Any]] = []
        self.fits(max_batch)

    def fits(self, max_batch: int, memory: Memory | None = None) -> None:
        """What a new engine has measured: slots of a step, and memory."""
        self.max_batch = max_batch
        self.slots = Bound(max_batch)
        """Slots of a step."""
        self.places = Bound(max_batch + self._pause_slots)
        """Slots of those whose state is held, running and paused."""
        self.memory = memory or self.memory

    @property
    def running(self) -> int:
        """How many requests are in the batch."""
        return sum(1 for _ in self._active())

    @property
    def paused(self) -> int:
        """How many requests have begun and let others go first."""
        return len(self._batch.seats) - self.running

    @property
    def slots_in_use(self) -> float:
        """How many of the batch's slots they take."""
        return sum(each.slots for each in self._active())

    def submit(self, ticket: Ticket) -> Ticket | None:
        """Puts the ticket into the queue. Returns who has no place for it: None, the ticket itself, or another that was taken out."""
        loser = self.queue.offer(ticket)
        if loser is not ticket:
            self._quiet.clear()
            self._wake.set()
        return loser

    def abandon(self, ticket: Ticket) -> None:
        """Nobody waits for this one any more: its place is free, in the queue at once and in the engine before the next step."""
        self.queue.remove(ticket)
        self._drop(ticket.number)
        self._wake.set()
        self._tell_if_quiet()

    def give_up(self, error: Exception) -> None:
        """Ends all that waits or runs with `error`."""
        self._hand_out()
        self.give_up_waiting(error)
        for each in list(self._batch.seats.values()):
            self.abandon(each.ticket)
            each.ticket.end_with(error)

    def give_up_waiting(self, error: Exception) -> None:
        """Ends all that waits with `error`."""
        for ticket in self.queue:
            self.abandon(ticket)
            ticket.end_with(error)

    def lose(self, error: EngineError) -> None:
        """The engine is gone, with the state of everything that it held; what waits goes on waiting."""
        self.losses += 1
        lost, self._batch = self._batch, _Batch()
        self._hand_out()
        for each in lost.seats.values():
            each.ticket.end_with(error)
        self._tell_if_quiet()

    async def until_quiet(self) -> None:
        """Returns once nothing waits and nothing runs."""
        await self._quiet.wait()

    async def run(self, engine: Advancing) -> None:
        """Serves with this engine until cancelled. Raises EngineGoneError; `lose` then answers those whom it held."""
        while True:
            if not self._batch.seats and not self._batch.leaving and not len(self.queue):
                self._hand_out()
                self._device.rest()
                self._wake.clear()
                await self._wake.wait()
            seating = self._seat()
            if seating.stepping:
                await self._step(engine, seating)
            elif self._batch.leaving:
                await engine.advance(self._ask(seating))

    async def _step(self, engine: Advancing, seating: Seating) -> None:
        def begin() -> "asyncio.Future[Advanced]":
            answer = engine.advance(self._ask(seating))
            self._hand_out()
            return answer

        fill, busy_before = min(1.0, self.slots_in_use / self.max_batch), self._device.busy_seconds
        try:
            advanced = await self._device.step(begin)
        finally:
            self._later(self._count, (seating, self._device.busy_seconds - busy_before, fill))
        self._settle(advanced)
        self._learn(seating, advanced)
        if advanced.broken:
            raise EngineGoneError(f"nothing can be computed any more: {advanced.broken}")

    def _count(self, step: tuple[Seating, float, float]) -> None:
        seating, seconds, fill = step
        self._meters.gpu_busy(seconds, fill=fill)
        self._meters.worked(seconds, [each.ticket for each in seating.stepping], most=self.max_batch)
        self.pace.stepped(seconds, fill=fill)

    def _seat(self) -> Seating:
        now, seats = self._device.clock(), self._batch.seats
        most = self.memory.kv_places_most or None
        seating = seat(
            list(seats.values()), self.queue, slots=self.slots.now, places=self.places.now, most=most, now=now
        )
        for each in seating.joining:
            seats[each.ticket.number] = each
            self._meters.queue_wait(each.ticket.tier, now - each.ticket.offered_at)
        for each in seating.left_out:
            if each.paused_at is None:
                each.paused_at = now
                self.preemptions += 1
        for each in seating.stepping:
            each.paused_at = None
        return seating

    def _ask(self, seating: Seating) -> Advance:
        leaving, self._batch.leaving = tuple(self._batch.leaving), []
        return Advance(
            leaves=leaving,
            joins=tuple((each.ticket.number, each.ticket.work) for each in seating.joining),
            keys=tuple(each.ticket.number for each in seating.stepping),
        )

    def _settle(self, advanced: Advanced) -> None:
        """Who holds a place after the step. Answers are handed out when the next step is under way."""
        seats = self._batch.seats
        self.memory = advanced.memory or self.memory
        for number in advanced.stepped:
            if each := seats.get(number):
                each.left -= 1
        now = self._device.clock()
        for number, piece in advanced.pieces.items():
            if each := seats.get(number):
                if each.ticket.first_piece_at is None:
                    each.ticket.first_piece_at = now
                    self._meters.first_token(each.ticket.tier, now - each.ticket.offered_at)
                self._later(each.ticket.add, piece)
        for number, result in advanced.finished.items():
            if each := seats.pop(number, None):
                self._later(each.ticket.answer, result)
        if advanced.broken:
            return  # then nobody failed by a fault of theirs; `lose` answers
        for number, why in advanced.failed.items():
            if each := seats.pop(number, None):
                log.error("request %d failed: %s", number, why)
                self._later(each.ticket.end_with, EngineError(why))

    def _learn(self, seating: Seating, advanced: Advanced) -> None:
        """What the step has said about the device's memory."""
        now = self._device.clock()
        self._return(advanced.no_room, now)
        if not advanced.full:
            if self.slots.is_less:
                self.slots.went_well(sum(each.slots for each in seating.stepping), at=now)
            if self.places.is_less:
                self.places.went_well(self._held_slots(), at=now)
            return
        made = {*advanced.stepped, *advanced.failed}
        fitted = sum(each.slots for each in seating.stepping if each.ticket.number in made)
        tried = sum(each.slots for each in seating.stepping)
        self.slots.was_full(tried, fitted, at=now)
        log.warning("the device was full with %g slots in a step; the bound is %g now", tried, self.slots.now)
        if not made:
            self._make_room(seating.stepping[0].ticket, now)

    def _return(self, numbers: Iterable[int], now: float) -> None:
        """These had no room to join: they wait on, unless nobody is there whose end would make room."""
        for number in numbers:
            if (each := self._batch.seats.pop(number, None)) is None:
                continue
            held = self._held_slots()
            self.places.was_full(held + each.slots, held, at=now)
            if self._batch.seats:
                self.queue.put_back(each.ticket)
            else:
                self._later(each.ticket.end_with, EngineError(DOES_NOT_FIT))

    def _make_room(self, first: Ticket, now: float) -> None:
        """Not even the most important one fits beside the state of the others: the least important of them is to begin anew, later."""
        others = [each.ticket for each in self._batch.seats.values() if each.ticket is not first]
        loser = max(others, key=order, default=first)
        held = self._held_slots()
        self._drop(loser.number)
        self.places.was_full(held, self._held_slots(), at=now)
        if not others:
            self._later(loser.end_with, EngineError(DOES_NOT_FIT))
        elif loser.delivered:
            self._later(
                loser.end_with, EngineError("the device has no memory to go on with it", retry_after_seconds=1.0)
            )
        else:
            self.queue.put_back(loser)

    def _drop(self, number: int) -> None:
        if self._batch.seats.pop(number, None):
            self._batch.leaving.append(number)

    def _held_slots(self) -> float:
        return sum(each.slots for each in self._batch.seats.values())

    def _active(self) -> Iterator[Seat]:
        return (each for each in self._batch.seats.values() if each.paused_at is None)

    def _later(self, hand_out: Callable[[Any], None], what: Any) -> None:
        self._undelivered.append((hand_out, what))

    def _hand_out(self) -> None:
        undelivered, self._undelivered = self._undelivered, []
        for hand_out, what in undelivered:
            hand_out(what)
        self._tell_if_quiet()

    def _tell_if_quiet(self) -> None:
        if not self._batch.seats and not len(self.queue) and not self._undelivered:
            self._quiet.set()
