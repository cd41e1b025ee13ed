"""`POST /v1/quota/{feature}/reserve`, `commit` and `refund`: for servers that do the work which is counted.

The base URL is OFREP's, `/{namespace}/`, and so is the way in which a request comes by its evaluation context. Unlike an evaluation
these may be answered with 429: nobody serves a default for it. Refusals are problem+json (RFC 9457) with the numbers in them.
"""

import logging
import math
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
from aiohttp import web

from brownout.flags.board import Board
from brownout.flags.callers import CHALLENGE
from brownout.flags.context import BadContextError, parse
from brownout.flags.evaluate import Evaluator
from brownout.flags.metrics import Metrics
from brownout.flags.quota.asking import (
    BESIDE_CONTEXT,
    Asked,
    UnknownFeatureError,
    account_of,
    asked,
    new_reservation,
    reserved,
    wish_of,
)
from brownout.flags.quota.ledger import Entry, Ledger, LedgerUnavailableError, Outcome

log = logging.getLogger(__name__)

DENIED = "denied_quota"
RETRY_SECONDS = 5
"""What is asked of whom the ledger could not answer."""

Resolve = Callable[[web.Request, bytes], Awaitable[dict[str, Any]]]
"""The evaluation context of a request. Raises BadContextError, or Problem for who may not ask."""


async def as_sent(request: web.Request, body: bytes) -> dict[str, Any]:
    """The context that is sent counts: inside a cluster the callers are servers of ours."""
    return parse(body, beside=BESIDE_CONTEXT)


