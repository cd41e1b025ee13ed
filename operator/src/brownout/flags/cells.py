"""What a cell is served, and why: the plan first, then a person's word, then what status says, within what the tier may have."""

from collections.abc import Iterable, Sequence

import msgspec

from brownout.api.override import FeatureOverrideSpec, FeatureOverrideStatus, ends_at
from brownout.api.policy import CellStatus, FeaturePolicySpec, FeaturePolicyStatus, TierEntry
from brownout.api.resources import Stored

Policy = Stored[FeaturePolicySpec, FeaturePolicyStatus]
Override = Stored[FeatureOverrideSpec, FeatureOverrideStatus]

CAPACITY, PLAN, OVERRIDE = "capacity", "plan", "override"
"""Why somebody is denied, as it stands in the name of the denial; a denied cohort is named itself."""

NOT_SAID_YET = "its override is over; the operator has yet to say why it has what it has"
"""Of a cell whose line in status still speaks of an override that is no more."""

TURN_SECONDS, TURN_STRIDE = 20, 7
"""A part of one user is a part of the seconds: so many of every 20. The n-th second of 20 counts as the 7 n-th, modulo 20, and those
that count first are given first: so they are spread, as a queue of seconds likes it."""


class Share(msgspec.Struct, frozen=True):
    """`percent` of a cell's users get `variant`, the others `otherwise`; of one user alone it is `percent` of the seconds."""

    variant: str
    percent: int = 100
    otherwise: str = ""


def serve(policy: Policy, *, tier: str, cohort: str, overrides: Iterable[Override]) -> Share:
    """The share of one cell.

    The plan comes before a person's word: an override acts on the cells of a policy, and a tier that is not listed, or Never,
    has none. `overrides` are those in force for this policy, the newest first; one whose variant the policy lacks is Invalid,
    as its status says, and changes nothing.
    """
    spec = policy.spec
    last = len(spec.variants) - 1
    entry = _entry(policy, tier)
    if entry is None:
        return Share(_named(policy, last, PLAN))
    if override := word_for(policy, tier, cohort, overrides):
        return Share(_named(policy, place_of(override.spec.variant, _names(policy)), OVERRIDE))
    if spec.mode == "Advise":
        return Share(spec.variants[0].name)
    return _as_status_says(policy, entry, cohort)


def held_back(policy: Policy, *, tier: str, cohort: str, overrides: Iterable[Override]) -> dict[Share, list[str]]:
    """The users of a cell who are held back alone, by the share that they get; everybody else gets the cell's share.

    As for the cell: not beyond `lowest`, and beneath a person's word. Nobody has more than the cell: where status says so the
    user is left to the cell's share.
    """
    entry = _entry(policy, tier)
    if entry is None or policy.spec.mode == "Advise" or word_for(policy, tier, cohort, overrides):
        return {}
    lines = [line for line in policy.status.cells if (line.tier, line.cohort) == (tier, cohort)]
    rest = next((_depth(policy, entry, line) for line in lines if not line.user), 0)
    found: dict[Share, list[str]] = {}
    for line in lines:
        if line.user and _depth(policy, entry, line) > rest:
            found.setdefault(_share(policy, entry, line, CAPACITY), []).append(line.user)
    return {share: sorted(set(found[share])) for share in sorted(found, key=lambda one: (one.variant, one.percent))}


def _entry(policy: Policy, tier: str) -> TierEntry | None:
    """What a policy says of a tier; None where the tier has no part in the feature."""
    entry = next((entry for entry in policy.spec.tiers if entry.tier_ref.name == tier), None)
    return None if entry is None or entry.availability == "Never" else entry


def word_for(policy: Policy, tier: str, cohort: str, overrides: Iterable[Override]) -> Override | None:
    """The person's word that is in force for a cell."""
    names = _names(policy)
    return next((word for word in overrides if _covers(word, tier, cohort) and word.spec.variant in names), None)


def _as_status_says(policy: Policy, entry: TierEntry, cohort: str) -> Share:
    """What the loop last decided. Steps count from 0, the best variant; the tier never falls below `lowest`."""
    tier = entry.tier_ref.name
    lines = (line for line in policy.status.cells if (line.tier, line.cohort, line.user) == (tier, cohort, ""))
    cell = next(lines, None)
    if cell is None:
        return Share(policy.spec.variants[0].name)
    return _share(policy, entry, cell, cohort.replace("-", "_") or CAPACITY)


def _share(policy: Policy, entry: TierEntry, line: CellStatus, why: str) -> Share:
    """The share that a line of status speaks of; a denial is for the reason `why`."""
    lowest = _lowest(policy, entry)
    step = line.step(_names(policy))
    upper, lower = min(step, lowest), min(step + 1, lowest)
    percent = max(0, min(100, line.percent))
    if upper == lower or percent == 100:
        return Share(_named(policy, upper, why))
    if percent == 0:
        return Share(_named(policy, lower, why))
    return Share(_named(policy, upper, why), percent, _named(policy, lower, why))


def _depth(policy: Policy, entry: TierEntry, line: CellStatus) -> int:
    """How far down a line of status is, in percent of a variant."""
    depth = 100 * line.step(_names(policy)) + 100 - max(0, min(100, line.percent))
    return min(depth, 100 * _lowest(policy, entry))


def _lowest(policy: Policy, entry: TierEntry) -> int:
    if entry.availability == "Always":
        return 0
    return len(policy.spec.variants) - 1 if entry.lowest is None else place_of(entry.lowest, _names(policy))


def _names(policy: Policy) -> list[str]:
    return [variant.name for variant in policy.spec.variants]


def place_of(variant: str, names: Sequence[str]) -> int:
    """The place of a variant among a policy's; the last where it is none of them, as it is served."""
    return names.index(variant) if variant in names else len(names) - 1


def _named(policy: Policy, step: int, why: str) -> str:
    """A variant's name; the denial's says why."""
    name = policy.spec.variants[step].name
    return f"{name}_{why}" if step == len(policy.spec.variants) - 1 else name


def denials(policy: Policy, cohorts: Iterable[str]) -> tuple[str, ...]:
    """Every name that the denial can have, in one order."""
    whys = (CAPACITY, PLAN, OVERRIDE, *sorted({cohort.replace("-", "_") for cohort in cohorts}))
    return tuple(_named(policy, len(policy.spec.variants) - 1, why) for why in whys)


def in_force(overrides: Iterable[Override], now: float) -> tuple[Override, ...]:
    """The overrides that are not over at `now` (Unix seconds), the newest first."""
    return tuple(
        sorted(
            (override for override in overrides if ends_at(override.spec, created_at=override.created_at) > now),
            key=lambda override: (override.created_at, override.key.name),
            reverse=True,
        )
    )


def _covers(override: Override, tier: str, cohort: str) -> bool:
    cells = override.spec.cells
    return not cells or any(cell.tier == tier and cell.cohort in (None, cohort) for cell in cells)
