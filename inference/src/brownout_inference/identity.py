"""Who asks: the evaluation context, read from headers that a trusted gateway sets.

The server believes these headers, so it must be reachable through the gateway only. An absent header leaves its attribute absent, and the policy says
what that means; a malformed one is the gateway's mistake and is refused, because guessing would put a user in the wrong tier.
"""

import re
from collections.abc import Mapping

from openfeature.evaluation_context import EvaluationContext

USER = "X-Brownout-User"
PLAN = "X-Brownout-Plan"
ACCOUNT_CREATED_AT = "X-Brownout-Account-Created-At"
TIME_ZONE = "X-Brownout-Time-Zone"

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_SECONDS = re.compile(r"[0-9]{1,12}")
_ZONE = re.compile(r"[A-Za-z0-9_+-]{1,32}(/[A-Za-z0-9_+-]{1,32}){0,2}")
_MAX_USER = 256


class HeaderError(ValueError):
    """A header that cannot be used; the message says which, what was found and what to send."""

    def __init__(self, header: str, message: str) -> None:
        super().__init__(f"{header} {message}")
        self.header = header


def context_of(headers: Mapping[str, str]) -> EvaluationContext:
    """The evaluation context {targetingKey, plan, accountCreatedAt, zoneinfo} of a request. Raises HeaderError."""
    attributes: dict[str, str | int] = {}
    user = headers.get(USER)
    if user is not None and (not user.strip() or len(user) > _MAX_USER or not user.isprintable()):
        raise HeaderError(USER, f"must be 1 to {_MAX_USER} printable characters; leave it out for an unknown user")
    plan = headers.get(PLAN)
    if plan is not None:
        if not _NAME.fullmatch(plan):
            raise HeaderError(
                PLAN, f"is {plan[:80]!r}; send letters, digits, '.', '_' and '-', at most 63, or leave it out"
            )
        attributes["plan"] = plan
    created = headers.get(ACCOUNT_CREATED_AT)
    if created is not None:
        if not _SECONDS.fullmatch(created):
            raise HeaderError(
                ACCOUNT_CREATED_AT, f"is {created[:80]!r}; send whole Unix seconds such as 1767225600, or leave it out"
            )
        attributes["accountCreatedAt"] = int(created)
    zone = headers.get(TIME_ZONE)
    if zone is not None:
        if not _ZONE.fullmatch(zone):
            raise HeaderError(TIME_ZONE, f"is {zone[:80]!r}; send an IANA name such as Europe/Paris, or leave it out")
        attributes["zoneinfo"] = zone
    return EvaluationContext(targeting_key=user, attributes=attributes)
