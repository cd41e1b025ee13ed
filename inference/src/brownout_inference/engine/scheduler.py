"""The loop between queue and engine: before each step it chooses who takes part, after it it hands out what is done.

Who is chosen is decided anew for every step (`seating`), within what the device can hold (`bound`). What runs is never cut, whatever the flags say: it may be paused for
somebody more important, and only a client that has gone gives up its place. A step is sent off before the results of the one before are handed out, so the
engine works while the server writes answers.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from brownout_inference.engine.batch import Batch
from brownout_inference.engine.bound import Bound
from brownout_inference.engine.company import SLACK, Company
from brownout_inference.engine.device import PacedDevice
from brownout_inference.engine.interface import Memory
from brownout_inference.engine.messages import Advance, Advanced, following
from brownout_inference.engine.process import Advancing, EngineError, EngineGoneError
from brownout_inference.engine.seating import Seat, Seating, seat
from brownout_inference.engine.suspects import Suspects
from brownout_inference.metrics import Meters
from brownout_inference.pace import Pace
from brownout_inference.step_times import StepTimes
from brownout_inference.ticket import Ticket
from brownout_inference.tier_queue import TierQueue, order

log = logging.getLogger(__name__)

STANDBY = 16
"""Requests that an engine without a pace may seat by itself, or as many as a batch has places, which all may get free in one step. It is told anew when half are left."""

DOES_NOT_FIT = "the device has no memory for it, not even alone"


class Scheduler:
    """One engine with its queue. `pause_slots` bounds the slots of requests that are paused; by `company_slack` a step may take longer for those who are less important."""

    def __init__(
        self,
        *,
        device: PacedDevice,
        queue: TierQueue[Ticket],
        pace: Pace,
        max_batch: int,
        meters: Meters,
        pause_slots: float | None = None,
        company_slack: float = SLACK,
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
        self._step_times = StepTimes()
        # on a paced device every step takes the same time
        self._company = (
            None if device.sets_the_pace else Company(self._step_times, company_slack, may_pause=self._pause_slots > 0)
        )
        self._batch = Batch()
        self._suspects = Suspects()
        self._wake = asyncio.Event()
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._busy = asyncio.Event()
        self._undelivered: list[tuple[Callable[[Any], None], Any]] = []
        self.fits(max_batch)

    def fits(self, max_batch: int, memory: Memory | None = None) -> None:
        """What a new engine has measured: slots of a step, and memory."""
        self.max_batch = max_batch
        self._most_standby = max(STANDBY, max_batch)
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

    @property
    def held_slots(self) -> float:
        """How many slots those take whose state is held, running and paused."""
        return sum(each.slots for each in self._batch.seats.values())

    def submit(self, ticket: Ticket, *, is_full: bool = False) -> Ticket | None:
        """Puts the ticket into the queue. Returns who has no place for it: None, the ticket itself, or another that was taken out; where it `is_full` somebody has not.

        One that has ended engines before is answered at once.
        """
        if self._suspects.are_enough(ticket, at=self._device.clock()):
            ticket.end_with(EngineError("engines were lost with it before"))
            return None
        loser = self.queue.offer(ticket, is_full=is_full)
        if loser is not ticket:
            self._quiet.clear()
            self._busy.set()
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
        lost, self._batch = self._batch, Batch()
        if lost.under_way and (last := lost.seatings.get(lost.told.number)):
            offered = [ticket for ticket, _ in lost.standby[lost.told.number].values()]
            self._suspects.took_part([*(each.ticket for each in last.stepping), *offered], at=self._device.clock())
        self._hand_out()
        for each in lost.seats.values():
            each.ticket.end_with(error)
        self._tell_if_quiet()

    async def until_busy(self) -> None:
        """Returns while something waits or runs, or once it does."""
        await self._busy.wait()

    async def until_quiet(self) -> None:
        """Returns once nothing waits and nothing runs."""
        await self._quiet.wait()

    async def run(self, engine: Advancing) -> None:
        """Serves with this engine until cancelled. Raises EngineGoneError; `lose` then answers those whom it held."""
        while True:
            batch = self._batch
            if not batch.seats and not batch.leaving and not batch.under_way and not len(self.queue):
                self._hand_out()
                self._device.rest()
                self._wake.clear()
                await self._wake.wait()
            self._tell(engine)
            if batch.under_way:
                await self._step(engine)

    async def _step(self, engine: Advancing) -> None:
        busy_before = self._device.busy_seconds
        advanced = await self._device.step(lambda: self._report(engine))
        seating = self._batch.seatings[advanced.number]
        self._later(self._count, (seating, advanced, self._device.busy_seconds - busy_before))
        self._settle(advanced)
        self._learn(seating, advanced)
        if advanced.seated:
            self._take_seated(advanced)
        if advanced.broken:
            raise EngineGoneError(f"nothing can be computed any more: {advanced.broken}")

    async def _report(self, engine: Advancing) -> Advanced:
        """The engine's next report. Where it goes on by itself it is told at once what changes meanwhile."""
        report = engine.report()
        self._hand_out()
        if self._batch.told.go_on and not report.done():
            report.add_done_callback(lambda _: self._wake.set())
            while True:
                self._wake.clear()
                await self._wake.wait()
                if report.done():
                    break
                self._tell(engine)
        return await report

    def _tell(self, engine: Advancing) -> None:
        """Chooses who takes part in the next step, and says so where the engine would do something else."""
        batch, seating = self._batch, self._seat()
        past_ends, standby = seating.is_limited or not len(self.queue), self._standby(seating)
        if batch.under_way and batch.is_told(
            seating, standby, least_standby=self._most_standby // 2, past_ends=past_ends
        ):
            return
        if not seating.stepping and not batch.leaving:
            return
        leaving, batch.leaving = tuple(batch.leaving), []
        message = Advance(
            number=batch.told.number + 1,
            go_on=not self._device.sets_the_pace,
            past_ends=past_ends,
            slots=self.slots.now,
            standby=tuple((each.number, each.work) for each in standby),
            leaves=leaving,
            joins=tuple((each.ticket.number, each.ticket.work) for each in seating.joining),
            keys=tuple(each.ticket.number for each in seating.stepping),
        )
        batch.tells(message, seating, standby)
        engine.tell(message)

    def _standby(self, seating: Seating) -> Sequence[Ticket]:
        """Who may take the places of those who finish without being asked for; nobody where who is next is not plain."""
        if self._device.sets_the_pace or not len(self.queue) or self.slots.is_less or self.places.is_less:
            return ()
        if seating.is_limited:  # by who is there: when one of them finishes, more may come or fewer
            return ()
        next_ones = list(islice(self.queue, self._most_standby))
        if len(seating.stepping) < len(self._batch.seats) or self.queue.head(self._device.clock()) is not next_ones[0]:
            return ()
        return next_ones

    def _take_seated(self, advanced: Advanced) -> None:
        """The engine has seated these itself. Who has gone meanwhile leaves again."""
        batch, now = self._batch, self._device.clock()
        seating = batch.seatings[advanced.number]
        joined: list[Seat] = []
        for number in advanced.seated:
            ticket, work = batch.standby[advanced.number].pop(number)
            if each := batch.seats.get(number):
                each.begun_by_engine(work)
                continue
            if ticket not in self.queue:
                batch.leaving.append(number)
                continue
            new = Seat(self.queue.take(ticket), work.steps, work.slots)
            new.begun_by_engine(work)
            self._meters.queue_wait(ticket.tier, now - ticket.offered_at)
            batch.seats[number] = new
            joined.append(new)
        batch.seatings[advanced.number] = replace(seating, stepping=(*seating.stepping, *joined))
        if advanced.number == batch.told.number:
            batch.told = following(batch.told, advanced)

    def _count(self, step: tuple[Seating, Advanced, float]) -> None:
        seating, advanced, seconds = step
        made = {*advanced.stepped, *advanced.failed}
        took_part = [each for each in seating.stepping if each.ticket.number in made]
        slots = sum([each.slots for each in took_part])
        fill = min(1.0, slots / self.max_batch)
        self._meters.gpu_busy(seconds, fill=fill)
        self._meters.worked(seconds, [each.ticket for each in took_part], most=self.max_batch)
        steps = advanced.all_seconds
        for seconds_of_step in steps:
            if not advanced.full and not advanced.failed:
                self._step_times.stepped(slots, seconds_of_step)
            self.pace.stepped(seconds / len(steps), fill=fill)

    def _seat(self) -> Seating:
        now, seats = self._device.clock(), self._batch.seats
        most = self.memory.kv_places_most or None
        seating = seat(
            list(seats.values()),
            self.queue,
            slots=self.slots.now,
            places=self.places.now,
            most=most,
            now=now,
            company=self._company,
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

    def _settle(self, advanced: Advanced) -> None:
        """Who holds a place after the step. Answers are handed out when the next step is under way."""
        batch, seats = self._batch, self._batch.seats
        batch.has_reported(advanced)
        self.memory = advanced.memory or self.memory
        steps = len(advanced.all_seconds)
        for number in advanced.stepped:
            if each := seats.get(number):
                each.left -= steps
                each.ticket.steps_done += steps
        now = self._device.clock()
        for number, piece in advanced.pieces.items():
            if each := seats.get(number):
                if each.ticket.first_piece_at is None:
                    each.ticket.first_piece_at = now
                    self._meters.first_token(each.ticket.tier, now - each.ticket.offered_at)
                self._later(each.ticket.add, piece)
        for number, result in advanced.finished.items():
            if each := seats.pop(number, None):
                self._suspects.succeeded(each.ticket)
                self._later(each.ticket.answer, result)
        if advanced.broken:
            return  # then nobody failed by a fault of theirs; `lose` answers
        for number, why in advanced.failed.items():
            if each := seats.pop(number, None):
                log.warning("request %d failed: %s", number, why)
                self._later(each.ticket.end_with, EngineError(why, unsuitable=number in advanced.unsuitable))

    def _learn(self, seating: Seating, advanced: Advanced) -> None:
        """What the step has said about the device's memory."""
        now = self._device.clock()
        self._return(advanced.no_room, now)
        self._return_forgotten(seating, advanced)
        if not advanced.full:
            if self.slots.is_less:
                self.slots.went_well(sum(each.slots for each in seating.stepping), at=now)
            if self.places.is_less:
                self.places.went_well(self.held_slots, at=now)
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
            held = self.held_slots
            self.places.was_full(held + each.slots, held, at=now)
            if self._batch.seats:
                self.queue.put_back(each.ticket)
            else:
                self._later(each.ticket.end_with, EngineError(DOES_NOT_FIT))

    def _return_forgotten(self, seating: Seating, advanced: Advanced) -> None:
        """Nobody waits for ever for an engine that does not know them, whichever of both is mistaken."""
        known = {*advanced.stepped, *advanced.failed}
        if advanced.full or advanced.broken or len(known) >= len(seating.stepping):
            return
        for each in seating.stepping:
            if each.ticket.number not in known and each.ticket.number in self._batch.seats:
                log.error("the engine does not know request %d, which is begun anew", each.ticket.number)
                self._drop(each.ticket.number)
                self._begin_anew(each.ticket, "The engine lost this request.")

    def _begin_anew(self, ticket: Ticket, why: str) -> None:
        """Puts back who has lost their state, unless a part of the answer is out already."""
        if ticket.delivered:
            self._later(ticket.end_with, EngineError(why, retry_after_seconds=1.0))
        else:
            self.queue.put_back(ticket)

    def _make_room(self, first: Ticket, now: float) -> None:
        """Not even the most important one fits beside the state of the others: the least important of them is to begin anew, later."""
        others = [each.ticket for each in self._batch.seats.values() if each.ticket is not first]
        loser = max(others, key=order, default=first)
        held = self.held_slots
        self._drop(loser.number)
        self.places.was_full(held, self.held_slots, at=now)
        if not others:
            self._later(loser.end_with, EngineError(DOES_NOT_FIT))
        else:
            self._begin_anew(loser, "The device has no memory to go on with this request.")

    def _drop(self, number: int) -> None:
        if self._batch.seats.pop(number, None):
            self._batch.leaving.append(number)

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
            self._busy.clear()
