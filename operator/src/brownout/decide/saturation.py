"""Whether a workload is saturated: its integral beyond full, so that a moment's burst is not a shortage.

10 % over for 30 s, or 100 % over for 3 s, is the same excess.
"""

from msgspec import structs

from brownout.api.scaler import InferenceScalerSpec
from brownout.decide.demand import Demand
from brownout.decide.memory import ScalerMemory

FULL = 1.0
CALM = 0.97
"""Shedding brings a scaler to 97 % of ready; at or below, it is no longer saturated."""

NOTHING_READY = 2.0
"""The saturation of a workload that is asked for something and has nothing ready: twice full."""

MOST = 9.99
OBJECTIVE_COUNTS_FROM = 0.9
OBJECTIVE_EXCESS = 1.1
LONGEST_STEP_SECONDS = 10.0
"""A loop that was away for longer has not seen what happened in between."""


def patience_seconds(spec: InferenceScalerSpec) -> float:
    """The time in which a queue is to be worked off: where it knows no tiers, those who matter most wait behind all others."""
    queue = spec.queue
    return float(min(queue.drain_seconds, queue.objective_seconds) if queue.order == "FIFO" else queue.drain_seconds)


def saturation_of(demand: Demand, *, capacity: float, spec: InferenceScalerSpec) -> float | None:
    """Admitted flow over ready capacity, plus backlog beyond a healthy queue's over (drain time x ready capacity).

    The flow counts by its lower bound: what may be noise is not held against users. An objective over its target says
    "10 % over" where the flow is close to full or not known: it is evidence, never arithmetic. None: nothing is known.
    """
    if demand.admitted is None and demand.backlog is None and demand.objective_ratio is None:
        return None
    flow = demand.admitted.lower if demand.admitted is not None else 0.0
    if capacity <= 0:
        return NOTHING_READY if flow > 0 or (demand.backlog or 0) > 0 else 0.0
    ratio = flow / capacity + demand.excess_backlog(capacity, spec) / (patience_seconds(spec) * capacity)
    if breached(demand) and (ratio >= OBJECTIVE_COUNTS_FROM or (demand.admitted is None and demand.backlog is None)):
        ratio = max(ratio, OBJECTIVE_EXCESS)
    return min(MOST, ratio)


def measured(ratio: float | None, demand: Demand) -> float | None:
    """The saturation as a figure to be told; None where it is not known.

    A part of the flow or of the queue is a lower bound: it tells a figure only beyond full. Nor is an objective that is met
    one: it says that nobody waits, and not how full the workload is.
    """
    if ratio is None or ratio > FULL:
        return ratio
    counted = demand.admitted is not None or demand.backlog is not None
    return ratio if counted and demand.flow_whole and demand.backlog_whole else None


def tells(ratio: float | None, *, whole: bool) -> bool:
    """Whether a saturation says if there is too much. A part of the evidence can show that there is, never that there is not.

    `whole`: nothing is missing.
    """
    return ratio is not None and (whole or ratio > FULL)


def breached(demand: Demand) -> bool:
    """Whether an objective is missed."""
    return demand.objective_ratio is not None and demand.objective_ratio > 1


def follow(
    memory: ScalerMemory, ratio: float | None, *, whole: bool, elapsed: float, enter_excess: float, now: float
) -> ScalerMemory:
    """Advance the integral by `elapsed` seconds. Without evidence nothing changes: saturation is neither entered nor left.

    `whole`: nothing is missing.
    """
    if ratio is None or not tells(ratio, whole=whole):
        return memory
    step = min(LONGEST_STEP_SECONDS, max(0.0, elapsed))
    excess = max(0.0, memory.excess + (ratio - FULL) * step)
    if memory.saturated:
        if ratio <= CALM:
            return structs.replace(memory, excess=0.0, saturated=False, saturated_since=None)
        return structs.replace(memory, excess=min(excess, enter_excess))
    if ratio > FULL and excess >= enter_excess:
        return structs.replace(memory, excess=enter_excess, saturated=True, saturated_since=now)
    return memory if excess == memory.excess else structs.replace(memory, excess=excess)
