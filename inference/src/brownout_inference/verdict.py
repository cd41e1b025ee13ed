"""What the flags say about one user's request: pure functions from evaluated flags to a decision.

The server decides nothing about tiers or capacity itself. One flag for each feature says whether and how well it is served, and the reserved flag
`brownout.audience` says who the user is: the names for the metrics and the place in the queue.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

AUDIENCE_FLAG = "brownout.audience"
SHORTEST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 5.0, 3600.0
"""Bounds of a wait that is told by the moment of an expected return: what is due may be late, and far moments are guesses."""

BEST = "default"
"""The variant's name where no flag was evaluated: the best there is."""

_NOTICE = re.compile(r"notice(_(?!degraded)(?P<locale>.+))?")
"""`notice_degraded` and its translations are for those who are served, by whoever shows them the result."""


class Evaluated(Protocol):
    """The part of OpenFeature's FlagEvaluationDetails that is read here."""

    value: Any
    variant: str | None
    error_code: Any
    flag_metadata: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Audience:
    """Which users these are. A higher priority is served first; cohort is empty for the remainder of a tier."""

    tier: str
    cohort: str
    priority: int


@dataclass(frozen=True, kw_only=True)
class Quota:
    """Units a day for each user of the audience; when_unavailable: Allow or Deny, while nobody can count."""

    limit: int
    when_unavailable: str


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How a request is to be served. `notices` is by locale in lower case, '' being the default one."""

    enabled: bool
    variant: str
    value: Mapping[str, Any]
    audience: Audience
    notices: Mapping[str, str] = field(default_factory=dict)
    retry_after_seconds: float | None = None
    quota: Quota | None = None


def verdict_of(feature: Evaluated, audience: Evaluated, *, unknown: Audience, now: float) -> Verdict:
    """Reads both flags. What is missing or of the wrong shape is served at its best, to the `unknown` audience.

    `now` in Unix seconds: the feature's flag says at which moment an audience is expected to have it back.
    """
    who = _audience(audience, unknown)
    if feature.error_code is not None or not isinstance(feature.value, Mapping):
        return Verdict(enabled=True, variant=BEST, value={}, audience=who)
    return Verdict(
        enabled=feature.value.get("enabled") is not False,
        variant=feature.variant or BEST,
        value=feature.value,
        audience=who,
        notices=_notices(feature.flag_metadata),
        retry_after_seconds=_wait(feature.flag_metadata, audience.variant, now),
        quota=_quota(feature.flag_metadata, who.tier),
    )


def _audience(flag: Evaluated, unknown: Audience) -> Audience:
    if flag.error_code is not None or not isinstance(flag.value, Mapping):
        return unknown
    tier, cohort, priority = flag.value.get("tier"), flag.value.get("cohort", ""), flag.value.get("priority")
    if not isinstance(tier, str) or not isinstance(cohort, str) or not isinstance(priority, int | float):
        return unknown
    return Audience(tier=tier, cohort=cohort, priority=int(priority))


def _notices(metadata: Mapping[str, Any]) -> dict[str, str]:
    notices = {}
    for key, text in metadata.items():
        found = _NOTICE.fullmatch(key)
        if found and isinstance(text, str) and text:
            notices[(found["locale"] or "").replace("_", "-").lower()] = text
    return notices


def _quota(metadata: Mapping[str, Any], tier: str) -> Quota | None:
    """`quota_<tier>` and `quotaWhenUnavailable_<tier>`; a dot in a tier's name is written as an underscore."""
    name = tier.replace(".", "_")
    limit = _number(metadata.get(f"quota_{name}"))
    if limit is None:
        return None
    choice = metadata.get(f"quotaWhenUnavailable_{name}")
    return Quota(limit=int(limit), when_unavailable="Deny" if choice == "Deny" else "Allow")


def _wait(metadata: Mapping[str, Any], audience: str | None, now: float) -> float | None:
    """`retryAfterSeconds`, or until `expectedReturn_<audience>`; None where the flag says neither."""
    said = _number(metadata.get("retryAfterSeconds"))
    returns = metadata.get(f"expectedReturn_{audience}")
    if said is not None or not isinstance(returns, str):
        return said
    try:
        moment = datetime.fromisoformat(returns)
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    return min(LONGEST_WAIT_SECONDS, max(SHORTEST_WAIT_SECONDS, moment.timestamp() - now))


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        return None
    return float(value)
