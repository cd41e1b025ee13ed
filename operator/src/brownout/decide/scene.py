"""The snapshot as one picture: cells with their memory, what users have now, what they ask for, and each scaler's view."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from math import exp, sqrt

from msgspec import Struct, structs

from brownout.api.override import MAX_OVERRIDE_SECONDS
from brownout.api.resources import Key
from brownout.api.scaler import InferenceScalerSpec
from brownout.decide.cells import FIRST, Cell, build_cells, clamp
from brownout.decide.demand import NOISE_Z, RATE_WINDOW_SECONDS, Demand, Flow, flow_of, measure, rate_of, replicas_for
from brownout.decide.evidence import Missing, Sample
from brownout.decide.forecast import remember, trend
from brownout.decide.learn import cold_start_seconds, learn_cold_start, learn_cost
from brownout.decide.links import Links, link
from brownout.decide.memory import CellMemory, Memory, ScalerMemory
from brownout.decide.outcome import CellKey, Level
from brownout.decide.recall import place_on_ladder
from brownout.decide.restore import remembered_rate
from brownout.decide.saturation import follow, saturation_of
from brownout.decide.snapshot import Policy, Pool, Scaler, Snapshot, StoredOverride
from brownout.decide.view import ScalerView, Supply, supply_of

MEAN_SECONDS = 60.0
"""Time constant of a cell's mean rate."""

RATE_STALE_SECONDS = 60.0
"""A demand sample older than this is missing."""


class Scene(Struct, frozen=True, kw_only=True):
    """What the rules look at. By cell: `memory`; `served`, the level that users have (an override or Advise included);
    `seen`, requests a second now; `asked`, what all of its users would ask for; `stale`, why its demand is not known.
    """

    snapshot: Snapshot
    links: Links
    now: float
    cells: Mapping[CellKey, Cell]
    by_scaler: Mapping[Key, list[Cell]]
    policies: Mapping[Key, Policy]
    memory: dict[CellKey, CellMemory]
    served: Mapping[CellKey, Level]
    seen: Mapping[CellKey, float | None]
    asked: Mapping[CellKey, float | None]
    stale: Mapping[CellKey, str]
    overridden: Mapping[CellKey, StoredOverride]

    def restore_rate(self, cell: Cell) -> float | None:
        """What a cell would bring, for the gate: its mean over a minute, its lower bound now, or what it asked before."""
        rates = [self.asked[cell.key]]
        memory, seen = self.memory[cell.key], self.seen[cell.key]
        if seen is not None:
            rates += [memory.mean_rate, max(0.0, seen - NOISE_Z * sqrt(seen / RATE_WINDOW_SECONDS))]
        known = [rate for rate in rates if rate is not None]
        return max(known) if known else None


def look(snapshot: Snapshot, memory: Memory, *, now: float) -> Scene:
    """Tie the snapshot together with what is remembered of each cell."""
    links = link(snapshot)
    cells = build_cells(links)
    policies = {p.stored.key: p for p in links.usable_policies}
    overridden = _overridden(snapshot.overrides.values(), cells, now)
    elapsed = 0.0 if memory.at is None else max(0.0, now - memory.at)

    remembered: dict[CellKey, CellMemory] = {}
    served: dict[CellKey, Level] = {}
    seen: dict[CellKey, float | None] = {}
    asked: dict[CellKey, float | None] = {}
    stale: dict[CellKey, str] = {}
    by_scaler: dict[Key, list[Cell]] = {}
    for key, cell in cells.items():
        policy = policies[key.policy]
        old = memory.cells.get(key) or CellMemory(level=place_on_ladder(cell, cells, memory.cells), since=now)
        found = rate_of(policy, cell, now=now, within_seconds=RATE_STALE_SECONDS)
        if isinstance(found, Missing):
            stale[key] = found.message
        seen[key] = found.value if isinstance(found, Sample) else None
        new = _mean(old, seen[key], elapsed=elapsed, now=now)
        remembered[key] = structs.replace(new, level=clamp(new.level, cell))
        asked[key] = remembered_rate(
            remembered[key], seen[key], now=now, remember_seconds=policy.stored.spec.demand.remember_seconds
        )
        served[key] = served_level(cell, remembered[key], overridden.get(key))
        for scaler in cell.scalers:
            by_scaler.setdefault(scaler, []).append(cell)
    return Scene(
        snapshot=snapshot,
        links=links,
        now=now,
        cells=cells,
        by_scaler=by_scaler,
        policies=policies,
        memory=remembered,
        served=served,
        seen=seen,
        asked=asked,
        stale=stale,
        overridden=overridden,
    )


def _mean(memory: CellMemory, seen: float | None, *, elapsed: float, now: float) -> CellMemory:
    if seen is None:
        return memory
    if memory.mean_rate is None:
        return structs.replace(memory, mean_rate=seen, mean_rate_at=now)
    weight = 1.0 - exp(-elapsed / MEAN_SECONDS)
    return structs.replace(memory, mean_rate=memory.mean_rate + weight * (seen - memory.mean_rate), mean_rate_at=now)


