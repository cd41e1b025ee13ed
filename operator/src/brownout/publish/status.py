"""Plans as the status that people read: pure, one function for each kind.

Numbers are rounded: status explains a decision, live values are metrics.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from brownout.api.override import FeatureOverrideStatus
from brownout.api.policy import CellStatus, FeaturePolicyStatus
from brownout.api.pool import GPUPoolStatus, Holder, LadderPosition, PoolGPUs, PoolSaturation
from brownout.api.scaler import (
    DemandStatus,
    InferenceScalerStatus,
    Learned,
    Reclaim,
    ReplicaCounts,
    ScaleDecision,
    ScalerMemory,
)
from brownout.api.schema import Condition, Conditions
from brownout.api.tier import UserTierStatus
from brownout.decide import memory as remembered
from brownout.decide.learn import LEAST_STARTS, cold_start_seconds
from brownout.decide.outcome import CellPlan, ObjectPlan, PolicyPlan, PoolPlan, ScalePlan, Verdict
from brownout.decide.recall import rfc3339
from brownout.decide.snapshot import StoredOverride, StoredPolicy, StoredPool, StoredScaler, StoredTier

LONGEST_MESSAGE = 1024
NESTED = (dict, list, tuple)


def body(status: msgspec.Struct) -> dict[str, Any]:
    """A status as JSON values, without empty texts, so that a time that is not known is absent.

    Nor with empty objects: server-side apply makes null of an object whose fields all went away, which no schema takes.
    """
    pruned = _prune(msgspec.to_builtins(status))
    assert isinstance(pruned, dict)
    return pruned


def _prune(value: Any) -> Any:
    """Without what is empty, from the inside out. A thousand statuses pass here at each tick, so nothing is built twice."""
    if not isinstance(value, dict):
        return [_prune(item) if isinstance(item, NESTED) else item for item in value]
    pruned = {}
    for key, item in value.items():
        if item is None or item == "":
            continue
        if isinstance(item, NESTED):
            item = _prune(item)
            if item == {}:
                continue
        pruned[key] = item
    return pruned


def conditions(verdicts: Iterable[Verdict], *, stored: Conditions, generation: int, now: float) -> Conditions:
    """Verdicts as conditions; lastTransitionTime is kept while a condition's status stays."""
    before = {condition.type: condition for condition in stored}
    result = []
    for verdict in verdicts:
        status = "Unknown" if verdict.status is None else str(verdict.status)
        old = before.get(str(verdict.type))
        kept = old.last_transition_time if old is not None and old.status == status else ""
        result.append(
            Condition(
                type=str(verdict.type),
                status=status,
                reason=str(verdict.reason),
                message=verdict.message[:LONGEST_MESSAGE],
                last_transition_time=kept or rfc3339(now),
                observed_generation=generation,
            )
        )
    return tuple(result)


def _time(at: float | None) -> str:
    return "" if at is None else rfc3339(at)


