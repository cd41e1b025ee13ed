"""What differs between two plans of one moment: replicas, cells, and what would not be in use. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from brownout.api.reasons import Condition
from brownout.api.resources import Key
from brownout.cli.planning.looking import Looked, variants
from brownout.decide.outcome import CellPlan, Verdict


class Difference(Struct, frozen=True, kw_only=True):
    """One thing that would change. `was` and `becomes` are empty where there was, or would be, none; `why` is the rule's sentence."""

    kind: str
    what: str
    was: str
    becomes: str
    why: str = ""


def differences(before: Looked, after: Looked) -> list[Difference]:
    """Objects that would not be in use or would be again, then replicas, GPUs and cells, each by name."""
    return [*_readiness(before, after), *_pools(before, after), *_replicas(before, after), *_cells(before, after)]


def _readiness(before: Looked, after: Looked) -> Iterator[Difference]:
    was, becomes = _ready(before), _ready(after)
    for kind, key in sorted(was.keys() | becomes.keys()):
        old, new = was.get((kind, key)), becomes.get((kind, key))
        if (old and old.status) != (new and new.status) or (new and new.status is False and old != new):
            yield Difference(
                kind=kind,
                what=str(key),
                was=_in_use(old),
                becomes=_in_use(new),
                why=new.message if new is not None and new.status is False else "",
            )


def _in_use(verdict: Verdict | None) -> str:
    if verdict is None:
        return ""
    return {True: "in use", False: "not in use", None: "not judged"}[verdict.status]


def _ready(looked: Looked) -> dict[tuple[str, Key], Verdict]:
    plan = looked.plan
    kinds: dict[str, Mapping[Key, Any]] = {
        "GPUPool": plan.pools,
        "InferenceScaler": plan.scalers,
        "UserTier": plan.tiers,
        "FeaturePolicy": plan.policies,
        "FeatureOverride": plan.overrides,
    }
    return {
        (kind, key): verdict
        for kind, plans in kinds.items()
        for key, one in plans.items()
        for verdict in one.verdicts
        if verdict.type is Condition.READY
    }


def _pools(before: Looked, after: Looked) -> Iterator[Difference]:
    was, becomes = before.plan.pools, after.plan.pools
    for key in sorted(was.keys() | becomes.keys()):
        old, new = (
            "" if pool is None else f"{'?' if pool.capacity is None else pool.capacity} GPUs, {pool.granted} granted"
            for pool in (was.get(key), becomes.get(key))
        )
        if old != new:
            yield Difference(kind="pool", what=str(key), was=old, becomes=new)


def _replicas(before: Looked, after: Looked) -> Iterator[Difference]:
    was, becomes = before.plan.scalers, after.plan.scalers
    for key in sorted(was.keys() | becomes.keys()):
        old, new = was.get(key), becomes.get(key)
        had, gets = ("" if scaler is None else f"{scaler.replicas} replicas" for scaler in (old, new))
        if had != gets:
            why = f"{new.rule}: {new.message}" if new is not None and new.message else ""
            yield Difference(kind="scaler", what=str(key), was=had, becomes=gets, why=why)


def _cells(before: Looked, after: Looked) -> Iterator[Difference]:
    was, becomes = _levels(before), _levels(after)
    for what in sorted(was.keys() | becomes.keys()):
        had, gets = was.get(what), becomes.get(what)
        if had is None or gets is None or had[0] != gets[0]:
            why = f"{gets[1].reason}: {gets[1].message}" if gets is not None and gets[1].message else ""
            yield Difference(
                kind="cell", what=what, was=had[0] if had else "", becomes=gets[0] if gets else "", why=why
            )


def _levels(looked: Looked) -> dict[str, tuple[str, CellPlan]]:
    return {
        f"{policy.key} for {cell.key.audience}": (_level(cell, variants(looked.snapshot, policy.key)), cell)
        for policy in looked.plan.policies.values()
        for cell in policy.cells
    }


def _level(cell: CellPlan, names: tuple[str, ...]) -> str:
    if cell.overridden_to:
        return f"{cell.overridden_to}, by override"
    level = cell.level
    if level.percent == 100 or level.variant + 1 >= len(names):
        return names[level.variant]
    return f"{names[level.variant]} {level.percent} %, {names[level.variant + 1]} {100 - level.percent} %"


def text(found: list[Difference]) -> str:
    """A line or two each, as `diff` marks them: - is gone, + is new, ~ changes."""
    lines: list[str] = []
    for one in found:
        mark = "+" if not one.was else "-" if not one.becomes else "~"
        change = one.becomes if mark == "+" else one.was if mark == "-" else f"{one.was} -> {one.becomes}"
        lines.append(f"{mark} {one.kind} {one.what}: {change}")
        if one.why:
            lines.append(f"    {one.why}")
    return "\n".join(lines)
