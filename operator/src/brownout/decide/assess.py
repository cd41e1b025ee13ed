"""One scaler's view: its supply, its demand, whether it is saturated, and the replicas that all of its demand would need."""

from msgspec import structs

from brownout.api.resources import Key
from brownout.api.scaler import InferenceScalerSpec
from brownout.decide.cells import Cell
from brownout.decide.demand import Demand, Flow, flow_of, measure, replicas_for
from brownout.decide.evidence import Missing
from brownout.decide.forecast import remember, trend
from brownout.decide.learn import cold_start_seconds, learn_cold_start, learn_cost
from brownout.decide.memory import ScalerMemory
from brownout.decide.saturation import follow, saturation_of
from brownout.decide.scale import note_replicas
from brownout.decide.scene import Scene
from brownout.decide.snapshot import Pool, Scaler
from brownout.decide.view import ScalerView, Supply, supply_of


def view_scaler(scene: Scene, scaler: Scaler, pool: Pool, memory: ScalerMemory, *, elapsed: float) -> ScalerView:
    """What one scaler of a pool looks like now; its memory goes on from `memory`, `elapsed` seconds ago."""
    assert not isinstance(scaler.workload, Missing)
    key, spec, now = scaler.stored.key, scaler.stored.spec, scene.now
    memory = learn_cold_start(memory, scaler.workload, longest=float(spec.cold_start.give_up_after_seconds))
    memory = note_replicas(memory, replicas=scaler.workload.replicas, now=now, behavior=spec.behavior)
    supply = supply_of(scaler.workload, spec, memory, now=now)
    demand = measure(
        scaler,
        cells=scene.by_scaler.get(key, []),
        policies=scene.links.policies_of.get(key, ()),
        offered_rate=lambda cell: scene.asked[cell.key],
        seen_rate=lambda cell: scene.seen[cell.key],
        served=lambda cell: scene.served[cell.key],
        unseen=scene.stale,
        unreadable=scene.unreadable.get(key.namespace, ()),
        factor=memory.cost_factor,
        ready=supply.ready,
        replicas=supply.replicas,
        now=now,
    )
    ratio = saturation_of(demand, capacity=supply.capacity, drain_seconds=spec.queue.drain_seconds)
    settings = pool.stored.spec.saturation
    memory = follow(
        memory,
        ratio,
        whole=not demand.missing,
        elapsed=elapsed,
        enter_excess=settings.enter_excess_seconds,
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
        memory = structs.replace(memory, trend=remember(memory.trend, now=now, value=demand.offered.mean))
    blind_since = memory.blind_since if memory.blind_since is not None else now
    memory = structs.replace(memory, blind_since=None if demand.known else blind_since)
    return ScalerView(
        scaler=scaler,
        supply=supply,
        demand=demand,
        memory=memory,
        saturation=ratio,
        saturated=memory.saturated,
        demanded=_replicas(demand, demand.planned, supply, spec),
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
    if spec.forecast.method == "None" or demand.offered is None:
        return None
    lead = cold_start_seconds(memory, expected=spec.cold_start.expected_seconds)
    expected = trend(memory.trend, noise=demand.offered.noise, lead_seconds=lead)
    return None if expected is None else _replicas(demand, Flow(expected), supply, spec)


def _let_through(scene: Scene, scaler: Key) -> Flow | None:
    """The declared cost of what is let through to a scaler; None where it is not known of one of its policies."""
    if any(isinstance(policy.admitted, Missing) for policy in scene.links.policies_of.get(scaler, ())):
        return None

    def rate(cell: Cell) -> float | None:
        admitted = scene.policies[cell.key.policy].admitted
        assert not isinstance(admitted, Missing)
        sample = admitted.get(cell.key.audience)
        return None if sample is None else sample.value

    return flow_of(
        scene.by_scaler.get(scaler, ()), rate=rate, cost=lambda c: c.admitted_cost(scene.served[c.key], scaler)
    )
