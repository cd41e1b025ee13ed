"""OFREP 0.3.0 over HTTP: single and bulk evaluation, with error bodies in exactly the schema's shape.

The base URL is `/{namespace}/`; without the namespace it works where only one is served. An evaluation is never answered with
429: providers stop asking for as long as they are told, and serve defaults.
"""

import asyncio
import contextlib
import hashlib
import logging
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
from aiohttp import web

from brownout.flags.board import Board
from brownout.flags.callers import CHALLENGE, Caller, Callers, RefusedError
from brownout.flags.connection import address_of
from brownout.flags.context import BadContextError, parse
from brownout.flags.evaluate import Evaluator, Failure
from brownout.flags.events import event_streams
from brownout.flags.metrics import Metrics
from brownout.flags.names import LONGEST_KEY, shown
from brownout.flags.notices import Notices

log = logging.getLogger(__name__)

NOT_FOUND = "FLAG_NOT_FOUND"
SINGLE, BULK = "/ofrep/v1/evaluate/flags/{key}", "/ofrep/v1/evaluate/flags"

TOLD_OF, TOLD_AT = "flagConfigEtag", "flagConfigLastModified"
"""What a client was told of the set by a notice. No validator: where it names another version than ours there is no 304 (ADR 8)."""

ANYBODY = Caller()
REFUSALS = {401: "unauthorized", 403: "forbidden", 500: "no_keys"}

NO_STREAMS = b"[]"
"""Said while there are as many as there may be: a client that is sent to one and refused comes back every second, and fetches each time."""

CATCH_UP_SECONDS = 1.0
CLOCK_SKEW_SECONDS = 5
SEPARATOR = b"\0"


class Address(NamedTuple):
    """What a path asks for: one flag or, without its key, all of them; of a namespace, or of the only one."""

    namespace: str | None
    key: str | None


class Answer(NamedTuple):
    """What is answered, in JSON, and the word under which it is counted."""

    status: int
    content: bytes
    outcome: str
    headers: Mapping[str, str] = {}


