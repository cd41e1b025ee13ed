"""OFREP 0.3.0 over HTTP: single and bulk evaluation, with error bodies in exactly the schema's shape.

The base URL is `/{namespace}/`; without the namespace it works where only one is served. An evaluation is never answered with
429: providers stop asking for as long as they are told, and serve defaults.
"""

import asyncio
import contextlib
import hashlib
import logging
import math
from collections.abc import Callable
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


class Answer(NamedTuple):
    """A response, and the word under which it is counted."""

    response: web.Response
    outcome: str


class Ofrep:
    """The handlers of the two endpoints."""

    def __init__(
        self, board: Board, metrics: Metrics, notices: Notices, callers: Callers, *, public_url: str = ""
    ) -> None:
        self._board = board
        self._metrics = metrics
        self._notices = notices
        self._callers = None if callers.anybody else callers
        self._public_url = public_url.rstrip("/")

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post(prefix + path, handler)
            for prefix in ("", "/{namespace}")
            for path, handler in (
                (SINGLE, self._guarded("single", self._single)),
                (BULK, self._guarded("bulk", self._bulk)),
            )
        ]

    def _guarded(self, endpoint: str, handler: Callable[[web.Request, bytes, Caller], Answer]) -> Any:
        count = self._metrics.evaluations.count

        async def handle(request: web.Request) -> web.Response:
            try:
                caller = ANYBODY if self._callers is None else await self._tell(self._callers, request)
                body = await _body(request)
                if TOLD_OF in request.raw_path:
                    await self._catch_up(request)
                answer = handler(request, body, caller)
            except web.HTTPRequestEntityTooLarge:
                limit = request.client_max_size
                answer = self._refuse(request, BadContextError("INVALID_CONTEXT", f"body: larger than {limit} bytes"))
            except RefusedError as refused:
                answer = _answer(
                    refused.status,
                    {"errorDetails": refused.sentence},
                    outcome=REFUSALS[refused.status],
                    headers=CHALLENGE if refused.status == 401 else None,
                )
            except BadContextError as bad:
                answer = self._refuse(request, bad)
            except (web.HTTPException, ConnectionError):
                raise
            except Exception:  # a stranger gets a sentence, the log gets the traceback
                log.exception("evaluation failed")
                details = {"errorDetails": "internal error; the server's log says more"}
                answer = _answer(500, details, outcome="internal")
            count(endpoint, answer.outcome)
            return answer.response

        return handle

    async def _tell(self, callers: Callers, request: web.Request) -> Caller:
        return await callers.tell(request.headers, request.match_info.get("namespace") or self._board.only() or "")

    def _single(self, request: web.Request, body: bytes, caller: Caller) -> Answer:
        key = request.match_info["key"]
        context = caller.context(parse(body))
        evaluator = self._evaluator(request)
        if isinstance(evaluator, Answer):
            return evaluator
        found = evaluator.evaluate(key, context)
        if isinstance(found, Failure):
            return _answer(404 if found.error_code == NOT_FOUND else 400, found, outcome=found.error_code)
        return _answer(200, found.content)

    def _bulk(self, request: web.Request, body: bytes, caller: Caller) -> Answer:
        sent = parse(body)
        context = caller.context(sent)
        evaluator = self._evaluator(request)
        if isinstance(evaluator, Answer):
            return evaluator
        version = evaluator.flag_set.version
        answers = evaluator.evaluate_all(context)
        asked = body if context is sent else msgspec.json.encode(context)
        streams = NO_STREAMS
        if not self._notices.full or self._notices.yields_to(address_of(request.remote)):
            streams = event_streams(request.path.removesuffix(BULK), version, public_url=self._public_url)
        told = SEPARATOR.join((version.encode(), answers.identity, streams, asked))
        etag = f'"{hashlib.sha256(told).hexdigest()[:32]}"'
        told_of = _version(request) if TOLD_OF in request.raw_path else ""
        if told_of in ("", version) and _matches(request.headers.get("If-None-Match", ""), etag):
            return _answer(304, b"", outcome="not_modified", headers={"ETag": etag})
        return _answer(200, b'{"eventStreams":%b,%b' % (streams, answers.content[1:]), headers={"ETag": etag})

    async def _catch_up(self, request: web.Request) -> None:
        """Wait, though not for long, for the version that the client was told of, if this server has never had it.

        The client was told by another replica, which was faster. Without this it would be answered with what it has, and would
        keep that: nobody tells it twice.
        """
        namespace = request.match_info.get("namespace") or self._board.only() or ""
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

    def _evaluator(self, request: web.Request) -> Evaluator | Answer:
        """The evaluator of the request's namespace, or the refusal."""
        namespace = request.match_info.get("namespace") or self._board.only()
        evaluator = self._board.get(namespace) if namespace else None
        if evaluator is not None:
            return evaluator
        if namespace is None and self._board.namespaces():
            return self._refuse(request, BadContextError("GENERAL", "name a namespace: the base URL is /{namespace}/"))
        if not self._board.complete:
            details = {"errorDetails": "no flag set yet: the API server has not been heard"}
            return _answer(500, details, outcome="not_ready")
        sentence = f"no flags are served for namespace {shown(namespace)!r}" if namespace else "no flags are served yet"
        if key := request.match_info.get("key"):
            return _answer(
                404,
                Failure(key=shown(key, LONGEST_KEY), error_code=NOT_FOUND, error_details=sentence),
                outcome=NOT_FOUND,
            )
        return self._refuse(request, BadContextError("GENERAL", sentence))

    def _refuse(self, request: web.Request, bad: BadContextError) -> Answer:
        body = {"errorCode": bad.code, "errorDetails": bad.sentence}
        if key := request.match_info.get("key"):
            body["key"] = shown(key, LONGEST_KEY)
        return _answer(400, body, outcome=bad.code)


def _answer(status: int, body: Any, *, outcome: str = "ok", headers: dict[str, str] | None = None) -> Answer:
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    response = web.Response(status=status, body=content, content_type="application/json", headers=headers)
    return Answer(response, outcome.lower())


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
