"""Which objects and cells a person asked to have explained, by kind, name and audience; what is not there is said with what is."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from msgspec import Struct

from brownout.api.reasons import Condition
from brownout.api.resources import RESOURCES, Key
from brownout.cli.explanation.cells import explain_cell, explain_policy
from brownout.cli.explanation.model import Explanation
from brownout.cli.explanation.pools import explain_pool, is_short
from brownout.cli.explanation.scalers import explain_scaler
from brownout.cli.explanation.seen import CellSeen, Seen, condition
from brownout.cli.validation.findings import nearest

EXPLAINED = {
    "GPUPool": ("pool",),
    "InferenceScaler": ("scaler",),
    "FeaturePolicy": ("policy", "feature"),
}
"""The kinds that can be explained, each with short words beside those that kubectl knows."""

SHORT = (Condition.SATURATED, Condition.SCALING_LIMITED)

T = TypeVar("T")


class NotThereError(Exception):
    """What was asked for is not there, or is no one thing; the text says what there is."""


class Asked(Struct, frozen=True, kw_only=True):
    """What to explain. Without a kind: the shortage. Without a name: all of the kind. A cohort of "" is the rest of a tier.

    `namespace`: the one that was read, if not all were.
    """

    kind: str = ""
    name: str = ""
    namespace: str | None = None
    tier: str | None = None
    cohort: str | None = None


def kind_of(word: str) -> str:
    """The kind that a word means: FeaturePolicy, featurepolicies, fpol, policy. Raises NotThereError."""
    words: dict[str, str] = {}
    for resource in RESOURCES:
        if resource.kind in EXPLAINED:
            own = (resource.singular, resource.plural, *resource.short_names, *EXPLAINED[resource.kind])
            for each in own:
                words |= {each: resource.kind, f"{each}s": resource.kind}
    words["policies"] = "FeaturePolicy"
    asked = word.lower().partition(".")[0]
    if asked not in words:
        raise NotThereError(f"there is no explanation for {word!r}; {nearest(asked, ('pool', 'scaler', 'policy'))}")
    return words[asked]


def explain(seen: Seen, asked: Asked) -> list[Explanation]:
    """The explanations that were asked for; none where nothing is short. Raises NotThereError."""
    if not asked.kind and not seen.pools:
        return _without_pools(seen)
    if not asked.kind:
        return [explain_pool(seen, pool) for key, pool in sorted(seen.pools.items()) if is_short(seen, pool)]
    if asked.kind == "GPUPool":
        return [explain_pool(seen, pool) for pool in _found(seen.pools, asked)]
    if asked.kind == "InferenceScaler":
        return [explain_scaler(seen, scaler) for scaler in _found(seen.scalers, asked)]
    policies = _found(seen.policies, asked)
    if asked.tier is None:
        return [explain_policy(seen, policy) for policy in policies]
    return [explain_cell(seen, cell) for cell in _cells(seen, [policy.key for policy in policies], asked)]


def _without_pools(seen: Seen) -> list[Explanation]:
    """The shortage as far as a namespace tells of it: the scalers that get less than they demand, and the policies with something taken."""
    limited = [
        scaler
        for _, scaler in sorted(seen.scalers.items())
        if "True" in (condition(scaler.status.conditions, kind)[0] for kind in SHORT)
    ]
    taken = {cell.policy.key for cell in seen.cells if not cell.whole}
    policies = [policy for key, policy in sorted(seen.policies.items()) if key in taken]
    return [explain_scaler(seen, one) for one in limited] + [explain_policy(seen, one) for one in policies]


def _found(objects: Mapping[Key, T], asked: Asked) -> list[T]:
    """The objects of the kind, or the one of the name."""
    where = f" in {asked.namespace}" if asked.namespace and asked.kind != "GPUPool" else ""
    found = {key: one for key, one in sorted(objects.items()) if asked.name in ("", key.name)}
    if not found:
        named = f" {asked.name!r}" if asked.name else ""
        there = ", ".join(key.name if where else str(key) for key in sorted(objects)) or "none"
        raise NotThereError(f"there is no {asked.kind}{named}{where}; there are: {there}")
    if asked.name and len(found) > 1:
        names = ", ".join(key.namespace for key in found)
        raise NotThereError(f"{asked.kind} {asked.name!r} is in more than one namespace; write -n with one of {names}")
    return list(found.values())


def _cells(seen: Seen, policies: Sequence[Key], asked: Asked) -> list[CellSeen]:
    """The cells of these policies that are of the tier, and of the cohort if one is asked for."""
    own = [cell for cell in seen.cells if cell.policy.key in policies]
    found = [cell for cell in own if cell.line.tier == asked.tier and asked.cohort in (None, cell.line.cohort)]
    if not found:
        wanted = f"{asked.tier}/{asked.cohort}" if asked.cohort else str(asked.tier)
        there = ", ".join(dict.fromkeys(str(cell.audience) for cell in own)) or "none: no decision has been made yet"
        of = ", ".join(map(str, policies))
        raise NotThereError(f"FeaturePolicy {of} has no cell {wanted!r}; there are: {there}")
    return found