def _decimal(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def scaler_status(
    plan: ScalePlan, memory: remembered.ScalerMemory, stored: StoredScaler, now: float
) -> InferenceScalerStatus:
    """A scaler's status: counts, demand, what was learned, the last decisions."""
    flow, expected = plan.flow, stored.spec.cold_start.expected_seconds
    learned = len(memory.cold_starts) >= LEAST_STARTS
    shortfall = None
    if flow.admitted is not None and flow.capacity is not None:
        shortfall = max(0.0, flow.admitted - flow.capacity)
    return InferenceScalerStatus(
        observed_generation=stored.generation,
        replicas=stored.status.replicas
        if plan.unread
        else ReplicaCounts(
            desired=plan.replicas,
            current=plan.current,
            ready=plan.ready,
            coming=plan.coming,
            demanded=plan.demanded,
            obtainable=plan.obtainable,
            floor=plan.floor,
            forecast=plan.forecast,
        ),
        saturation_percent=plan.saturation_percent,
        limited_by=plan.limited_by,
        demand=DemandStatus(
            offered=_decimal(flow.offered),
            admitted=_decimal(flow.admitted),
            backlog=_decimal(flow.backlog),
            capacity=_decimal(flow.capacity),
            shortfall=_decimal(shortfall),
            leading_metric=flow.leading_metric,
        ),
        learned=Learned(
            cost_percent=round(100 * memory.cost_factor) if memory.cost_learned else None,
            cost_error_percent=round(100 * memory.cost_error) if memory.cost_learned else None,
            cold_start_p50_seconds=round(cold_start_seconds(memory, expected=expected)) if learned else None,
            cold_start_p95_seconds=round(cold_start_seconds(memory, expected=expected, quantile=0.95))
            if learned
            else None,
        ),
        coming_ready_at=_time(plan.coming_ready_at),
        reclaim=Reclaim() if plan.goes_to is None else Reclaim(to=str(plan.goes_to), keeps=plan.keeps),
        summary=f"{plan.rule}: {plan.message}",
        decisions=tuple(
            ScaleDecision(
                at=rfc3339(d.at),
                from_replicas=d.from_replicas,
                to_replicas=d.to_replicas,
                rule=str(d.rule),
                message=d.message,
            )
            for d in memory.decisions
        ),
        memory=ScalerMemory(
            saturated_since=_time(memory.saturated_since),
            deficit_since=_time(memory.deficit_since),
            closed_until=_time(memory.closed_until or None),
        ),
        conditions=conditions(plan.verdicts, stored=stored.status.conditions, generation=stored.generation, now=now),
    )


def policy_status(
    plan: PolicyPlan, memory: remembered.Memory, stored: StoredPolicy, now: float, *, decision: str = ""
) -> FeaturePolicyStatus:
    """A policy's status: a line for each cell, and what it must remember through a restart. `decision` made its version."""
    return FeaturePolicyStatus(
        observed_generation=stored.generation,
        version=plan.version,
        decision=decision,
        summary=plan.summary,
        cells=tuple(_cell(cell, memory.cells[cell.key]) for cell in plan.cells),
        conditions=conditions(plan.verdicts, stored=stored.status.conditions, generation=stored.generation, now=now),
    )


def _cell(plan: CellPlan, memory: remembered.CellMemory) -> CellStatus:
    audience = plan.key.audience
    return CellStatus(
        tier=audience.tier,
        cohort=audience.cohort,
        user=audience.user,
        variant=plan.variant_name,
        percent=plan.level.percent,
        overridden_to=plan.overridden_to,
        reason=str(plan.reason),
        message=plan.message,
        since=rfc3339(plan.since),
        expected_return=_time(plan.expected_return),
        refused_by="" if plan.refused_by is None else str(plan.refused_by),
        refusal=plan.refusal[:LONGEST_MESSAGE],
        last_shed_at=_time(memory.last_shed_at),
        dwell_seconds=round(memory.dwell_seconds),
        offered="" if memory.rate is None else f"{memory.rate:.4f}",
        offered_before="" if memory.shed_rate is None else f"{memory.shed_rate:.3f}",
        reversals=tuple(rfc3339(at) for at in memory.reversals),
        direction=memory.direction,
    )


def pool_status(plan: PoolPlan, stored: StoredPool, now: float) -> GPUPoolStatus:
    """A pool's status: GPUs and who holds them, saturation, the place on the ladder."""
    capacity = stored.status.gpus.capacity if plan.capacity is None else plan.capacity
    return GPUPoolStatus(
        observed_generation=stored.generation,
        gpus=PoolGPUs(
            capacity=capacity,
            granted=plan.granted,
            held=plan.held,
            free=None if capacity is None else max(0, capacity - plan.held),
            limited_by=plan.limited_by,
        ),
        holders=tuple(
            Holder(namespace=h.scaler.namespace, scaler=h.scaler.name, gpus=h.gpus, ready=h.ready, coming=h.coming)
            for h in plan.holders
        ),
        saturation=PoolSaturation(
            percent=plan.saturation_percent,
            unknown=plan.saturation_unknown,
            scaler=plan.saturated_by,
            message=plan.saturation_message,
            since=_time(plan.saturated_since),
        ),
        ladder=LadderPosition(
            taken=plan.rungs_taken,
            total=plan.rungs_total,
            position=f"{plan.rungs_taken}/{plan.rungs_total}" if plan.rungs_total else "",
            next=plan.next_rung,
            last=plan.last_rung,
        ),
        conditions=conditions(plan.verdicts, stored=stored.status.conditions, generation=stored.generation, now=now),
    )


def tier_status(plan: ObjectPlan, stored: StoredTier, now: float) -> UserTierStatus:
    """A tier's status: its place in the order in which tiers are tried."""
    return UserTierStatus(
        observed_generation=stored.generation,
        tried=plan.tried,
        conditions=conditions(plan.verdicts, stored=stored.status.conditions, generation=stored.generation, now=now),
    )


def override_status(plan: ObjectPlan, stored: StoredOverride, now: float) -> FeatureOverrideStatus:
    """An override's status: whether it is in force, and for how many cells."""
    return FeatureOverrideStatus(
        observed_generation=stored.generation,
        state=plan.state,
        cells=plan.cells,
        conditions=conditions(plan.verdicts, stored=stored.status.conditions, generation=stored.generation, now=now),
    )
