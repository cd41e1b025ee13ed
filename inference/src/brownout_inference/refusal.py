"""Answers that are not what was asked for: refusals and errors, in the words of RFC 9457 and of OpenAI's clients at once.

A refusal is a value. Whoever sends it decides nothing: status, sentence and the time to wait are all in it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from brownout_inference.verdict import Verdict
from brownout_inference.work import ImageWork, Work

QUEUE_FULL = "queue_full"
TOO_LATE = "too_late"
OVERLOAD = (QUEUE_FULL, TOO_LATE)
"""What this server alone refuses because of how much is asked of it."""
CANCELLED = "cancelled"
DRAINING = "draining"
NOT_READY = "not_ready"
INTERRUPTED = "interrupted"
UNAUTHENTICATED, IDENTITY_UNAVAILABLE = "unauthenticated", "identity_unavailable"
ENGINE_FAILED = "engine_failed"
REQUEST_FAILED = "request_failed"

CAPACITY, PLAN, OVERRIDE = "denied_capacity", "denied_plan", "denied_override"
QUOTA, QUOTA_UNAVAILABLE = "denied_quota", "quota_unavailable"
DENIED = "denied"

SENTENCES = {
    CAPACITY: "there are not enough GPUs for it just now",
    PLAN: "it is not part of this plan",
    OVERRIDE: "an operator has switched it off for a time",
}
"""What is said where the policy has no notice."""

DEFAULT_RETRY_SECONDS = 30.0
LONGEST_RETRY_SECONDS = 60.0
"""Clients that try again by themselves are asked to wait for at most this long; beyond that their user is told at once."""
_ERROR_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
}


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """An answer other than the one asked for. `reason` is what metrics and clients see; words are for people."""

    status: int
    reason: str
    title: str
    detail: str
    feature: str = ""
    tier: str = ""
    variant: str = ""
    locale: str = ""
    retry_after_seconds: float | None = None
    parameter: str | None = None
    numbers: Mapping[str, Any] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """The problem+json members, OpenAI's `error` among them."""
        named = {"feature": self.feature, "tier": self.tier, "variant": self.variant}
        return {
            "type": f"urn:brownout:problem:{self.reason.replace('_', '-')}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "reason": self.reason,
            **{name: text for name, text in named.items() if text},
            **self.numbers,
            "error": {
                "message": self.detail,
                "type": _ERROR_TYPES.get(
                    self.status, "server_error" if self.status >= 500 else "invalid_request_error"
                ),
                "param": self.parameter,
                "code": self.reason,
            },
        }

    def headers(self) -> dict[str, str]:
        """Retry-After in whole seconds, rounded up, and the language of the notice.

        OpenAI's clients take the exact wait from `retry-after-ms`, and leave it to `x-should-retry` whether they try again by themselves.
        """
        headers = {}
        if self.retry_after_seconds is not None:
            headers["Retry-After"] = str(max(1, math.ceil(self.retry_after_seconds)))
            headers["retry-after-ms"] = str(max(1, math.ceil(1000 * self.retry_after_seconds)))
            headers["x-should-retry"] = "true" if self.retry_after_seconds <= LONGEST_RETRY_SECONDS else "false"
        elif self.status == 409:
            headers["x-should-retry"] = "false"
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        if self.locale:
            headers["Content-Language"] = self.locale
        return headers


class RefusedError(Exception):
    """Carries a refusal to whoever answers."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.detail)
        self.refusal = refusal


def denial(verdict: Verdict, feature: str, *, accept_language: str = "") -> Refusal:
    """The refusal of a verdict that denies: 403 where waiting does not help (the plan), 503 with Retry-After otherwise."""
    reason = denial_reason(verdict)
    locale, notice = choose_notice(verdict.notices, accept_language)
    wait = verdict.retry_after_seconds if verdict.retry_after_seconds is not None else DEFAULT_RETRY_SECONDS
    return _about(
        verdict,
        feature,
        status=403 if reason == PLAN else 503,
        reason=reason,
        title="Not part of this plan" if reason == PLAN else "Paused",
        detail=notice or f"{feature} is not served: {SENTENCES.get(reason, 'it is paused')}.",
        locale=locale,
        retry_after_seconds=None if reason == PLAN else wait,
    )


def denial_reason(verdict: Verdict) -> str:
    """Why, read from the name of the variant: it ends in `_capacity`, `_plan`, `_override` or the name of the user's cohort."""
    for reason in (CAPACITY, PLAN, OVERRIDE):
        if verdict.variant.endswith(reason.removeprefix(DENIED)):
            return reason
    cohort = verdict.audience.cohort.replace("-", "_")
    return f"{DENIED}_{cohort}" if cohort and verdict.variant.endswith(f"_{cohort}") else DENIED


def queue_full(verdict: Verdict, feature: str, *, wait_seconds: float) -> Refusal:
    """429: every place in this tier's queue is taken; `wait_seconds` is how long what is ahead takes."""
    detail = f"The queue for {feature} is full; what is ahead takes about {math.ceil(wait_seconds)} s."
    return _too_many(verdict, feature, reason=QUEUE_FULL, detail=detail, retry_after_seconds=wait_seconds)


