"""The plan in full: every decision with its numbers, its conditions and its words. Decides nothing."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from brownout.api.override import ends_at
from brownout.api.reasons import Condition, Reason
from brownout.api.resources import Key
from brownout.decide.cells import FIRST, Cell, Rung, ladder, rungs_taken, taken
from brownout.decide.compiled import ladders, pools_of
from brownout.decide.evidence import Missing
from brownout.decide.features import Shedding
from brownout.decide.fullness import percent, pool_saturated, saturated
from brownout.decide.memory import PoolMemory
from brownout.decide.outcome import (
    CellKey,
    CellPlan,
    FlowView,
    HolderView,
    Level,
    Note,
    ObjectPlan,
    Plan,
    PolicyPlan,
    PoolPlan,
    ScalePlan,
    Verdict,
)
from brownout.decide.overrides import covers
from brownout.decide.recall import deadline, rfc3339
from brownout.decide.replicas import Deal, Decided
from brownout.decide.restore import Refusal
from brownout.decide.scene import Scene
from brownout.decide.snapshot import Policy, Scaler, StoredOverride


class Report(Struct, frozen=True, kw_only=True):
    """What the rules decided. `scene` and `pools` are after this tick, the memory in `deals` before; `refused` by the gate."""

    scene: Scene
    deals: tuple[Deal, ...]
    shedding: Shedding
    refused: Mapping[CellKey, Refusal]
    pools: Mapping[Key, PoolMemory]
    versions: Mapping[Key, int]


def describe(r: Report) -> Plan:
    """Put a report into words."""
    scalers = {d.view.key: _scaler(r, d) for deal in r.deals for d in deal.decided}
    for key, scaler in r.scene.snapshot.scalers.items():
        if key not in scalers:
            scalers[key] = _unusable_scaler(r, scaler)
    advice = {step.cell.key: step.level for step in r.shedding.advised}
    policies = {key: _policy(r, policy, advice) for key, policy in r.scene.snapshot.policies.items()}
    ladders, taken_of = _ladders(r), _rungs_taken(r)
    pools = {
        key: _pool(r, deal, scalers, ladders.get(key, ()), taken_of[key])
        for deal in r.deals
        for key in [deal.pool.stored.key]
    }
    overrides = {key: _override(r, override) for key, override in r.scene.snapshot.overrides.items()}
    return Plan(
        at=r.scene.now,
        scalers=scalers,
        policies=policies,
        pools=pools,
        tiers={key: _tier(r, key) for key in r.scene.snapshot.tiers},
        overrides=overrides,
        notes=tuple(_notes(r, scalers, policies, pools, overrides)),
    )


def _is_shown(r: Report, cell: Cell) -> bool:
    """Who is merely heavy is not spoken of; who was held back is, until it is forgotten."""
    return not cell.alone or r.scene.memory[cell.key].last_shed_at is not None


def _verdict(kind: Condition, status: bool | None, reason: Reason, message: str = "") -> Verdict:
    return Verdict(type=kind, status=status, reason=reason, message=message)


EVIDENCE_IS_THERE = _verdict(Condition.METRICS_AVAILABLE, True, Reason.AVAILABLE)
NOT_HELD = _verdict(Condition.HELD, False, Reason.AVAILABLE)
NOT_LIMITED = _verdict(Condition.SCALING_LIMITED, False, Reason.STEADY)
NOT_SHEDDING = _verdict(Condition.SHEDDING, False, Reason.SERVED)
NOT_OVERRIDDEN = _verdict(Condition.OVERRIDDEN, False, Reason.SERVED)
"""What is true of nearly everything nearly always."""


def _evidence(missing: str) -> Verdict:
    """Whether all evidence is there, or what is `missing`."""
    return _verdict(Condition.METRICS_AVAILABLE, False, Reason.MISSING, missing) if missing else EVIDENCE_IS_THERE


def _held(missing: str) -> Verdict:
    """Whether decisions wait for what is `missing`."""
    return _verdict(Condition.HELD, True, Reason.MISSING, missing) if missing else NOT_HELD


def _scaler(r: Report, d: Decided) -> ScalePlan:
    view = d.view
    demand, supply = view.demand, view.supply
    write = view.spec.mode == "Auto" and d.replicas != supply.replicas
    rule = Reason.ADVISE if view.spec.mode == "Advise" else d.rule
    message = d.message
    if view.spec.mode == "Advise":
        message = f"mode: Advise; would write {d.replicas} replicas: {d.message}"
    return ScalePlan(
        key=view.key,
        current=supply.replicas,
        replicas=d.replicas,
        write=write,
        rule=rule,
        message=message,
        ready=supply.ready,
        coming=supply.coming,
        demanded=None if view.blind else d.demanded,
        obtainable=d.obtainable,
        floor=None if demand.floor is None else d.floor,
        limited_by=d.limited_by,
        flow=FlowView(
            offered=demand.offered.mean if demand.offered and demand.flow_whole else None,
            admitted=demand.admitted.mean if demand.admitted and demand.flow_whole else None,
            backlog=demand.backlog if demand.backlog_whole else None,
            capacity=supply.capacity,
            leading_metric=demand.load_metric if demand.offered is None else "flow",
        ),
        saturation_percent=percent(view),
        saturated=view.saturated,
        coming_ready_at=supply.coming_ready_at,
        forecast=view.forecast,
        goes_to=None if d.falls_to is None else d.falls_for,
        keeps=d.falls_to or 0,
        verdicts=_scaler_verdicts(r, d),
    )


def _scaler_verdicts(r: Report, d: Decided) -> tuple[Verdict, ...]:
    view, missing = d.view, d.view.demand.missing
    ready, limits = r.scene.compiled.links.ready["InferenceScaler", view.key], NOT_LIMITED
    if d.limited_by:
        words = f"{d.demanded} replicas are demanded, limited by {d.limited_by}"
        limits = _verdict(Condition.SCALING_LIMITED, True, d.rule, words)
    if view.supply.dead:
        ready = _verdict(
            Condition.READY,
            False,
            Reason.PODS_NOT_READY,
            f"{view.supply.dead} pods did not become ready within coldStart.giveUpAfterSeconds "
            f"({view.spec.cold_start.give_up_after_seconds}); look at their events and logs",
        )
    return (
        ready,
        _evidence("; ".join(missing)),
        limits,
        saturated(view),
        _verdict(Condition.HELD, True, Reason.HELD, d.message) if d.rule is Reason.HELD else NOT_HELD,
    )


def _unusable_scaler(r: Report, scaler: Scaler) -> ScalePlan:
    """A scaler that leads nowhere: nothing is written, and a workload that cannot be read has what it was last said to have."""
    key, stored = scaler.stored.key, scaler.stored.status.replicas
    unread = isinstance(scaler.workload, Missing)
    current = (stored.current or 0) if isinstance(scaler.workload, Missing) else scaler.workload.replicas
    ready = r.scene.compiled.links.ready["InferenceScaler", key]
    return ScalePlan(
        key=key,
        current=current,
        replicas=current,
        write=False,
        rule=ready.reason,
        message=ready.message,
        ready=stored.ready,
        coming=stored.coming,
        unread=unread,
        verdicts=(ready,),
    )


def _policy(r: Report, policy: Policy, advice: Mapping[CellKey, Level]) -> PolicyPlan:
    key = policy.stored.key
    own = [cell for cell in r.scene.by_policy[key] if not cell.alone or _is_shown(r, cell)]
    cells = tuple([_cell(r, cell, advice.get(cell.key)) for cell in own])
    below = [c for c in cells if c.level != FIRST or c.overridden_to]
    shedding = sum([c.level != FIRST for c in below])
    overridden = any(c.overridden_to for c in below)
    stale = r.scene.stale
    missing = next((stale[cell.key] for cell in own if cell.key in stale), "") if stale else ""
    unread = missing or (policy.heaviest.message if isinstance(policy.heaviest, Missing) else "")
    verdicts = [r.scene.compiled.links.ready["FeaturePolicy", key]]
    if own:
        words = f"{shedding} of {len(cells)} cells have less than {own[0].variants[0]}"
        verdicts += [
            _evidence(unread),
            _verdict(Condition.SHEDDING, True, Reason.CAPACITY, words) if shedding else NOT_SHEDDING,
            _verdict(Condition.OVERRIDDEN, True, Reason.OVERRIDE) if overridden else NOT_OVERRIDDEN,
            _held(missing),
        ]
    return PolicyPlan(
        key=key,
        cells=cells,
        version=r.versions.get(key, policy.stored.status.version),
        summary="; ".join([f"{c.key.audience}: {c.overridden_to or _served_words(r, c)}" for c in below]) or "all",
        verdicts=tuple(verdicts),
    )


def _served_words(r: Report, plan: CellPlan) -> str:
    return r.scene.cells[plan.key].name(plan.level)


def _cell(r: Report, cell: Cell, advised: Level | None) -> CellPlan:
    memory, refusal = r.scene.memory[cell.key], r.refused.get(cell.key)
    override = r.scene.overridden.get(cell.key)
    reason, message, expected = memory.reason, memory.message, None
    refused_by, refused = None, ""
    if override is not None:
        reason = Reason.OVERRIDE
        message = f"FeatureOverride {override.key.name}: {override.spec.reason}"
        expected = ends_at(override.spec, created_at=override.created_at)
    elif not cell.planned:
        reason, message = Reason.PLAN, "availability: Never"
    elif advised is not None:
        reason, message = Reason.ADVISE, f"mode: Advise; would go to {cell.name(advised)}"
    elif refusal is not None:
        expected, refused_by, refused = refusal.until, refusal.reason, refusal.message
    return CellPlan(
        key=cell.key,
        level=memory.level,
        previous=r.scene.before[cell.key],
        variant_name=cell.variants[memory.level.variant],
        reason=reason,
        message=message,
        since=memory.since,
        expected_return=expected,
        refused_by=refused_by,
        refusal=refused,
        overridden_to=override.spec.variant if override is not None else "",
    )


def _ladders(r: Report) -> dict[Key, list[Rung]]:
    """The ladder of each pool: single users who are spoken of are before all others."""
    known = r.scene.compiled
    users = ladders(ladder([cell for cell in r.scene.users.values() if _is_shown(r, cell)]), known.pool_of)
    return {**known.ladders, **{pool: [*rungs, *known.ladders[pool]] for pool, rungs in users.items()}}


def _rungs_taken(r: Report) -> Counter[Key]:
    """How many rungs of each pool's ladder are taken, wholly or in part."""
    found: Counter[Key] = Counter()
    for key, memory in r.scene.memory.items():
        if memory.level == FIRST or not _is_shown(r, cell := r.scene.cells[key]):
            continue
        for pool in pools_of(cell, r.scene.compiled.pool_of):
            found[pool] += rungs_taken(cell, memory.level)
    return found


