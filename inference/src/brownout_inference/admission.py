"""The door: every ask passes here once, is counted, judged by the flags, and refused or queued.

Where the user has a quota, a unit of it is reserved before anything is counted: whom the quota refuses is no demand, for no GPU could serve them.

When the flags change, everything that waits is judged again: what is denied now is cancelled and answered at once, what is degraded gets its cheaper work, and
nobody loses a place. Work that runs is never cut.
"""

import asyncio
import math
from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from typing import Any

from openfeature.evaluation_context import EvaluationContext

from brownout_inference import refusal
from brownout_inference.deadlines import ROUNDING, Ahead, late, late_by, most_wait
from brownout_inference.engine.process import EngineError
from brownout_inference.engine.scheduler import Scheduler
from brownout_inference.features import Ask, Feature, objective_seconds
from brownout_inference.identity import Caller
from brownout_inference.made_tokens import MadeTokens
from brownout_inference.metrics import FAILED_IN_ENGINE, UNSUITABLE, Meters
from brownout_inference.quota import Quotas, Unit
from brownout_inference.refusal import Refusal, RefusedError
from brownout_inference.ticket import Ticket
from brownout_inference.verdict import Verdict
from brownout_inference.work import Continuation, TextWork, Work, declared_gpu_seconds, likely_steps

Judge = Callable[[Feature, EvaluationContext], Verdict]


class Phase(Enum):
    """Where the server is in its life."""

    LOADING = "loading"
    SERVING = "serving"
    DRAINING = "draining"


