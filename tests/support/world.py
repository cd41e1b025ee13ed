"""A small closed world in virtual time: fluid queues, cold starts, whole replicas; the very `plan()` decides.

It reads the same manifests that one applies to a cluster. Queues are served in the order of tiers; what a denied cell has
queued is cancelled, as the reference server does. No noise: what it shows is the shape of decisions, not their statistics.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from brownout.api.resources import RESOURCES, Key, Stored, decode
from brownout.decide.evidence import Sample
from brownout.decide.memory import Memory
from brownout.decide.outcome import CellKey, Level, Plan
from brownout.decide.snapshot import Audience, Node, Pod, Policy, Pool, Scaler, Snapshot, Workload
from brownout.decide.tick import plan

BY_KIND = {resource.kind: resource for resource in RESOURCES}

Offered = Callable[[float], dict[tuple[str, str, str], float]]
"""At a moment: requests a second by (feature, tier, cohort)."""


def load(*paths: Path, namespace: str = "media", at: float = 0.0) -> dict[str, dict[Key, Stored[Any, Any]]]:
    """Manifests as typed objects by kind; namespaced ones land in `namespace`."""
    found: dict[str, dict[Key, Stored[Any, Any]]] = {kind: {} for kind in BY_KIND}
    for path in sorted(paths):
        for body in yaml.safe_load_all(path.read_text()):
            resource = BY_KIND[body["kind"]]
            body["metadata"]["namespace"] = namespace if resource.namespaced else ""
            body["metadata"]["generation"] = 1
            stored = decode(resource, body, at)
            assert isinstance(stored, Stored), stored
            found[resource.kind][stored.key] = stored
    return found


@dataclass
class Fleet:
    """One workload's pods. A pod is ready `cold_start` seconds after it was created."""

    cold_start: float
    pods: list[Pod] = field(default_factory=list)
    made: int = 0

    def scale(self, name: str, replicas: int, now: float) -> None:
        while len(self.pods) < replicas:
            self.made += 1
            self.pods.append(Pod(name=f"{name}-{self.made}", created_at=now, node="gpu-1"))
        self.pods.sort(key=lambda pod: pod.ready_at is None)
        del self.pods[replicas:]

    def advance(self, now: float) -> None:
        self.pods = [
            pod
            if pod.ready_at is not None or now - pod.created_at < self.cold_start
            else Pod(name=pod.name, created_at=pod.created_at, ready_at=pod.created_at + self.cold_start, node=pod.node)
            for pod in self.pods
        ]

    @property
    def ready(self) -> int:
        return sum(pod.ready_at is not None for pod in self.pods)


@dataclass
class World:
    """Objects, pods, queues and a memory; `step` advances all of them by one tick."""

    objects: dict[str, dict[Key, Stored[Any, Any]]]
    offered: Offered
    gpus: int
    cold_start: float = 10.0
    tick: float = 2.0
    now: float = 0.0
    memory: Memory = field(default_factory=Memory)
    fleets: dict[Key, Fleet] = field(default_factory=dict)
    queues: dict[CellKey, float] = field(default_factory=dict)
    busy: dict[Key, float] = field(default_factory=dict)
    plans: list[Plan] = field(default_factory=list)
    waits: list[dict[str, float]] = field(default_factory=list)
    replicas: list[dict[str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for key, scaler in self.objects["InferenceScaler"].items():
            fleet = Fleet(self.cold_start)
            fleet.scale(key.name, scaler.spec.min_replicas, -1000.0)
            fleet.advance(0.0)
            self.fleets[key] = fleet

    def rates(self, policy: Stored[Any, Any]) -> dict[Audience, float]:
        name = policy.key.name
        return {Audience(t, c): rate for (f, t, c), rate in self.offered(self.now).items() if f == name}

    def snapshot(self) -> Snapshot:
        scalers = {}
        for key, stored in self.objects["InferenceScaler"].items():
            fleet = self.fleets[key]
            backlog = sum(work for cell, work in self.queues.items() if self._scaler(cell) == key)
            scalers[key] = Scaler(
                stored=stored,
                workload=Workload(replicas=len(fleet.pods), gpus_per_replica=1, pods=tuple(fleet.pods)),
                metrics={m.name: Sample(backlog, self.now) for m in stored.spec.metrics if m.role == "Backlog"}
                | {m.name: Sample(self.busy.get(key, 0.0), self.now) for m in stored.spec.metrics if m.role == "Busy"},
            )
        policies = {}
        for key, stored in self.objects["FeaturePolicy"].items():
            rates = {audience: Sample(rate, self.now) for audience, rate in self.rates(stored).items()}
            policies[key] = Policy(stored=stored, offered=rates, admitted=rates)
        return Snapshot(
            pools={
                key: Pool(stored=stored, nodes=(Node(name="gpu-1", gpus=self.gpus),))
                for key, stored in self.objects["GPUPool"].items()
            },
            scalers=scalers,
            tiers=self.objects["UserTier"],
            policies=policies,
            namespaces={"media": {"brownout.dev/pool": "demo"}},
        )

    def step(self) -> Plan:
        for fleet in self.fleets.values():
            fleet.advance(self.now)
        decided, self.memory = plan(self.snapshot(), self.memory, self.now)
        for key, scaler in decided.scalers.items():
            if scaler.write:
                self.fleets[key].scale(key.name, scaler.replicas, self.now)
        self._serve(decided)
        self.plans.append(decided)
        self.replicas.append({key.name: len(fleet.pods) for key, fleet in self.fleets.items()})
        self.now += self.tick
        return decided

    def run(self, seconds: float) -> "World":
        until = self.now + seconds
        while self.now < until:
            self.step()
        return self

    def _scaler(self, cell: CellKey) -> Key:
        spec = self.objects["FeaturePolicy"][cell.policy].spec
        return Key(cell.policy.namespace, spec.variants[0].costs[0].scaler)

    def _serve(self, decided: Plan) -> None:
        work: dict[CellKey, float] = {}
        for policy in decided.policies.values():
            spec = self.objects["FeaturePolicy"][policy.key].spec
            rates = self.rates(self.objects["FeaturePolicy"][policy.key])
            costs = [float(v.costs[0].gpu_seconds_per_request) if v.costs else 0.0 for v in spec.variants]
            for cell in policy.cells:
                level: Level = cell.level
                lower = costs[level.variant + 1] if level.variant + 1 < len(costs) else 0.0
                cost = (costs[level.variant] * level.percent + lower * (100 - level.percent)) / 100
                work[cell.key] = rates.get(cell.key.audience, 0.0) * cost * self.tick
                if level.variant == len(costs) - 1:
                    self.queues[cell.key] = 0.0
        priority = {tier.key.name: -tier.spec.priority for tier in self.objects["UserTier"].values()}
        budget = {key: fleet.ready * self.tick for key, fleet in self.fleets.items()}
        start = dict(budget)
        waits: dict[str, float] = {}
        for cell_key in sorted(work, key=lambda c: (priority[c.audience.tier], c)):
            scaler = self._scaler(cell_key)
            left = self.queues.get(cell_key, 0.0) + work[cell_key]
            done = min(left, budget[scaler])
            budget[scaler] -= done
            self.queues[cell_key] = left - done
            waits[f"{cell_key.policy.name}:{cell_key.audience}"] = (left - done) / max(1, self.fleets[scaler].ready)
        self.busy = {key: (start[key] - budget[key]) / self.tick for key in budget}
        self.waits.append(waits)
