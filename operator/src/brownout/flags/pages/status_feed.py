"""The status page as JSON: the same limits, with every name and notice that the objects have. Pure."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from brownout.api.policy import Notice
from brownout.api.schema import DisplayName
from brownout.flags.pages.limits import Feature, Limit


def feed(namespace: str, features: Sequence[Feature]) -> bytes:
    """The feed's bytes: the same ones as long as nothing changes, so that their hash is a version. Times are RFC 3339."""
    content = {
        "namespace": namespace,
        "state": "limited" if any(feature.limits for feature in features) else "available",
        "features": [_feature(feature) for feature in features],
    }
    return msgspec.json.encode(content)


def _feature(feature: Feature) -> dict[str, Any]:
    written: dict[str, Any] = {
        "key": feature.key,
        "names": _names(feature.names),
        "state": "limited" if feature.limits else "available",
    }
    if feature.since is not None:
        written["since"] = rfc3339(feature.since)
    if feature.limits:
        written |= {
            "notices": [_notice(notice) for notice in feature.notices],
            "limits": [_limit(limit) for limit in feature.limits],
        }
    return written


def _limit(limit: Limit) -> dict[str, Any]:
    audience = limit.audience
    written: dict[str, Any] = {
        "tier": audience.tier,
        "tierNames": _names(audience.tier_names),
        "cohort": audience.cohort,
        "cohortNames": _names(audience.cohort_names),
        "reducedPercent": limit.reduced_percent,
        "pausedPercent": limit.paused_percent,
        "cause": limit.cause,
    }
    if limit.since is not None:
        written["since"] = rfc3339(limit.since)
    if (back := limit.back) is not None:
        written["expectedReturn"] = {"at": rfc3339(back.at), "certainty": back.certainty}
        if back.latest is not None:
            written["expectedReturn"]["latest"] = rfc3339(back.latest)
    return written


def _names(names: Iterable[DisplayName]) -> dict[str, str]:
    return {name.locale: name.text for name in names}


def _notice(notice: Notice) -> dict[str, str]:
    return {"locale": notice.locale, "when": notice.when, "text": notice.text}


def rfc3339(at: float) -> str:
    """Unix seconds as text, in UTC, to the second."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
