"""Kubernetes' HorizontalPodAutoscaler, autoscaling/v2, on the mean busy share of its pods (type Pods, AverageValue).

Source: `pkg/controller/podautoscaler` of Kubernetes v1.36.3 (`replica_calculator.go: calcPlainMetricReplicas`, `horizontal.go:
stabilizeRecommendationWithBehaviors, convertDesiredReplicasWithBehaviorRate`) and the defaults of its configuration
(`config/v1alpha1/defaults.go`) and API (`apis/autoscaling/v2/defaults.go`):

- desired = ceil(pods x mean / target), every 15 s; within 10 % of the target nothing changes.
- A pod that is pending is unready, one that loads has no metric yet: both count as idle when the mean asks for more; one without
  a metric counts as exactly at the target when it asks for less. Where that turns the direction around, nothing changes.
- No metric at all is an error: nothing changes. Nothing changes either while the target has 0 replicas.
- behavior as documented: up by 4 pods or 100 % in 15 s, whichever is more, not stabilized; down by up to 100 %, to the highest
  recommendation of the last 300 s. The period is the sync period, so each sync has the whole allowance.
- A restart forgets the recommendations; the first new one is the replicas that there are.

It knows one workload each, and no pool: when GPUs are short its pods are pending.
"""

from collections import deque
from math import ceil

from msgspec import Struct

from brownout.simulate.controller import Action, Observation, Setting, WorkloadSeen

SYNC_SECONDS = 15.0
TOLERANCE = 0.1
DOWNSCALE_STABILIZATION_SECONDS = 300.0
UP_PODS = 4
NOTHING = Action()
ROUNDING = 1e-9
"""Rates are exact halves and tenths only on paper; the real one works in whole thousandths."""


class Parameters(Struct, frozen=True, kw_only=True):
    """`target`: the busy share of a replica that is aimed at."""

    target: float = 0.7


LATE = Parameters(target=0.9)
"""Up only when replicas are all but full: where GPUs are short and something else sheds, the greed of 0.7 starves others."""

GRID = (Parameters(), Parameters(target=0.5), Parameters(target=0.6), Parameters(target=0.8), LATE)


class HPA:
    """One for each workload, all on one clock."""

    def __init__(self, setting: Setting, parameters: Parameters) -> None:
        self._target = parameters.target
        self._next = 0.0
        self._stabilization = Stabilization()

    def restart(self) -> None:
        self._next = 0.0
        self._stabilization = Stabilization()

    def decide(self, seen: Observation) -> Action:
        if seen.at < self._next - ROUNDING:
            return NOTHING
        self._next = seen.at + SYNC_SECONDS
        replicas = {}
        for workload in seen.workloads.values():
            wanted = self._scale(workload, seen.at)
            if wanted != workload.replicas:
                replicas[workload.name] = wanted
        return Action(replicas=replicas) if replicas else NOTHING

    def _scale(self, workload: WorkloadSeen, now: float) -> int:
        current = workload.replicas
        self._stabilization.begin(workload.name, current, now)
        if current == 0 or bounded(workload) != current:
            return bounded(workload) if current else 0
        desired = None if workload.busy is None else proposed(workload, workload.busy, self._target)
        return current if desired is None else self._stabilization.normalize(workload, desired, now)


def bounded(workload: WorkloadSeen) -> int:
    """The replicas within their bounds; the least of an HPA is 1 without the HPAScaleToZero feature gate."""
    return max(1, workload.min_replicas, min(workload.replicas, workload.max_replicas))


def proposed(workload: WorkloadSeen, mean: float, target: float) -> int | None:
    """Replicas from the mean value of the ready pods; None, an error, where no pod has a value."""
    current, ready = workload.replicas, workload.ready
    pending = sum(pod.node is None for pod in workload.pods)
    loading = len(workload.pods) - ready - pending
    if ready == 0:
        return None
    ratio = mean / target
    unready = pending if ratio > 1.0 else 0
    if not unready and not loading:
        return current if within_tolerance(ratio) else ceil(ratio * ready - ROUNDING)
    counted = ready + unready + loading
    total = ready * mean + (loading * target if ratio < 1.0 else 0.0)
    adjusted = total / (counted * target)
    if within_tolerance(adjusted) or (ratio < 1.0 < adjusted) or (adjusted < 1.0 < ratio):
        return current
    wanted = ceil(adjusted * counted - ROUNDING)
    turned = (adjusted < 1.0 and wanted > current) or (adjusted > 1.0 and wanted < current)
    return current if turned else wanted


def within_tolerance(ratio: float) -> bool:
    return 1.0 - TOLERANCE - ROUNDING <= ratio <= 1.0 + TOLERANCE + ROUNDING


class Stabilization:
    """What an HPA remembers: its own recommendations of the last 300 s, by workload."""

    def __init__(self) -> None:
        self._recommended: dict[str, deque[tuple[float, int]]] = {}

    def begin(self, name: str, current: int, now: float) -> None:
        """Counts the replicas that there are as the first recommendation."""
        if name not in self._recommended:
            self._recommended[name] = deque([(now, current)])

    def normalize(self, workload: WorkloadSeen, desired: int, now: float) -> int:
        """What is set where `desired` is recommended: not below recent recommendations, not faster than the default behavior."""
        current, recent = workload.replicas, self._recommended[workload.name]
        while recent and recent[0][0] <= now - DOWNSCALE_STABILIZATION_SECONDS:
            recent.popleft()
        highest = max((wanted for _, wanted in recent), default=desired)
        recent.append((now, desired))
        replicas = desired if desired > current else min(current, max(desired, highest))
        fastest = max(current + UP_PODS, 2 * current)
        return max(1, workload.min_replicas, min(replicas, fastest, workload.max_replicas))
