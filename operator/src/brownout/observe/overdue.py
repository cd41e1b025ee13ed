"""Questions whose answers came late, or not in time: they are asked besides the looks, and no look waits for them. Pure.

A source that hangs, or one slow query, would otherwise cost everybody the whole timeout at each look. Such a question has the
answer that it had last, with the time at which that was asked for, until it answers promptly again. Where there was none in
time it is asked again after a pause, which doubles up to a bound.
"""

from collections.abc import Container, Iterable
from itertools import islice

from msgspec import Struct

from brownout.observe.ask import Answer, Ask
from brownout.observe.bundles import MOST_PARTS, Bundle, bundles
from brownout.observe.sources import Source

PROMPT_SECONDS = 1.0
"""Whatever is answered within this is waited for."""
FIRST_PAUSE_SECONDS = 2.0
LONGEST_PAUSE_SECONDS = 30.0
FORGOTTEN_AFTER_SECONDS = 2 * LONGEST_PAUSE_SECONDS
"""For so long no look wanted it."""


class Known(Struct, frozen=True):
    """An answer, and when it was asked for (seconds, the clock of samples)."""

    answer: Answer
    at: float


class _Question(Struct):
    """`pause_seconds` is 0 where it was answered, if late; `prompt` where it may be waited for again. Times: monotonic seconds."""

    known: Known
    wanted_at: float
    due_at: float
    pause_seconds: float = 0.0
    prompt: bool = False
    asking: bool = False


class Overdue:
    """All questions of this kind, by source."""

    def __init__(self) -> None:
        self._of: dict[Source, dict[Ask, _Question]] = {}

    def wanted(self, ask: Ask, *, now: float) -> Known | None:
        """What is known of a question that is not to be waited for; None for one that is."""
        of_source = self._of.get(ask.source, {})
        question = of_source.get(ask)
        if question is None:
            return None
        if question.prompt:
            del of_source[ask]
            return None
        question.wanted_at = now
        if not question.pause_seconds:
            question.due_at = min(question.due_at, now)
        return question.known

    def known(self, ask: Ask) -> Known:
        """The last answer, also one that has come since the look began."""
        return self._of[ask.source][ask].known

    def put(self, ask: Ask, known: Known, *, hangs: bool, now: float) -> None:
        """A question was answered late; or, where it `hangs`, not in time, or late and to no use."""
        question = self._of.setdefault(ask.source, {}).setdefault(ask, _Question(known, wanted_at=now, due_at=now))
        question.known, question.asking, question.prompt = known, False, False
        longer = max(FIRST_PAUSE_SECONDS, 2 * question.pause_seconds) if hangs else 0.0
        question.pause_seconds = min(longer, LONGEST_PAUSE_SECONDS)
        question.due_at = now + question.pause_seconds if hangs else float("inf")  # until a look wants it

    def put_off(self, ask: Ask, known: Known, *, now: float) -> None:
        """There was no time to ask it."""
        self.put(ask, known, hangs=False, now=now)
        self._of[ask.source][ask].due_at = now

    def prompt(self, ask: Ask, known: Known) -> None:
        """A question of these was answered promptly: the next look waits for it again."""
        question = self._of.get(ask.source, {}).get(ask)
        if question is not None:
            question.known, question.asking, question.prompt, question.pause_seconds = known, False, True, 0.0

    def answers_again(self, source: Source, *, now: float) -> None:
        """A source answered what hung before: whatever else hangs there is tried at once."""
        for question in self._of.get(source, {}).values():
            if question.pause_seconds:
                question.due_at = min(question.due_at, now)

    def take(self, source: Source, *, hanging: bool, alone: Container[Ask], now: float) -> Bundle | None:
        """What is to be asked next of those that hang, or of the others; None where nothing is due."""
        due = [
            (question.pause_seconds, question.due_at, number, ask, question)
            for number, (ask, question) in enumerate(self._of.get(source, {}).items())
            if question.due_at <= now and not (question.asking or question.prompt)
            if bool(question.pause_seconds) is hanging
        ]
        if not due:
            return None
        first = [ask for *_, ask, _ in islice(sorted(due, key=lambda one: one[:3]), MOST_PARTS)]
        bundle = bundles(first, alone=alone)[0]
        for ask in bundle.parts:
            self._of[source][ask].asking = True
        return bundle

    def hanging(self, source: Source) -> int:
        """How many questions of a source hang."""
        return sum(bool(question.pause_seconds) for question in self._of.get(source, {}).values())

    def sources(self) -> list[Source]:
        """Those with such questions."""
        return [source for source, questions in self._of.items() if questions]

    def forget(self, *, keep: Iterable[Source], now: float) -> None:
        """Drop the questions of other sources, and those that nobody has wanted for long."""
        self._of = {
            source: {
                ask: question
                for ask, question in self._of[source].items()
                if question.asking or now - question.wanted_at <= FORGOTTEN_AFTER_SECONDS
            }
            for source in keep
            if source in self._of
        }
