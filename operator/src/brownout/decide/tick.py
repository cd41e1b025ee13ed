"""One tick: a snapshot, a memory and a moment in; a plan and a new memory out.

In order: look (links, cells, demand, saturation), deal GPUs out, go down the ladder where something is short, come back up
where it fits, and say why. Overrides are last and on top, each until it expires.
"""

from collections.abc import Mapping, Sequence

from msgspec import structs

from brownout.api.reasons import Reason
from brownout.api.resources import Key
from brownout.decide.arbitrate import gpus_of
from brownout.decide.assess import view_scaler
from brownout.decide.carry import by_name, kept, variant_names
from brownout.decide.cells import FIRST, Cell, raised
from brownout.decide.evidence import Missing
from brownout.decide.features import Shedding, not_whole, restore_all, shed_all, went_down
from brownout.decide.heavy import beneath, parent_of
from brownout.decide.memory import CellMemory, Memory, PoolMemory, ScalerMemory
from brownout.decide.outcome import CellKey, Level, Plan
from brownout.decide.overrides import served_level
from brownout.decide.recall import recall
from brownout.decide.replicas import Deal, Wish, decide_replicas, wish
from brownout.decide.report import Report, describe
from brownout.decide.restore import AGAIN_WITHIN_SECONDS, Refusal, ready_for
from brownout.decide.scene import Scene, look
from brownout.decide.shed import Taken
from brownout.decide.snapshot import Pool, Snapshot, StoredPool
from brownout.decide.view import ScalerView


def plan(snapshot: Snapshot, memory: Memory, now: float) -> tuple[Plan, Memory]:
    """All decisions of one tick. The same snapshot, memory and moment give the same plan, whatever the order of objects.

    While the objects of a kind are not known (`snapshot.unseen`) the plan is empty: everything stays as it is.
    """
    if snapshot.unseen:
        return Plan(at=now), memory
    memory = by_name(recall(snapshot, now, memory), snapshot.policies)
    elapsed = 0.0 if memory.at is None else max(0.0, now - memory.at)
    scene = look(snapshot, memory, now=now)
    lacking = not_whole(scene)
    deals = [_deal(scene, pool, memory, elapsed, lacking) for _, pool in sorted(snapshot.pools.items())]
    shedding = shed_all(scene, deals)
    views = {d.view.key: d.view for deal in deals for d in deal.decided}
    scene = scene.now_at({s.cell.key: went_down(scene, s, capacity=ready_for(s.cell, views)) for s in shedding.taken})
    restored, refused = _restore(scene, deals, shedding)
    scene = scene.now_at(restored)
    pools = {deal.pool.stored.key: _pool_after(deal, shedding.taken, now=now) for deal in deals}

    new = Memory(
        at=now,
        cells=scene.memory,
        scalers={d.view.key: d.memory for deal in deals for d in deal.decided},
        pools=pools,
        served=dict(scene.served),
        versions=_versions(scene, memory),
        variants={key: variant_names(policy) for key, policy in scene.policies.items()},
        compiled=scene.compiled,
    )
    report = Report(
        scene=scene, deals=tuple(deals), shedding=shedding, refused=refused, pools=pools, versions=new.versions
    )
    return describe(report), kept(new, memory, snapshot)


def _deal(scene: Scene, pool: Pool, memory: Memory, elapsed: float, lacking: Mapping[Key, list[Cell]]) -> Deal:
    """Deal a pool's GPUs out among its scalers, of whose cells some are `lacking` something."""
    key = pool.stored.key
    views = [
        view_scaler(scene, scaler, pool, memory.scalers.get(scaler.stored.key, ScalerMemory()), elapsed=elapsed)
        for scaler in scene.compiled.links.scalers_of.get(key, ())
    ]
    percent = pool.stored.spec.saturation.restore_percent
    wishes = [_wish(scene, view, lacking.get(view.key, ()), percent) for view in views]
    gpus = gpus_of(pool, replicas=sum([one.most for one in wishes]))
    in_need = frozenset([view.key for view in views if view.saturated or view.key in lacking])
    return Deal(
        pool=pool,
        gpus=gpus,
        decided=tuple(decide_replicas(wishes, gpus, pool.stored, pressed=in_need, now=scene.now)),
        memory=memory.pools.get(key, PoolMemory()),
    )


