"""A small closed world in virtual time: fluid queues, cold starts, whole replicas; the very `plan()` decides.

It reads the same manifests that one applies to a cluster. Queues are served as their scalers say, in the order of tiers or all
at once; what a denied cell has queued is cancelled, as the reference server does. Rates are measured over a window, so they lag behind what happens. Without
a seed nothing is left to chance, and it shows the shape of decisions; with one requests come as Poisson says.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import yaml
from msgspec import structs

from brownout.api.reasons import Reason
from brownout.api.resources import BY_KIND, Key, Stored, decode
from brownout.api.schema import number
from brownout.decide.evidence import Evidence, Missing, Sample
from brownout.decide.heavy import audience_of, beneath, parent_of
from brownout.decide.memory import Memory
from brownout.decide.outcome import CellKey, Level, Plan
from brownout.decide.recall import recall
from brownout.decide.snapshot import Audience, Node, Pod, Policy, Pool, Scaler, Snapshot, Workload
from brownout.decide.tick import plan
from brownout.simulate.ours import with_status

Objects = dict[str, dict[Key, Stored[Any, Any]]]
"""Typed objects by kind and key."""

Offered = Callable[[float], Mapping[tuple[str, str, str], float]]
"""At a moment: requests a second by (feature, tier, cohort)."""

OfUsers = Callable[[float], Mapping[tuple[str, str, str, str], float]]
"""And by (feature, tier, cohort, user): what single users ask for beside that."""

OUTAGE = Missing("Prometheus does not answer")
NOTHING = Missing("the query returns nothing; check that its metric exists and is scraped")
NOBODY = Missing("the query returns NaN; look for a division by zero in it")


def load(*paths: Path, namespace: str = "media", at: float = 0.0) -> Objects:
    """Manifests as typed objects; namespaced ones land in `namespace`."""
    return read((body for path in sorted(paths) for body in yaml.safe_load_all(path.read_text())), namespace, at)


def read(bodies: Iterable[dict[str, Any]], namespace: str = "media", at: float = 0.0) -> Objects:
    """Objects as an API server would hand them out."""
    found: Objects = {kind: {} for kind in BY_KIND}
    for one in bodies:
        resource = BY_KIND[one["kind"]]
        one["metadata"]["namespace"] = namespace if resource.namespaced else ""
        one["metadata"]["generation"] = 1
        stored = decode(resource, one, at)
        assert isinstance(stored, Stored), stored
        found[resource.kind][stored.key] = stored
    return found


def objects_of(seen: Snapshot) -> Objects:
    """The objects of a snapshot, to live in a world of their own."""
    return {
        "GPUPool": {key: one.stored for key, one in seen.pools.items()},
        "InferenceScaler": {key: one.stored for key, one in seen.scalers.items()},
        "UserTier": dict(seen.tiers),
        "FeaturePolicy": {key: one.stored for key, one in seen.policies.items()},
        "FeatureOverride": dict(seen.overrides),
    }


def never(_: object) -> bool:
    return False


def nobody(_: float) -> Mapping[tuple[str, str, str, str], float]:
    return {}


@dataclass
class Fleet:
    """One workload's pods. A pod is ready `cold_start` seconds after it was created, unless it is `stuck`."""

    cold_start: float
    stuck: Callable[[str], bool] = never
    pods: list[Pod] = field(default_factory=list)
    made: int = 0

    def scale(self, name: str, replicas: int, now: float) -> None:
        while len(self.pods) < replicas:
            self.made += 1
            self.pods.append(Pod(name=f"{name}-{self.made}", created_at=now, node="gpu-1"))
        self.pods.sort(key=lambda pod: pod.ready_at is None)
        del self.pods[replicas:]

    def advance(self, now: float) -> None:
        for i, pod in enumerate(self.pods):
            if pod.ready_at is None and now - pod.created_at >= self.cold_start and not self.stuck(pod.name):
                self.pods[i] = structs.replace(pod, ready_at=pod.created_at + self.cold_start)

    @property
    def ready(self) -> int:
        return sum(pod.ready_at is not None for pod in self.pods)


@dataclass
class Meter:
    """A rate over the last `window` seconds, as Prometheus has it of a counter."""

    window: float
    counts: list[tuple[float, float]] = field(default_factory=list)

    def add(self, now: float, count: float) -> None:
        self.counts = [point for point in self.counts if now - point[0] < self.window]
        self.counts.append((now, count))

    def rate(self, tick: float) -> float:
        return sum(count for _, count in self.counts) / (len(self.counts) * tick) if self.counts else 0.0