class Admission:
    """Turns asks into tickets, and tickets into results."""

    def __init__(
        self,
        *,
        judge: Judge,
        quotas: Quotas,
        scheduler: Scheduler,
        meters: Meters,
        clock: Callable[[], float],
        queue_seconds: float | None = None,
    ) -> None:
        self.phase = Phase.LOADING
        self._judge = judge
        self._quotas = quotas
        self._scheduler = scheduler
        self._meters = meters
        self._clock = clock
        self._made_tokens = MadeTokens()
        self._queue_seconds = math.inf if queue_seconds is None else queue_seconds

    async def until_busy(self) -> None:
        """Returns while something waits or runs, or once it does."""
        await self._scheduler.until_busy()

    async def admit(self, feature: Feature, ask: Ask, caller: Caller, *, stream: bool = False) -> Ticket:
        """Queues the ask. Raises RefusedError."""
        context = caller.context
        verdict = self._judge(feature, context)
        if verdict.quota is None or self._objection(feature, verdict, caller):
            return self._queue(feature, ask, caller, verdict, None, stream=stream)
        tier, cohort = self._meters.cell(verdict.audience.tier, verdict.audience.cohort)
        try:
            unit = await self._quotas.reserve(feature, verdict, context)
        except RefusedError as refused:
            self._meters.refused(feature.flag_key, tier, cohort, refused.refusal.reason)
            raise
        try:  # the flags may have changed meanwhile
            return self._queue(feature, ask, caller, self._judge(feature, context), unit, stream=stream)
        except RefusedError:
            self._quotas.refund(unit)
            raise

    def _queue(
        self,
        feature: Feature,
        ask: Ask,
        caller: Caller,
        verdict: Verdict,
        unit: Unit | None,
        *,
        stream: bool,
    ) -> Ticket:
        tier, cohort = self._meters.cell(verdict.audience.tier, verdict.audience.cohort)
        context, work = caller.context, ask.work(feature, verdict.value)
        if not self._fits(work):
            raise RefusedError(refusal.too_many(work, max_batch=self._scheduler.max_batch))
        pace = self._scheduler.pace
        objective = objective_seconds(feature, verdict.value)
        # a measured pace may be another one in a minute, and says nothing of the request
        if objective is not None and isinstance(work, TextWork) and (alone := work.steps * pace.declared) > objective:
            raise RefusedError(refusal.too_long(work.tokens, alone_seconds=alone, objective_seconds=objective))
        self._meters.offered(feature.flag_key, tier, cohort, context.targeting_key)
        if refused := self._objection(feature, verdict, caller):
            self._meters.refused(feature.flag_key, tier, cohort, refused.reason)
            raise RefusedError(refused)
        now = self._clock()
        ticket = Ticket(
            feature=feature.flag_key,
            verdict=verdict,
            work=work,
            cost=self._cost(work),
            tier=tier,
            cohort=cohort,
            offered_at=now,
            user=context.targeting_key or "",
            deadline=None if objective is None else now + objective,
            step_seconds=pace.step_seconds,
            outcome=asyncio.get_running_loop().create_future(),
            pieces=asyncio.Queue() if stream else None,
            unit=unit,
            rejudge=lambda: self._judge(feature, context),
            rework=lambda verdict: ask.work(feature, verdict.value),
            accept_language=caller.accept_language,
        )
        ahead = self._scheduler.queue.gpu_seconds(at_least_priority=ticket.priority)
        wait = self._least_wait(ticket, ahead)
        if late := late_by(ticket.deadline, now=now, least_wait=wait, own_seconds=ticket.own_seconds):
            self._meters.refused(feature.flag_key, tier, cohort, refusal.TOO_LATE)
            raise RefusedError(refusal.too_late(verdict, feature.flag_key, wait_seconds=late))
        loser = self._scheduler.submit(ticket, is_full=ahead > self._queue_seconds)
        if loser is not None:
            full = RefusedError(refusal.queue_full(loser.verdict, loser.feature, wait_seconds=ahead))
            if loser is ticket:
                self._meters.refused(feature.flag_key, tier, cohort, refusal.QUEUE_FULL)
                raise full
            loser.end_with(full)
        self._meters.admitted(feature.flag_key, tier, cohort, verdict.variant)
        return ticket

    async def result(self, ticket: Ticket) -> Any:
        """The engine's answer. Raises RefusedError; a caller that is cancelled gives the ticket's place back.

        The user's unit is used when there is an answer, or a part of one was handed on before the client went; otherwise it goes back.
        """
        try:
            result = await self._outcome(ticket)
        except asyncio.CancelledError:
            (self._quotas.commit if ticket.delivered else self._quotas.refund)(ticket.unit)
            raise
        except RefusedError:
            self._quotas.refund(ticket.unit)
            raise
        self._quotas.commit(ticket.unit)
        return result

    async def _outcome(self, ticket: Ticket) -> Any:
        cell = ticket.feature, ticket.tier, ticket.cohort
        try:
            result = await asyncio.shield(ticket.outcome)
        except asyncio.CancelledError:
            self._scheduler.abandon(ticket)
            self._meters.failed(*cell, "client_gone")
            raise
        except RefusedError as refused:
            if refused.refusal.reason == refusal.INTERRUPTED:
                self._meters.failed(*cell, refusal.INTERRUPTED)
            else:
                reason = refused.refusal.reason
                self._meters.refused(*cell, reason if reason in refusal.OVERLOAD else refusal.CANCELLED)
            raise
        except EngineError as error:
            self._meters.failed(*cell, UNSUITABLE if error.unsuitable else FAILED_IN_ENGINE)
            if error.unsuitable:
                raise RefusedError(refusal.bad_request(f"{error}.")) from error
            raise RefusedError(
                refusal.engine_failed(ticket.feature, str(error), retry_after_seconds=error.retry_after_seconds)
            ) from error
        now = self._clock()
        self._meters.completed(*cell, ticket.verdict.variant, now - ticket.offered_at)
        if isinstance(result, Continuation):
            self._made_tokens.ended(made=result.tokens, asked=ticket.work.steps)
            self._meters.text(
                ticket.tier,
                prompt_tokens=result.prompt_tokens,
                tokens=result.tokens,
                ended=result.ended,
                seconds_of_tokens=now - (ticket.first_piece_at or now),
            )
        return result

    def reconsider(self) -> None:
        """Judges everything that waits again, after the flags have changed."""
        queue = self._scheduler.queue
        for ticket in queue:
            verdict = ticket.rejudge()
            if not verdict.enabled:
                self._scheduler.abandon(ticket)
                denied = refusal.denial(verdict, ticket.feature, accept_language=ticket.accept_language)
                ticket.end_with(RefusedError(denied))
                continue
            work = ticket.rework(verdict)
            if self._fits(work):
                ticket.verdict, ticket.work = verdict, work
            else:  # more pictures than there are places for ones of this kind: it is served as it was let in
                variant, value = ticket.verdict.variant, ticket.verdict.value
                ticket.verdict = replace(verdict, variant=variant, value=value)
            ticket.cost = self._cost(ticket.work)
            ticket.tier, ticket.cohort = self._meters.cell(verdict.audience.tier, verdict.audience.cohort)
        queue.reorder()

    def refuse_late(self) -> None:
        """Answers those who wait and can no longer be in time."""
        most = self._scheduler.max_batch
        for ticket, seconds in late(self._scheduler.queue, now=self._clock(), most=most, needs=self._needs):
            self._scheduler.abandon(ticket)
            ticket.end_with(RefusedError(refusal.too_late(ticket.verdict, ticket.feature, wait_seconds=seconds)))

    def interrupt(self) -> None:
        """Ends everything with an answer that asks to try again: the grace period is over."""
        self._scheduler.give_up(
            RefusedError(refusal.unavailable(refusal.INTERRUPTED, "This server is stopping; try again."))
        )

    def _objection(self, feature: Feature, verdict: Verdict, caller: Caller) -> Refusal | None:
        if self.phase is Phase.DRAINING:
            return refusal.unavailable(
                refusal.DRAINING, "This server is stopping; try again.", feature=feature.flag_key
            )
        if self.phase is Phase.LOADING:
            return refusal.unavailable(
                refusal.NOT_READY,
                "This server is still loading its model.",
                feature=feature.flag_key,
                retry_after_seconds=5,
            )
        if not verdict.enabled:
            return refusal.denial(verdict, feature.flag_key, accept_language=caller.accept_language)
        return None

    def _least_wait(self, ticket: Ticket, gpu_seconds: float) -> float:
        """Seconds before which a ticket that comes now cannot begin, for what waits ahead of it, which declares so many GPU-seconds; 0 where it is in time in any case."""
        if ticket.deadline is None:
            return 0.0
        queue, most = self._scheduler.queue, self._scheduler.max_batch
        largest = max((waiting.work.slots for waiting in queue), default=0.0)
        begins = ticket.offered_at + most_wait(gpu_seconds, most=most, largest=max(largest, ticket.work.slots))
        if begins + ticket.own_seconds <= ticket.deadline:
            return 0.0
        ahead = Ahead(most)
        for waiting in queue.ahead_of(priority=ticket.priority, user=ticket.user):
            ahead.add(*self._needs(waiting))
        return ahead.least_wait(ticket.work.slots)

    def _needs(self, ticket: Ticket) -> tuple[float, float]:
        """Slots that a ticket takes, and the seconds for which it is likely to."""
        steps = likely_steps(ticket.work, made_share=self._made_tokens.share)
        return ticket.work.slots, steps * ticket.step_seconds

    def _fits(self, work: Work) -> bool:
        return work.slots <= self._scheduler.max_batch + ROUNDING

    def _cost(self, work: Work) -> float:
        return declared_gpu_seconds(
            work, step_seconds=self._scheduler.pace.step_seconds, max_batch=self._scheduler.max_batch
        )
