"""Every cell's decision: down the ladder where something is short, up through the gate where it fits, or as it is."""

from collections.abc import Mapping, Sequence
from functools import cache

from msgspec import Struct, structs

from brownout.api.pool import GPUPoolSpec
from brownout.api.reasons import Reason
from brownout.api.resources import Key
from brownout.decide.cells import FIRST, Cell, taken
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
    of_workloads,
    restore_gate,
    step_that_fits,
)
from brownout.decide.scene import Scene
from brownout.decide.shed import Shortage, Taken, leaving_shortage, room_of, saturated_shortage, shed, tiers_alone
from brownout.decide.snapshot import StoredPool
from brownout.decide.view import ScalerView


class Shedding(Struct, frozen=True, kw_only=True):
    """What is short, by pool; the rungs to take; and what cells in mode Advise would lose, if they were asked."""

    shortages: Mapping[Key, tuple[Shortage, ...]]
    taken: tuple[Taken, ...]
    advised: tuple[Taken, ...]


def not_whole(scene: Scene) -> dict[Key, list[Cell]]:
    """By scaler: its cells in mode Auto from whose users something was taken."""
    found: dict[Key, list[Cell]] = {}
    for key, memory in scene.memory.items():
        if memory.level != FIRST and (cell := scene.cells[key]).mode == "Auto":
            for scaler in cell.scalers:
                found.setdefault(scaler, []).append(cell)
    return found


def shortages(scene: Scene, decided: Sequence[Decided]) -> list[Shortage]:
    """What is short in a pool: what is saturated, and what is about to lose GPUs to something that comes first."""
    found = [
        structs.replace(s, tiers=tiers_alone(d.view, scene.carried_by_tier(d.view.key, d.view.memory.cost_factor)))
        for d in decided
        if d.view.saturated and (s := saturated_shortage(d.view))
    ]
    if all(d.falls_to is None for d in decided):
        return found
    views = {d.view.key: d.view for d in decided}
    for d in decided:
        if d.falls_to is None or d.falls_for is None or d.view.saturated:
            continue
        if leaving := leaving_shortage(d.view, keeps=d.falls_to, to=views[d.falls_for]):
            found.append(leaving)
    return found


def shed_all(scene: Scene, deals: Sequence[Deal]) -> Shedding:
    """The rungs to take now, on the ladders of all pools at once: a cell may be carried by more than one of them.

    Between two steps of a scaler stepSeconds pass, so that the first one's effect is seen. Where a pool's GPUs cannot be read
    nothing is taken.
    """
    views = {d.view.key: d.view for deal in deals for d in deal.decided}
    short = {
        deal.pool.stored.key: tuple(shortages(scene, deal.decided))
        for deal in deals
        if not isinstance(deal.gpus, Missing)
    }
    due = [s for deal in deals for s in short.get(deal.pool.stored.key, ()) if _step_is_due(scene, deal, s.scaler)]
    rungs = scene.ladder()

    def down(these: Sequence[Shortage], *modes: str) -> list[Taken]:
        if not these:
            return []
        return shed(
            (rung for rung in rungs if rung.cell.mode in modes and _is_free(scene, rung.cell.key)),
            these,
            levels=scene.served,
            rates=scene.asked,
            factors={key: view.memory.cost_factor for key, view in views.items()},
            room=room_of(views.values()),
        )

    everything = [shortage for of_pool in short.values() for shortage in of_pool]
    asks = any(policy.stored.spec.mode == "Advise" for policy in scene.policies.values())
    advised = [step for step in down(everything, "Auto", "Advise") if step.cell.mode == "Advise"] if asks else []
    return Shedding(shortages=short, taken=tuple(down(due, "Auto")), advised=tuple(advised))


def _is_free(scene: Scene, key: CellKey) -> bool:
    """Whether the loop may move a cell: nobody overrides it, and what it decides of the policy can be written."""
    return key not in scene.overridden and key.policy not in scene.snapshot.unwritten


def _step_is_due(scene: Scene, deal: Deal, scaler: Key) -> bool:
    """Whether stepSeconds have passed since something of this scaler's was taken."""
    steps = [scene.memory[cell.key].last_shed_at for cell in scene.by_scaler.get(scaler, ())]
    last = max((at for at in steps if at is not None), default=None)
    return last is None or scene.now - last >= deal.pool.stored.spec.shedding.step_seconds


