"""The restore gate: a cell comes back only if what it would bring fits.

Shedding lowers the load that caused it, so a threshold alone would restore at once, saturate again and oscillate. We
therefore ask what the load *would be* with the cell back, at the rate at which its users asked before, or ask still.
"""

from collections.abc import Callable, Mapping
from math import sqrt

from msgspec import Struct

from brownout.api.policy import Restore
from brownout.api.reasons import Reason
from brownout.api.resources import Key
from brownout.decide.cells import FIRST, LEAST_PART_PERCENT, Cell, raised
from brownout.decide.fullness import how_full
from brownout.decide.memory import CellMemory
from brownout.decide.outcome import Level
from brownout.decide.view import ScalerView

AGAIN_WITHIN_SECONDS = 900.0
"""A cell that is shed again this soon after it came back doubles its dwell."""

ROOMY = 0.75
"""Below this share of ready capacity the return of a cell, or of its first part, is no matter of measure."""

GROWN = 1.1
"""So many times the capacity that was ready when a cell was shed is more than a replica's coming and going."""

LONGEST_DWELL_SECONDS = 1800.0
QUIET_SECONDS = 3600.0
"""A cell that was whole for this long starts with a short dwell again."""

BUDGET_SECONDS = 3600.0


class Candidate(Struct, frozen=True, kw_only=True):
    """A cell that is not whole, and all that the gate asks of it.

    `rate`: requests a second that all of its users would ask for, None where it was never measured. `stale`: why its demand
    cannot be seen, if so. `views`: the scalers that a step up would load; the others are relieved by it, or do not notice.
    `load`: the flow that each of them is to carry already, restored cells of this tick included; `waiting`: scalers on which
    it must wait, and the sentence that says what for.
    """

    cell: Cell
    level: Level
    memory: CellMemory
    settings: Restore
    reversals_per_hour: int
    restore_percent: int
    rate: float | None
    stale: str
    views: Mapping[Key, ScalerView]
    load: Mapping[Key, float]
    waiting: Mapping[Key, str]


class Refusal(Struct, frozen=True, kw_only=True):
    """Why a cell does not come back now; `until` where the end of the wait is known."""

    reason: Reason
    message: str
    until: float | None = None


Rule = Callable[[Candidate, float], Refusal | None]


def evidence_is_fresh(c: Candidate, now: float) -> Refusal | None:
    if c.stale:
        return Refusal(reason=Reason.STALE_EVIDENCE, message=f"what cannot be seen is not restored: {c.stale}")
    for key in sorted(c.cell.unknown):
        return Refusal(
            reason=Reason.STALE_EVIDENCE,
            message=f"what cannot be seen is not restored: InferenceScaler {key.name} is not in use; the policy's Ready condition says why",
        )
    return _workloads_are_seen(c.views)


def _workloads_are_seen(views: Mapping[Key, ScalerView]) -> Refusal | None:
    for view in views.values():
        if view.demand.missing:
            return Refusal(
                reason=Reason.STALE_EVIDENCE,
                message=f"what cannot be seen is not restored: {view.key.name}: {view.demand.missing[0]}",
            )
    return None


def workloads_are_calm(c: Candidate, now: float) -> Refusal | None:
    return _workloads_are_calm(c.views)


def _workloads_are_calm(views: Mapping[Key, ScalerView]) -> Refusal | None:
    for view in views.values():
        if view.saturated:
            return Refusal(
                reason=Reason.STILL_SATURATED,
                message=how_full(view),
                until=view.supply.coming_ready_at,
            )
    return None


def dwell_is_over(c: Candidate, now: float) -> Refusal | None:
    shed_at, longer = c.memory.last_shed_at, c.memory.dwell_seconds
    usual, step = float(c.settings.after_seconds), float(c.settings.step_seconds)
    if shed_at is None or (waited := now - shed_at) >= max(usual, longer):
        return None
    dwell = usual if longer <= usual or _roomy(c) else longer
    if _has_grown(c) or (dwell == usual and _more_than_needed(c)):
        dwell = min(usual, step)
    if waited >= dwell:
        return None
    return Refusal(
        reason=Reason.DWELL,
        message=f"shed {waited:.0f} s ago; it stays for {dwell:.0f} s",
        until=shed_at + dwell,
    )