def _pool(r: Report, deal: Deal, scalers: Mapping[Key, ScalePlan], rungs: Sequence[Rung], down: int) -> PoolPlan:
    """A pool's line: of its `rungs`, `down` are taken."""
    key = deal.pool.stored.key
    upcoming = next((rung for rung in rungs if not taken(rung, r.scene.memory[rung.cell.key].level)), None)
    known = [d for d in deal.decided if percent(d.view) is not None]
    worst = max(known, key=lambda d: (d.view.saturated, d.view.saturation or 0.0), default=None)
    short = next((d for d in (worst, *deal.decided) if d is not None and d.view.saturated), None)
    unreadable = deal.gpus.message if isinstance(deal.gpus, Missing) else ""
    holders = tuple(
        HolderView(
            scaler=d.view.key,
            gpus=(d.view.supply.ready + d.view.supply.coming + d.view.supply.dead) * d.view.supply.gpus,
            ready=d.view.supply.ready,
            coming=d.view.supply.coming,
        )
        for d in deal.decided
    )
    blamed = short or worst
    words = next((s.message for s in r.shedding.shortages.get(key, ()) if blamed and s.scaler == blamed.view.key), "")
    return PoolPlan(
        key=key,
        capacity=None if isinstance(deal.gpus, Missing) else deal.gpus.total,
        limited_by="" if isinstance(deal.gpus, Missing) else deal.gpus.limited_by,
        granted=sum(scalers[d.view.key].replicas * d.view.supply.gpus for d in deal.decided),
        held=sum(h.gpus for h in holders),
        holders=holders,
        saturation_percent=percent(worst.view) if worst else None,
        saturation_unknown=len(deal.decided) - len(known),
        saturated_by=short.view.key.name if short else "",
        saturated_since=r.pools[key].saturated_since,
        saturation_message=words,
        rungs_taken=down,
        rungs_total=len(rungs),
        next_rung=str(upcoming) if upcoming else "",
        last_rung=r.pools[key].last_rung,
        verdicts=(
            r.scene.compiled.links.ready["GPUPool", key],
            pool_saturated([d.view for d in deal.decided], short.view if short else None),
            _verdict(Condition.SHEDDING, down > 0, Reason.CAPACITY if down else Reason.SERVED),
            _held(unreadable),
        ),
    )


