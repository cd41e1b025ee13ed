"""The rules of the design read as plain Python: what everything that serves flags has to agree with."""

import math
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import cbor2
import mmh3

from brownout.api.override import MAX_OVERRIDE_SECONDS
from brownout.api.tier import Match
from brownout.flags.audience import Tier
from brownout.flags.cells import Override, Policy

Context = dict[str, Any]


def attribute(context: Context, key: str) -> Any:
    found: Any = context
    for part in key.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def holds(match: Match, context: Context, now: float) -> bool:
    value = attribute(context, match.key)
    text = isinstance(value, str)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    old = number and not math.isnan(value) and 1 < value <= int(now) - (match.seconds or 0)
    return {
        "In": text and value in match.values,
        "NotIn": text and value != "" and value not in match.values,
        "Exists": value is not None and value != "",
        "DoesNotExist": value is None or value == "",
        "OlderThan": old,
        "YoungerThan": not old,
    }[match.operator]


def audience(tiers: Iterable[Tier], context: Context, now: float) -> tuple[Tier, str] | None:
    ordered = sorted(tiers, key=lambda tier: (-tier.spec.priority, tier.key.name))
    if not ordered:
        return None
    matching = [t for t in ordered if t.spec.match and all(holds(m, context, now) for m in t.spec.match)]
    default = [t for t in ordered if not t.spec.match] or ordered
    found = matching[0] if matching else default[-1]
    for cohort in found.spec.cohorts:
        if all(holds(m, context, now) for m in cohort.match):
            return found, cohort.name
    return found, ""


def lucky(flag_key: str, targeting_key: str, percent: int) -> bool:
    """Whether a user is within the first `percent` of a flag's users, by flagd's hash."""
    return (mmh3.hash(cbor2.dumps(flag_key + targeting_key), signed=False) * 100 >> 32) < percent


def variant(policy: Policy, tiers: Iterable[Tier], overrides: Iterable[Override], context: Context, now: float) -> str:
    """The variant that a user is served."""
    names = [v.name for v in policy.spec.variants]
    last = names[-1]
    found = audience(tiers, context, now)
    entry = next((e for e in policy.spec.tiers if found and e.tier_ref.name == found[0].key.name), None)
    if found is None or entry is None or entry.availability == "Never":
        return f"{last}_plan"
    tier, cohort = found
    standing = [
        o
        for o in overrides
        if o.spec.policy_ref.name == policy.key.name
        and o.spec.variant in names
        and min(datetime.fromisoformat(o.spec.expire_time).timestamp(), o.created_at + MAX_OVERRIDE_SECONDS) > now
        and (not o.spec.cells or any(c.tier == tier.key.name and c.cohort in (None, cohort) for c in o.spec.cells))
    ]
    if standing:
        word = max(standing, key=lambda o: (o.created_at, o.key.name)).spec.variant
        return word if word in names[:-1] else f"{last}_override"
    lines = [c for c in policy.status.cells if (c.tier, c.cohort) == (tier.key.name, cohort)]
    key = context.get("targetingKey")
    cell = next((c for c in lines if not c.user), None)
    if policy.spec.mode == "Advise" or entry.availability == "Always":
        return names[0]
    may_have = names[: names.index(entry.lowest) + 1] if entry.lowest else names
    steps = {c.user: names.index(c.variant) if c.variant in names else len(names) - 1 for c in lines}
    alone = [min(names.index(may_have[-1]), step) for user, step in steps.items() if user and user == key]
    if alone and alone[0] > steps.get("", 0):
        return names[alone[0]] if alone[0] < len(names) - 1 else f"{last}_capacity"
    if cell is None:
        return names[0]
    sits = cell.variant if cell.variant in names else last
    lower = names[min(names.index(sits) + 1, len(names) - 1)]
    in_share = cell.percent >= 100 or (key is not None and key != "" and lucky(policy.spec.flag_key, key, cell.percent))
    served = sits if in_share else lower
    served = served if served in may_have else may_have[-1]
    why = cohort.replace("-", "_") if cohort else "capacity"
    return f"{last}_{why}" if served == last else served