def went_down(scene: Scene, step: Taken, *, capacity: float) -> CellMemory:
    """A cell's memory after a step down, while its workloads have so many GPUs ready."""
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
        shed_capacity=capacity,
        dwell_seconds=next_dwell(memory, after_seconds=float(settings.after_seconds), now=now),
        direction="Shed",
        reversals=_reversals(memory, "Shed", now),
        shed_rate=max(rates) if rates else memory.shed_rate,
        shed_rate_at=now,
        visible_rate=None,
        admitted_rate=None,
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
        shed_rate=scene.asked[cell.key],
        shed_rate_at=now,
        visible_rate=None,
        admitted_rate=None,
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
    it on the ladder wait on the workloads that both would load, and on no others.
    """
    waiting = dict(leaving)
    restored: dict[CellKey, CellMemory] = {}
    refused: dict[CellKey, Refusal] = {}
    open_cells = {
        key
        for key, memory in scene.memory.items()
        if memory.level != FIRST
        and (cell := scene.cells[key]).mode == "Auto"
        and _is_free(scene, key)
        and all(scaler in views for scaler in cell.scalers)
    }
    if not open_cells:
        return restored, refused
    load = _Loads(scene, views)

    @cache
    def limits(scalers: frozenset[Key]) -> tuple[int, int]:
        return _limits([pools[key].spec for key in scalers])

    @cache
    def loaded_of(policy: Key, level: Level) -> tuple[Key, ...]:
        return tuple(sorted(scene.by_policy[policy][0].loads(level)))

    @cache
    def refusal_of(loaded: tuple[Key, ...]) -> Refusal | None:
        return of_workloads({key: views[key] for key in loaded})

    for rung in reversed(scene.ladder()):
        cell = rung.cell
        key = cell.key
        if key not in open_cells or not taken(rung, scene.memory[key].level):
            continue
        open_cells.remove(key)
        memory = scene.memory[key]
        loaded = loaded_of(key.policy, memory.level)
        outcome: Refusal | Level | None = None
        if key in just_shed:
            outcome = Refusal(reason=memory.reason, message=memory.message)
        elif key not in scene.stale and not cell.unknown:
            outcome = refusal_of(loaded)
        if outcome is None:
            candidate = _candidate(
                scene, cell, {one: views[one] for one in loaded}, limits(cell.scalers), load, waiting
            )
            outcome = restore_gate(candidate, scene.now) or step_that_fits(candidate)
        if isinstance(outcome, Refusal):
            refused[key] = outcome
            for one in loaded:
                if one not in waiting and not cell.unknown:  # who waits for a person holds nobody up
                    waiting[one] = f"{key} comes back first on {one.name}"
            continue
        for one, more in brought(candidate, outcome).items():
            load[one] += more
        restored[key] = went_up(scene, cell, outcome)
    return restored, refused


class _Loads(dict[Key, float]):
    """The flow that each scaler carries with every cell where it is now, those that were shed in this tick included.

    Most cells are refused for a simpler reason, so it is added up when it is asked for.
    """

    def __init__(self, scene: Scene, views: Mapping[Key, ScalerView]) -> None:
        self._scene = scene
        self._views = views

    def __missing__(self, scaler: Key) -> float:
        factor = self._views[scaler].memory.cost_factor
        loads = [self._scene.expected(part.cell, scaler) for part in self._scene.parts.get(scaler, ())]
        return self.setdefault(scaler, sum([rate * (cost * factor) for rate, cost in filter(None, loads)], 0.0))


def _limits(pools: Sequence[GPUPoolSpec]) -> tuple[int, int]:
    """The strictest of a cell's pools: reversals an hour, and restorePercent."""
    reversals = [pool.shedding.max_reversals_per_cell_per_hour for pool in pools]
    return min(reversals, default=60), min([pool.saturation.restore_percent for pool in pools], default=97)


def _candidate(
    scene: Scene,
    cell: Cell,
    views: Mapping[Key, ScalerView],
    limits: tuple[int, int],
    load: Mapping[Key, float],
    waiting: Mapping[Key, str],
) -> Candidate:
    memory = scene.memory[cell.key]
    return Candidate(
        cell=cell,
        level=memory.level,
        memory=memory,
        settings=scene.policies[cell.key.policy].stored.spec.restore,
        reversals_per_hour=limits[0],
        restore_percent=limits[1],
        rate=scene.restore_rate(cell),
        stale=scene.stale.get(cell.key, ""),
        views=views,
        load=load,
        waiting=waiting,
    )
