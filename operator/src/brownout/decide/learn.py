"""What is learned from what is seen: how much a workload's requests really cost, and how long its pods take to be ready."""

from msgspec import structs

from brownout.decide.memory import ScalerMemory
from brownout.decide.snapshot import Workload

FACTOR_BOUNDS = (1 / 3, 3.0)
FACTOR_WEIGHT = 0.05
"""How much one tick's ratio of busy to declared GPU-seconds counts."""

LEAST_FLOW = 0.2
"""Below this many busy GPUs a ratio says nothing."""

REMEMBERED_STARTS = 20


def learn_cost(memory: ScalerMemory, *, busy: float | None, declared: float | None, saturated: bool) -> ScalerMemory:
    """One factor for each workload: busy GPU-seconds over the declared cost of what is let through, both a second.

    Nothing is learned while the workload is saturated: what is let through then waits, and busy time cannot exceed what
    there is, so that the ratio would tell of the shortage and not of the cost.
    """
    if busy is None or declared is None or saturated or declared < LEAST_FLOW:
        return memory
    low, high = FACTOR_BOUNDS
    ratio = min(high, max(low, busy / declared))
    factor = memory.cost_factor + FACTOR_WEIGHT * (ratio - memory.cost_factor)
    error = memory.cost_error + FACTOR_WEIGHT * (abs(ratio - memory.cost_factor) - memory.cost_error)
    return structs.replace(memory, cost_factor=min(high, max(low, factor)), cost_error=error)


def learn_cold_start(memory: ScalerMemory, workload: Workload) -> ScalerMemory:
    """Remember how long each pod took from created to ready; a pod counts once."""
    seen = set(memory.seen_ready)
    fresh = [pod for pod in workload.pods if pod.ready_at is not None and pod.name not in seen]
    if not fresh:
        return memory
    starts = [max(0.0, pod.ready_at - pod.created_at) for pod in fresh if pod.ready_at is not None]
    known = (*memory.seen_ready, *(pod.name for pod in fresh))
    alive = {pod.name for pod in workload.pods}
    return structs.replace(
        memory,
        cold_starts=(*memory.cold_starts, *starts)[-REMEMBERED_STARTS:],
        seen_ready=tuple(name for name in known if name in alive),
    )


def cold_start_seconds(memory: ScalerMemory, *, expected: float, quantile: float = 0.5) -> float:
    """The learned quantile of the cold start, in seconds; what was declared while fewer than three pods were seen."""
    if len(memory.cold_starts) < 3:
        return expected
    starts = sorted(memory.cold_starts)
    return starts[min(len(starts) - 1, int(quantile * len(starts)))]
