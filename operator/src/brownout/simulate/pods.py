"""Pods and nodes: replicas become pods, pods find GPUs or wait, load, and are ready a cold start later.

As on a cluster with the scheduler's defaults: a pod goes to the node with the most room (NodeResourcesFit, LeastAllocated); a pending pod of a workload with a higher priority evicts
pods of lower ones (scalers' priorities as PriorityClasses); scaling down takes pods in a ReplicaSet's order. A pod that goes frees its GPUs at once: what it was serving goes on elsewhere.
"""

from dataclasses import dataclass, field

import numpy as np

from brownout.decide.removal import leaves_first
from brownout.simulate.controller import PodSeen


@dataclass
class SimulatedPod:
    name: str
    created_at: float
    cold_start: float
    node: str | None = None
    loads_until: float = float("inf")
    ready_at: float | None = None


@dataclass
class Fleet:
    """The pods of one workload. The n-th pod of a seed takes the same time to load whoever asked for it."""

    name: str
    gpus: int
    priority: int
    cold_start: float
    spread: float
    seed: int
    replicas: int = 0
    pods: list[SimulatedPod] = field(default_factory=list)
    made: int = 0

    def __post_init__(self) -> None:
        self._random = np.random.default_rng((self.seed, 4, sum(map(ord, self.name))))

    @property
    def ready(self) -> int:
        return len([pod for pod in self.pods if pod.ready_at is not None])

    @property
    def placed(self) -> int:
        return len([pod for pod in self.pods if pod.node is not None])

    def scale(self, replicas: int, now: float) -> None:
        self.replicas = replicas
        self.pods = leaves_first(self.pods)[::-1][:replicas]
        self.fill(now)

    def fill(self, now: float) -> None:
        """What a ReplicaSet does: as many pods as there are to be."""
        while len(self.pods) < self.replicas:
            self.made += 1
            off = float(self._random.normal(0.0, self.spread)) if self.spread else 0.0
            seconds = self.cold_start * min(3.0, max(0.3, 1.0 + off))
            self.pods.append(SimulatedPod(f"{self.name}-{self.made}", now, seconds))

    def advance(self, now: float) -> None:
        for pod in self.pods:
            if pod.ready_at is None and pod.loads_until <= now:
                pod.ready_at = pod.loads_until

    def seen(self) -> tuple[PodSeen, ...]:
        return tuple(
            PodSeen(name=pod.name, created_at=pod.created_at, ready_at=pod.ready_at, node=pod.node) for pod in self.pods
        )


class Nodes:
    """GPUs by node, and who sits where."""

    def __init__(self, count: int, gpus_per_node: int) -> None:
        self.gpus = {f"gpu-{i + 1}": gpus_per_node for i in range(count)}
        self._per_node = gpus_per_node
        self._made = count
        self._looked_at: object = None

    @property
    def total(self) -> int:
        return sum(self.gpus.values())

    def change(self, nodes: int, fleets: list[Fleet], now: float) -> None:
        """Nodes come, or the youngest are lost with all their pods."""
        for _ in range(nodes):
            self._made += 1
            self.gpus[f"gpu-{self._made}"] = self._per_node
        lost = set(list(self.gpus)[len(self.gpus) + nodes :]) if nodes < 0 else set()
        self.gpus = {name: gpus for name, gpus in self.gpus.items() if name not in lost}
        for fleet in fleets:
            fleet.pods = [pod for pod in fleet.pods if pod.node not in lost]
            fleet.fill(now)

    def schedule(self, fleets: list[Fleet], now: float) -> None:
        """Place what is pending, higher priorities first, evicting lower ones where that makes room."""
        there = (tuple(self.gpus), [(fleet.made, len(fleet.pods)) for fleet in fleets])
        if there == self._looked_at:
            return  # the same pods on the same nodes: who found no place a moment ago finds none now
        waiting = [(fleet, pod) for fleet in fleets for pod in fleet.pods if pod.node is None]
        free = dict(self.gpus)
        for fleet in fleets:
            for pod in fleet.pods:
                if pod.node is not None:
                    free[pod.node] -= fleet.gpus
        evicted = False
        hopeless: set[str] = set()  # what one pod of a fleet did not find, the next one does not find either
        for fleet, pod in sorted(waiting, key=lambda one: (-one[0].priority, one[1].created_at)):
            if fleet.name in hopeless:
                continue
            node = min((n for n in free if free[n] >= fleet.gpus), key=lambda n: (-free[n], n), default=None)
            if node is None:
                node = self._evict(fleet, fleets, free)
                if node is None:
                    hopeless.add(fleet.name)
                    continue
                evicted = True
                hopeless.clear()
            free[node] -= fleet.gpus
            pod.node, pod.loads_until = node, now + pod.cold_start
        if evicted:
            for fleet in fleets:
                fleet.fill(now)
        else:
            self._looked_at = there

    def _evict(self, fleet: Fleet, fleets: list[Fleet], free: dict[str, int]) -> str | None:
        """Make room for one pod at the expense of the lowest priorities; the node, or None where that is not enough."""
        lower = sorted((f for f in fleets if f.priority < fleet.priority), key=lambda f: f.priority)
        best: tuple[int, int, str] | None = None
        for node in self.gpus:
            room, victims, worst = free[node], 0, -1
            for other in lower:
                here = sum(pod.node == node for pod in other.pods)
                take = min(here, max(0, -((room - fleet.gpus) // other.gpus)))
                if take:
                    room, victims, worst = room + take * other.gpus, victims + take, other.priority
            if room >= fleet.gpus and (best is None or (worst, victims, node) < best):
                best = (worst, victims, node)
        if best is None:
            return None
        node = best[2]
        for other in lower:
            while free[node] < fleet.gpus and any(pod.node == node for pod in other.pods):
                victim = max(
                    (p for p in other.pods if p.node == node), key=lambda p: (p.ready_at is None, p.created_at)
                )
                other.pods.remove(victim)
                free[node] += other.gpus
        return node
