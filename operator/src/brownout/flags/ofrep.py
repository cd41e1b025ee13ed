"""OFREP 0.3.0 over HTTP: single and bulk evaluation, with error bodies in exactly the schema's shape.

The base URL is `/{namespace}/`; without the namespace it works where only one is served. An evaluation is never answered with
429: providers stop asking for as long as they are told, and serve defaults.
"""

import hashlib
import logging
from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web

from brownout.flags.board import Board
from brownout.flags.context import BadContextError, parse
from brownout.flags.evaluate import Evaluator, Failure
from brownout.flags.metrics import Metrics

log = logging.getLogger(__name__)

NOT_FOUND = "FLAG_NOT_FOUND"
SEPARATOR = b"\0"


class Ofrep:
    """The handlers of the two endpoints."""

    def __init__(self, board: Board, metrics: Metrics) -> None:
        self._board = board
        self._metrics = metrics

    def routes(self) -> list[web.RouteDef]:
        single, bulk = "/ofrep/v1/evaluate/flags/{key}", "/ofrep/v1/evaluate/flags"
        return [
            web.post(prefix + path, handler)
            for prefix in ("", "/{namespace}")
            for path, handler in (
                (single, self._guarded("single", self._single)),
                (bulk, self._guarded("bulk", self._bulk)),
            )
        ]

    def _guarded(self, endpoint: str, handler: Callable[[web.Request, bytes], web.Response]) -> Any:
        async def handle(request: web.Request) -> web.Response:
            try:
                body = await request.read()
                response = handler(request, body)
            except web.HTTPRequestEntityTooLarge:
                limit = request.client_max_size
                response = self._refuse(request, BadContextError("INVALID_CONTEXT", f"body: larger than {limit} bytes"))
            except BadContextError as bad:
                response = self._refuse(request, bad)
            except (web.HTTPException, ConnectionError):
                raise
            except Exception:  # a stranger gets a sentence, the log gets the traceback
                log.exception("evaluation failed")
                response = _answer(
                    500, {"errorDetails": "internal error; the server's log says more"}, outcome="internal"
                )
            self._metrics.evaluations.labels(endpoint, response.get("outcome", "ok")).inc()
            return response

        return handle

    def _single(self, request: web.Request, body: bytes) -> web.Response:
        key = request.match_info["key"]
        context = parse(body)
        evaluator = self._evaluator(request)
        if isinstance(evaluator, web.Response):
            return evaluator
        found = evaluator.evaluate(key, context)
        if isinstance(found, Failure):
            return _answer(404 if found.error_code == NOT_FOUND else 400, found, outcome=found.error_code)
        return _answer(200, found.content)

    def _bulk(self, request: web.Request, body: bytes) -> web.Response:
        context = parse(body)
        evaluator = self._evaluator(request)
        if isinstance(evaluator, web.Response):
            return evaluator
        answers = evaluator.evaluate_all(context)
        told = SEPARATOR.join((evaluator.flag_set.version.encode(), answers.identity, body))
        etag = f'"{hashlib.sha256(told).hexdigest()[:32]}"'
        if _matches(request.headers.get("If-None-Match", ""), etag):
            return _answer(304, b"", outcome="not_modified", headers={"ETag": etag})
        return _answer(200, answers.content, headers={"ETag": etag})

    def _evaluator(self, request: web.Request) -> Evaluator | web.Response:
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
        sentence = f"no flags are served for namespace {namespace!r}" if namespace else "no flags are served yet"
        if key := request.match_info.get("key"):
            return _answer(404, Failure(key=key, error_code=NOT_FOUND, error_details=sentence), outcome=NOT_FOUND)
        return self._refuse(request, BadContextError("GENERAL", sentence))

    def _refuse(self, request: web.Request, bad: BadContextError) -> web.Response:
        body = {"errorCode": bad.code, "errorDetails": bad.sentence}
        if key := request.match_info.get("key"):
            body["key"] = key
        return _answer(400, body, outcome=bad.code)


def _answer(status: int, body: Any, *, outcome: str = "ok", headers: dict[str, str] | None = None) -> web.Response:
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    response = web.Response(status=status, body=content, content_type="application/json", headers=headers)
    response["outcome"] = outcome.lower()
    return response


def _matches(if_none_match: str, etag: str) -> bool:
    """Whether one of the listed entity tags is ours, weakly compared (RFC 9110, 13.1.2)."""
    return any(tag.strip().removeprefix("W/") in (etag, "*") for tag in if_none_match.split(","))
