"""Knative's pod autoscaler (KPA) on concurrency, with a stable and a panic window.

Source: knative/serving, `pkg/autoscaler/scaling/autoscaler.go` and the defaults of `config-autoscaler` (1.x): stable window 60 s,
panic window 10 % of it, target 70 % of the container's concurrency (here the batch that a replica serves at once), panic from
200 % of the target, at most 1000 times up and half down at a time, scale-down-delay 0, a decision every 2 s (here: each tick).

- desired = ceil(mean concurrency / target) over the stable window, between ready / 2 and ready x 1000.
- Panic starts when the panic window's desired is twice the ready pods; then the greater of both counts, and never less than what
  was reached. It ends when it is over the threshold no more for a whole stable window.
- No data in the stable window: nothing changes. Data of a part of it: its mean.
- After a restart, with more than one pod, it starts in panic at the ready pods, for it has lost its windows.

Queued requests count, as they do in Knative's activator. Its scale to zero (grace period) is left out: minReplicas rules.
"""

from collections import deque
from math import ceil, floor

from msgspec import Struct

from brownout.simulate.controller import Action, Observation, Setting, WorkloadSeen
from brownout.simulate.controllers.hpa import NOTHING, ROUNDING

STABLE_SECONDS = 60.0
PANIC_SECONDS = 6.0
PANIC_THRESHOLD = 2.0
MAX_SCALE_UP_RATE = 1000.0
MAX_SCALE_DOWN_RATE = 2.0


class Parameters(Struct, frozen=True, kw_only=True):
    """`utilization`: the share of a replica's concurrency that is aimed at."""

    utilization: float = 0.7


GRID = tuple(Parameters(utilization=share) for share in (0.7, 0.5, 0.6, 0.8, 0.9, 1.0))


class KPA:
    """One decider for each workload."""

    def __init__(self, setting: Setting, parameters: Parameters) -> None:
        self._utilization = parameters.utilization
        self._deciders: dict[str, Decider] = {}

    def restart(self) -> None:
        self._deciders = {}

    def decide(self, seen: Observation) -> Action:
        replicas = {}
        for workload in seen.workloads.values():
            decider = self._deciders.get(workload.name)
            if decider is None:
                decider = self._deciders[workload.name] = Decider(workload.ready, seen.at)
            decider.record(workload.concurrency, seen.measured_at)
            wanted = decider.desired(workload, self._utilization * workload.batch, seen.at)
            if wanted is not None and wanted != workload.replicas:
                replicas[workload.name] = wanted
        return Action(replicas=replicas) if replicas else NOTHING


class Decider:
    """The windows and the panic of one workload."""

    def __init__(self, ready: int, now: float) -> None:
        self._samples: deque[tuple[float, float]] = deque()
        self._sum = 0.0
        self.panic_since = now if ready > 1 else None
        self._panic_pods = ready if ready > 1 else 0

    def record(self, concurrency: float | None, measured_at: float) -> None:
        """A sample is taken once, however often it is seen."""
        if concurrency is not None and (not self._samples or measured_at > self._samples[-1][0]):
            self._samples.append((measured_at, concurrency))
            self._sum += concurrency

    def desired(self, workload: WorkloadSeen, target: float, now: float) -> int | None:
        """Replicas within the workload's bounds; None, no change, where there is no data."""
        samples = self._samples
        while samples and samples[0][0] <= now - STABLE_SECONDS:
            self._sum -= samples.popleft()[1]
        if not samples:
            return None
        ready = max(1, workload.ready)
        least, most = floor(ready / MAX_SCALE_DOWN_RATE), ceil(MAX_SCALE_UP_RATE * ready)
        stable = ceil(self._sum / len(samples) / target - ROUNDING)
        panic = ceil(self._recent(now) / target - ROUNDING)
        self._switch(panic / ready >= PANIC_THRESHOLD, now)
        desired = min(max(stable, least), most)
        if self.panic_since is not None:
            self._panic_pods = max(self._panic_pods, desired, min(max(panic, least), most))
            desired = self._panic_pods
        return max(workload.min_replicas, min(desired, workload.max_replicas))

    def _recent(self, now: float) -> float:
        """Mean over the panic window; 0 where it is empty."""
        total, count = 0.0, 0
        for at, value in reversed(self._samples):
            if at <= now - PANIC_SECONDS:
                break
            total, count = total + value, count + 1
        return total / count if count else 0.0

    def _switch(self, over_threshold: bool, now: float) -> None:
        if over_threshold:
            self.panic_since = now
        elif self.panic_since is not None and self.panic_since + STABLE_SECONDS < now:
            self.panic_since, self._panic_pods = None, 0