def last_step_is_done(c: Candidate, now: float) -> Refusal | None:
    step_at = c.memory.last_step_at
    if step_at is not None and now - step_at < c.settings.step_seconds:
        return Refusal(
            reason=Reason.STEP,
            message=f"the last step was {now - step_at:.0f} s ago; the next is after {c.settings.step_seconds} s",
            until=step_at + c.settings.step_seconds,
        )
    return None


def flips_are_left(c: Candidate, now: float) -> Refusal | None:
    recent = [at for at in c.memory.reversals if now - at < BUDGET_SECONDS]
    if c.memory.direction != "Restore" and len(recent) >= c.reversals_per_hour:
        return Refusal(
            reason=Reason.REVERSALS,
            message=f"it changed direction {len(recent)} times within the hour, and {c.reversals_per_hour} are allowed",
            until=min(recent) + BUDGET_SECONDS,
        )
    return None


def nobody_is_before_it(c: Candidate, now: float) -> Refusal | None:
    for key in c.views:
        if key in c.waiting:
            return Refusal(reason=Reason.WAITS, message=c.waiting[key])
    return None


def something_is_ready(c: Candidate, now: float) -> Refusal | None:
    """Where flows are known the step is sized to fit; here only what cannot fit at all."""
    for view in c.views.values():
        if view.supply.ready == 0 and view.supply.replicas > 0:
            return Refusal(
                reason=Reason.DOES_NOT_FIT,
                message=f"{view.key.name} has no replica ready",
                until=view.supply.coming_ready_at,
            )
    return None


GATE: tuple[Rule, ...] = (
    evidence_is_fresh,  # what cannot be seen is not restored
    workloads_are_calm,  # nothing is added to what is full
    dwell_is_over,  # a cell that was just shed stays shed for a while
    last_step_is_done,  # between two parts there is time to see what the first one did
    flips_are_left,  # an oscillating load may not buy flips without end
    nobody_is_before_it,  # last shed, first back, on each workload
    something_is_ready,  # a workload without a replica restores nobody
)


def restore_gate(candidate: Candidate, now: float) -> Refusal | None:
    """The first rule that objects, or None: then `step_that_fits` says how much may come back."""
    for rule in GATE:
        if refusal := rule(candidate, now):
            return refusal
    return None


def of_workloads(views: Mapping[Key, ScalerView]) -> Refusal | None:
    """What the gate's first two rules say of every cell that is seen and would load these workloads: in a surge, of thousands."""
    return _workloads_are_seen(views) or _workloads_are_calm(views)


def step_that_fits(c: Candidate) -> Level | Refusal:
    """The next level up, as large a step as fits below restorePercent of ready capacity; at least 5 %.

    A cell that was never measured comes back by its least step, and is measured before the next.
    """
    largest = LEAST_PART_PERCENT if c.rate is None else c.settings.step_percent
    less = (largest - 1) // LEAST_PART_PERCENT * LEAST_PART_PERCENT
    for percent in (largest, *range(less, 0, -LEAST_PART_PERCENT)):
        target = raised(c.level, by_percent=percent)
        if all(_brought(c, target, key) <= _room(c, key) + 1e-9 for key in c.views):
            return target
    key = min(c.views, key=lambda k: _room(c, k) - _brought(c, raised(c.level, by_percent=LEAST_PART_PERCENT), k))
    view = c.views[key]
    return Refusal(
        reason=Reason.DOES_NOT_FIT,
        message=(
            f"{LEAST_PART_PERCENT} % more of it would bring {key.name} to "
            f"{c.load[key] + _brought(c, raised(c.level, by_percent=LEAST_PART_PERCENT), key):.1f} of {view.supply.capacity:.0f} ready GPUs, "
            f"beyond {c.restore_percent} %"
        ),
        until=view.supply.coming_ready_at,
    )


