"""One scaler's view: its supply, its demand, whether it is saturated, and the replicas that all of its demand would need."""

from msgspec import structs

from brownout.api.resources import Key
from brownout.api.scaler import InferenceScalerSpec
from brownout.decide.cells import FIRST
from brownout.decide.demand import Demand, Flow, Load, load, measure, replicas_for, total, whole_replicas
from brownout.decide.evidence import Missing
from brownout.decide.forecast import trend
from brownout.decide.history import History, remember_each
from brownout.decide.learn import cold_start_seconds, learn_cold_start, learn_cost
from brownout.decide.memory import ScalerMemory
from brownout.decide.rates import window_seconds
from brownout.decide.saturation import follow, saturation_of
from brownout.decide.scale import note_replicas
from brownout.decide.scene import Scene
from brownout.decide.snapshot import Pool, Scaler
from brownout.decide.swings import is_due, note
from brownout.decide.view import ScalerView, Supply, supply_of

UNTIERED = 1 / 3
"""Where a queue knows no tiers, saturation is entered at a third of the excess: everybody waits from the first second on."""


def view_scaler(scene: Scene, scaler: Scaler, pool: Pool, memory: ScalerMemory, *, elapsed: float) -> ScalerView:
    """What one scaler of a pool looks like now; its memory goes on from `memory`, `elapsed` seconds ago."""
    assert not isinstance(scaler.workload, Missing)
    key, spec, now = scaler.stored.key, scaler.stored.spec, scene.now
    memory = learn_cold_start(memory, scaler.workload, longest=float(spec.cold_start.give_up_after_seconds))
    memory = note_replicas(memory, replicas=scaler.workload.replicas, now=now, behavior=spec.behavior)
    supply = supply_of(scaler.workload, spec, memory, now=now)
    window = scene.snapshot.rate_window_seconds
    demand = measure(
        scaler,
        cells=scene.by_scaler.get(key, []),
        policies=scene.compiled.links.policies_of.get(key, ()),
        flows=lambda: scene.flows(key, memory.cost_factor),
        unseen=scene.stale,
        unreadable=scene.unreadable.get(key.namespace, ()),
        ready=supply.ready,
        replicas=supply.replicas,
        now=now,
    )
    ratio = saturation_of(demand, capacity=supply.capacity, spec=spec)
    settings = pool.stored.spec.saturation
    memory = follow(
        memory,
        ratio,
        whole=not demand.missing,
        elapsed=elapsed,
        enter_excess=settings.enter_excess_seconds * (UNTIERED if spec.queue.order == "FIFO" else 1.0),
        now=now,
    )
    queued = (demand.backlog or 0.0) > supply.capacity
    memory = learn_cost(
        memory,
        busy=demand.busy,
        declared=None if demand.missing else _let_through(scene, key),
        full=queued or ratio is None or ratio > settings.restore_percent / 100,
        elapsed=elapsed,
        now=now,
    )
    if demand.offered is not None and not demand.missing:
        before, above = dict(memory.tier_trends), demand.tiers[:-1]
        whole, *parts = remember_each(
            [(memory.trend, demand.offered.mean), *((before.get(p, History()), flow.mean) for p, flow in above)],
            now=now,
        )
        trends = tuple([(p, part) for (p, _), part in zip(above, parts, strict=True)])
        memory = structs.replace(memory, trend=whole, tier_trends=trends)
    lead = cold_start_seconds(memory, expected=spec.cold_start.expected_seconds)
    full = max(settings.restore_percent, spec.flow.target_percent)
    tiers = _tiers(demand, memory, supply, spec, full=full, lead=lead, window=window)
    if memory.trend.values and is_due(memory.needs, now=now):
        level = sum(memory.trend.values) / len(memory.trend.values)
        need = _for_flow(Flow(level), supply, full)
        memory = structs.replace(memory, needs=note(memory.needs, replicas=need, now=now))
    if demand.known != (memory.blind_since is None):
        memory = structs.replace(memory, blind_since=None if demand.known else now)
    return ScalerView(
        scaler=scaler,
        supply=supply,
        demand=demand,
        memory=memory,
        saturation=ratio,
        saturated=memory.saturated,
        demanded=_replicas(demand, demand.planned, supply, spec, lead=lead),
        forecast=_forecast(demand, memory, supply, spec, lead=lead, window=window),
        tiers=tiers,
        reach=tuple([(priority, _for_flow(Flow(flow.mean), supply, full)) for priority, flow, _ in demand.steps]),
        floor=0 if demand.floor is None else _for_flow(demand.floor, supply, spec.flow.target_percent),
    )


