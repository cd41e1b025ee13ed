"""The loop between queue and batch: before each step it seats who is next, after it it hands out what is done.

Tickets are seated in queue order while the batch has room, and only between steps. What runs is never cut, whatever the flags say; only a client that
has gone gives up its place.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from brownout_inference.engine.device import PacedDevice
from brownout_inference.engine.interface import Engine, Memory, StepReport
from brownout_inference.metrics import Meters
from brownout_inference.pace import Pace
from brownout_inference.ticket import Ticket
from brownout_inference.tier_queue import TierQueue

log = logging.getLogger(__name__)


class EngineError(Exception):
    """The model failed on this request, or on the batch that it was in."""


@dataclass(frozen=True)
class _Advance:
    report: StepReport = field(default_factory=StepReport)
    failed: dict[int, Exception] = field(default_factory=dict)


class Scheduler:
    """One engine with its queue."""

    def __init__(
        self, *, device: PacedDevice, queue: TierQueue[Ticket], pace: Pace, max_batch: int, meters: Meters
    ) -> None:
        self.queue = queue
        self.pace = pace
        self.max_batch = max_batch
        self.memory = Memory()
        """What the engine said it uses when it was last asked."""
        self._device = device
        self._meters = meters
        self._running: dict[int, Ticket] = {}
        self._leaving: list[int] = []
        self._wake = asyncio.Event()
        self._quiet = asyncio.Event()
        self._quiet.set()

    @property
    def running(self) -> int:
        """How many requests are in the batch."""
        return len(self._running)

    @property
    def slots_in_use(self) -> float:
        """How many of the batch's places they take."""
        return sum(ticket.work.slots for ticket in self._running.values())

    def submit(self, ticket: Ticket) -> Ticket | None:
        """Puts the ticket into the queue. Returns who has no place for it: None, the ticket itself, or another that was taken out."""
        loser = self.queue.offer(ticket)
        if loser is not ticket:
            self._quiet.clear()
            self._wake.set()
        return loser

    def abandon(self, ticket: Ticket) -> None:
        """Nobody waits for this one any more: its place is free, in the queue at once and in the batch before the next step."""
        self.queue.remove(ticket)
        if self._running.pop(ticket.number, None):
            self._leaving.append(ticket.number)
        self._wake.set()
        self._tell_if_quiet()

    def give_up(self, error: Exception) -> None:
        """Ends all that waits or runs with `error`."""
        for ticket in [*self.queue, *self._running.values()]:
            self.abandon(ticket)
            ticket.end_with(error)

    async def until_quiet(self) -> None:
        """Returns once nothing waits and nothing runs."""
        await self._quiet.wait()

    async def run(self, engine: Engine) -> None:
        """Serves with this engine until cancelled."""
        while True:
            if not self._running and not self._leaving and not len(self.queue):
                self._device.rest()
                self._wake.clear()
                await self._wake.wait()
            joining, leaving = self._seat(), self._leaving
            self._leaving = []
            await self._advance(engine, joining, leaving)

    async def _advance(self, engine: Engine, joining: Sequence[Ticket], leaving: Sequence[int]) -> None:
        in_batch = list(self._running)

        def change_and_step() -> _Advance:
            _leave(engine, leaving)
            failed: dict[int, Exception] = {}
            for ticket in joining:
                try:
                    engine.join(ticket.number, ticket.work)
                except Exception as error:
                    failed[ticket.number] = error
            return _Advance(engine.step([number for number in in_batch if number not in failed]), failed)

        if not self._running:
            await self._device.call(lambda: _leave(engine, leaving))
            return
        taking_part = list(self._running.values())
        fill, busy_before = self.slots_in_use / self.max_batch, self._device.busy_seconds
        try:
            advance = await self._device.step(change_and_step)
            for ticket in taking_part:
                ticket.steps_done += 1
            self._deliver(advance)
        except Exception as error:
            log.exception("the batch failed")
            await self._device.call(lambda: _leave(engine, in_batch))
            self._deliver(_Advance(failed=dict.fromkeys(in_batch, error)))
        finally:
            took = self._device.busy_seconds - busy_before
            self._meters.gpu_busy(took, fill=fill)
            self._meters.worked(took, taking_part, most=self.max_batch)
            self.pace.stepped(took, fill=fill)

    def _seat(self) -> list[Ticket]:
        seated: list[Ticket] = []
        free = self.max_batch - self.slots_in_use
        while (head := self.queue.head(self._device.clock())) and head.work.slots <= free:
            ticket = self.queue.take(head)
            free -= ticket.work.slots
            self._running[ticket.number] = ticket
            self._meters.queue_wait(ticket.tier, self._device.clock() - ticket.offered_at)
            seated.append(ticket)
        return seated

    def _deliver(self, advance: _Advance) -> None:
        for number, piece in advance.report.pieces.items():
            if ticket := self._running.get(number):
                if ticket.first_piece_at is None:
                    ticket.first_piece_at = self._device.clock()
                    self._meters.first_token(ticket.tier, ticket.first_piece_at - ticket.offered_at)
                ticket.add(piece)
        for number, result in advance.report.finished.items():
            if ticket := self._running.pop(number, None):
                ticket.answer(result)
        for number, error in advance.failed.items():
            if ticket := self._running.pop(number, None):
                log.error("request %d failed: %s", number, error)
                ticket.end_with(EngineError(str(error)))
        self._tell_if_quiet()

    def _tell_if_quiet(self) -> None:
        if not self._running and not len(self.queue):
            self._quiet.set()


def _leave(engine: Engine, numbers: Sequence[int]) -> None:
    for number in numbers:
        engine.leave(number)
