"""Tickets, verdicts, an engine that counts steps, and time that a test moves: as short as a test can say them."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from brownout_inference.engine.interface import DeviceFullError, Engine, Memory, StepReport
from brownout_inference.engine.messages import Advance, Advanced, following
from brownout_inference.engine.worker import Worker
from brownout_inference.ticket import Ticket
from brownout_inference.verdict import Audience, Verdict
from brownout_inference.work import ImageWork, Work

PRIORITIES = {"pro": 100, "plus": 50, "free": 10}


def audience(tier: str = "free", cohort: str = "") -> Audience:
    return Audience(tier=tier, cohort=cohort, priority=PRIORITIES.get(tier, -1))


def verdict(tier: str = "free", *, variant: str = "full", cohort: str = "", **more: Any) -> Verdict:
    value: Mapping[str, Any] = more.pop("value", {"enabled": not variant.startswith("denied")})
    enabled = value.get("enabled") is not False
    return Verdict(enabled=enabled, variant=variant, value=value, audience=audience(tier, cohort), **more)


async def is_running(waiting: Ticket) -> None:
    """Returns once the ticket has made a step that was not its last."""
    assert waiting.pieces is not None
    await waiting.pieces.get()


def work(*, steps: int = 4, pictures: int = 1) -> ImageWork:
    return ImageWork(prompt="a seven", pictures=pictures, frames=1, steps_per_frame=steps, seed=1)


def ticket(tier: str = "free", *, steps: int = 4, pictures: int = 1, cost: float = 1.0) -> Ticket:
    """A ticket; must be made where an event loop runs."""
    judged = verdict(tier)
    return Ticket(
        feature="image-generation",
        verdict=judged,
        work=work(steps=steps, pictures=pictures),
        cost=cost,
        tier=tier,
        cohort="",
        offered_at=0.0,
        outcome=asyncio.get_running_loop().create_future(),
        rejudge=lambda: judged,
        rework=lambda _: work(steps=steps),
        pieces=asyncio.Queue(),
    )


@dataclass
class VirtualTime:
    """A clock that only sleeping, or work that says so, moves."""

    now: float = 1000.0

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


@dataclass
class CountingEngine:
    """Every request is done after its steps. `batches` is who was in the batch at each step that was tried; some requests can be made to fail.

    `unable` fail when they join, `poisoned` break every step that they are in. `holds` is how many requests' state fits, `fits` how many may step at once. Where it has a `time`, a step with so many takes `takes` seconds of it. It is its own process, which goes on by itself if it may, and a report comes as soon as nothing else is to be done.
    """

    batches: list[list[int]] = field(default_factory=list)
    unable: set[int] = field(default_factory=set)
    poisoned: set[int] = field(default_factory=set)
    fits: int = 1000
    holds: int = 1000
    breaks_at_step: int | None = None
    lost: bool = False
    gone: Exception | None = None
    memory_now: Memory = field(default_factory=Memory)
    left: dict[int, int] = field(default_factory=dict)
    told: int = 0
    time: VirtualTime | None = None
    takes: Callable[[int], float] = lambda count: 0.0

    def __post_init__(self) -> None:
        self._worker = Worker(self, clock=self.time.clock if self.time else time.monotonic)
        self._made: deque[Advanced] = deque()
        self._asked = Advance()

    def tell(self, asked: Advance) -> None:
        self._asked = asked
        self.told += 1
        self._making(asked)

    def report(self) -> "asyncio.Future[Advanced]":
        answer: asyncio.Future[Advanced] = asyncio.get_running_loop().create_future()
        if self.gone is not None:
            answer.set_exception(self.gone)
        elif self._made:
            asyncio.get_running_loop().call_soon(self._answer, answer)
        else:
            raise AssertionError("nothing was asked")
        return answer

    def _answer(self, answer: "asyncio.Future[Advanced]") -> None:
        advanced = self._made.popleft()
        if advanced.going_on and self._made:  # it has seen the next message, and does that instead
            advanced = replace(advanced, going_on=False, seated=())
        elif advanced.going_on:
            self._asked = following(self._asked, advanced)
            self._making(self._asked)
        if not answer.done():
            answer.set_result(advanced)

    def _making(self, asked: Advance) -> None:
        self._made.append(self._worker.advance(asked))

    def warm_up(self, most: int) -> int:
        return most

    def memory(self) -> Memory:
        return self.memory_now

    def join(self, key: int, work: Work) -> None:
        if self.lost:
            raise RuntimeError("device lost")
        if key in self.unable:
            raise ValueError("unable")
        if len(self.left) >= self.holds:
            raise DeviceFullError("no room")
        self.left[key] = work.steps

    def leave(self, key: int) -> None:
        self.left.pop(key, None)

    def step(self, keys: Sequence[int]) -> StepReport:
        self.batches.append(list(keys))
        if self.time is not None:
            self.time.now += self.takes(len(keys))
        if self.lost or len(self.batches) == self.breaks_at_step:
            raise RuntimeError("device lost")
        if len(keys) > self.fits:
            raise DeviceFullError(f"{len(keys)} do not fit")
        if bad := self.poisoned.intersection(keys):
            raise ValueError(f"poisoned by {bad}")
        for key in keys:
            self.left[key] -= 1
        finished = {key: "done" for key in keys if self.left[key] == 0}
        for key in finished:
            del self.left[key]
        return StepReport(pieces={key: "piece" for key in keys if key in self.left}, finished=finished)


def finished(engine: Engine, keys: Sequence[int], *, most: int) -> dict[int, Any]:
    """Steps with these until all are done, `most` times at most; says what each was given."""
    left, results = list(keys), dict[int, Any]()
    for _ in range(most):
        if not left:
            return results
        report = engine.step(left)
        assert not report.failed
        results |= report.finished
        left = [key for key in left if key not in results]
    raise AssertionError(f"{left} never finished")
