"""Every cell of every policy with its place on the ladders of its pools, for the console. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from brownout.api.ladder import Place
from brownout.api.override import FEATURE_OVERRIDE, ends_at
from brownout.api.policy import FEATURE_POLICY, CellStatus, TierEntry
from brownout.api.resources import Key
from brownout.api.tier import USER_TIER
from brownout.flags.audience import REMAINDER, Tier
from brownout.flags.cells import NOT_SAID_YET, Override, Policy, in_force, place_of, word_for
from brownout.flags.pages.status_feed import rfc3339
from brownout.flags.snapshot import Objects


class CellRow(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    """One cell. `step` is the index of its variant, `lowest` that of the last one that it may be taken to.

    `places` are those of its rungs on the ladder of each of its pools, counted from 1, the first to go.
    """

    id: str
    namespace: str
    policy: str
    flag: str
    tier: str
    cohort: str = ""
    user: str = ""
    variants: tuple[str, ...]
    step: int = 0
    percent: int = 100
    lowest: int
    mode: str = "Auto"
    override: str = ""
    overridden_to: str = ""
    reason: str = ""
    message: str = ""
    since: str = ""
    expected_return: str = ""
    refused_by: str = ""
    refusal: str = ""
    places: dict[str, list[int]] = {}


class _Rung(msgspec.Struct, frozen=True):
    place: Place
    namespace: str
    row: CellRow


def cell_rows(products: Mapping[str, Objects], pool_of: Mapping[Key, str], *, now: float) -> list[CellRow]:
    """The cells of all namespaces in the order in which they go, those that never go last. `pool_of` is by scaler."""
    rungs: dict[str, list[_Rung]] = {}
    rows: list[tuple[tuple[Any, ...], CellRow]] = []
    for namespace, objects in products.items():
        tiers = {tier.key.name: tier for tier in objects.get(USER_TIER.plural, ())}
        words = in_force(objects.get(FEATURE_OVERRIDE.plural, ()), now)
        for policy in objects.get(FEATURE_POLICY.plural, ()):
            pools = _pools(policy, pool_of)
            own = [word for word in words if word.spec.policy_ref.name == policy.key.name]
            for row, place in _rows(policy, tiers, own):
                rows.append(((not row.lowest, sorted(pools), *place, namespace), row))
                for pool in pools:
                    rungs.setdefault(pool, []).extend(
                        _Rung(place._replace(step=step), namespace, row) for step in range(row.lowest)
                    )
    for pool, own_rungs in rungs.items():
        for number, rung in enumerate(sorted(own_rungs, key=lambda rung: (rung.place, rung.namespace)), start=1):
            rung.row.places.setdefault(pool, []).append(number)
    return [row for _, row in sorted(rows, key=lambda pair: pair[0])]


def _pools(policy: Policy, pool_of: Mapping[Key, str]) -> set[str]:
    named = {Key(policy.key.namespace, cost.scaler) for variant in policy.spec.variants for cost in variant.costs}
    return {pool_of[key] for key in named if key in pool_of}


def _rows(policy: Policy, tiers: Mapping[str, Tier], words: list[Override]) -> Iterable[tuple[CellRow, Place]]:
    """The cells that a policy describes, and the users whom its status holds back alone."""
    spec, lines = policy.spec, policy.status.cells
    known = {(line.tier, line.cohort): line for line in lines if not line.user}
    for entry in spec.tiers:
        tier = tiers.get(entry.tier_ref.name)
        if tier is None or entry.availability == "Never":
            continue
        for position, cohort in enumerate([*(one.name for one in tier.spec.cohorts), REMAINDER]):
            line = known.get((tier.key.name, cohort))
            row = _row(policy, entry, cohort, line)
            if (word := word_for(policy, tier.key.name, cohort, words)) is not None:
                row.override, row.overridden_to = word.key.name, word.spec.variant
                row.reason, row.message = "Override", word.spec.reason
                row.since = rfc3339(word.created_at)
                row.expected_return = rfc3339(ends_at(word.spec, created_at=word.created_at))
                row.refused_by = row.refusal = ""
            elif line is not None and line.overridden_to:
                row.reason, row.message, row.expected_return = "", NOT_SAID_YET, ""
            place = Place(True, tier.spec.priority, spec.shed_order, 0, position, policy.key.name, "")
            yield row, place
            for alone in lines:
                if alone.user and (alone.tier, alone.cohort) == (tier.key.name, cohort):
                    yield _row(policy, entry, cohort, alone), place._replace(everybody=False, user=alone.user)


def _row(policy: Policy, entry: TierEntry, cohort: str, line: CellStatus | None) -> CellRow:
    spec, key = policy.spec, policy.key
    names = tuple(variant.name for variant in spec.variants)
    last = len(names) - 1
    lowest = 0 if entry.availability == "Always" else last if entry.lowest is None else place_of(entry.lowest, names)
    row = CellRow(
        id="/".join((key.namespace, key.name, entry.tier_ref.name, cohort, line.user if line else "")),
        namespace=key.namespace,
        policy=key.name,
        flag=spec.flag_key,
        tier=entry.tier_ref.name,
        cohort=cohort,
        variants=names,
        lowest=lowest,
        mode=spec.mode,
        places={},
    )
    if line is not None:
        row.user, row.percent = line.user, max(0, min(100, line.percent))
        row.step = line.step(names)
        row.reason, row.message, row.since = line.reason, line.message, line.since
        row.expected_return, row.refused_by, row.refusal = line.expected_return, line.refused_by, line.refusal
    return row