class Ofrep:
    """The handlers of the two endpoints."""

    def __init__(
        self, board: Board, metrics: Metrics, notices: Notices, callers: Callers, *, public_url: str = ""
    ) -> None:
        self._board = board
        self._count = metrics.evaluations.count
        self._notices = notices
        self._callers = None if callers.anybody else callers
        self._public_url = public_url.rstrip("/")

    def routes(self) -> list[web.RouteDef]:
        return [web.post(prefix + path, self._by_route) for prefix in ("", "/{namespace}") for path in (SINGLE, BULK)]

    async def _by_route(self, request: web.Request) -> web.Response:
        asked = request.match_info
        found = await self.answer(request, Address(asked.get("namespace"), asked.get("key")))
        return web.Response(
            status=found.status, body=found.content, content_type="application/json", headers=found.headers
        )

    async def answer(self, request: web.Request, asked: Address) -> Answer:
        """The answer to a request, counted. Raises what aiohttp raises where the request cannot be read to its end."""
        evaluate = self._bulk if asked.key is None else self._single
        try:
            caller = ANYBODY if self._callers is None else await self._tell(self._callers, request, asked)
            body = await _body(request)
            if TOLD_OF in request.raw_path:
                await self._catch_up(request, asked)
            answer = evaluate(request, asked, body, caller)
        except web.HTTPRequestEntityTooLarge:
            limit = request.client_max_size
            answer = _refuse(asked, BadContextError("INVALID_CONTEXT", f"body: larger than {limit} bytes"))
        except RefusedError as refused:
            answer = _answer(
                refused.status,
                {"errorDetails": refused.sentence},
                outcome=REFUSALS[refused.status],
                headers=CHALLENGE if refused.status == 401 else {},
            )
        except BadContextError as bad:
            answer = _refuse(asked, bad)
        except (web.HTTPException, ConnectionError):
            raise
        except Exception:  # a stranger gets a sentence, the log gets the traceback
            log.exception("evaluation failed")
            details = {"errorDetails": "internal error; the server's log says more"}
            answer = _answer(500, details, outcome="internal")
        self._count("bulk" if asked.key is None else "single", answer.outcome)
        return answer

    async def _tell(self, callers: Callers, request: web.Request, asked: Address) -> Caller:
        return await callers.tell(request.headers, asked.namespace or self._board.only() or "")

    def _single(self, request: web.Request, asked: Address, body: bytes, caller: Caller) -> Answer:
        assert asked.key is not None
        context = caller.context(parse(body))
        evaluator = self._evaluator(asked)
        if isinstance(evaluator, Answer):
            return evaluator
        found = evaluator.evaluate(asked.key, context)
        if isinstance(found, Failure):
            return _answer(404 if found.error_code == NOT_FOUND else 400, found, outcome=found.error_code)
        return Answer(200, found.content, "ok")

    def _bulk(self, request: web.Request, asked: Address, body: bytes, caller: Caller) -> Answer:
        sent = parse(body)
        context = caller.context(sent)
        evaluator = self._evaluator(asked)
        if isinstance(evaluator, Answer):
            return evaluator
        version = evaluator.flag_set.version
        answers = evaluator.evaluate_all(context)
        context_sent = body if context is sent else msgspec.json.encode(context)
        streams = NO_STREAMS
        if not self._notices.full or self._notices.yields_to(address_of(request.remote)):
            prefix = f"/{asked.namespace}" if asked.namespace else ""
            streams = event_streams(prefix, version, public_url=self._public_url)
        told = SEPARATOR.join((version.encode(), answers.identity, streams, context_sent))
        etag = f'"{hashlib.sha256(told).hexdigest()[:32]}"'
        told_of = _version(request) if TOLD_OF in request.raw_path else ""
        if told_of in ("", version) and _matches(request.headers.get("If-None-Match", ""), etag):
            return Answer(304, b"", "not_modified", {"ETag": etag})
        return Answer(200, b'{"eventStreams":%b,%b' % (streams, answers.content[1:]), "ok", {"ETag": etag})

    async def _catch_up(self, request: web.Request, asked: Address) -> None:
        """Wait, though not for long, for the version that the client was told of, if this server has never had it.

        The client was told by another replica, which was faster. Without this it would be answered with what it has, and would
        keep that: nobody tells it twice.
        """
        namespace = asked.namespace or self._board.only() or ""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CATCH_UP_SECONDS):
                while True:
                    change = self._board.change()
                    newest = self._notices.latest(namespace)
                    if newest is None or self._notices.has_served(namespace, _version(request)):
                        return
                    if _told_at(request) < newest.published_at - CLOCK_SKEW_SECONDS:
                        return
                    await change.wait()

    def _evaluator(self, asked: Address) -> Evaluator | Answer:
        """The evaluator of the namespace that is asked for, or the refusal."""
        namespace = asked.namespace or self._board.only()
        evaluator = self._board.get(namespace) if namespace else None
        if evaluator is not None:
            return evaluator
        if namespace is None and self._board.namespaces():
            return _refuse(asked, BadContextError("GENERAL", "name a namespace: the base URL is /{namespace}/"))
        if self._board.may_come(namespace):
            details = {"errorDetails": self._board.why_not_yet(namespace)}
            return _answer(500, details, outcome="not_ready")
        sentence = f"no flags are served for namespace {shown(namespace)!r}" if namespace else "no flags are served yet"
        if asked.key:
            failure = Failure(key=shown(asked.key, LONGEST_KEY), error_code=NOT_FOUND, error_details=sentence)
            return _answer(404, failure, outcome=NOT_FOUND)
        return _refuse(asked, BadContextError("GENERAL", sentence))


def _refuse(asked: Address, bad: BadContextError) -> Answer:
    body = {"errorCode": bad.code, "errorDetails": bad.sentence}
    if asked.key:
        body["key"] = shown(asked.key, LONGEST_KEY)
    return _answer(400, body, outcome=bad.code)


def _answer(status: int, body: Any, *, outcome: str, headers: Mapping[str, str] = {}) -> Answer:
    return Answer(status, msgspec.json.encode(body), outcome.lower(), headers)


async def _body(request: web.Request) -> bytes:
    """The body of a request: without a wait where all of it is there, as it is where it came in one packet with the head.

    Raises HTTPRequestEntityTooLarge beyond the application's limit.
    """
    if not request.content.is_eof():
        return await request.read()
    body = request.content.read_nowait()
    if len(body) > request.client_max_size:
        raise web.HTTPRequestEntityTooLarge(max_size=request.client_max_size, actual_size=len(body))
    return body


def _matches(if_none_match: str, etag: str) -> bool:
    """Whether one of the listed entity tags is ours, weakly compared (RFC 9110, 13.1.2)."""
    return any(tag.strip().removeprefix("W/") in (etag, "*") for tag in if_none_match.split(","))


def _version(request: web.Request) -> str:
    """The version that a notice told the client of; empty where none did."""
    return request.query.get(TOLD_OF, "").removeprefix("W/").strip('"')


def _told_at(request: web.Request) -> float:
    """When the set of the notice was published, in Unix seconds; endlessly late where that is not said in seconds."""
    try:
        return float(int(request.query.get(TOLD_AT, "")))
    except (ValueError, OverflowError):
        return math.inf