@dataclass
class World:
    """Objects, pods, queues and a memory; `step` advances all of them by one tick.

    `window`: seconds over which rates are measured; one tick's worth is what happens now. `blind`: at which moments no
    metric can be had. `stuck`: the names of pods that never become ready. `truth`: what a request really costs of what is
    declared, by scaler. `fading`: a series of which nothing was counted within the window is gone.
    """

    objects: Objects
    offered: Offered
    gpus: int
    cold_start: float = 10.0
    tick: float = 2.0
    window: float = 2.0
    seed: int | None = None
    blind: Callable[[float], bool] = never
    stuck: Callable[[str], bool] = never
    of_users: OfUsers = nobody
    truth: Mapping[str, float] = field(default_factory=dict)
    fading: bool = False
    now: float = 0.0
    memory: Memory = field(default_factory=Memory)
    fleets: dict[Key, Fleet] = field(default_factory=dict)
    queues: dict[tuple[CellKey, Key], float] = field(default_factory=dict)
    plans: list[Plan] = field(default_factory=list)
    waits: list[dict[str, float]] = field(default_factory=list)
    replicas: list[dict[str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = Random(self.seed)
        self._seen = Snapshot()
        self._arrived: dict[CellKey, float] = {}
        self._asked: dict[CellKey, Meter] = {}
        self._let_through: dict[CellKey, Meter] = {}
        self._busy: dict[Key, Meter] = {}
        for key, scaler in self.objects["InferenceScaler"].items():
            fleet = Fleet(self.cold_start, self.stuck)
            fleet.scale(key.name, scaler.spec.min_replicas, -1000.0)
            fleet.advance(0.0)
            self.fleets[key] = fleet
            self._busy[key] = Meter(self.window)

    def run(self, seconds: float) -> "World":
        until = self.now + seconds
        while self.now < until:
            self.step()
        return self

    def step(self) -> Plan:
        for fleet in self.fleets.values():
            fleet.advance(self.now)
        self._arrive()
        self._seen = self.snapshot()
        decided, self.memory = plan(self._seen, self.memory, self.now)
        for key, scaler in decided.scalers.items():
            if scaler.write:
                self.fleets[key].scale(key.name, scaler.replicas, self.now)
        self._serve(decided)
        self.plans.append(decided)
        self.replicas.append({key.name: len(fleet.pods) for key, fleet in self.fleets.items()})
        self.now += self.tick
        return decided

    def restart(self) -> None:
        """The operator dies: a new one has what the statuses of the last tick say, and no more."""
        written = with_status(self._seen, self.plans[-1], self.memory, self.plans[-1].at)
        self.objects = {
            **self.objects,
            "GPUPool": {key: pool.stored for key, pool in written.pools.items()},
            "InferenceScaler": {key: scaler.stored for key, scaler in written.scalers.items()},
            "FeaturePolicy": {key: policy.stored for key, policy in written.policies.items()},
        }
        self.memory = recall(self.snapshot(), self.now)

    def snapshot(self) -> Snapshot:
        blind = self.blind(self.now)
        return Snapshot(
            pools={
                key: Pool(stored=stored, nodes=(Node(name="gpu-1", gpus=self.gpus),))
                for key, stored in self.objects["GPUPool"].items()
            },
            scalers={key: self._scaler(stored, blind) for key, stored in self.objects["InferenceScaler"].items()},
            tiers=self.objects["UserTier"],
            policies={
                key: Policy(
                    stored=stored,
                    offered=OUTAGE if blind else self._rates(key, self._asked),
                    admitted=OUTAGE if blind else self._rates(key, self._let_through),
                    heaviest=OUTAGE if blind else self._heaviest(key),
                )
                for key, stored in self.objects["FeaturePolicy"].items()
            },
            namespaces={"media": {"brownout.dev/pool": "demo"}},
        )

    def _scaler(self, stored: Stored[Any, Any], blind: bool) -> Scaler:
        key, pods = stored.key, tuple(self.fleets[stored.key].pods)
        backlog = sum(work for (_, scaler), work in self.queues.items() if scaler == key)
        busy = self._busy[key].rate(self.tick)
        wait = Sample(backlog / max(1, self.fleets[key].ready), self.now) if busy else NOBODY
        values: dict[str, Evidence] = {
            "Backlog": Sample(backlog, self.now),
            "Busy": Sample(busy, self.now),
            "Objective": wait,
        }
        return Scaler(
            stored=stored,
            workload=Workload(replicas=len(pods), gpus_per_replica=1, pods=pods),
            metrics={m.name: OUTAGE if blind else values[m.role] for m in stored.spec.metrics if m.role in values},
        )

    def _rates(self, policy: Key, meters: Mapping[CellKey, Meter]) -> dict[Audience, Sample] | Missing:
        rates: dict[Audience, float] = {}
        for cell, meter in meters.items():
            rate = meter.rate(self.tick)
            if cell.policy == policy and (rate > 0 or not self.fading):
                audience = audience_of(cell.audience)
                rates[audience] = rates.get(audience, 0.0) + rate
        found = {audience: Sample(rate, self.now) for audience, rate in rates.items()}
        return found or (NOTHING if self.fading else {})

    def _heaviest(self, policy: Key) -> dict[Audience, Sample]:
        return {
            cell.audience: Sample(rate, self.now)
            for cell, meter in self._asked.items()
            if cell.policy == policy and cell.audience.user and (rate := meter.rate(self.tick)) > 0
        }

    def _arrive(self) -> None:
        """The requests of one tick, counted."""
        self._arrived = {}
        rates = {(*who, ""): rate for who, rate in self.offered(self.now).items()} | dict(self.of_users(self.now))
        for (feature, tier, cohort, user), rate in rates.items():
            cell = CellKey(Key("media", feature), Audience(tier, cohort, user))
            count = rate * self.tick
            self._arrived[cell] = count if self.seed is None else float(_poisson(self._random, count))
            self._asked.setdefault(cell, Meter(self.window)).add(self.now, self._arrived[cell])

    def _serve(self, decided: Plan) -> None:
        cells = {cell.key: cell for policy in decided.policies.values() for cell in policy.cells}
        for cell, count in self._arrived.items():
            variants = self.objects["FeaturePolicy"][cell.policy].spec.variants
            denial = len(variants) - 1
            everybody = parent_of(cell)
            has_a_part = everybody in cells and cells[everybody].reason is not Reason.PLAN
            level = cells[everybody].level if has_a_part else Level(denial)
            if has_a_part and cell in cells:
                level = beneath(cells[cell].level, level)
            if level.variant == denial:
                self.queues = {where: work for where, work in self.queues.items() if where[0] != cell}
            let_through = 0.0
            for variant, percent in ((level.variant, level.percent), (level.variant + 1, 100 - level.percent)):
                share = count * percent / 100
                if percent and variant < denial:
                    let_through += share
                    self._queue(cell, variants[variant].costs, share)
            self._let_through.setdefault(cell, Meter(self.window)).add(self.now, let_through)
        self._work()

    def _queue(self, cell: CellKey, costs: Iterable[Any], requests: float) -> None:
        for cost in costs:
            where = (cell, Key(cell.policy.namespace, cost.scaler))
            work = requests * number(cost.gpu_seconds_per_request) * self.truth.get(cost.scaler, 1.0)
            self.queues[where] = self.queues.get(where, 0.0) + work

    def _work(self) -> None:
        """Every workload works its queue off for one tick: the tiers of higher priority first, or of all alike."""
        priority = {tier.key.name: -tier.spec.priority for tier in self.objects["UserTier"].values()}
        budget = {key: fleet.ready * self.tick for key, fleet in self.fleets.items()}
        start, waits = dict(budget), dict[str, float]()
        shares = {
            key: min(1.0, budget[key] / waiting)
            for key, scaler in self.objects["InferenceScaler"].items()
            if scaler.spec.queue.order == "FIFO"
            and (waiting := sum(work for (_, of), work in self.queues.items() if of == key)) > 0
        }
        for cell, scaler in sorted(self.queues, key=lambda where: (priority[where[0].audience.tier], where)):
            waiting = self.queues[cell, scaler]
            done = min(waiting * shares.get(scaler, 1.0), budget[scaler])
            budget[scaler] -= done
            self.queues[cell, scaler] = waiting - done
            name = f"{cell.policy.name}:{cell.audience}"
            waits[name] = waits.get(name, 0.0) + (waiting - done) / max(1, self.fleets[scaler].ready)
        for key, left in budget.items():
            self._busy[key].add(self.now, start[key] - left)
        self.waits.append(waits)


def _poisson(random: Random, mean: float) -> int:
    """A Poisson count: arrivals a mean of 1 apart, until their sum is beyond `mean`."""
    count, at = 0, random.expovariate(1.0)
    while at < mean:
        count += 1
        at += random.expovariate(1.0)
    return count