class Problem(Exception):  # noqa: N818 - it is an answer
    """An answer other than the one asked for, as RFC 9457 writes it."""

    def __init__(
        self, status: int, reason: str, detail: str, *, retry_after: float | None = None, **members: Any
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.reason = reason
        self.detail = detail
        self.retry_after = retry_after
        self.members = members


class Quotas:
    """The handlers. `clock` in Unix seconds."""

    def __init__(
        self,
        board: Board,
        metrics: Metrics,
        ledger: Ledger,
        *,
        resolve: Resolve = as_sent,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._board = board
        self._metrics = metrics
        self._ledger = ledger
        self._resolve = resolve
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post(f"{prefix}/v1/quota/{{feature}}/{operation}", self._guarded(operation, handler))
            for prefix in ("", "/{namespace}")
            for operation, handler in (("reserve", self._reserve), ("commit", self._commit), ("refund", self._refund))
        ]

    def _guarded(self, operation: str, handler: Callable[[web.Request, bytes], Awaitable[dict[str, Any]]]) -> Any:
        async def handle(request: web.Request) -> web.Response:
            try:
                body = await handler(request, await request.read())
                outcome, response = body["outcome"], _answer(200, body)
            except Problem as problem:
                outcome, response = problem.reason, _problem(problem)
            except BadContextError as bad:
                outcome, response = "bad_request", _problem(Problem(400, bad.code.lower(), bad.sentence))
            except web.HTTPRequestEntityTooLarge:
                limit = request.client_max_size
                outcome, response = (
                    "bad_request",
                    _problem(Problem(413, "too_large", f"body: larger than {limit} bytes")),
                )
            except (web.HTTPException, ConnectionError):
                raise
            except Exception:  # a stranger gets a sentence, the log gets the traceback
                log.exception("a quota could not be looked at")
                detail = "internal error; the server's log says more"
                outcome, response = "internal", _problem(Problem(500, "internal", detail))
            self._metrics.quota_requests.labels(operation, outcome).inc()
            return response

        return handle

    async def _reserve(self, request: web.Request, body: bytes) -> dict[str, Any]:
        namespace, feature, who = await self._who(request, body)
        wish = wish_of(body)
        if who.allowance is None:
            return {"outcome": "unlimited", "feature": feature, "tier": who.tier}
        reservation = new_reservation(wish, who.day)
        account = account_of(namespace, feature, who.user, who.day, date=who.day.date)
        limit = who.allowance.limit
        try:
            with self._metrics.quota_ledger_seconds.time():
                entry = await self._ledger.reserve(account, reservation, limit=limit, ttl_seconds=wish.ttl_seconds)
        except LedgerUnavailableError as error:
            return self._uncounted(feature, who, error)
        if entry.outcome is Outcome.RESERVED:
            return {**self._numbers(feature, who, entry), "reservation": reservation, "expiresAt": _time(entry.until)}
        if entry.outcome is Outcome.CLOSED:
            raise Problem(409, "reservation_closed", "reservation: it has ended; propose another one")
        raise self._used_up(feature, who, entry)

    async def _commit(self, request: web.Request, body: bytes) -> dict[str, Any]:
        return await self._end(request, body, self._ledger.commit)

    async def _refund(self, request: web.Request, body: bytes) -> dict[str, Any]:
        return await self._end(request, body, self._ledger.refund)

    async def _end(self, request: web.Request, body: bytes, end: Callable[..., Awaitable[Entry]]) -> dict[str, Any]:
        """Commit or refund; the numbers are said of today alone. That the ledger cannot be asked is no choice of the policy here: nobody waits, so it is tried again."""
        namespace, feature, who = await self._who(request, body)
        reservation, date = reserved(wish_of(body), who.day)
        account = account_of(namespace, feature, who.user, who.day, date=date)
        try:
            with self._metrics.quota_ledger_seconds.time():
                entry = await end(account, reservation)
        except LedgerUnavailableError as error:
            raise Problem(503, "quota_unavailable", f"{error}; send this again", retry_after=RETRY_SECONDS) from None
        if entry.outcome is Outcome.CLOSED:
            detail = "reservation: not open; it has expired, or was ended otherwise, and nothing was changed"
            raise Problem(409, "reservation_closed", detail)
        if date != who.day.date:  # what was used then says nothing of what is left now
            return _what_became(feature, who, entry)
        return self._numbers(feature, who, entry)

    async def _who(self, request: web.Request, body: bytes) -> tuple[str, str, Asked]:
        context = await self._resolve(request, body)
        evaluator = self._evaluator(request)
        feature = request.match_info["feature"]
        try:
            who = asked(evaluator, feature, context, now=self._clock())
        except UnknownFeatureError as error:
            raise Problem(404, "flag_not_found", str(error)) from None
        return evaluator.flag_set.namespace, feature, who

    def _evaluator(self, request: web.Request) -> Evaluator:
        namespace = request.match_info.get("namespace") or self._board.only()
        evaluator = self._board.get(namespace) if namespace else None
        if evaluator is not None:
            return evaluator
        if self._board.may_come(namespace):
            raise Problem(503, "not_ready", self._board.why_not_yet(namespace), retry_after=RETRY_SECONDS)
        if namespace is None and self._board.namespaces():
            raise Problem(400, "general", "name a namespace: the base URL is /{namespace}/")
        raise Problem(404, "flag_not_found", f"no flags are served for namespace {(namespace or '')[:63]!r}")

    def _uncounted(self, feature: str, who: Asked, error: LedgerUnavailableError) -> dict[str, Any]:
        """The policy's choice for while nobody can count."""
        assert who.allowance is not None
        choice = who.allowance.when_unavailable
        self._metrics.quota_uncounted.labels(choice).inc()
        if choice == "Deny":
            detail = f"use cannot be counted now: {error}"
            raise Problem(503, "quota_unavailable", detail, retry_after=RETRY_SECONDS, feature=feature, tier=who.tier)
        return {"outcome": "uncounted", "feature": feature, "tier": who.tier, "limit": who.allowance.limit}

    def _used_up(self, feature: str, who: Asked, entry: Entry) -> Problem:
        numbers = self._numbers(feature, who, entry)
        held = f", and {entry.held} are reserved" if entry.held else ""
        detail = (
            f"{entry.used} of {numbers['limit']} are used today{held}; the next day begins at {numbers['resetsAt']}"
        )
        again = who.day.resets_at if entry.until is None else min(entry.until, who.day.resets_at)
        del numbers["outcome"]
        return Problem(429, DENIED, detail, retry_after=again - self._clock(), **numbers)

    def _numbers(self, feature: str, who: Asked, entry: Entry) -> dict[str, Any]:
        numbers = _what_became(feature, who, entry)
        if who.allowance is not None:
            numbers |= {
                "limit": who.allowance.limit,
                "used": entry.used,
                "reserved": entry.held,
                "remaining": max(0, who.allowance.limit - entry.used - entry.held),
                "resetsAt": _time(who.day.resets_at),
                "zone": who.day.zone,
            }
        return numbers


def _what_became(feature: str, who: Asked, entry: Entry) -> dict[str, Any]:
    return {"outcome": str(entry.outcome), "feature": feature, "tier": who.tier}


def _time(moment: float | None) -> str:
    return datetime.fromtimestamp(moment or 0, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _problem(problem: Problem) -> web.Response:
    body = {
        "type": f"urn:brownout:problem:{problem.reason.replace('_', '-')}",
        "title": problem.reason.replace("_", " ").capitalize(),
        "status": problem.status,
        "detail": problem.detail,
        "reason": problem.reason,
        **problem.members,
    }
    headers = dict(CHALLENGE) if problem.status == 401 else {}
    if problem.retry_after is not None:
        headers["Retry-After"] = str(max(1, math.ceil(problem.retry_after)))
    return _answer(problem.status, body, content_type="application/problem+json", headers=headers)


def _answer(
    status: int, body: dict[str, Any], *, content_type: str = "application/json", headers: dict[str, str] | None = None
) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(body), content_type=content_type, headers=headers)
