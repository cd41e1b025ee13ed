"""What is limited for whom, since when, and when it is expected back: pure, from the objects that flags are rendered from.

It asks `cells.serve`, as the flag set does, so that the page and the flags never disagree. Single users who are held back are
nobody else's business, and are not on it; neither are the words of an override.
"""

from collections.abc import Iterable
from typing import Literal

import msgspec

from brownout.api.override import FEATURE_OVERRIDE
from brownout.api.policy import FEATURE_POLICY, CellStatus, Notice
from brownout.api.reasons import Condition
from brownout.api.schema import DisplayName
from brownout.api.tier import USER_TIER
from brownout.flags.audience import REMAINDER, Tier, in_order
from brownout.flags.cells import Override, Policy, Share, in_force, serve, word_for
from brownout.flags.pages.expected import Return, Scalers, expected, moment
from brownout.flags.snapshot import Objects

Cause = Literal["Capacity", "Override"]


class Audience(msgspec.Struct, frozen=True, kw_only=True):
    """A tier, or a part of it: a cohort, or, as `rest`, everybody in it whom no cohort has."""

    tier: str
    cohort: str
    rest: bool
    tier_names: tuple[DisplayName, ...]
    cohort_names: tuple[DisplayName, ...]


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """An audience that has less than the first variant: so many percent of it a lesser one, so many the denial.

    `since`: Unix seconds since when it is as it is; None where nobody knows.
    """

    audience: Audience
    reduced_percent: int
    paused_percent: int
    cause: Cause
    since: float | None
    back: Return | None


class Feature(msgspec.Struct, frozen=True, kw_only=True):
    """A feature with its limits, in the order in which tiers are protected. Without limits it is available.

    audiences: how many have a part in it. by_itself: what capacity took comes back without a person.
    """

    key: str
    names: tuple[DisplayName, ...]
    notices: tuple[Notice, ...]
    limits: tuple[Limit, ...]
    since: float | None
    audiences: int
    by_itself: bool

    @property
    def paused(self) -> bool:
        """Whether anybody is denied it."""
        return any(limit.paused_percent for limit in self.limits)

    @property
    def reduced(self) -> bool:
        """Whether anybody has a lesser variant."""
        return any(limit.reduced_percent for limit in self.limits)


def features(objects: Objects, *, scalers: Scalers, now: float) -> tuple[Feature, ...]:
    """The features of a namespace by key, those that are limited first."""
    tiers = in_order(objects.get(USER_TIER.plural, ()))
    standing = in_force(objects.get(FEATURE_OVERRIDE.plural, ()), now)
    found: dict[str, Feature] = {}
    for policy in sorted(objects.get(FEATURE_POLICY.plural, ()), key=lambda one: (one.created_at, one.key.name)):
        words = [word for word in standing if word.spec.policy_ref.name == policy.key.name]
        if policy.spec.flag_key not in found:
            found[policy.spec.flag_key] = _feature(policy, tiers, words, scalers, now)
    return tuple(sorted(found.values(), key=lambda feature: (not feature.limits, feature.key)))


def _feature(policy: Policy, tiers: Iterable[Tier], words: list[Override], scalers: Scalers, now: float) -> Feature:
    cells = [
        (tier, cohort)
        for tier in tiers
        if _has_part(policy, tier)
        for cohort in (*(cohort.name for cohort in tier.spec.cohorts), REMAINDER)
    ]
    limits = tuple(
        limit for cell in cells if (limit := _limit(policy, *cell, words, scalers=scalers, now=now)) is not None
    )
    return Feature(
        key=policy.spec.flag_key,
        names=policy.spec.display_names,
        notices=policy.spec.notices,
        limits=limits,
        since=_since(policy, limits),
        audiences=len(cells),
        by_itself=policy.spec.mode == "Auto" and any(limit.cause == "Capacity" for limit in limits),
    )


def _since(policy: Policy, limits: tuple[Limit, ...]) -> float | None:
    """Since when anybody has less: what status says of the whole feature, or an override that began before."""
    moments = [limit.since for limit in limits if limit.since is not None]
    if any(limit.cause == "Capacity" for limit in limits):
        shedding = [c for c in policy.status.conditions if (c.type, c.status) == (Condition.SHEDDING, "True")]
        moments += [at for c in shedding if (at := moment(c.last_transition_time)) is not None]
    return min(moments, default=None)


def _limit(
    policy: Policy, tier: Tier, cohort: str, words: list[Override], *, scalers: Scalers, now: float
) -> Limit | None:
    share = serve(policy, tier=tier.key.name, cohort=cohort, overrides=words)
    reduced, paused = _parts(policy, share)
    if not (reduced or paused):
        return None
    word = word_for(policy, tier.key.name, cohort, words)
    line = _line(policy, tier.key.name, cohort)
    changed_at = moment(line.since) if line is not None else None
    return Limit(
        audience=_audience(tier, cohort),
        reduced_percent=reduced,
        paused_percent=paused,
        cause="Capacity" if word is None else "Override",
        since=changed_at if word is None else word.created_at,
        back=expected(policy, line, word=word, scalers=scalers, now=now),
    )


def _has_part(policy: Policy, tier: Tier) -> bool:
    """Whether the tier has a part in the feature: what a plan never gave is not taken."""
    entries = {entry.tier_ref.name: entry.availability for entry in policy.spec.tiers}
    return entries.get(tier.key.name, "Never") != "Never"


def _parts(policy: Policy, share: Share) -> tuple[int, int]:
    """Percent of users who have a lesser variant, and who are denied."""
    first, *lesser = [variant.name for variant in policy.spec.variants[:-1]]
    parts = ((share.variant, share.percent), (share.otherwise, 100 - share.percent))
    reduced = sum(percent for name, percent in parts if name in lesser)
    kept = sum(percent for name, percent in parts if name == first)
    return reduced, 100 - kept - reduced


def _audience(tier: Tier, cohort: str) -> Audience:
    names = next((one.display_names for one in tier.spec.cohorts if one.name == cohort), ())
    return Audience(
        tier=tier.key.name,
        cohort=cohort,
        rest=cohort == REMAINDER and bool(tier.spec.cohorts),
        tier_names=tier.spec.display_names,
        cohort_names=names,
    )


def _line(policy: Policy, tier: str, cohort: str) -> CellStatus | None:
    lines = (line for line in policy.status.cells if (line.tier, line.cohort, line.user) == (tier, cohort, ""))
    return next(lines, None)


def locales_of(features: Iterable[Feature]) -> tuple[tuple[str, ...], ...]:
    """The lists of languages among which a reader's is looked for, of each name and notice, each list once."""
    found: dict[tuple[str, ...], None] = {}
    for feature in features:
        texts: list[Iterable[DisplayName | Notice]] = [feature.names]
        texts += ([one for one in feature.notices if one.when == when] for when in ("Denied", "Degraded"))
        for limit in feature.limits:
            texts += (limit.audience.tier_names, limit.audience.cohort_names)
        for each in texts:
            if locales := tuple(dict.fromkeys(one.locale for one in each)):
                found[locales] = None
    return tuple(found)
