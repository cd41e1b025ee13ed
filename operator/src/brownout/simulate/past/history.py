"""Asking Prometheus about the past: range queries over its HTTP API, the same PromQL that the operator asks tick by tick.

A person waits for the answer and wrote the address, so unlike the operator's client this one says what was asked and quotes what
Prometheus says of it.
"""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from urllib.parse import unquote, urlsplit

import aiohttp
import msgspec
import numpy as np
from msgspec import Struct

from brownout.decide.evidence import Missing
from brownout.observe.sources import Source
from brownout.simulate.record import Floats
from brownout.simulate.scenario import ScenarioError

MOST_POINTS = 10_000
"""Of one series in one answer; Prometheus refuses more than 11,000."""
TIMEOUT_SECONDS = 60.0
QUOTED_CHARACTERS = 300


class Span(Struct, frozen=True, kw_only=True):
    """The moments asked about: `count` of them, `step` seconds apart, from `start` in Unix seconds."""

    start: float
    step: float
    count: int

    @property
    def seconds(self) -> float:
        """From the first moment to the last."""
        return self.step * (self.count - 1)


class Line(Struct, frozen=True):
    """One series: a value for each moment of the span, NaN where there is none."""

    labels: dict[str, str]
    values: Floats


class Question(Struct, frozen=True, kw_only=True):
    """`parameters` are sent beside the query, as a pool's namespaceParameter."""

    query: str
    lookback_seconds: int
    parameters: tuple[tuple[str, str], ...] = ()


Answer = tuple[Line, ...] | Missing
"""No line is an answer; Missing is that this question cannot be answered, in Prometheus' own words."""


class _Series(Struct):
    metric: dict[str, str] = {}
    values: list[tuple[float, str]] = []


class _Data(Struct, frozen=True, rename="camel"):
    result_type: str = ""
    result: msgspec.Raw = msgspec.Raw(b"[]")


class _Body(Struct, rename="camel"):
    status: str
    data: _Data = _Data()
    error: str = ""


def source_of(url: str) -> Source:
    """The Prometheus at an address, with the user and password that stand in it. ScenarioError where it is no address."""
    parts = urlsplit(url)
    try:
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise ScenarioError(f"--from-prometheus: {url}: {error}; write one such as http://localhost:9090") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ScenarioError(f"--from-prometheus: {url} is no HTTP address; write one such as http://localhost:9090")
    place = f"[{host}]" if ":" in host else host
    return Source(
        url=f"{parts.scheme}://{place}{f':{port}' if port else ''}{parts.path.rstrip('/')}",
        username=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
    )


def ask(source: Source, questions: Sequence[Question], span: Span) -> dict[Question, Answer]:
    """The answer to each question. ScenarioError where there is no Prometheus that answers at all."""
    return asyncio.run(_ask(source, list(dict.fromkeys(questions)), span))


async def _ask(source: Source, questions: Sequence[Question], span: Span) -> dict[Question, Answer]:
    user = {"Authorization": aiohttp.encode_basic_auth(source.username, source.password)} if source.username else {}
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    async with aiohttp.ClientSession(headers=user, timeout=timeout) as session:
        return {question: await _answer(session, source, question, span) for question in questions}


async def _answer(session: aiohttp.ClientSession, source: Source, question: Question, span: Span) -> Answer:
    """In as many parts as Prometheus will give at a time."""
    lines: dict[tuple[tuple[str, str], ...], Line] = {}
    for first in range(0, span.count, MOST_POINTS):
        last = min(first + MOST_POINTS, span.count) - 1
        form = {
            "query": question.query,
            "start": f"{span.start + first * span.step:.3f}",
            "end": f"{span.start + last * span.step:.3f}",
            "step": f"{span.step:g}",
            "timeout": f"{TIMEOUT_SECONDS:g}s",
            "lookback_delta": f"{question.lookback_seconds}s",
            **dict(question.parameters),
        }
        status, body = await _post(session, source, form)
        found = decode(body, source=source, status=status)
        if isinstance(found, Missing):
            return found
        for series in found:
            name = tuple(sorted(series.metric.items()))
            line = lines.setdefault(name, Line(series.metric, np.full(span.count, np.nan)))
            for at, text in series.values:
                index = round((at - span.start) / span.step)
                value = float(text)
                if 0 <= index < span.count and np.isfinite(value):
                    line.values[index] = value
    return tuple(lines[name] for name in sorted(lines))


async def _post(session: aiohttp.ClientSession, source: Source, form: Mapping[str, str]) -> tuple[int, bytes]:
    url = f"{source.url}/api/v1/query_range"
    try:
        async with session.post(url, data=dict(form), allow_redirects=False) as response:
            return response.status, await response.read()
    except TimeoutError:
        raise ScenarioError(
            f"{url}: no answer within {TIMEOUT_SECONDS:g} s to {form['query']}; ask for less with --last, or a longer --step"
        ) from None
    except ssl.SSLError as error:
        raise ScenarioError(f"{url}: its certificate is not trusted: {error.reason}") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise ScenarioError(
            f"{url}: cannot be reached: {error}; check that a Prometheus listens there, or forward its port"
        ) from None


def decode(body: bytes, *, source: Source, status: int) -> list[_Series] | Missing:
    """The series in an answer. ScenarioError where it is not one of Prometheus'."""
    if status in (401, 403):
        raise ScenarioError(
            f"{source.url}: refuses us (HTTP {status}); write http://USER:PASSWORD@HOST, or forward its port"
        )
    try:
        answer = msgspec.json.decode(body, type=_Body)
        if answer.status == "error":
            return Missing(f"Prometheus says (HTTP {status}): {answer.error[:QUOTED_CHARACTERS]}")
        if answer.status != "success" or answer.data.result_type != "matrix":
            raise msgspec.DecodeError("no matrix")
        return msgspec.json.decode(answer.data.result, type=list[_Series])
    except msgspec.DecodeError:
        start = body[:80].decode("utf-8", "replace").split("\n")[0]
        raise ScenarioError(
            f"{source.url}: does not answer as Prometheus does (HTTP {status}, {start!r}); write the address of its API"
        ) from None