def served_level(cell: Cell, memory: CellMemory, override: StoredOverride | None) -> Level:
    """What users of a cell have: an override's variant, the first one in Advise, else the loop's level."""
    if override is not None:
        return Level(cell.variants.index(override.spec.variant))
    return FIRST if cell.mode == "Advise" else memory.level


def override_ends(override: StoredOverride) -> float:
    """When an override is over: at expireTime, and at most seven days after its creation. Unreadable: it never began."""
    try:
        asked = datetime.fromisoformat(override.spec.expire_time).timestamp()
    except ValueError:
        return override.created_at
    return min(asked, override.created_at + MAX_OVERRIDE_SECONDS)


def covers(override: StoredOverride, key: CellKey) -> bool:
    """Whether an override speaks of a cell: without cells of all, without a cohort of all of the tier."""
    spec = override.spec
    if key.policy != Key(override.key.namespace, spec.policy_ref.name):
        return False
    return not spec.cells or any(
        c.tier == key.audience.tier and (c.cohort is None or c.cohort == key.audience.cohort) for c in spec.cells
    )


def _overridden(
    overrides: Iterable[StoredOverride], cells: Mapping[CellKey, Cell], now: float
) -> dict[CellKey, StoredOverride]:
    """The override in force for each cell: the newest of those that cover it and are not over."""
    active = sorted((o for o in overrides if now < override_ends(o)), key=lambda o: (o.created_at, o.key))
    found: dict[CellKey, StoredOverride] = {}
    by_policy: dict[Key, list[Cell]] = {}
    for cell in cells.values():
        by_policy.setdefault(cell.key.policy, []).append(cell)
    for override in active:
        for cell in by_policy.get(Key(override.key.namespace, override.spec.policy_ref.name), ()):
            if override.spec.variant in cell.variants and covers(override, cell.key):
                found[cell.key] = override
    return found


def view_scaler(scene: Scene, scaler: Scaler, pool: Pool, memory: ScalerMemory, *, elapsed: float) -> ScalerView:
    """One scaler's supply, demand, saturation, and the replicas that all of its demand would need."""
    assert not isinstance(scaler.workload, Missing)
    key, spec, now = scaler.stored.key, scaler.stored.spec, scene.now
    supply = supply_of(scaler.workload, spec, memory, now=now)
    memory = learn_cold_start(memory, scaler.workload)
    cells = scene.by_scaler.get(key, [])
    demand = measure(
        scaler,
        cells=cells,
        policies=scene.links.policies_of.get(key, ()),
        offered_rate=lambda cell: scene.asked[cell.key],
        seen_rate=lambda cell: scene.seen[cell.key],
        served=lambda cell: scene.served[cell.key],
        factor=memory.cost_factor,
        ready=supply.ready,
        now=now,
    )
    ratio = saturation_of(demand, capacity=supply.capacity, drain_seconds=spec.queue.drain_seconds)
    settings = pool.stored.spec.saturation
    memory = follow(memory, ratio, elapsed=elapsed, enter_excess=settings.enter_excess_seconds, now=now)
    if not demand.missing:
        declared = flow_of(
            cells,
            scaler=key,
            rate=lambda cell: _admitted_rate(scene, cell),
            level=lambda cell: scene.served[cell.key],
            factor=1.0,
        )
        full = ratio is None or ratio > settings.restore_percent / 100
        memory = learn_cost(memory, busy=demand.busy, declared=declared.mean, saturated=full)
    if demand.offered is not None:
        memory = structs.replace(memory, trend=remember(memory.trend, now=now, value=demand.offered.mean))
    memory = structs.replace(memory, blind_since=(memory.blind_since or now) if not demand.known else None)
    return ScalerView(
        scaler=scaler,
        supply=supply,
        demand=demand,
        memory=memory,
        saturation=ratio,
        saturated=memory.saturated,
        demanded=_replicas(demand, demand.offered, supply, spec),
        forecast=_forecast(demand, memory, supply, spec),
        floor=_replicas(structs.replace(demand, load_replicas=None, backlog=None), demand.floor, supply, spec),
    )


def _replicas(demand: Demand, flow: Flow | None, supply: Supply, spec: InferenceScalerSpec) -> int:
    return replicas_for(
        demand,
        flow=None if flow is None else flow.upper,
        gpus=supply.gpus,
        target_percent=spec.flow.target_percent,
        drain_seconds=spec.queue.drain_seconds,
    )


def _forecast(demand: Demand, memory: ScalerMemory, supply: Supply, spec: InferenceScalerSpec) -> int | None:
    """Replicas for what is expected when a replica that is asked for now would be ready; None without a trend."""
    if spec.forecast.method == "None":
        return None
    lead = cold_start_seconds(memory, expected=spec.cold_start.expected_seconds)
    expected = trend(memory.trend, lead_seconds=lead)
    return None if expected is None else _replicas(demand, Flow(expected), supply, spec)


def _admitted_rate(scene: Scene, cell: Cell) -> float | None:
    policy = scene.policies[cell.key.policy]
    if isinstance(policy.admitted, Missing):
        return scene.seen[cell.key]
    sample = policy.admitted.get(cell.key.audience)
    return None if sample is None else sample.value
