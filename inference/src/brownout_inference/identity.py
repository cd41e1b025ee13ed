"""Who asks: the evaluation context, read from the headers of a gateway or from the claims of a token.

Whose word counts is decided elsewhere (`http/callers.py`); here is what the words mean. What is absent leaves its attribute absent, and the policy says what
that means; what is malformed is the mistake of whoever vouches for the user, and is refused, because guessing would put a user in the wrong tier.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from openfeature.evaluation_context import EvaluationContext

USER = "X-Brownout-User"
PLAN = "X-Brownout-Plan"
ACCOUNT_CREATED_AT = "X-Brownout-Account-Created-At"
TIME_ZONE = "X-Brownout-Time-Zone"

IDENTITY_HEADERS = (USER, PLAN, ACCOUNT_CREATED_AT, TIME_ZONE)

TARGETING_KEY = "targetingKey"
ATTRIBUTES = {USER: TARGETING_KEY, PLAN: "plan", ACCOUNT_CREATED_AT: "accountCreatedAt", TIME_ZONE: "zoneinfo"}
"""The attribute of the evaluation context that each header stands for."""

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_SECONDS = re.compile(r"[0-9]{1,12}")
_ZONE = re.compile(r"[A-Za-z0-9_+-]{1,32}(/[A-Za-z0-9_+-]{1,32}){0,2}")
_MAX_USER = 256


class HeaderError(ValueError):
    """A header that cannot be used; the message says which, what was found and what to send."""

    def __init__(self, header: str, message: str) -> None:
        super().__init__(f"{header} {message}")
        self.header = header


class AttributeValueError(ValueError):
    """What is wrong with an attribute, and what to write instead."""


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Somebody who asks: what is known of them, and the languages that they read."""

    context: EvaluationContext = field(default_factory=EvaluationContext)
    accept_language: str = ""

    @property
    def user(self) -> str | None:
        """The targetingKey; None for somebody unknown."""
        return self.context.targeting_key or None


def caller_of(headers: Mapping[str, str]) -> Caller:
    """The caller whom a gateway's headers name. Raises HeaderError."""
    return Caller(context=context_of(headers), accept_language=headers.get("Accept-Language", ""))


def context_of(headers: Mapping[str, str]) -> EvaluationContext:
    """The evaluation context {targetingKey, plan, accountCreatedAt, zoneinfo} of a request. Raises HeaderError."""
    attributes = {}
    for header, name in ATTRIBUTES.items():
        if (text := headers.get(header)) is not None:
            try:
                attributes[name] = _CHECKS[name](text)
            except AttributeValueError as error:
                raise HeaderError(header, str(error)) from error
    user = attributes.pop(TARGETING_KEY, None)
    return EvaluationContext(targeting_key=user, attributes=attributes)


def attribute(name: str, value: Any) -> str | int:
    """A claim's value as the attribute of that name; a whole number may be one of JSON's. Raises AttributeValueError."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise AttributeValueError(f"is a {type(value).__name__}; write a text or a whole number, or leave it out")
    return _CHECKS[name](str(value))


def _user(text: str) -> str:
    if not text.strip() or len(text) > _MAX_USER or not text.isprintable():
        raise AttributeValueError(f"must be 1 to {_MAX_USER} printable characters; leave it out for an unknown user")
    return text


def _plan(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise AttributeValueError(
            f"is {text[:80]!r}; send letters, digits, '.', '_' and '-', at most 63, or leave it out"
        )
    return text


def _created(text: str) -> int:
    if not _SECONDS.fullmatch(text):
        raise AttributeValueError(f"is {text[:80]!r}; send whole Unix seconds such as 1767225600, or leave it out")
    return int(text)


def _zone(text: str) -> str:
    if not _ZONE.fullmatch(text):
        raise AttributeValueError(f"is {text[:80]!r}; send an IANA name such as Europe/Paris, or leave it out")
    return text


_CHECKS: Mapping[str, Callable[[str], str | int]] = {
    TARGETING_KEY: _user,
    "plan": _plan,
    "accountCreatedAt": _created,
    "zoneinfo": _zone,
}