def _wish(scene: Scene, view: ScalerView, lacking: Sequence[Cell], restore_percent: int) -> Wish:
    """What a scaler wishes; what a person or a mode holds down does not hold replicas up."""
    shed = [cell for cell in lacking if cell.key not in scene.overridden]
    return wish(
        view,
        shed=tuple([f"{cell.key} has {cell.name(scene.memory[cell.key].level)}" for cell in shed[:1]]),
        dearest_shed=max((cell.cost(FIRST, view.key) for cell in shed), default=0.0) * view.memory.cost_factor,
        next_step=sum([_next_step(scene, cell, view.key) for cell in shed]) * view.memory.cost_factor,
        before=_before(scene, view, shed),
        restore_percent=restore_percent,
        now=scene.now,
    )


def _before(scene: Scene, view: ScalerView, shed: Sequence[Cell]) -> float | None:
    """The flow of a scaler, did its shed cells ask as much as before they were shed.

    None where that is not known, as of a cell that lost its memory, and while one of them is on its way: what was asked for
    before fades with each step. Whoever had not been measured had asked for nothing.
    """
    planned, faded = view.demand.planned, 0.0
    if planned is None:
        return None
    for cell in shed:
        memory, most = scene.memory[cell.key], max([costs.get(view.key, 0.0) for costs in cell.costs])
        moved_at = memory.last_step_at
        if memory.reason is Reason.RECOVERED_MEMORY or moved_at is None or scene.now - moved_at < AGAIN_WITHIN_SECONDS:
            return None
        faded += max(
            0.0, (memory.shed_rate or 0.0) * most - (scene.asked[cell.key] or 0.0) * cell.cost(FIRST, view.key)
        )
    return planned.mean + faded * view.memory.cost_factor


def _next_step(scene: Scene, cell: Cell, scaler: Key) -> float:
    """The declared flow that a workload carries more once all of a cell's users have the next better variant."""
    level = scene.memory[cell.key].level
    better = raised(level, by_percent=100)
    return (scene.asked[cell.key] or 0.0) * max(0.0, cell.cost(better, scaler) - cell.cost(level, scaler))


def _pool_after(deal: Deal, taken: Sequence[Taken], *, now: float) -> PoolMemory:
    """A pool's memory after a step down of cells that it carries."""
    memory, own = deal.memory, {d.view.key for d in deal.decided}
    saturated = any(d.view.saturated for d in deal.decided)
    since = now if memory.saturated_since is None else memory.saturated_since
    memory = structs.replace(memory, saturated_since=since if saturated else None)
    last = next((step for step in reversed(taken) if step.cell.scalers & own), None)
    if last is None:
        return memory
    return structs.replace(memory, last_shed_at=now, last_rung=f"{last.cell.key}: {last.cell.name(last.level)}")


def _restore(
    scene: Scene, deals: Sequence[Deal], shedding: Shedding
) -> tuple[dict[CellKey, CellMemory], dict[CellKey, Refusal]]:
    """What fits comes back; the refusals of the others."""
    views: dict[Key, ScalerView] = {}
    pools: dict[Key, StoredPool] = {}
    leaving: dict[Key, str] = {}
    for deal in deals:
        for d in deal.decided:
            views[d.view.key], pools[d.view.key] = d.view, deal.pool.stored
            if isinstance(deal.gpus, Missing):
                leaving[d.view.key] = f"the pool's GPUs cannot be read: {deal.gpus.message}"
    for short in (s for of_pool in shedding.shortages.values() for s in of_pool):
        if short.reason is Reason.MAKES_ROOM:
            leaving[short.scaler] = short.message
    just_shed = frozenset(step.cell.key for step in shedding.taken)
    return restore_all(scene, views, pools, leaving=leaving, just_shed=just_shed)


def _versions(scene: Scene, memory: Memory) -> dict[Key, int]:
    """Each policy's version: one more where any cell's users have something else than before, never less than stored."""
    had = memory.served
    changed = {key.policy for key, now in scene.served.items() if (had.get(key) or _had(key, scene, memory)) != now}
    return {
        key: max(1, memory.versions.get(key, 0), policy.stored.status.version) + (1 if key in changed else 0)
        for key, policy in scene.policies.items()
    }


def _had(key: CellKey, scene: Scene, memory: Memory) -> Level:
    """What a cell's users had: what the last tick served; after a restart, what status says under the overrides of now.

    A user who had no cell alone had what all of them had.
    """
    if (level := memory.served.get(key)) is not None:
        return level
    own = served_level(scene.cells[key], scene.before[key], scene.overridden.get(key))
    return beneath(own, _had(parent_of(key), scene, memory)) if key in scene.users else own
