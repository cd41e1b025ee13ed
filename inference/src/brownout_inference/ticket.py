"""One admitted request on its way through the queue and the batch.

The only mutable thing that the layers share. The event loop alone touches it; the engine's thread sees nothing but its number and its work.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from brownout_inference.quota import Unit
from brownout_inference.verdict import Verdict
from brownout_inference.work import Work

_numbers = count(1)


@dataclass(eq=False, kw_only=True)
class Ticket:
    """`feature` is the flag key, `tier` and `cohort` are the names for metrics, `user` is who shares the tier's queue with others, '' for nobody known; `cost` is declared GPU-seconds;
    `offered_at` and `deadline` are on the device's clock, `step_seconds` is what a step was expected to take then. `start_tag` and `aged` are the queue's.

    `outcome` gets the engine's result or an exception. `pieces`, where somebody listens, gets the parts of the answer as they are made and
    None after the last; `delivered` once there was one; `steps_done` counts the steps that it took part in. `rejudge` asks the flags again, `rework` turns their answer into work. `unit` is what the
    user's quota is charged with, if there is one.
    """

    feature: str
    verdict: Verdict
    work: Work
    cost: float
    tier: str
    cohort: str
    offered_at: float
    user: str = ""
    deadline: float | None = None
    step_seconds: float = 0.0
    start_tag: float = 0.0
    aged: bool = False
    first_piece_at: float | None = None
    outcome: asyncio.Future[Any]
    rejudge: Callable[[], Verdict]
    rework: Callable[[Verdict], Work]
    accept_language: str = ""
    pieces: asyncio.Queue[Any] | None = None
    unit: Unit | None = None
    delivered: bool = False
    steps_done: int = 0
    number: int = field(default_factory=lambda: next(_numbers))

    @property
    def priority(self) -> int:
        return self.verdict.audience.priority

    @property
    def own_seconds(self) -> float:
        """The least that the request takes where nobody else is; a text may end with its first token."""
        return self.work.least_steps * self.step_seconds

    def answer(self, result: Any) -> None:
        """Hands the result to whoever waits for it."""
        if not self.outcome.done():
            self.outcome.set_result(result)
        self._no_more_pieces()

    def end_with(self, error: Exception) -> None:
        """Hands an error to whoever waits."""
        if not self.outcome.done():
            self.outcome.set_exception(error)
            self.outcome.exception()  # a client that has gone will not look at it, which is no mistake
        self._no_more_pieces()

    def add(self, piece: Any) -> None:
        """Hands on a part of the answer, if somebody listens for parts."""
        if self.pieces is not None:
            self.delivered = True
            self.pieces.put_nowait(piece)

    def _no_more_pieces(self) -> None:
        if self.pieces is not None:
            self.pieces.put_nowait(None)
