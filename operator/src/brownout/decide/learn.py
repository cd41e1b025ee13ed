"""What is learned from what is seen: how much a workload's requests really cost, and how long its pods take to be ready."""

from math import exp

from msgspec import structs

from brownout.decide.demand import Flow
from brownout.decide.history import HISTORY_SECONDS, History, remember
from brownout.decide.memory import ScalerMemory
from brownout.decide.snapshot import Workload

FACTOR_BOUNDS = (1 / 3, 3.0)
FACTOR_SECONDS = 100.0
"""Time constant of the learned factor."""

LEAST_FLOW = 0.2
"""Below this many busy GPUs a ratio says nothing."""

SETTLED_SPREAD = 0.25
"""What is let through has to have been level for a minute, twice the usual window of rates: then both rates tell of the same
requests. Level: within this share of its mean, and three standard deviations of its counting noise."""

REMEMBERED_STARTS = 20
LEAST_STARTS = 3
"""From so many starts on a cold start is learned; before, it is what was declared."""


def learn_cost(
    memory: ScalerMemory, *, busy: float | None, declared: Flow | None, full: bool, elapsed: float, now: float
) -> ScalerMemory:
    """One factor for each workload: busy GPU-seconds over the declared cost of what is let through, both a second.

    Nothing is learned while the workload is `full`, or works off a queue: busy time cannot exceed what there is, and tells of
    the shortage, or of requests that came long ago. Nor after a step of load, or of what is served: a request is counted
    when it comes and its work when it is done, so for a while the two rates tell of different requests. The mean of
    busy - factor x declared is followed, and not that of busy / declared, which noise in the divisor would raise.
    """
    if declared is None:
        return structs.replace(memory, admitted=History())
    admitted = remember(memory.admitted, now=now, value=declared.mean)
    level = _settled_level(admitted, declared) if busy is not None and not full else None
    if busy is None or level is None or level < LEAST_FLOW:
        return structs.replace(memory, admitted=admitted)
    low, high = FACTOR_BOUNDS
    weight = 1.0 - exp(-max(0.0, elapsed) / FACTOR_SECONDS)
    off = min(high, max(-high, (busy - memory.cost_factor * declared.mean) / level))
    return structs.replace(
        memory,
        admitted=admitted,
        cost_factor=min(high, max(low, memory.cost_factor + weight * off)),
        cost_error=memory.cost_error + weight * (abs(off) - memory.cost_error),
        cost_learned=memory.cost_learned or weight > 0,
    )


def _settled_level(history: History, declared: Flow) -> float | None:
    """The mean flow where it was level for long enough; a tick's length at the window's start does not matter."""
    times, values = history.times, history.values
    if len(times) < 2 or times[-1] - times[0] < HISTORY_SECONDS - (times[1] - times[0]):
        return None
    whole, count = sum(values), len(values)
    if max(values) - min(values) > SETTLED_SPREAD * whole / count + 3 * declared.noise:
        return None
    return whole / count


def learn_cold_start(memory: ScalerMemory, workload: Workload, *, longest: float) -> ScalerMemory:
    """Remember how long each pod took from created to ready, in seconds; a pod counts once.

    What took more than `longest` seconds is a pod that became ready again, and says nothing of a start.
    """
    seen = set(memory.seen_ready)
    fresh = [pod for pod in workload.pods if pod.ready_at is not None and pod.name not in seen]
    if not fresh:
        return memory
    took = [max(0.0, pod.ready_at - pod.created_at) for pod in fresh if pod.ready_at is not None]
    starts = [seconds for seconds in took if seconds <= longest]
    known = (*memory.seen_ready, *(pod.name for pod in fresh))
    alive = {pod.name for pod in workload.pods}
    return structs.replace(
        memory,
        cold_starts=(*memory.cold_starts, *starts)[-REMEMBERED_STARTS:],
        seen_ready=tuple(name for name in known if name in alive),
    )


def cold_start_seconds(memory: ScalerMemory, *, expected: float, quantile: float = 0.5) -> float:
    """The learned quantile of the cold start, in seconds; what was declared while too few pods were seen."""
    if len(memory.cold_starts) < LEAST_STARTS:
        return expected
    starts = sorted(memory.cold_starts)
    return starts[min(len(starts) - 1, int(quantile * len(starts)))]
