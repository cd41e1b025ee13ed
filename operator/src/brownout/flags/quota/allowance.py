"""What a policy allows each user of a tier, as it rides in the flag's metadata.

There it has the flag set's version, reaches every client with the flag, and is kept in the snapshot: a client knows without asking
whether there is a quota at all, and what to do while nobody can count.
"""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from brownout.api.policy import Quota

DEFAULT_ZONE_KEY = "zoneinfo"
"""The claim that OpenID Connect has for a time zone (OpenID Connect Core 1.0, section 5.1)."""


class Allowance(Struct, frozen=True, kw_only=True):
    """`limit` units a day for each user. zone_key: the context attribute with the user's time zone; None: UTC days for all."""

    limit: int
    zone_key: str | None
    when_unavailable: Literal["Allow", "Deny"]


def as_metadata(quota: Quota, audience: str) -> dict[str, Any]:
    """A quota as flag metadata; `audience` is the tier's name as the audience flag has it."""
    written: dict[str, Any] = {
        f"quota_{audience}": quota.limit,
        f"quotaWhenUnavailable_{audience}": quota.when_unavailable,
    }
    if quota.day == "User":
        written[f"quotaZoneKey_{audience}"] = quota.zone_key or DEFAULT_ZONE_KEY
    return written


def allowance_of(metadata: Mapping[str, Any], tier: str) -> Allowance | None:
    """What the metadata of a flag allows a tier (by its own name); None where it sets no limit."""
    audience = tier.replace(".", "_")
    limit = metadata.get(f"quota_{audience}")
    if isinstance(limit, bool) or not isinstance(limit, int | float):
        return None
    return Allowance(
        limit=int(limit),
        zone_key=metadata.get(f"quotaZoneKey_{audience}"),
        when_unavailable="Deny" if metadata.get(f"quotaWhenUnavailable_{audience}") == "Deny" else "Allow",
    )
