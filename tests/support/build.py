"""Pools, scalers, policies and cells as short as a test can say them: everything has a default, a test says what matters."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from msgspec import Struct, structs

from brownout.api.override import CellRef, FeatureOverrideSpec, FeatureOverrideStatus
from brownout.api.policy import (
    Cost,
    Demand,
    FeaturePolicySpec,
    FeaturePolicyStatus,
    Restore,
    TierEntry,
    Variant,
)
from brownout.api.pool import (
    Capacity,
    GPUPoolSpec,
    GPUPoolStatus,
    NodeCapacity,
    QuotaRef,
    ReclaimSettings,
    SaturationSettings,
    SheddingSettings,
)
from brownout.api.reasons import Reason
from brownout.api.resources import InvalidObject, Key, Stored
from brownout.api.scaler import (
    Behavior,
    ColdStart,
    FlowSettings,
    Forecast,
    InferenceScalerSpec,
    InferenceScalerStatus,
    Metric,
    MetricTarget,
    QueueSettings,
    ScaleTargetRef,
    Stale,
)
from brownout.api.schema import Ref
from brownout.api.tier import Cohort, Match, UserTierSpec, UserTierStatus
from brownout.decide.cells import FIRST, Cell, clamp
from brownout.decide.evidence import Evidence, Missing, Sample
from brownout.decide.memory import CellMemory, Memory, ScalerMemory
from brownout.decide.outcome import CellKey, CellPlan, Level, Plan
from brownout.decide.recall import rfc3339
from brownout.decide.snapshot import (
    Audience,
    Node,
    Pod,
    Policy,
    Pool,
    Quota,
    Scaler,
    Snapshot,
    StoredOverride,
    StoredTier,
    Workload,
)
from brownout.decide.tick import plan

NAMESPACE = "media"
NOW = 100_000.0
GONE = Missing("Prometheus does not answer")
FULL = ScalerMemory(saturated=True, saturated_since=NOW - 10, excess=3.0)
"""A scaler that has been saturated for ten seconds."""

Variants: TypeAlias = Mapping[str, Mapping[str, float]]
"""GPU-seconds for each request, by variant and scaler; best first."""

THREE: Variants = {"full": {"image": 1.0}, "lite": {"image": 0.25}, "denied": {}}
TWO: Variants = {"full": {"image": 1.0}, "denied": {}}


def named(name: str, namespace: str = NAMESPACE) -> Key:
    return Key(namespace, name)


def audience(text: str) -> Audience:
    """`free`, or `free/new-accounts`; one user of it: `free@ana`."""
    cell_name, _, user = text.partition("@")
    tier_name, _, cohort = cell_name.partition("/")
    return Audience(tier_name, cohort, user)


def cell_key(policy_name: str, who: str) -> CellKey:
    return CellKey(named(policy_name), audience(who))


def _stored(name: str, spec: Any, status: Any, *, namespace: str = NAMESPACE, created_at: float = 0.0) -> Any:
    return Stored(
        key=Key(namespace, name), uid=f"uid-{name}", generation=1, created_at=created_at, spec=spec, status=status
    )


# --- objects and what is observed of them


def pool(
    gpus: int | None = 8,
    *,
    name: str = "gpus",
    nodes: Iterable[int] | Missing | None = None,
    max_gpus: int | None = None,
    quotas: Mapping[str, int] | Missing | None = None,
    enter_excess_seconds: int = 3,
    restore_percent: int = 90,
    step_seconds: int = 10,
    max_reversals: int = 4,
    reclaim: ReclaimSettings = ReclaimSettings(),  # noqa: B008
) -> Pool:
    """A pool of so many GPUs, of nodes with so many each, or of quotas by namespace."""
    counted: tuple[Node, ...] | Missing | None = None
    if isinstance(nodes, Missing):
        counted = nodes
    elif nodes is not None:
        counted = tuple(Node(name=f"node-{i}", gpus=size) for i, size in enumerate(nodes, start=1))
    limits: tuple[Quota, ...] | Missing = ()
    if isinstance(quotas, Missing):
        limits = quotas
    elif quotas is not None:
        limits = tuple(Quota(namespace=where, name="gpus", gpus=limit) for where, limit in quotas.items())
    spec = GPUPoolSpec(
        capacity=Capacity(
            gpus=gpus,
            nodes=None if nodes is None else NodeCapacity(max_gpus=max_gpus),
            quotas=() if quotas is None else (QuotaRef(namespace=NAMESPACE, name="gpus"),),
        ),
        saturation=SaturationSettings(enter_excess_seconds=enter_excess_seconds, restore_percent=restore_percent),
        shedding=SheddingSettings(step_seconds=step_seconds, max_reversals_per_cell_per_hour=max_reversals),
        reclaim=reclaim,
    )
    return Pool(stored=_stored(name, spec, GPUPoolStatus(), namespace=""), nodes=counted, quotas=limits)


def pods(
    ready: int = 0, *, coming: int = 0, dead: int = 0, node: str | None = None, now: float = NOW
) -> tuple[Pod, ...]:
    """Pods that serve for long, that were created 10 s ago, and that have been loading for an hour."""
    return (
        *(Pod(name=f"ready-{i}", created_at=now - 7200, ready_at=now - 7100, node=node) for i in range(ready)),
        *(Pod(name=f"coming-{i}", created_at=now - 10, node=node) for i in range(coming)),
        *(Pod(name=f"dead-{i}", created_at=now - 3600, node=node) for i in range(dead)),
    )


def metric(name: str, role: Any, target: str | None = None, *, average: bool = False) -> Metric:
    kind: Any = "AverageValue" if average else "Value"
    return Metric(
        name=name, role=role, query="q", target=None if target is None else MetricTarget(type=kind, value=target)
    )


def scaler(
    name: str = "image",
    *,
    replicas: int = 1,
    ready: int | None = None,
    dead: int = 0,
    gpus: int = 1,
    priority: int = 50,
    least: int = 1,
    most: int = 100,
    pool_name: str = "gpus",
    mode: Any = "Auto",
    backlog: float | Missing | None = None,
    busy: float | Missing | None = None,
    load: float | Missing | None = None,
    objective: float | Missing | None = None,
    more: tuple[Metric, ...] = (),
    workload: Workload | Missing | None = None,
    target_percent: int = 80,
    drain_seconds: int = 15,
    order: Any = "Tiered",
    behavior: Behavior = Behavior(),  # noqa: B008
    cold_start: ColdStart = ColdStart(),  # noqa: B008
    stale: Stale = Stale(),  # noqa: B008
    trend: bool = True,
    at: float = NOW,
    created_at: float = 0.0,
) -> Scaler:
    """A scaler with a metric for each value given: `load` for each replica against a target of 10, `objective` against 1."""
    given: dict[Metric, float | Missing | None] = {
        metric("backlog", "Backlog"): backlog,
        metric("busy", "Busy"): busy,
        metric("load", "Load", "10", average=True): load,
        metric("objective", "Objective", "1"): objective,
    }
    values = {m: value for m, value in given.items() if value is not None}
    spec = InferenceScalerSpec(
        pool_ref=Ref(name=pool_name),
        scale_target_ref=ScaleTargetRef(name=name),
        gpus_per_replica=gpus,
        priority=priority,
        mode=mode,
        min_replicas=least,
        max_replicas=most,
        metrics=(*values, *more),
        flow=FlowSettings(target_percent=target_percent),
        queue=QueueSettings(drain_seconds=drain_seconds, order=order),
        cold_start=cold_start,
        forecast=Forecast(method="Trend" if trend else "None"),
        behavior=behavior,
        stale=stale,
    )
    serving = replicas - dead if ready is None else ready
    there = pods(serving, coming=replicas - serving - dead, dead=dead)
    evidence: dict[str, Evidence] = {
        m.name: value if isinstance(value, Missing) else Sample(value, at) for m, value in values.items()
    }
    return Scaler(
        stored=_stored(name, spec, InferenceScalerStatus(), created_at=created_at),
        workload=workload or Workload(replicas=replicas, gpus_per_replica=gpus, pods=there),
        metrics=evidence,
    )


def tier(name: str, priority: int, *, cohorts: Iterable[str] = (), matches: str | None = None) -> StoredTier:
    match = (Match(key="plan", operator="In", values=(matches or name,)),)
    spec = UserTierSpec(
        priority=priority, match=match, cohorts=tuple(Cohort(name=cohort, match=match) for cohort in cohorts)
    )
    return _stored(name, spec, UserTierStatus())  # type: ignore[no-any-return]


PRO = tier("pro", 100)
PLUS = tier("plus", 50)
FREE = tier("free", 10, cohorts=["new-accounts"])
TIERS = (PRO, PLUS, FREE)
USUAL = {"pro": "Always", "plus": "lite", "free": "Auto"}
"""By tier: Always, Auto, Never, or the lowest variant of one that is Auto."""


def policy(
    name: str = "image",
    *,
    variants: Variants = THREE,
    tiers: Mapping[str, str] = USUAL,
    offered: Mapping[str, float] | Missing = GONE,
    admitted: Mapping[str, float] | Missing | None = None,
    heaviest: Mapping[str, float] | Missing = {},  # noqa: B006
    shed_order: int = 100,
    mode: Any = "Auto",
    restore: Restore = Restore(),  # noqa: B008
    remember_seconds: int = 3600,
    at: float = NOW,
    flag_key: str | None = None,
    created_at: float = 0.0,
) -> Policy:
    """A policy, and its demand in requests a second; what is admitted is what is offered unless it is said."""

    def entry(tier_name: str, availability: str) -> TierEntry:
        if availability in ("Always", "Auto", "Never"):
            kind: Any = availability
            return TierEntry(tier_ref=Ref(name=tier_name), availability=kind)
        return TierEntry(tier_ref=Ref(name=tier_name), lowest=availability)

    def rates(given: Mapping[str, float] | Missing) -> dict[Audience, Sample] | Missing:
        if isinstance(given, Missing):
            return given
        return {audience(who): Sample(rate, at) for who, rate in given.items()}

    spec = FeaturePolicySpec(
        flag_key=flag_key or name,
        mode=mode,
        variants=tuple(
            Variant(
                name=variant,
                costs=tuple(Cost(scaler=s, gpu_seconds_per_request=f"{cost:.6f}") for s, cost in costs.items()),
            )
            for variant, costs in variants.items()
        ),
        shed_order=shed_order,
        tiers=tuple(entry(tier_name, availability) for tier_name, availability in tiers.items()),
        demand=Demand(remember_seconds=remember_seconds),
        restore=restore,
    )
    return Policy(
        stored=_stored(name, spec, FeaturePolicyStatus(), created_at=created_at),
        offered=rates(offered),
        admitted=rates(offered if admitted is None else admitted),
        heaviest=rates(heaviest),
    )


def override(
    name: str = "incident",
    *,
    variant: str = "denied",
    of: str = "image",
    cells: Iterable[str] = (),
    ends_at: float = NOW + 3600,
    created_at: float = NOW - 60,
) -> StoredOverride:
    refs = []
    for who in cells:
        tier_name, slash, cohort = who.partition("/")
        refs.append(CellRef(tier=tier_name, cohort=cohort if slash else None))
    spec = FeatureOverrideSpec(
        policy_ref=Ref(name=of), cells=tuple(refs), variant=variant, expire_time=rfc3339(ends_at), reason="a test"
    )
    return _stored(name, spec, FeatureOverrideStatus(), created_at=created_at)  # type: ignore[no-any-return]


def invalid(kind: str, name: str) -> tuple[str, InvalidObject]:
    key = Key("", name) if kind == "GPUPool" else named(name)
    return kind, InvalidObject(key, f"{kind} {key}: spec: it cannot be read")


def snapshot(
    *things: Pool | Scaler | Policy | StoredTier | StoredOverride,
    tiers: Iterable[StoredTier] = TIERS,
    unreadable: Iterable[tuple[str, InvalidObject]] = (),
    unseen: tuple[str, ...] = (),
) -> Snapshot:
    """Everything that is there; the three tiers are, unless others are given."""
    pools = {t.stored.key: t for t in things if isinstance(t, Pool)}
    scalers = {t.stored.key: t for t in things if isinstance(t, Scaler)}
    policies = {t.stored.key: t for t in things if isinstance(t, Policy)}
    overrides = {t.key: t for t in things if isinstance(t, Stored) and isinstance(t.spec, FeatureOverrideSpec)}
    return Snapshot(
        pools=pools,
        scalers=scalers,
        tiers={t.key: t for t in tiers},
        policies=policies,
        overrides=overrides,
        namespaces={NAMESPACE: {}},
        invalid=tuple(unreadable),
        unseen=unseen,
    )


# --- cells and what is remembered of them


class CellAt(Struct, frozen=True, kw_only=True):
    """A cell and its memory."""

    cell: Cell
    memory: CellMemory = CellMemory(since=NOW - 7200)

    @property
    def key(self) -> CellKey:
        return self.cell.key

    @property
    def level(self) -> Level:
        return self.memory.level

    def at(self, variant: str, percent: int = 100) -> "CellAt":
        level = Level(self.cell.variants.index(variant), percent)
        return structs.replace(self, memory=structs.replace(self.memory, level=level))

    def shed(
        self,
        to: str = "denied",
        percent: int = 100,
        *,
        ago: float = 1000.0,
        asked: float | None = None,
        dwell: float = 0.0,
        reversals: int = 0,
    ) -> "CellAt":
        """Taken down `ago` seconds before now, when its users asked for `asked` requests a second."""
        at = NOW - ago
        memory = structs.replace(
            self.at(to, percent).memory,
            reason=Reason.CAPACITY,
            message="image was full",
            since=at,
            last_shed_at=at,
            last_step_at=at,
            dwell_seconds=dwell,
            direction="Shed",
            reversals=tuple(at - i for i in range(reversals)),
            shed_rate=asked,
            shed_rate_at=at,
        )
        return structs.replace(self, memory=memory)

    def asking(self, rate: float) -> "CellAt":
        """Its users have asked for so many requests a second for long."""
        return structs.replace(self, memory=structs.replace(self.memory, rate=rate, rate_since=NOW - 3600))

    def restored(self, *, ago: float, dwell: float = 0.0) -> "CellAt":
        """Whole again since `ago` seconds."""
        memory = structs.replace(
            self.memory,
            level=FIRST,
            since=NOW - ago,
            last_shed_at=NOW - ago - 500,
            last_step_at=NOW - ago,
            dwell_seconds=dwell,
            direction="Restore",
        )
        return structs.replace(self, memory=memory)


def cell(
    feature: str = "image",
    *,
    tier: str = "free",
    variants: Variants = THREE,
    lowest: str | None = None,
    always: bool = False,
    never: bool = False,
    mode: str = "Auto",
    shed_order: int = 100,
) -> CellAt:
    """`cell("image", tier="free/new-accounts").shed()`: a cell as its policy describes it, whole unless it is said."""
    who = audience(tier)
    priorities = {"pro": 100, "plus": 50, "free": 10}
    costs = tuple({named(s): cost for s, cost in by_scaler.items()} for by_scaler in variants.values())
    names = tuple(variants)
    described = Cell(
        key=CellKey(named(feature), who),
        mode=mode,
        tier_priority=priorities.get(who.tier, 0),
        cohort_position=0 if who.cohort else 1,
        shed_order=shed_order,
        lowest=0 if always else names.index(lowest) if lowest else len(names) - 1,
        always=always,
        planned=not never,
        variants=names,
        costs=costs,
        scalers=frozenset(key for by_scaler in costs for key in by_scaler),
        alone=bool(who.user),
    )
    assert clamp(FIRST, described) == FIRST
    return CellAt(cell=described)


def remembered(*cells: CellAt, scalers: Mapping[str, ScalerMemory] | None = None, ago: float = 2.0) -> Memory:
    """The memory of a loop that looked `ago` seconds before now, and saw these cells so."""
    return Memory(
        at=NOW - ago,
        cells={one.key: one.memory for one in cells},
        scalers={named(name): memory for name, memory in (scalers or {}).items()},
        served={one.key: one.level for one in cells},
    )


def tick(seen: Snapshot, memory: Memory | None = None, *, now: float = NOW) -> tuple[Plan, Memory]:
    return plan(seen, Memory() if memory is None else memory, now)


def cell_of(decided: Plan, policy_name: str, who: str) -> CellPlan:
    """What a plan says of one cell."""
    key = cell_key(policy_name, who)
    return next(c for c in decided.policies[key.policy].cells if c.key == key)


def words(cell_plan: CellPlan, variants: Variants = THREE) -> str:
    """A cell's level: `lite`, or `full 40 %`."""
    name = tuple(variants)[cell_plan.level.variant]
    return name if cell_plan.level.percent == 100 else f"{name} {cell_plan.level.percent} %"


def watch(
    look: Callable[[float], Snapshot], *, seconds: float, memory: Memory | None = None, step: float = 2.0
) -> tuple[list[Plan], Memory]:
    """The plans of a loop that looks every `step` seconds from NOW on. What it decides is not carried out."""
    plans, memory = [], memory or Memory()
    for i in range(int(seconds / step) + 1):
        now = NOW + i * step
        decided, memory = plan(look(now), memory, now)
        plans.append(decided)
    return plans, memory