def too_late(verdict: Verdict, feature: str, *, wait_seconds: float) -> Refusal:
    """429: what is ahead takes so long that the answer would come too late; after `wait_seconds` it might come in time."""
    detail = f"{feature} would come too late: so much is ahead of it. Ask again in about {math.ceil(wait_seconds)} s."
    return _too_many(verdict, feature, reason=TOO_LATE, detail=detail, retry_after_seconds=wait_seconds)


def too_long(tokens: int, *, alone_seconds: float, objective_seconds: float) -> Refusal:
    """400: so many tokens would come too late even with nobody else there; asking again does not help."""
    most = max(1, math.floor(tokens * objective_seconds / alone_seconds))
    detail = f"An answer of {tokens} tokens takes {alone_seconds:.0f} s here, and is of use within {objective_seconds:g} s; write max_tokens {most} at most."
    return bad_request(detail, parameter="max_tokens")


def too_many(work: Work, *, max_batch: int) -> Refusal:
    """400: not even a batch of its own has room for so many pictures."""
    pictures = work.pictures if isinstance(work, ImageWork) else 1
    most = math.floor(max_batch * pictures / work.slots)
    return bad_request(f"n is {pictures}; this server makes at most {most} at once.", parameter="n")


def quota_used_up(verdict: Verdict, feature: str, said: Mapping[str, Any], retry_after: str) -> Refusal:
    """429: the user's units of the day are used or reserved; `said` is the ledger's answer, `retry_after` its header."""
    names = ("limit", "used", "reserved", "remaining", "resetsAt", "zone")
    return _too_many(
        verdict,
        feature,
        reason=QUOTA,
        title="Daily limit reached",
        detail=f"{feature}: {said.get('detail', 'the units of the day are used')}.",
        retry_after_seconds=float(retry_after) if retry_after.isdecimal() else DEFAULT_RETRY_SECONDS,
        numbers={name: said[name] for name in names if name in said},
    )


def quota_unavailable(verdict: Verdict, feature: str) -> Refusal:
    """503: what the user has had today cannot be counted, and the policy denies the feature then."""
    detail = f"{feature} is counted for each user, and that is not possible just now; try again."
    return _about(
        verdict,
        feature,
        status=503,
        reason=QUOTA_UNAVAILABLE,
        title="Unavailable",
        detail=detail,
        retry_after_seconds=5.0,
    )


def unavailable(reason: str, detail: str, *, feature: str = "", retry_after_seconds: float = 1.0) -> Refusal:
    """503: this server cannot, another one or a later try can."""
    return Refusal(
        status=503,
        reason=reason,
        title="Unavailable",
        detail=detail,
        feature=feature,
        retry_after_seconds=retry_after_seconds,
    )


def engine_failed(feature: str, why: str, *, retry_after_seconds: float | None) -> Refusal:
    """503 where the engine was lost through no fault of the request; 500 where the model fails on this request alone, and would again.

    What exactly failed is in the log and not in the answer: it may speak of files and of other things that are nobody's business.
    """
    if retry_after_seconds is not None:
        return unavailable(ENGINE_FAILED, f"{why} Try again.", feature=feature, retry_after_seconds=retry_after_seconds)
    return Refusal(
        status=500,
        reason=REQUEST_FAILED,
        title="The model failed",
        detail=f"The model failed on this request for {feature}.",
        feature=feature,
    )


def bad_request(
    detail: str, *, parameter: str | None = None, status: int = 400, reason: str = "invalid_request"
) -> Refusal:
    """400 (or another 4xx): the request cannot be understood; `detail` says what to send instead."""
    return Refusal(status=status, reason=reason, title="Bad request", detail=detail, parameter=parameter)


def unauthorized(detail: str) -> Refusal:
    """401: who asks has to show credentials, or others."""
    return Refusal(status=401, reason=UNAUTHENTICATED, title="Unauthorized", detail=detail)


def choose_notice(notices: Mapping[str, str], accept_language: str) -> tuple[str, str]:
    """The (locale, text) that suits an Accept-Language header best; ('', default text) where none does.

    A range matches a locale exactly or by its first subtag, as in lookup of RFC 4647; the default text stands for every language that has none.
    """
    for wanted in _preferred(accept_language):
        candidate = wanted
        while candidate:
            if candidate in notices:
                return candidate, notices[candidate]
            candidate = candidate.rpartition("-")[0]
        if wanted == "*":
            break
    return "", notices.get("", "")


def _too_many(verdict: Verdict, feature: str, *, title: str = "Too many requests", **more: Any) -> Refusal:
    return _about(verdict, feature, status=429, title=title, **more)


def _about(verdict: Verdict, feature: str, **more: Any) -> Refusal:
    """A refusal that says who was refused what."""
    return Refusal(feature=feature, tier=verdict.audience.tier, variant=verdict.variant, **more)


def _preferred(accept_language: str) -> list[str]:
    weighted = []
    for position, part in enumerate(accept_language.split(",")[:16]):
        tag, _, parameter = part.strip().partition(";")
        name, _, weight = parameter.strip().partition("=")
        try:
            quality = float(weight) if name.strip() == "q" else 1.0
        except ValueError:
            continue
        if tag and quality > 0:
            weighted.append((-quality, position, tag.strip().lower()))
    return [tag for _, _, tag in sorted(weighted)]