def _tier(r: Report, key: Key) -> ObjectPlan:
    order = [t.key for t in r.scene.compiled.links.tiers_of.get(key.namespace, ())]
    verdict = r.scene.compiled.links.ready.get(("UserTier", key))
    return ObjectPlan(
        key=key, verdicts=(verdict,) if verdict else (), tried=order.index(key) + 1 if key in order else 0
    )


def _override(r: Report, override: StoredOverride) -> ObjectPlan:
    key, spec = override.key, override.spec
    policy = r.scene.snapshot.policies.get(Key(key.namespace, spec.policy_ref.name))
    own = r.scene.by_policy.get(Key(key.namespace, spec.policy_ref.name), ())
    covered = [cell for cell in own if cell.planned and not cell.alone and covers(override, cell.key)]
    active = [cell for cell in covered if r.scene.overridden.get(cell.key) == override]
    ends = ends_at(spec, created_at=override.created_at)
    expired = r.scene.now >= ends
    where = f"FeatureOverride {key}: spec"
    problem = ""
    if policy is None:
        there = ", ".join(sorted(k.name for k in r.scene.snapshot.policies if k.namespace == key.namespace)) or "none"
        problem = f"{where}.policyRef.name: no FeaturePolicy {spec.policy_ref.name!r} in {key.namespace}; write one that exists ({there})"
    elif spec.variant not in (known := [v.name for v in policy.stored.spec.variants]):
        problem = f"{where}.variant: FeaturePolicy {policy.stored.key.name} has no variant {spec.variant!r}; write one of {', '.join(known)}"
    elif not covered:
        problem = f"{where}.cells: no cell of FeaturePolicy {policy.stored.key.name} matches; write a tier (and cohort) that it lists"
    state = "Expired" if expired else "Invalid" if problem else "Active" if active else "Superseded"
    reason = Reason.NOT_FOUND if problem else Reason.ACCEPTED
    return ObjectPlan(
        key=key,
        verdicts=(
            _verdict(Condition.READY, not problem, reason, problem),
            _verdict(
                Condition.EXPIRED, expired, Reason.EXPIRED if expired else Reason.ACTIVE, _when_it_ends(override, ends)
            ),
        ),
        state=state,
        cells=len(active),
    )


