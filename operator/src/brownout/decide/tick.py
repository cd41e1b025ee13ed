"""One tick: a snapshot, a memory and a moment in; a plan and a new memory out.

In order: look (links, cells, demand, saturation), deal GPUs out, go down the ladder where something is short, come back up
where it fits, and say why. Overrides are last and on top, each until it expires.
"""

from collections.abc import Mapping

from msgspec import structs

from brownout.api.reasons import Reason
from brownout.api.resources import Key
from brownout.decide.arbitrate import gpus_of
from brownout.decide.cells import FIRST
from brownout.decide.evidence import Missing
from brownout.decide.features import pressed, restore_all, shed_pool, went_down
from brownout.decide.memory import CellMemory, Memory, PoolMemory, ScalerMemory
from brownout.decide.outcome import CellKey, Plan
from brownout.decide.replicas import decide_replicas, wish
from brownout.decide.report import PoolOutcome, Report, describe
from brownout.decide.restore import Refusal
from brownout.decide.scene import Scene, look, served_level, view_scaler
from brownout.decide.shed import Shortage, Taken
from brownout.decide.snapshot import Pool, Snapshot, StoredPool
from brownout.decide.view import ScalerView


def plan(snapshot: Snapshot, memory: Memory, now: float) -> tuple[Plan, Memory]:
    """All decisions of one tick. The same snapshot, memory and moment give the same plan, whatever the order of objects.

    While the objects of a kind are not known (`snapshot.unseen`) the plan is empty: everything stays as it is.
    """
    if snapshot.unseen:
        return Plan(at=now), memory
    elapsed = 0.0 if memory.at is None else max(0.0, now - memory.at)
    scene = look(snapshot, memory, now=now)
    outcomes = [_decide_pool(scene, pool, memory, elapsed) for _, pool in sorted(snapshot.pools.items())]

    cells = dict(scene.memory)
    for outcome in outcomes:
        for step in outcome.taken:
            if not step.advised:
                cells[step.cell.key] = went_down(scene, step)
    down = frozenset(step.cell.key for o in outcomes for step in o.taken if not step.advised)
    refused = _restore(structs.replace(scene, memory=cells), outcomes, cells, down)
    served = {key: served_level(cell, cells[key], scene.overridden.get(key)) for key, cell in scene.cells.items()}
    new = Memory(
        at=now,
        served=served,
        cells=cells,
        scalers={d.view.key: d.memory for o in outcomes for d in o.decided},
        pools={o.pool.stored.key: o.memory for o in outcomes},
        versions=_versions(scene, served, memory),
    )
    report = Report(
        scene=scene,
        outcomes=tuple(outcomes),
        cells=cells,
        refused=refused,
        versions=new.versions,
        before=memory,
    )
    return describe(report), new


def _decide_pool(scene: Scene, pool: Pool, memory: Memory, elapsed: float) -> PoolOutcome:
    key = pool.stored.key
    views = [
        view_scaler(scene, scaler, pool, memory.scalers.get(scaler.stored.key, ScalerMemory()), elapsed=elapsed)
        for scaler in scene.links.scalers_of.get(key, ())
    ]
    percent = pool.stored.spec.saturation.restore_percent
    wishes = [wish(view, shed=_shed_cells(scene, view.key), restore_percent=percent, now=scene.now) for view in views]
    gpus = gpus_of(pool)
    in_need = frozenset(view.key for view in views if pressed(scene, view))
    decided = decide_replicas(wishes, gpus, pool.stored, pressed=in_need, now=scene.now)
    old = memory.pools.get(key, PoolMemory())
    taken: list[Taken] = []
    short: list[Shortage] = []
    if not isinstance(gpus, Missing):
        taken, short = shed_pool(scene, pool.stored, decided, old)
    carried_out = [step for step in taken if not step.advised]
    saturated = any(view.saturated for view in views)
    return PoolOutcome(
        pool=pool,
        gpus=gpus,
        decided=tuple(decided),
        shortages=tuple(short),
        taken=tuple(taken),
        memory=PoolMemory(
            last_shed_at=scene.now if carried_out else old.last_shed_at,
            saturated_since=(old.saturated_since or scene.now) if saturated else None,
            last_rung=f"{carried_out[-1].cell.key}: {carried_out[-1].cell.name(carried_out[-1].level)}"
            if carried_out
            else old.last_rung,
        ),
    )


def _shed_cells(scene: Scene, scaler: Key) -> tuple[str, ...]:
    """The cells of a scaler that are not back, in words; what a person or a mode holds down does not hold replicas up."""
    return tuple(
        f"{cell.key} has {cell.name(scene.memory[cell.key].level)}"
        for cell in scene.by_scaler.get(scaler, ())
        if cell.mode == "Auto" and cell.key not in scene.overridden and scene.memory[cell.key].level != FIRST
    )


def _restore(
    scene: Scene, outcomes: list[PoolOutcome], cells: dict[CellKey, CellMemory], down: frozenset[CellKey]
) -> dict[CellKey, Refusal]:
    """Bring back what fits, into `cells`; the refusals of the others."""
    views: dict[Key, ScalerView] = {}
    pools: dict[Key, StoredPool] = {}
    leaving: dict[Key, str] = {}
    for outcome in outcomes:
        for d in outcome.decided:
            views[d.view.key], pools[d.view.key] = d.view, outcome.pool.stored
            if isinstance(outcome.gpus, Missing):
                leaving[d.view.key] = f"the pool's GPUs cannot be read: {outcome.gpus.message}"
        for short in outcome.shortages:
            if short.reason is Reason.MAKES_ROOM:
                leaving[short.scaler] = short.message
    restored, refused = restore_all(scene, views, pools, leaving=leaving, just_shed=down)
    cells.update(restored)
    return refused


def _versions(scene: Scene, served: Mapping[CellKey, object], memory: Memory) -> dict[Key, int]:
    """Each policy's version: one more where any cell's users have something else than before, never less than stored."""
    changed = {key.policy for key, level in served.items() if key in memory.served and memory.served[key] != level}
    return {
        key: max(1, memory.versions.get(key, 0), policy.stored.status.version) + (1 if key in changed else 0)
        for key, policy in scene.policies.items()
    }
