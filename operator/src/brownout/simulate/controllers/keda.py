"""KEDA: an HPA on an external metric of type AverageValue, from a Prometheus query, and the activation from and to 0.

Source: KEDA 2.22, `pkg/scalers/prometheus_scaler.go` and the ScaledObject specification (pollingInterval 30 s, cooldownPeriod
300 s, `ignoreNullValues: true`, activationThreshold 0); Kubernetes v1.36.3, `replica_calculator.go:
GetExternalPerPodMetricReplicas`.

- desired = ceil(value / target), every 15 s as the HPA asks (no useCachedMetrics); nothing changes while value / (target x pods)
  is within 10 %. The HPA's stabilization and speed limits apply. Neither unready pods nor missing ones are looked at.
- Null is zero: an empty result counts as 0, so that a metrics outage longer than 300 s scales to the minimum (kedacore/keda
  #3065). With `ignore_null_values=False` it is an error, and nothing changes.
- From 0 to 1 when the value is above 0 at a poll; from the HPA's least to 0 after 300 s at 0, and only where minReplicas is 0.
"""

from math import ceil
from typing import Literal

from msgspec import Struct

from brownout.simulate.controller import Action, Observation, Setting, WorkloadSeen
from brownout.simulate.controllers.hpa import (
    NOTHING,
    ROUNDING,
    SYNC_SECONDS,
    Stabilization,
    bounded,
    within_tolerance,
)

POLLING_SECONDS = 30.0
COOLDOWN_SECONDS = 300.0


class Parameters(Struct, frozen=True, kw_only=True):
    """`signal`: requests in the system, or those that wait. `target`: how many of them for each replica, in batches."""

    signal: Literal["concurrency", "waiting"] = "concurrency"
    target: float = 0.7
    ignore_null_values: bool = True


GRID = (
    Parameters(),
    Parameters(target=2.0),
    Parameters(target=5.0),
    Parameters(signal="waiting", target=0.5),
    Parameters(signal="waiting", target=4.0),
    Parameters(signal="waiting", target=16.0),
)


class KEDA:
    """One ScaledObject for each workload."""

    def __init__(self, setting: Setting, parameters: Parameters) -> None:
        self._parameters = parameters
        self._next_sync = self._next_poll = 0.0
        self._active_at: dict[str, float] = {}
        self._stabilization = Stabilization()

    def restart(self) -> None:
        """Its operator keeps the time of last activity in the ScaledObject's status; the HPA forgets what it recommended."""
        self._next_sync = self._next_poll = 0.0
        self._stabilization = Stabilization()

    def decide(self, seen: Observation) -> Action:
        sync, poll = seen.at >= self._next_sync - ROUNDING, seen.at >= self._next_poll - ROUNDING
        if not sync and not poll:
            return NOTHING
        if sync:
            self._next_sync = seen.at + SYNC_SECONDS
        if poll:
            self._next_poll = seen.at + POLLING_SECONDS
        replicas = {}
        for workload in seen.workloads.values():
            wanted = self._scale(workload, seen.at) if sync and workload.replicas else workload.replicas
            if poll:
                wanted = self._activation(workload, wanted, seen.at)
            if wanted != workload.replicas:
                replicas[workload.name] = wanted
        return Action(replicas=replicas) if replicas else NOTHING

    def _value(self, workload: WorkloadSeen) -> float | None:
        """What the query returns; None where that is an error."""
        value = workload.concurrency if self._parameters.signal == "concurrency" else workload.waiting
        return 0.0 if value is None and self._parameters.ignore_null_values else value

    def _scale(self, workload: WorkloadSeen, now: float) -> int:
        current = workload.replicas
        self._stabilization.begin(workload.name, current, now)
        if bounded(workload) != current:
            return bounded(workload)
        value = self._value(workload)
        if value is None:
            return current
        desired = proposed(value, self._parameters.target * workload.batch, pods=len(workload.pods))
        return self._stabilization.normalize(workload, desired, now)

    def _activation(self, workload: WorkloadSeen, wanted: int, now: float) -> int:
        if workload.min_replicas > 0:
            return wanted
        value = self._value(workload)
        if value is None:
            return wanted
        if value > 0:
            self._active_at[workload.name] = now
            return max(1, wanted)
        idle_since = self._active_at.setdefault(workload.name, now)
        return 0 if now - idle_since >= COOLDOWN_SECONDS else wanted


def proposed(value: float, target: float, *, pods: int) -> int:
    """Replicas for a value that all pods share."""
    if pods and within_tolerance(value / (target * pods)):
        return pods
    return ceil(value / target - ROUNDING)