def _when_it_ends(override: StoredOverride, ends: float) -> str:
    """When an override ends, and why then if it is not at its expireTime."""
    asked = deadline(override.spec.expire_time)
    if asked is None:
        return f"spec.expireTime is {override.spec.expire_time!r}; write a time such as 2026-11-22T20:00:00Z"
    words = f"ends at {rfc3339(ends)}"
    return f"{words}: seven days after its creation, before its expireTime" if asked > ends else words


def _notes(
    r: Report,
    scalers: Mapping[Key, ScalePlan],
    policies: Mapping[Key, PolicyPlan],
    pools: Mapping[Key, PoolPlan],
    overrides: Mapping[Key, ObjectPlan],
) -> Iterable[Note]:
    """A changed decision each: what goes down in the order of the ladder, then what comes up in reverse."""
    for key, scaler in scalers.items():
        if scaler.write:
            message = f"{scaler.current} -> {scaler.replicas} replicas: {scaler.message}"
            yield Note(kind="InferenceScaler", key=key, reason=scaler.rule, message=message)
    flips = [
        c for policy in policies.values() for c in policy.cells if c.changed and r.scene.cells[c.key].mode == "Auto"
    ]
    down = [flip for flip in flips if flip.level.depth > flip.previous.depth]
    up = [flip for flip in flips if flip.level.depth < flip.previous.depth]

    def place(flip: CellPlan) -> tuple[object, ...]:
        cell = r.scene.cells[flip.key]
        return (
            not cell.alone,
            cell.tier_priority,
            cell.shed_order,
            flip.previous.variant,
            cell.cohort_position,
            flip.key,
        )

    for flip in sorted(down, key=place) + sorted(up, key=place, reverse=True):
        cell = r.scene.cells[flip.key]
        message = f"{flip.key.audience}: {cell.name(flip.previous)} -> {cell.name(flip.level)}: {flip.message}"
        yield Note(kind="FeaturePolicy", key=flip.key.policy, reason=flip.reason, message=message, warning=flip in down)
    for key, override in sorted(r.scene.snapshot.overrides.items()):
        said = overrides[key]
        if said.state != override.status.state:
            spec = override.spec
            message = f"{said.state}: {said.cells} cells of {spec.policy_ref.name} have {spec.variant}: {spec.reason}"
            reason = Reason.EXPIRED if said.state == "Expired" else Reason.OVERRIDE
            yield Note(kind="FeatureOverride", key=key, reason=reason, message=message, warning=said.state == "Invalid")
    for deal in r.deals:
        key = deal.pool.stored.key
        saturated = pools[key].saturated_since is not None
        if saturated != (deal.memory.saturated_since is not None):
            reason = Reason.SATURATED if saturated else Reason.NOT_SATURATED
            message = pools[key].saturation_message or "every scaler carries what it admits"
            yield Note(kind="GPUPool", key=key, reason=reason, message=message, warning=saturated)
