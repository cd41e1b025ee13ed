"""Asking Prometheus: each distinct question once a look, small ones together, and no look longer than the timeout.

A failed ask is Missing at once. What is answered late, or not in time, is asked besides the looks from then on (`overdue`): who
asks it has what it was told last, as old as that is, and nobody else waits for it.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping, Sequence

from msgspec import Struct

from brownout.decide.evidence import Missing
from brownout.observe.ask import Answer, Ask
from brownout.observe.bundles import FEW_LATE, MOST_PARTS, Bundle, bundles, take_apart
from brownout.observe.overdue import PROMPT_SECONDS, Known, Overdue
from brownout.observe.requests import Requests
from brownout.observe.sources import Source

MAX_IN_FLIGHT = 32
"""To one source, for a look."""
MOST_IN_FLIGHT = 8 * MAX_IN_FLIGHT
"""To all sources, for a look."""
MOST_LATE, MOST_HANGING = 12, 4
"""To one source besides the looks: of what answers late, and of what does not. Prometheus itself works at 20 queries at a time."""
COMMAND_SECONDS = 60.0
"""For so long a command may look, which does so once: nobody else waits for it, and it asks nothing again."""
ALONE_SECONDS = 600.0
"""For so long the parts of a bundle that failed are asked alone."""


class _Sent(Struct):
    """What came of a request. `answer` is None where there was none in time; `at`: when it was sent, by the clock of samples, None where
    there was no time to."""

    answer: Answer | None = None
    at: float | None = None
    seconds: float = 0.0

    @property
    def is_prompt(self) -> bool:
        """Whether a look may wait for such a one."""
        return self.answer is not None and self.seconds <= PROMPT_SECONDS


class Prometheus:
    """A client for any number of sources. `on_answer` is told `answered` or `failed`, and after how many seconds, for metrics;
    `clock` gives Unix seconds: of samples, and against which the answers' own are held; without it those are not. `look_seconds`
    is the most that all questions of a look may take together, the timeout of one unless it is given."""

    def __init__(
        self,
        *,
        timeout_seconds: float = 5.0,
        look_seconds: float | None = None,
        on_answer: Callable[[str, float], None] = lambda result, seconds: None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._clock = clock or time.time
        self._on_answer = on_answer
        self._look_seconds = timeout_seconds if look_seconds is None else look_seconds
        self._requests = Requests(
            timeout_seconds=timeout_seconds, connections=MAX_IN_FLIGHT + MOST_LATE + MOST_HANGING, clock=clock
        )
        self._too_late = self._requests.too_late
        self._in_flight = asyncio.Semaphore(MOST_IN_FLIGHT)
        self._of_source: defaultdict[Source, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(MAX_IN_FLIGHT))
        self._alone: dict[Ask, float] = {}
        self._overdue = Overdue()
        self._besides: defaultdict[tuple[Source, bool], set[asyncio.Task[None]]] = defaultdict(set)
        self._known: dict[Ask, Known] = {}
        self._before: dict[Ask, Known] = {}
        self._until: float | None = None

    async def ask_all(self, asks: Iterable[Ask]) -> dict[Ask, Answer]:
        """The answer to each distinct question, small ones together, within the time of a look; sources that are no longer asked are
        let go of."""
        distinct = list(dict.fromkeys(asks))
        await self._let_go(keep={ask.source for ask in distinct})
        now = time.monotonic()
        self._until = now + self._look_seconds
        self._alone = {ask: until for ask, until in self._alone.items() if until > now}
        self._known, self._before = {}, self._known
        return await self._look(distinct, alone=self._alone)

    async def ask_more(self, asks: Iterable[Ask]) -> dict[Ask, Answer]:
        """The answer to each of these questions, each alone, besides those of `ask_all`: of the same sources, within the same time."""
        more = list(asks)
        return await self._look(more, alone=more)

    async def ask(self, ask: Ask) -> Answer:
        """One answer. Never raises: what goes wrong is a Missing with words for the query's author."""
        return (await self.ask_more([ask]))[ask]

    @property
    def asked_at(self) -> dict[Ask, float]:
        """When the answers of this look were asked for, by the clock of samples."""
        return {ask: known.at for ask, known in self._known.items()}

    async def close(self) -> None:
        await self._let_go(keep=set())

    async def _look(self, asks: Sequence[Ask], *, alone: Container[Ask]) -> dict[Ask, Answer]:
        """The answer to each. Those that are overdue are not waited for."""
        now = time.monotonic()
        overdue = {ask for ask in asks if self._overdue.wanted(ask, now=now)}
        self._ask_besides()
        await self._ask_now(bundles((ask for ask in asks if ask not in overdue), alone=alone))
        self._ask_besides()
        self._known |= {ask: self._overdue.known(ask) for ask in overdue}
        return {ask: self._known[ask].answer for ask in asks}

    async def _ask_now(self, sent: Sequence[Bundle]) -> None:
        """Ask until the look is over; what failed by one of its parts once more, each part alone."""
        results = await self._send_all(sent)
        of_source: defaultdict[Source, list[Bundle]] = defaultdict(list)
        for bundle in sent:
            of_source[bundle.ask.source].append(bundle)
        again = [ask for its in of_source.values() for ask in self._heed(its, results)]
        if again:
            await self._ask_now([Bundle(ask, (ask,)) for ask in again])

    async def _send_all(self, sent: Sequence[Bundle]) -> dict[Ask, _Sent]:
        """Send as many as there is time for, and let go of the rest."""
        results = {bundle.ask: _Sent() for bundle in sent}
        tasks = [asyncio.create_task(self._send_in_turn(ask, result)) for ask, result in results.items()]
        until = time.monotonic() + self._look_seconds if self._until is None else self._until
        try:
            if tasks:
                await asyncio.wait(tasks, timeout=max(0.0, until - time.monotonic()))
        finally:
            unanswered = [task for task in tasks if not task.done()]
            for task in unanswered:
                task.cancel()
            await asyncio.gather(*unanswered, return_exceptions=True)
        return results

    async def _send_in_turn(self, ask: Ask, result: _Sent) -> None:
        async with self._of_source[ask.source], self._in_flight:
            await self._send(ask, result)

    async def _send(self, ask: Ask, result: _Sent) -> None:
        result.at, began = self._clock(), time.monotonic()
        try:
            answer = await self._requests.send(ask)
            result.answer = None if answer == self._too_late else answer
        finally:
            result.seconds = time.monotonic() - began
            answered = isinstance(result.answer, tuple)
            self._on_answer("answered" if answered else "failed", result.seconds)

    def _ask_besides(self) -> None:
        """See to it that whatever overdue question is due is being asked."""
        for source in self._overdue.sources():
            for hanging, most in ((False, MOST_LATE), (True, MOST_HANGING)):
                tasks = self._besides[source, hanging]
                while len(tasks) < most and (bundle := self._take(source, hanging=hanging)):
                    task = asyncio.create_task(self._ask_one_besides(bundle, hanging=hanging))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)

    def _take(self, source: Source, *, hanging: bool) -> Bundle | None:
        return self._overdue.take(source, hanging=hanging, alone=self._alone, now=time.monotonic())

    async def _ask_one_besides(self, bundle: Bundle, *, hanging: bool) -> None:
        """Ask this one, and then whatever of its kind is due next."""
        following: Bundle | None = bundle
        while following is not None:
            result = _Sent()
            await self._send(following.ask, result)
            for part in self._heed([following], {following.ask: result}):
                self._overdue.put_off(part, self._overdue.known(part), now=time.monotonic())
            if hanging and result.answer is not None:
                self._overdue.answers_again(bundle.ask.source, now=time.monotonic())
            following = self._take(bundle.ask.source, hanging=hanging)

    def _heed(self, sent: Sequence[Bundle], results: Mapping[Ask, _Sent]) -> list[Ask]:
        """Keep what came of requests to one source, and return what is to be asked again, each alone."""
        now = time.monotonic()
        answered: dict[Ask, Answer] = {}
        hanging: list[Bundle] = []
        for bundle in sent:
            result = results[bundle.ask]
            if result.answer is not None:
                answered[bundle.ask] = result.answer
            elif result.at is not None:
                hanging.append(bundle)
            else:
                self._put_off(bundle, now=now)
        few = len(hanging) * MOST_PARTS + self._overdue.hanging(sent[0].ask.source) <= FEW_LATE * MOST_PARTS
        for bundle in hanging:
            by_one = len(bundle.parts) > 1 and (few or len(hanging) * 2 <= len(sent))
            self._heed_hanging(bundle, results[bundle.ask], by_one=by_one, now=now)
        found, again = take_apart([bundle for bundle in sent if bundle.ask in answered], answered)
        for bundle in sent:
            if bundle.ask in answered and bundle.parts[0] in found:
                self._heed_answered(bundle, results[bundle.ask], found, now=now)
        self._ask_alone(again, now=now)
        return again

    def _put_off(self, bundle: Bundle, *, now: float) -> None:
        """There was no time to ask: what was known at the last look is known still."""
        for part in bundle.parts:
            self._known[part] = self._before.get(part, Known(self._too_late, self._clock()))
            self._overdue.put_off(part, self._known[part], now=now)

    def _heed_hanging(self, bundle: Bundle, result: _Sent, *, by_one: bool, now: float) -> None:
        """Nothing came in time. Where that is `by_one` of its queries each is asked alone; the others have not to wait for that one.
        Where most hang it is the source, and asking ten times as often would not help it."""
        known = Known(self._too_late, result.at or 0.0)
        for part in bundle.parts:
            self._known[part] = known
            if by_one:
                self._overdue.put_off(part, known, now=now)
            else:
                self._overdue.put(part, known, hangs=True, now=now)
        if by_one:
            self._ask_alone(bundle.parts, now=now)

    def _heed_answered(self, bundle: Bundle, result: _Sent, found: Mapping[Ask, Answer], *, now: float) -> None:
        """What came is known, and if it came late it is not waited for the next time."""
        for part in bundle.parts:
            self._known[part] = known = Known(found[part], result.at or 0.0)
            if result.is_prompt:
                self._overdue.prompt(part, known)
            else:
                self._overdue.put(part, known, hangs=isinstance(known.answer, Missing), now=now)

    def _ask_alone(self, asks: Iterable[Ask], *, now: float) -> None:
        self._alone |= dict.fromkeys(asks, now + ALONE_SECONDS)

    async def _let_go(self, *, keep: set[Source]) -> None:
        self._overdue.forget(keep=keep, now=time.monotonic())
        gone = [task for (source, _), tasks in self._besides.items() if source not in keep for task in tasks]
        for task in gone:
            task.cancel()
        await asyncio.gather(*gone, return_exceptions=True)
        for source in [source for source in self._of_source if source not in keep]:
            del self._of_source[source]
        for source, hanging in [key for key in self._besides if key[0] not in keep]:
            del self._besides[source, hanging]
        await self._requests.let_go(keep=keep)
