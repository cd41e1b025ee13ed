"""Which day it is for a user, and when that day ends: pure, over the IANA time zones."""

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from msgspec import Struct

EVERYBODYS = "UTC"


class Day(Struct, frozen=True, kw_only=True):
    """A calendar day somewhere. date: ISO 8601. resets_at: Unix seconds at which the next one begins."""

    date: str
    zone: str
    resets_at: float


def day_of(now: float, zone: str = EVERYBODYS) -> Day:
    """The day at `now` (Unix seconds) in a zone whose name `zone_of` gave."""
    here = ZoneInfo(zone)
    date = datetime.fromtimestamp(now, here).date()
    midnight = datetime.combine(date + timedelta(days=1), time(), here)  # where the clock skips it: the moment it does
    return Day(date=date.isoformat(), zone=zone, resets_at=midnight.astimezone(UTC).timestamp())


def zone_of(context: Mapping[str, Any], key: str | None) -> str:
    """The user's zone by its IANA name: UTC where the context has none, or none that exists. Dots in `key` descend into objects."""
    found: Any = context if key else None
    for part in (key or "").split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found if isinstance(found, str) and found in _known() else EVERYBODYS


@cache
def _known() -> frozenset[str]:
    return frozenset(available_timezones())
