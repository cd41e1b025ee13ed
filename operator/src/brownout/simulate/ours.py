"""Brownout itself as one of the controllers that are compared: the very `plan()`, given what is seen, and nothing more."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import structs

from brownout.api.resources import BY_KIND, Key, Stored
from brownout.api.scaler import Metric
from brownout.decide.evidence import Evidence, Missing, Sample
from brownout.decide.memory import Memory, ScalerMemory
from brownout.decide.outcome import CellKey, Plan
from brownout.decide.recall import recall
from brownout.decide.snapshot import Node, Pod, Policy, Pool, Rates, Scaler, Snapshot, Workload
from brownout.decide.tick import plan
from brownout.publish.status import body, policy_status, pool_status, scaler_status
from brownout.simulate.controller import Action, Observation, WorkloadSeen
from brownout.simulate.manifests import Manifests

OUTAGE = Missing("Prometheus does not answer")


class Brownout:
    """Keeps the memory that the operator keeps; a restart leaves what status held: rates as old as the last change of a cell."""

    def __init__(
        self,
        manifests: Manifests,
        *,
        rate_window_seconds: float,
        cost_factors: Mapping[str, float] | None = None,
        on_plan: Callable[[Plan], None] | None = None,
    ) -> None:
        self._manifests = manifests
        self._rate_window_seconds = rate_window_seconds
        known = cost_factors or {}
        self._memory = Memory(
            scalers={key: ScalerMemory(cost_factor=known[key.name]) for key in manifests.scalers if key.name in known}
        )
        self._seen: Snapshot | None = None
        self._plan: Plan | None = None
        self._written: dict[CellKey, float | None] = {}
        self._on_plan = on_plan

    def decide(self, seen: Observation) -> Action:
        snapshot, before = self.snapshot(seen), self._memory
        self._plan, self._memory = plan(snapshot, before, seen.at)
        self._seen = snapshot
        for key, policy in self._plan.policies.items():
            if policy.version != before.versions.get(key):
                self._written |= {cell.key: self._memory.cells[cell.key].rate for cell in policy.cells}
        if self._on_plan is not None:
            self._on_plan(self._plan)
        return Action(
            replicas={key.name: scaler.replicas for key, scaler in self._plan.scalers.items() if scaler.write},
            levels={cell.key: cell.level for policy in self._plan.policies.values() for cell in policy.cells},
        )

    def restart(self) -> None:
        if self._seen is None or self._plan is None:
            return
        cells = {key: structs.replace(cell, rate=self._written.get(key)) for key, cell in self._memory.cells.items()}
        memory = structs.replace(self._memory, cells=cells)
        written = with_status(self._seen, self._plan, memory, self._plan.at)
        self._memory = recall(written, self._plan.at)
        self._manifests = structs.replace(
            self._manifests,
            pool=next(iter(written.pools.values())).stored,
            scalers={key: scaler.stored for key, scaler in written.scalers.items()},
            policies={key: policy.stored for key, policy in written.policies.items()},
        )

    def snapshot(self, seen: Observation) -> Snapshot:
        """What the operator's observer would have made of it."""
        manifests = self._manifests
        return Snapshot(
            pools={
                manifests.pool.key: Pool(
                    stored=manifests.pool, nodes=tuple(Node(name=n, gpus=gpus) for n, gpus in seen.gpus.items())
                )
            },
            scalers={
                key: Scaler(
                    stored=stored,
                    workload=_workload(seen.workloads[key.name]),
                    metrics={
                        metric.name: _metric(metric, seen.workloads[key.name], seen.measured_at)
                        for metric in stored.spec.metrics
                    },
                )
                for key, stored in manifests.scalers.items()
            },
            tiers=dict(manifests.tiers),
            policies={
                key: Policy(
                    stored=stored,
                    offered=_rates(seen, key, "offered"),
                    admitted=_rates(seen, key, "admitted"),
                    heaviest=OUTAGE if seen.heaviest is None else seen.heaviest.get(key, {}),
                )
                for key, stored in manifests.policies.items()
            },
            namespaces=dict(manifests.namespaces),
            rate_window_seconds=self._rate_window_seconds,
        )


def _workload(seen: WorkloadSeen) -> Workload:
    return Workload(
        replicas=seen.replicas,
        gpus_per_replica=seen.gpus_per_replica,
        pods=tuple(
            Pod(name=pod.name, created_at=pod.created_at, ready_at=pod.ready_at, node=pod.node) for pod in seen.pods
        ),
    )


def _metric(metric: Metric, seen: WorkloadSeen, at: float) -> Evidence:
    """What a metric of this role reads: a sum over the replicas, as `AverageValue` has it."""
    value = {
        "Backlog": seen.backlog,
        "Busy": seen.work,
        "Load": None if seen.busy is None else seen.busy * seen.ready,
        "Objective": seen.queue_seconds,
    }[metric.role]
    if value is None:
        return OUTAGE if seen.busy is None else Missing("no request has left the queue")
    return Sample(value, at)


def _rates(seen: Observation, policy: Key, which: str) -> Rates | Missing:
    own = {key.audience: getattr(cell, which) for key, cell in seen.cells.items() if key.policy == policy}
    if any(rate is None for rate in own.values()) or not seen.cells:
        return OUTAGE
    return {audience: Sample(rate, seen.measured_at) for audience, rate in own.items()}


def with_status(seen: Snapshot, decided: Plan, memory: Memory, now: float) -> Snapshot:
    """The snapshot with a plan's statuses written into it, and read back as from the API server."""

    def again(kind: str, stored: Stored[Any, Any], status: msgspec.Struct) -> Any:
        said = msgspec.json.decode(msgspec.json.encode(body(status)))
        return structs.replace(stored, status=msgspec.convert(said, BY_KIND[kind].status))

    def scaler(key: Key, one: Scaler) -> Scaler:
        status = scaler_status(decided.scalers[key], memory.scalers.get(key, ScalerMemory()), one.stored, now)
        return structs.replace(one, stored=again("InferenceScaler", one.stored, status))

    def policy(key: Key, one: Policy) -> Policy:
        return structs.replace(
            one,
            stored=again("FeaturePolicy", one.stored, policy_status(decided.policies[key], memory, one.stored, now)),
        )

    def pool(key: Key, one: Pool) -> Pool:
        return structs.replace(
            one, stored=again("GPUPool", one.stored, pool_status(decided.pools[key], one.stored, now))
        )

    return structs.replace(
        seen,
        pools={key: pool(key, one) for key, one in seen.pools.items()},
        scalers={key: scaler(key, one) for key, one in seen.scalers.items()},
        policies={key: policy(key, one) for key, one in seen.policies.items()},
    )
