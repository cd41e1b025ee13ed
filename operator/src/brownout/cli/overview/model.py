"""The rows of the overview, from typed objects. Pure."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from brownout.api.override import ends_at
from brownout.api.policy import CellStatus, FeaturePolicySpec
from brownout.api.resources import InvalidObject, Stored
from brownout.cli.gates.served import audiences
from brownout.cli.overview import Objects
from brownout.cli.standing import as_it_stands
from brownout.flags.cells import Override, in_force


class Row(Struct, frozen=True, kw_only=True, rename="camel"):
    """One line of a table; `-o json` shows its fields."""


class PoolRow(Row, frozen=True, kw_only=True):
    """GPUs of a pool. `position`: rungs taken of all; `next` goes next, `last` went last. What is not known is null.

    `saturation_percent` is the worst of its scalers', of which `saturation_unknown` are left out, because theirs is not known.
    """

    name: str
    gpus: int | None
    granted: int | None
    held: int | None
    free: int | None
    saturation_percent: int | None
    saturation_unknown: int | None
    saturated: bool
    position: str
    next: str
    last: str


class FeatureRow(Row, frozen=True, kw_only=True):
    """An audience that has less than the first variant; a feature of which nobody has less has one row without a tier."""

    namespace: str
    feature: str
    tier: str
    cohort: str
    user: str
    has: str
    variant: str
    percent: int
    overridden_to: str
    reason: str
    since: str
    message: str
    expected_return: str
    refused_by: str
    refusal: str


class OverrideRow(Row, frozen=True, kw_only=True):
    """A person's word that is in force."""

    namespace: str
    name: str
    feature: str
    audience: str
    variant: str
    ends: str
    reason: str
    state: str


class ScalerRow(Row, frozen=True, kw_only=True):
    """A workload. Demand in GPU-seconds a second, as status has it: text with two decimals. What is not known is null."""

    namespace: str
    name: str
    ready: int | None
    coming: int | None
    desired: int | None
    demanded: int | None
    saturation_percent: int | None
    limited_by: str
    offered: str | None
    admitted: str | None
    capacity: str | None
    summary: str


class Overview(Row, frozen=True, kw_only=True):
    """Everything, each kind by name. `troubles`: a sentence for each object that is not in use or cannot be read."""

    pools: tuple[PoolRow, ...] = ()
    features: tuple[FeatureRow, ...] = ()
    overrides: tuple[OverrideRow, ...] = ()
    scalers: tuple[ScalerRow, ...] = ()
    troubles: tuple[str, ...] = ()


def overview(objects: Objects, *, now: float) -> Overview:
    """The rows. `now` in Unix seconds: an override that is over by then is not shown."""

    def of(kind: str) -> list[Stored[Any, Any]]:
        return sorted((o for o in objects.get(kind, ()) if isinstance(o, Stored)), key=lambda one: one.key)

    words = in_force(of("FeatureOverride"), now)
    return Overview(
        pools=tuple(_pool(pool) for pool in of("GPUPool")),
        features=tuple(row for policy in of("FeaturePolicy") for row in _policy(policy, words)),
        overrides=tuple(row for word in of("FeatureOverride") for row in _override(word, now)),
        scalers=tuple(_scaler(scaler) for scaler in of("InferenceScaler")),
        troubles=tuple(_troubles(objects)),
    )


def _pool(pool: Stored[Any, Any]) -> PoolRow:
    status = pool.status
    return PoolRow(
        name=pool.key.name,
        gpus=status.gpus.capacity,
        granted=status.gpus.granted,
        held=status.gpus.held,
        free=status.gpus.free,
        saturation_percent=status.saturation.percent,
        saturation_unknown=status.saturation.unknown,
        saturated=bool(status.saturation.since),
        position=status.ladder.position,
        next=status.ladder.next,
        last=status.ladder.last,
    )


def _policy(policy: Stored[Any, Any], words: Sequence[Override]) -> Iterator[FeatureRow]:
    spec = policy.spec
    cells = [as_it_stands(policy, cell, words) for cell in policy.status.cells]
    first = spec.variants[0].name
    taken = [cell for cell in cells if cell.overridden_to or (cell.variant, cell.percent) != (first, 100)]
    if not taken:
        nobody = CellStatus(tier="", variant=first if cells else "")
        yield _cell(policy, nobody, first if cells else "nobody yet: no decision has been made")
    for cell in taken:
        yield _cell(policy, cell, _has(spec, cell))


def _cell(policy: Stored[Any, Any], cell: CellStatus, has: str) -> FeatureRow:
    return FeatureRow(
        namespace=policy.key.namespace,
        feature=policy.key.name,
        tier=cell.tier,
        cohort=cell.cohort,
        user=cell.user,
        has=has,
        variant=cell.variant,
        percent=cell.percent,
        overridden_to=cell.overridden_to,
        reason=cell.reason,
        since=cell.since,
        message=cell.message,
        expected_return=cell.expected_return,
        refused_by=cell.refused_by,
        refusal=cell.refusal,
    )


def _has(spec: FeaturePolicySpec, cell: CellStatus) -> str:
    if cell.overridden_to:
        return f"{cell.overridden_to}, by override"
    names = [variant.name for variant in spec.variants]
    if cell.percent == 100 or cell.variant not in names[:-1]:
        return cell.variant
    lower = names[names.index(cell.variant) + 1]
    return f"{cell.variant} {cell.percent} %, {lower} {100 - cell.percent} %"


def _override(word: Stored[Any, Any], now: float) -> Iterator[OverrideRow]:
    end = ends_at(word.spec, created_at=word.created_at)
    if end <= now:
        return
    yield OverrideRow(
        namespace=word.key.namespace,
        name=word.key.name,
        feature=word.spec.policy_ref.name,
        audience=audiences(word),
        variant=word.spec.variant,
        ends=_rfc3339(end),
        reason=word.spec.reason,
        state=word.status.state,
    )


def _rfc3339(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _scaler(scaler: Stored[Any, Any]) -> ScalerRow:
    status, replicas, demand = scaler.status, scaler.status.replicas, scaler.status.demand
    return ScalerRow(
        namespace=scaler.key.namespace,
        name=scaler.key.name,
        ready=replicas.ready,
        coming=replicas.coming,
        desired=replicas.desired,
        demanded=replicas.demanded,
        saturation_percent=status.saturation_percent,
        limited_by=status.limited_by,
        offered=demand.offered or None,
        admitted=demand.admitted or None,
        capacity=demand.capacity or None,
        summary=status.summary,
    )


def _troubles(objects: Objects) -> Iterator[str]:
    for kind, found in objects.items():
        for one in found:
            if isinstance(one, InvalidObject):
                yield one.message
                continue
            for condition in one.status.conditions:
                if (condition.type, condition.status) == ("Ready", "False"):
                    yield condition.message or f"{kind} {one.key} is not ready: {condition.reason}"