def _replicas(demand: Demand, flow: Flow | None, supply: Supply, spec: InferenceScalerSpec, *, lead: float) -> int:
    """Replicas for a flow and what waits. A new one works a queue off from `lead` seconds on, a cold start later.

    So where the flow is known a queue adds no more than what empties it in that time: while replicas load it grows, and would
    ask for more and more of them, all of which idle once the first have emptied it.
    """
    drain = spec.queue.drain_seconds
    return replicas_for(
        demand,
        flow=flow,
        gpus=supply.gpus,
        target_percent=spec.flow.target_percent,
        drain_seconds=drain if flow is None else max(drain, round(lead)),
    )


def _for_flow(flow: Flow, supply: Supply, percent: int) -> int:
    """Replicas that carry a flow so full, and nothing beside it."""
    return max(0, whole_replicas(flow, gpus=supply.gpus, target_percent=percent))


def _tiers(
    demand: Demand,
    memory: ScalerMemory,
    supply: Supply,
    spec: InferenceScalerSpec,
    *,
    full: int,
    lead: float,
    window: float,
) -> tuple[tuple[int, int], ...]:
    """By descending tier priority: replicas for that tier and those above it, where they are going, without headroom.

    Headroom comes last of all: what is planned to stay free in one workload is worth less than users who ask in another.
    The lowest tier's trend is the whole demand's, and is in the plan for all of it.
    """
    trends = dict(memory.tier_trends) if spec.forecast.method == "Trend" else {}
    whole = {priority: flow.mean for priority, _, flow in demand.steps}
    found = []
    for priority, flow in demand.tiers:
        history = trends.get(priority)
        expected = None if history is None else trend(history, noise=flow.noise, window=window, lead_seconds=lead)
        mean = max(flow.mean, expected or 0.0, whole.get(priority, 0.0))
        found.append((priority, _for_flow(Flow(mean), supply, full)))
    return tuple(found)


def _forecast(
    demand: Demand, memory: ScalerMemory, supply: Supply, spec: InferenceScalerSpec, *, lead: float, window: float
) -> int | None:
    """Replicas for what is expected when a replica that is asked for now would be ready; None without a trend."""
    if spec.forecast.method == "None" or demand.offered is None:
        return None
    expected = trend(memory.trend, noise=demand.offered.noise, window=window, lead_seconds=lead)
    return None if expected is None else _replicas(demand, Flow(expected), supply, spec, lead=lead)


def _let_through(scene: Scene, scaler: Key) -> Flow | None:
    """The declared cost of what is let through to a scaler; None where it is not known of one of its policies.

    Nor is it while one user is held back alone: what is let through is not told by user.
    """
    for policy in scene.compiled.links.policies_of.get(scaler, ()):
        if isinstance(policy.admitted, Missing):
            return None
    window = scene.snapshot.rate_window_seconds
    loads: list[Load] = []
    for part in scene.parts.get(scaler, ()):
        cell, cost = part.cell, part.first
        if cell.key in scene.moved:
            if cell.alone and scene.memory[cell.key].level != FIRST:
                return None
            cost = cell.admitted_cost(scene.served[cell.key], scaler)
        if cost:
            admitted = scene.policies[cell.key.policy].admitted
            assert not isinstance(admitted, Missing)
            if (sample := admitted.get(cell.key.audience)) is not None:
                loads.append(load(sample.value, cost, window_seconds(sample.value, window)))
    return total(loads)
