"""Every cell's decision: down the ladder where something is short, up through the gate where it fits, or as it is."""

from collections.abc import Mapping, Sequence

from msgspec import structs

from brownout.api.reasons import Reason
from brownout.api.resources import Key
from brownout.decide.cells import FIRST, Cell, ladder, taken
from brownout.decide.memory import CellMemory, PoolMemory
from brownout.decide.outcome import CellKey, Level
from brownout.decide.replicas import Decided
from brownout.decide.restore import (
    BUDGET_SECONDS,
    Candidate,
    Refusal,
    brought,
    next_dwell,
    restore_gate,
    step_that_fits,
)
from brownout.decide.scene import Scene
from brownout.decide.shed import Shortage, Taken, leaving_shortage, saturated_shortage, shed
from brownout.decide.snapshot import StoredPool
from brownout.decide.view import ScalerView


def pressed(scene: Scene, view: ScalerView) -> bool:
    """Whether a scaler's users feel its shortage: it is saturated, or something was taken from them."""
    return view.saturated or any(
        scene.memory[cell.key].level != FIRST and cell.mode == "Auto" for cell in scene.by_scaler.get(view.key, ())
    )


def shortages(decided: Sequence[Decided]) -> list[Shortage]:
    """What is short in a pool: what is saturated, and what is about to lose GPUs to something that comes first."""
    found = [saturated_shortage(d.view) for d in decided if d.view.saturated]
    views = {d.view.key: d.view for d in decided}
    for d in decided:
        if d.falls_to is None or d.falls_for is None or d.view.saturated:
            continue
        if leaving := leaving_shortage(d.view, keeps=d.falls_to, to=views[d.falls_for]):
            found.append(leaving)
    return found


def shed_pool(
    scene: Scene, pool: StoredPool, decided: Sequence[Decided], memory: PoolMemory
) -> tuple[list[Taken], list[Shortage]]:
    """The rungs of one pool to take now. Between two steps stepSeconds pass, so that the first one's effect is seen."""
    short = shortages(decided)
    if not short:
        return [], short
    stepped = memory.last_shed_at
    if stepped is not None and scene.now - stepped < pool.spec.shedding.step_seconds:
        return [], short
    scalers = {d.view.key for d in decided}
    cells = [
        cell
        for cell in scene.cells.values()
        if cell.scalers & scalers and cell.key not in scene.overridden and cell.mode != "Paused"
    ]
    return (
        shed(
            ladder(cells),
            short,
            levels=scene.served,
            rates=scene.seen,
            factors={d.view.key: d.view.memory.cost_factor for d in decided},
        ),
        short,
    )


def went_down(scene: Scene, step: Taken) -> CellMemory:
    """A cell's memory after a step down."""
    cell, now = step.cell, scene.now
    memory = scene.memory[cell.key]
    settings = scene.policies[cell.key.policy].stored.spec.restore
    seen, asked = scene.seen[cell.key], scene.asked[cell.key]
    rates = [rate for rate in (seen, asked) if rate is not None]
    return structs.replace(
        memory,
        level=step.level,
        reason=step.reason,
        message=step.message,
        since=now,
        last_shed_at=now,
        last_step_at=now,
        dwell_seconds=next_dwell(memory, after_seconds=float(settings.after_seconds), now=now),
        direction="Shed",
        reversals=_reversals(memory, "Shed", now),
        shed_rate=max(rates) if rates else memory.shed_rate,
        shed_rate_at=now,
    )


def went_up(scene: Scene, cell: Cell, level: Level) -> CellMemory:
    """A cell's memory after a step up."""
    now, memory = scene.now, scene.memory[cell.key]
    whole = level == FIRST
    message = "all of it is back" if whole else f"a part is back: {cell.name(level)}"
    return structs.replace(
        memory,
        level=level,
        reason=Reason.SERVED if whole else Reason.RESTORING,
        message=message,
        since=now,
        last_step_at=now,
        direction="Restore",
        reversals=_reversals(memory, "Restore", now),
        shed_rate=None if whole else memory.shed_rate,
    )


def _reversals(memory: CellMemory, direction: str, now: float) -> tuple[float, ...]:
    recent = tuple(at for at in memory.reversals if now - at < BUDGET_SECONDS)
    turned = memory.direction != "" and memory.direction != direction
    return (*recent, now) if turned else recent


def restore_all(
    scene: Scene,
    views: Mapping[Key, ScalerView],
    pools: Mapping[Key, StoredPool],
    *,
    leaving: Mapping[Key, str],
    just_shed: frozenset[CellKey],
) -> tuple[dict[CellKey, CellMemory], dict[CellKey, Refusal]]:
    """Back up the ladder: the last rung taken first, several cells at once where they fit.

    `pools` by scaler. `leaving`: scalers on which nothing comes back now, and why. A cell that is refused makes those before
    it on the ladder wait on the workloads that they share, and on no others.
    """
    load = {key: v.demand.admitted.mean if v.demand.admitted else 0.0 for key, v in views.items()}
    waiting = dict(leaving)
    restored: dict[CellKey, CellMemory] = {}
    refused: dict[CellKey, Refusal] = {}
    open_cells = [
        cell
        for cell in scene.cells.values()
        if cell.mode == "Auto"
        and cell.key not in scene.overridden
        and scene.memory[cell.key].level != FIRST
        and all(scaler in views for scaler in cell.scalers)
    ]
    for rung in reversed(ladder(open_cells)):
        cell = rung.cell
        if cell.key in restored or cell.key in refused or not taken(rung, scene.memory[cell.key].level):
            continue
        candidate = _candidate(scene, cell, views, pools, load, waiting)
        outcome: Refusal | Level | None = None
        if cell.key in just_shed:
            outcome = Refusal(reason=scene.memory[cell.key].reason, message=scene.memory[cell.key].message)
        outcome = outcome or restore_gate(candidate, scene.now) or step_that_fits(candidate)
        if isinstance(outcome, Refusal):
            refused[cell.key] = outcome
            for key in cell.scalers:
                waiting.setdefault(key, f"{cell.key} comes back first on {key.name}")
            continue
        for key, more in brought(candidate, outcome).items():
            load[key] += more
        restored[cell.key] = went_up(scene, cell, outcome)
    return restored, refused


def _candidate(
    scene: Scene,
    cell: Cell,
    views: Mapping[Key, ScalerView],
    pools: Mapping[Key, StoredPool],
    load: Mapping[Key, float],
    waiting: Mapping[Key, str],
) -> Candidate:
    own = [pools[key].spec for key in cell.scalers]
    memory = scene.memory[cell.key]
    return Candidate(
        cell=cell,
        level=memory.level,
        memory=memory,
        settings=scene.policies[cell.key.policy].stored.spec.restore,
        reversals_per_hour=min((p.shedding.max_reversals_per_cell_per_hour for p in own), default=60),
        restore_percent=min((p.saturation.restore_percent for p in own), default=97),
        rate=scene.restore_rate(cell),
        stale=scene.stale.get(cell.key, ""),
        views={key: views[key] for key in sorted(cell.scalers)},
        load=load,
        waiting=waiting,
    )
