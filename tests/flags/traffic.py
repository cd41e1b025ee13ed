"""Steady traffic to a flag server, every way of asking at once; each answer is kept, with the moments at which it was asked and given.

A test that looks now and then misses the one bad answer between two looks. Here a thread for each way asks without end, the
test goes on with its story, and afterwards every answer is held against it.
"""

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import groupby
from typing import Any, NamedTuple
from uuid import uuid4

from flags.process import Asked, Client

EVERY_SECONDS = 0.2
LONGEST_SECONDS = 300.0
"""Traffic ends by itself after so long, whatever has become of the test."""

Users = Mapping[str, Mapping[str, Any]]
Round = Iterator[tuple[str, str]]
"""What one round of a way heard: of whom (`image-generation for ana`), and the answer."""


class Answer(NamedTuple):
    """An answer, and when it was asked for and given (monotonic seconds)."""

    asked_at: float
    at: float
    said: str


class Failure(NamedTuple):
    """A question without an answer that could be used. refused: nobody listened, or the listener died while it answered."""

    asked_at: float
    at: float
    way: str
    sentence: str
    refused: bool


class WrongAnswerError(Exception):
    """An answer, but an error."""


def answer(variant: str, value: Any) -> str:
    """A variant and its value, as traffic writes them down."""
    return f"{variant} {json.dumps(value, sort_keys=True)}"


class Traffic:
    """What was answered so far: `answers` by way and by whom, `failures` in the order of time."""

    def __init__(self, ways: Mapping[str, Callable[[], Round]]) -> None:
        self.answers: dict[tuple[str, str], list[Answer]] = defaultdict(list)
        self.failures: list[Failure] = []
        self._stop = threading.Event()
        self._ends_at = time.monotonic() + LONGEST_SECONDS
        self._threads = [threading.Thread(target=self._ask, args=way, daemon=True) for way in ways.items()]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends it; every question that is under way is still answered and kept."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=30)
            assert not thread.is_alive(), f"{thread.name} still waits for an answer"

    def latest(self, whose: str) -> dict[str, str]:
        """The last answer of each way that asks for whom."""
        return {way: given[-1].said for (way, who), given in list(self.answers.items()) if who == whose}

    def between(self, way: str, whose: str, begin: float, end: float) -> list[str]:
        """What was both asked and answered between two moments."""
        return [each.said for each in self.answers[way, whose] if begin <= each.asked_at and each.at <= end]

    def changes(self, way: str, whose: str) -> list[Answer]:
        """The first answer, and the first of each different one that followed."""
        return [next(same) for _, same in groupby(self.answers[way, whose], key=lambda each: each.said)]

    def _ask(self, way: str, ask: Callable[[], Round]) -> None:
        while not self._stop.wait(EVERY_SECONDS) and time.monotonic() < self._ends_at:
            asked_at = time.monotonic()
            try:
                for whose, said in ask():
                    self.answers[way, whose].append(Answer(asked_at, time.monotonic(), said))
                    asked_at = time.monotonic()
            except Exception as error:  # whatever it is, a user would have had no answer
                sentence = f"{type(error).__name__}: {error}"
                self.failures.append(Failure(asked_at, time.monotonic(), way, sentence, _is_refusal(error)))


def _is_refusal(error: BaseException) -> bool:
    return isinstance(getattr(error, "reason", error), ConnectionError)


@contextmanager
def traffic(ways: Mapping[str, Callable[[], Round]]) -> Iterator[Traffic]:
    """Traffic for a while."""
    running = Traffic(ways)
    running.start()
    try:
        yield running
    finally:
        running.stop()


# The ways


def single(server: Asked, namespace: str, features: list[str], users: Users) -> Round:
    """OFREP, a flag at a time."""
    for name, context in users.items():
        for feature in features:
            found = _ok(server.ask(f"/{namespace}/ofrep/v1/evaluate/flags/{feature}", {"context": context}))
            yield f"{feature} for {name}", answer(found["variant"], found["value"])


def bulk(server: Asked, namespace: str, features: list[str], users: Users) -> Round:
    """OFREP, all flags of a user at once."""
    for name, context in users.items():
        body = _ok(server.ask(f"/{namespace}/ofrep/v1/evaluate/flags", {"context": context}))
        found = {flag["key"]: flag for flag in body["flags"]}
        if not set(features) <= {key for key, flag in found.items() if "errorCode" not in flag}:
            raise WrongAnswerError(f"not all of {features} in {body}")
        for feature in features:
            yield f"{feature} for {name}", answer(found[feature]["variant"], found[feature]["value"])


def stock(client: Client, features: list[str], users: Users) -> Round:
    """A stock OpenFeature client."""
    for name, context in users.items():
        for feature in features:
            found = client.details(feature, **context)
            if found.error_code or found.variant is None:
                raise WrongAnswerError(f"{feature} for {name}: {found}")
            yield f"{feature} for {name}", answer(found.variant, found.value)


def quota(server: Asked, namespace: str, features: list[str], context: Mapping[str, Any]) -> Round:
    """A unit is reserved, and committed where it was; each time for a user whom nobody has seen before."""
    for feature in features:
        path, body = f"/{namespace}/v1/quota/{feature}", {"context": {**context, "targetingKey": uuid4().hex}}
        reserved = _outcome(server.ask(f"{path}/reserve", body))
        said = reserved["outcome"]
        if said == "reserved":
            committed = _outcome(server.ask(f"{path}/commit", {**body, "reservation": reserved["reservation"]}))
            said = f"{said}, {committed['outcome']}"
        yield feature, said


def _ok(asked: tuple[int, Any, Mapping[str, str]]) -> Any:
    status, body, _ = asked
    if status != 200 or "errorCode" in body:
        raise WrongAnswerError(f"{status} {body}")
    return body


def _outcome(asked: tuple[int, Any, Mapping[str, str]]) -> Any:
    """The body of an answer; a refusal because nobody can count is one, any other is none."""
    status, body, _ = asked
    if status == 503 and body.get("reason") == "quota_unavailable":
        return {"outcome": body["reason"]}
    return _ok(asked)
