"""Policies, tiers and overrides as short as a test can say them."""

from collections.abc import Iterable
from typing import Any

from brownout.api.override import CellRef, FeatureOverrideSpec, FeatureOverrideStatus
from brownout.api.policy import CellStatus, FeaturePolicySpec, FeaturePolicyStatus, Notice, Quota, TierEntry, Variant
from brownout.api.resources import Key, Stored
from brownout.api.schema import Ref
from brownout.api.tier import Cohort, Match, UserTierSpec, UserTierStatus
from brownout.flags.audience import Tier
from brownout.flags.cells import Override, Policy

NAMESPACE = "media"
WEEK = 604_800

FULL = {"enabled": True, "model": "xl", "steps": 30}
LITE = {"enabled": True, "model": "small", "steps": 8}
DENIED = {"enabled": False}

ON_PLAN = "plan"


def on_plan(*plans: str) -> Match:
    return Match(key=ON_PLAN, operator="In", values=plans)


def young(seconds: int = WEEK) -> Match:
    return Match(key="accountCreatedAt", operator="YoungerThan", seconds=seconds)


def tier(name: str, priority: int, *matches: Match, cohorts: Iterable[Cohort] = (), namespace: str = NAMESPACE) -> Tier:
    return Stored(
        key=Key(namespace, name),
        uid=f"tier-{name}",
        generation=1,
        created_at=0.0,
        spec=UserTierSpec(priority=priority, match=matches, cohorts=tuple(cohorts)),
        status=UserTierStatus(),
    )


PRO = tier("pro", 100, on_plan("pro"))
PLUS = tier("plus", 50, on_plan("plus"))
FREE = tier("free", 10, on_plan("free"), cohorts=[Cohort(name="new-accounts", match=(young(),))])
TIERS = (PRO, PLUS, FREE)


def always(name: str) -> TierEntry:
    return TierEntry(tier_ref=Ref(name=name), availability="Always")


def auto(name: str, lowest: str | None = None) -> TierEntry:
    return TierEntry(tier_ref=Ref(name=name), availability="Auto", lowest=lowest)


def never(name: str) -> TierEntry:
    return TierEntry(tier_ref=Ref(name=name), availability="Never")


def with_quota(name: str, limit: int, **quota: Any) -> TierEntry:
    return TierEntry(tier_ref=Ref(name=name), quota=Quota(limit=limit, **quota))


LISTED = (always("pro"), auto("plus", lowest="lite"), auto("free"))
VARIANTS = (Variant(name="full", value=FULL), Variant(name="lite", value=LITE), Variant(name="denied", value=DENIED))


def cell(tier: str, variant: str, percent: int = 100, *, cohort: str = "", user: str = "") -> CellStatus:
    return CellStatus(tier=tier, cohort=cohort, user=user, variant=variant, percent=percent)


def policy(
    name: str = "image-generation",
    *,
    flag_key: str | None = None,
    mode: Any = "Auto",
    tiers: Iterable[TierEntry] = LISTED,
    cells: Iterable[CellStatus] = (),
    variants: Iterable[Variant] = VARIANTS,
    notices: Iterable[Notice] = (),
    created_at: float = 0.0,
    version: int = 1,
    decision: str = "",
    namespace: str = NAMESPACE,
) -> Policy:
    return Stored(
        key=Key(namespace, name),
        uid=f"policy-{name}",
        generation=1,
        created_at=created_at,
        spec=FeaturePolicySpec(
            flag_key=flag_key or name,
            mode=mode,
            variants=tuple(variants),
            tiers=tuple(tiers),
            notices=tuple(notices),
        ),
        status=FeaturePolicyStatus(version=version, decision=decision, cells=tuple(cells)),
    )


def override(
    name: str = "incident",
    *,
    variant: str = "denied",
    cells: Iterable[CellRef] = (),
    expires: str = "2026-11-22T20:00:00Z",
    created_at: float = 0.0,
    policy: str = "image-generation",
    namespace: str = NAMESPACE,
) -> Override:
    return Stored(
        key=Key(namespace, name),
        uid=f"override-{name}",
        generation=1,
        created_at=created_at,
        spec=FeatureOverrideSpec(
            policy_ref=Ref(name=policy), cells=tuple(cells), variant=variant, expire_time=expires, reason="a test"
        ),
        status=FeatureOverrideStatus(),
    )
