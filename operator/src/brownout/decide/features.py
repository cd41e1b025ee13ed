"""Every cell's decision: down the ladder where something is short, up through the gate where it fits, or as it is."""

from collections.abc import Mapping, Sequence

from msgspec import Struct, structs

from brownout.api.reasons import Reason
from brownout.api.resources import Key
from brownout.decide.cells import FIRST, Cell, ladder, taken
from brownout.decide.demand import flow_of
from brownout.decide.evidence import Missing
from brownout.decide.memory import CellMemory
from brownout.decide.outcome import CellKey, Level
from brownout.decide.replicas import Deal, Decided
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
from brownout.decide.shed import Shortage, Taken, leaving_shortage, room_of, saturated_shortage, shed
from brownout.decide.snapshot import StoredPool
from brownout.decide.view import ScalerView


class Shedding(Struct, frozen=True, kw_only=True):
    """What is short, by pool; the rungs to take; and what cells in mode Advise would lose, if they were asked."""

    shortages: Mapping[Key, tuple[Shortage, ...]]
    taken: tuple[Taken, ...]
    advised: tuple[Taken, ...]


def pressed(scene: Scene, view: ScalerView) -> bool:
    """Whether a scaler's users feel its shortage: it is saturated, or something was taken from them."""
    return view.saturated or any(
        scene.memory[cell.key].level != FIRST and cell.mode == "Auto" for cell in scene.by_scaler.get(view.key, ())
    )


def shortages(decided: Sequence[Decided]) -> list[Shortage]:
    """What is short in a pool: what is saturated, and what is about to lose GPUs to something that comes first."""
    found = [s for d in decided if d.view.saturated and (s := saturated_shortage(d.view))]
    views = {d.view.key: d.view for d in decided}
    for d in decided:
        if d.falls_to is None or d.falls_for is None or d.view.saturated:
            continue
        if leaving := leaving_shortage(d.view, keeps=d.falls_to, to=views[d.falls_for]):
            found.append(leaving)
    return found


def shed_all(scene: Scene, deals: Sequence[Deal]) -> Shedding:
    """The rungs to take now, on the ladders of all pools at once: a cell may be carried by more than one of them.

    Between two steps of a pool stepSeconds pass, so that the first one's effect is seen. Where a pool's GPUs cannot be read
    nothing is taken.
    """
    views = {d.view.key: d.view for deal in deals for d in deal.decided}
    short = {
        deal.pool.stored.key: tuple(shortages(deal.decided)) for deal in deals if not isinstance(deal.gpus, Missing)
    }
    due = [s for deal in deals if _step_is_due(deal, scene.now) for s in short.get(deal.pool.stored.key, ())]
    cells = [cell for cell in scene.cells.values() if cell.key not in scene.overridden]

    def down(these: Sequence[Shortage], *modes: str) -> list[Taken]:
        if not these:
            return []
        return shed(
            ladder(cell for cell in cells if cell.mode in modes),
            these,
            levels=scene.served,
            rates=scene.seen,
            factors={key: view.memory.cost_factor for key, view in views.items()},
            room=room_of(views.values()),
        )

    everything = [shortage for of_pool in short.values() for shortage in of_pool]
    return Shedding(
        shortages=short,
        taken=tuple(down(due, "Auto")),
        advised=tuple(step for step in down(everything, "Auto", "Advise") if step.cell.mode == "Advise"),
    )


def _step_is_due(deal: Deal, now: float) -> bool:
    last = deal.memory.last_shed_at
    return last is None or now - last >= deal.pool.stored.spec.shedding.step_seconds


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
    it on the ladder wait on the workloads that both would load, and on no others. But while a cell is in motion (just shed, or
    coming back part by part), the other features of its product wait for it in the whole pool: last taken, first back.
    """
    load = {key: _load(scene, view) for key, view in views.items()}
    waiting = dict(leaving)
    moving: dict[tuple[str, Key], CellKey] = {}
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
        places = [(cell.key.policy.namespace, pools[key].key) for key in sorted(cell.scalers)]
        outcome = outcome or _waits_for(cell, places, moving)
        outcome = outcome or restore_gate(candidate, scene.now) or step_that_fits(candidate)
        if _in_motion(candidate, outcome, scene.now):
            for place in places:
                moving.setdefault(place, cell.key)
        if isinstance(outcome, Refusal):
            refused[cell.key] = outcome
            for key in candidate.views:
                waiting.setdefault(key, f"{cell.key} comes back first on {key.name}")
            continue
        for key, more in brought(candidate, outcome).items():
            load[key] += more
        restored[cell.key] = went_up(scene, cell, outcome)
    return restored, refused


def _waits_for(
    cell: Cell, places: Sequence[tuple[str, Key]], moving: Mapping[tuple[str, Key], CellKey]
) -> Refusal | None:
    """Another feature of the same product, further up the ladder of one of these pools, that is in motion."""
    for place in places:
        first = moving.get(place)
        if first is not None and first.policy != cell.key.policy:
            return Refusal(reason=Reason.WAITS, message=f"{first} comes back first")
    return None


def _in_motion(c: Candidate, outcome: Refusal | Level, now: float) -> bool:
    """Whether a cell was shed within restore.afterSeconds, or is on its way back; one that merely does not fit is not."""
    if isinstance(outcome, Level):
        return outcome != FIRST
    shed_at = c.memory.last_shed_at
    return outcome.reason is Reason.STEP or (shed_at is not None and now - shed_at < c.settings.after_seconds)


def _load(scene: Scene, view: ScalerView) -> float:
    """The flow that a scaler carries with every cell where it is now, those that were shed in this tick included."""
    key, factor = view.key, view.memory.cost_factor
    cells = scene.by_scaler.get(key, ())
    return flow_of(
        cells, rate=lambda c: scene.seen[c.key], cost=lambda c: c.cost(scene.served[c.key], key) * factor
    ).mean


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
        views={key: views[key] for key in sorted(cell.loads(memory.level))},
        load=load,
        waiting=waiting,
    )