def ready_for(cell: Cell, views: Mapping[Key, ScalerView]) -> float:
    """Ready GPUs of the workloads that carry a cell's first variant."""
    return sum(views[key].supply.capacity for key in cell.costs[0] if key in views)


def _roomy(c: Candidate) -> bool:
    """Whether all of it would leave a quarter of its workloads free: then a dwell that grew by swings has no say."""
    return all(c.load[key] + _brought(c, FIRST, key) <= ROOMY * c.views[key].supply.capacity for key in c.views)


def _has_grown(c: Candidate) -> bool:
    """Whether more is ready than when it was shed: then its return is not the swing that a dwell is for."""
    before = c.memory.shed_capacity
    return before is not None and ready_for(c.cell, c.views) >= GROWN * before > 0


def _more_than_needed(c: Candidate) -> bool:
    """Whether more was taken than was needed: nothing waits any more, and a quarter of its workloads is free.

    What empties a queue is taken beside what is too much, and is to spare once the queue is gone. What makes room for
    another workload leaves room by intent.
    """
    if c.memory.reason is Reason.MAKES_ROOM or not c.views:
        return False
    return all(
        c.load[key] <= ROOMY * view.supply.capacity and not view.demand.excess_backlog(view.supply.capacity, view.spec)
        for key, view in c.views.items()
    )


def _brought(c: Candidate, target: Level, key: Key) -> float:
    """Flow that a scaler would carry more with the cell at `target`."""
    more = c.cell.cost(target, key) - c.cell.cost(c.level, key)
    return (c.rate or 0.0) * more * c.views[key].memory.cost_factor


def _room(c: Candidate, key: Key) -> float:
    """Flow that a scaler may still take: what may be full of ready capacity, less what it carries and its backlog's share."""
    view = c.views[key]
    capacity, drain = view.supply.capacity, view.spec.queue.drain_seconds
    dearest = max((c.cell.cost(FIRST, key) * view.memory.cost_factor, view.demand.dearest))
    most = may_be_full(capacity, dearest=dearest, drain_seconds=drain, restore_percent=c.restore_percent)
    return most - c.load[key] - view.demand.excess_backlog(capacity, view.spec) / drain


def may_be_full(capacity: float, *, dearest: float, drain_seconds: float, restore_percent: int) -> float:
    """The flow up to which something comes back: restorePercent of ready capacity, or less where requests are large.

    Few large requests come in bunches: where one standard deviation of the work that arrives within drainSeconds is more
    than restorePercent leaves free, that much stays free; half of it at most. `dearest`: GPU-seconds of the largest request.
    """
    bunching = sqrt(capacity * dearest / drain_seconds)
    return capacity - max(capacity * (1 - restore_percent / 100), min(bunching, capacity / 2))


def gpus_to_be_full(flow: float, *, dearest: float, drain_seconds: float, restore_percent: int) -> float:
    """The fewest ready GPUs that `may_be_full` with so large a flow: its inverse, whatever somebody wrote for a request.

    capacity - sqrt(capacity * share) = flow is a quadratic in the root of the capacity.
    """
    share = dearest / drain_seconds
    for_bunching = ((sqrt(share) + sqrt(share + 4 * flow)) / 2) ** 2
    return max(flow * 100 / restore_percent, min(for_bunching, 2 * flow))


def brought(c: Candidate, target: Level) -> dict[Key, float]:
    """What the restored part adds to each scaler's flow, for the cells after it in the same tick."""
    return {key: _brought(c, target, key) for key in c.views}


def next_dwell(memory: CellMemory, *, after_seconds: float, now: float) -> float:
    """The dwell that a shed starts: doubled for a cell that came back less than 15 minutes ago, up to 30 minutes."""
    usual = max(after_seconds, 1.0)
    if memory.direction == "Restore" and memory.last_step_at is not None:
        away = now - memory.last_step_at
        if away < AGAIN_WITHIN_SECONDS:
            return min(max(usual, LONGEST_DWELL_SECONDS), 2 * max(usual, memory.dwell_seconds))
        if away < QUIET_SECONDS:
            return max(usual, memory.dwell_seconds)
        return usual
    return max(usual, memory.dwell_seconds) if memory.direction == "Shed" else usual
