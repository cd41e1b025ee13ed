"""From what demand asks for to what is written: who holds replicas up, and how fast they may change.

The HPA's stabilization window and behavior, with its defaults, so that nobody who knows it is surprised; and before them the
rules that only this loop can know: replicas of a workload stay until its own features are back, and until what is left
carries all that is asked for.
"""

from collections.abc import Callable

from msgspec import Struct, structs

from brownout.api.reasons import Reason
from brownout.api.scaler import Behavior, ScalingPolicy, ScalingRules
from brownout.decide.memory import Change, Recommendation, ScalerMemory
from brownout.decide.view import ScalerView

DEFAULT_UP = (
    ScalingPolicy(type="Percent", value=100, period_seconds=15),
    ScalingPolicy(type="Pods", value=4, period_seconds=15),
)
DEFAULT_DOWN = (ScalingPolicy(type="Percent", value=100, period_seconds=15),)
DEFAULT_DOWN_WINDOW_SECONDS = 300
"""autoscaling/v2's defaults (Kubernetes, HorizontalPodAutoscaler, default behavior)."""


class Objection(Struct, frozen=True):
    """Why replicas do not go down now."""

    reason: Reason
    message: str


class Lowering(Struct, frozen=True, kw_only=True):
    """A proposal to go down. `shed` names a cell of this scaler that is not back, where there is one.

    `for_all`: GPUs on which all of its cells would come back, did they ask as they did before they were shed; None: not known.
    """

    view: ScalerView
    to: int
    shed: tuple[str, ...]
    restore_percent: int
    for_all: float | None = None


def own_cells_are_back(p: Lowering) -> Objection | None:
    """Where another workload of theirs is short they may be away for long: what all of them need stays, and no more."""
    left = min(p.view.supply.ready, p.to) * p.view.supply.gpus
    if p.shed and (p.for_all is None or left < p.for_all - 1e-9):
        return Objection(Reason.OWN_CELLS_SHED, f"replicas stay until its own features are back: {p.shed[0]}")
    return None


def survivors_carry_it(p: Lowering) -> Objection | None:
    """Below restorePercent, or as full as replicas are planned to be where that is more: else none would ever go."""
    demand, supply = p.view.demand, p.view.supply
    if demand.planned is None:
        return None
    left = min(supply.ready, p.to) * supply.gpus
    percent = max(p.restore_percent, p.view.spec.flow.target_percent)
    queue = demand.excess_backlog(left, p.view.spec) / p.view.spec.queue.drain_seconds
    if (demand.planned.gpus(percent) + queue) > left + 1e-9:
        return Objection(
            Reason.SURVIVORS_CANNOT_CARRY,
            f"{p.to} replicas could not carry {demand.planned.mean + queue:.1f} GPUs of load below {percent} %",
        )
    return None


LOWER: tuple[Callable[[Lowering], Objection | None], ...] = (
    own_cells_are_back,  # pool-wide this would dead-lock: two workloads waiting for each other's GPUs
    survivors_carry_it,  # what is left carries all of it
)


def may_lower(proposal: Lowering) -> Objection | None:
    """The first rule that objects to going down."""
    for rule in LOWER:
        if objection := rule(proposal):
            return objection
    return None


def stabilized(
    memory: ScalerMemory, *, wanted: int, current: int, behavior: Behavior, now: float
) -> tuple[int, ScalerMemory]:
    """The recommendation after the stabilization windows, as autoscaling/v2 has them: down only to the highest of the window.

    The window starts filled with the replicas that are there, so that a restart lowers nothing; and again where the loop was
    away for longer than the window.
    """
    down = behavior.scale_down.stabilization_window_seconds
    down = DEFAULT_DOWN_WINDOW_SECONDS if down is None else down
    up = behavior.scale_up.stabilization_window_seconds or 0
    longest = max(down, up)
    known = [r for r in memory.recommendations if now - r.at < longest] or [Recommendation(now, current)]
    highest = max([wanted, *[r.replicas for r in known if now - r.at < down]])
    lowest = min([wanted, *[r.replicas for r in known if now - r.at < up]])
    result = current
    if current < lowest:
        result = lowest
    elif current > highest:
        result = highest
    if len(known) > 1 and known[-2].replicas == known[-1].replicas == wanted:
        known.pop()  # of a run of one number its ends are what a window's extremes need
    return result, structs.replace(memory, recommendations=(*known, Recommendation(now, wanted)))


def limited(memory: ScalerMemory, *, wanted: int, current: int, behavior: Behavior, now: float) -> int:
    """`wanted` as far as behavior's rates allow within their periods."""
    if wanted > current:
        return min(wanted, _bound(memory, behavior.scale_up, DEFAULT_UP, current=current, sign=1, now=now))
    if wanted < current:
        return max(wanted, _bound(memory, behavior.scale_down, DEFAULT_DOWN, current=current, sign=-1, now=now))
    return wanted


def _bound(
    memory: ScalerMemory,
    rules: ScalingRules,
    defaults: tuple[ScalingPolicy, ...],
    *,
    current: int,
    sign: int,
    now: float,
) -> int:
    if rules.select_policy == "Disabled":
        return current
    bounds = []
    for policy in rules.policies or defaults:
        start = current - sum(c.delta for c in memory.changes if now - c.at < policy.period_seconds)
        if policy.type == "Pods":
            bounds.append(start + sign * policy.value)
        elif sign > 0:
            bounds.append(max(1, -(-start * (100 + policy.value) // 100)))  # a percentage of nothing would never start
        else:
            bounds.append(start * max(0, 100 - policy.value) // 100)
    widest = max(bounds) if (sign > 0) == (rules.select_policy == "Max") else min(bounds)
    return max(widest, current) if sign > 0 else max(0, min(widest, current))


def note_replicas(memory: ScalerMemory, *, replicas: int, now: float, behavior: Behavior) -> ScalerMemory:
    """Remember the change since the last tick, for as long as a policy may count it.

    What is counted is what happened, whoever did it: a write that did not succeed takes nothing from the next one.
    """
    if memory.replicas == replicas and not memory.changes:
        return memory
    rules = (behavior.scale_up.policies or DEFAULT_UP) + (behavior.scale_down.policies or DEFAULT_DOWN)
    longest = max(policy.period_seconds for policy in rules)
    kept = tuple(c for c in memory.changes if now - c.at < longest)
    delta = 0 if memory.replicas is None else replicas - memory.replicas
    return structs.replace(memory, replicas=replicas, changes=(*kept, Change(now, delta)) if delta else kept)
