"""How long one tick's decisions take: `plan()` alone, over made-up products of 100 to 10,000 scalers and as many policies.

    python benchmarks/plan_speed.py [--sizes 100 1000] [--runs 9] [--json FILE]

Each policy has three variants on two workloads, and a cell for each of five tiers. Stored objects stay the same from tick to
tick, as those of a watch do; rates, queues and busy time are measured anew. Four loads:

- steady: 60 % of what is there, with counting noise; nothing is short.
- waves: every workload's demand swings between nothing and three times what it has, each in its own time, in a full pool: at
  any moment some are saturated, cells are shed and others come back.
- spread: waves, over ten pools and ten namespaces.
- full: every workload is asked for twice what it has, in one full pool on many nodes, and the more important reclaim.

Everything together takes about half an hour, most of it for 10,000.
"""

import argparse
import gc
import json
import platform
import sys
from collections.abc import Iterator
from math import pi, sin, sqrt
from pathlib import Path
from random import Random
from statistics import median
from time import process_time
from typing import Any

from msgspec import Struct
from rich.console import Console
from rich.table import Table

from brownout.api.policy import Cost, FeaturePolicySpec, FeaturePolicyStatus, TierEntry, Variant
from brownout.api.pool import Capacity, GPUPoolSpec, GPUPoolStatus, NodeCapacity
from brownout.api.resources import Key, Stored
from brownout.api.scaler import InferenceScalerSpec, InferenceScalerStatus, Metric, ScaleTargetRef
from brownout.api.schema import Ref
from brownout.api.tier import Match, UserTierSpec, UserTierStatus
from brownout.decide.evidence import Sample
from brownout.decide.memory import Memory
from brownout.decide.outcome import Plan
from brownout.decide.snapshot import (
    Audience,
    Node,
    Pod,
    Policy,
    Pool,
    Rates,
    Scaler,
    Snapshot,
    StoredPolicy,
    StoredPool,
    StoredScaler,
    StoredTier,
    Workload,
)
from brownout.decide.tick import plan

TICK_SECONDS = 2.0
WARM_UP_TICKS = 32
"""Until a minute of history is remembered of every workload."""

GPUS_PER_NODE = 8
REPLICAS = 2
TIERS = {"pro": 100, "plus": 50, "edu": 40, "trial": 20, "free": 10}
AUDIENCES = [Audience(name) for name in TIERS]


class Products(Struct, frozen=True, kw_only=True):
    """The stored objects of many products, and the pods of their workloads; each product has a namespace and a pool."""

    pools: list[StoredPool]
    scalers: list[StoredScaler]
    tiers: list[StoredTier]
    policies: list[StoredPolicy]
    nodes: dict[Key, tuple[Node, ...]]
    workloads: dict[Key, Workload]


def products(size: int, *, of: int) -> Products:
    """`size` scalers and as many policies in `of` namespaces, each with five tiers and a pool that its replicas fill."""
    tiers, scalers, policies, pools = [], [], [], []
    nodes: dict[Key, tuple[Node, ...]] = {}
    workloads: dict[Key, Workload] = {}
    for product in range(of):
        namespace, each = f"product-{product}", size // of
        pool = Key("", f"gpus-{product}")
        pools.append(_stored(pool, GPUPoolSpec(capacity=Capacity(nodes=NodeCapacity())), GPUPoolStatus()))
        count = -(-each * REPLICAS // GPUS_PER_NODE)
        nodes[pool] = tuple(Node(name=f"{pool.name}-{i}", gpus=GPUS_PER_NODE) for i in range(count))
        for name, priority in TIERS.items():
            match = Match(key="plan", operator="In", values=(name,))
            tiers.append(
                _stored(Key(namespace, name), UserTierSpec(priority=priority, match=(match,)), UserTierStatus())
            )
        for i in range(each):
            key = Key(namespace, f"model-{i:05}")
            scalers.append(_stored(key, _scaler_spec(i, pool.name), InferenceScalerStatus()))
            policies.append(_stored(key, _policy_spec(i, each), FeaturePolicyStatus()))
            pods = (
                Pod(
                    name=f"{key.name}-{j}", created_at=0.0, ready_at=60.0, node=nodes[pool][(i + j * each) % count].name
                )
                for j in range(REPLICAS)
            )
            workloads[key] = Workload(replicas=REPLICAS, gpus_per_replica=1, pods=tuple(pods))
    return Products(pools=pools, scalers=scalers, tiers=tiers, policies=policies, nodes=nodes, workloads=workloads)


def _stored(key: Key, spec: Any, status: Any) -> Any:
    return Stored(key=key, uid=f"uid-{key}", generation=1, created_at=0.0, spec=spec, status=status)


def _scaler_spec(index: int, pool: str) -> InferenceScalerSpec:
    return InferenceScalerSpec(
        pool_ref=Ref(name=pool),
        scale_target_ref=ScaleTargetRef(name=f"model-{index:05}"),
        gpus_per_replica=1,
        priority=10 * (index % 5),
        max_replicas=8,
        metrics=(
            Metric(name="queue", role="Backlog", query="sum(queue_gpu_seconds)"),
            Metric(name="busy", role="Busy", query="sum(rate(busy_seconds_total[30s]))"),
        ),
    )


def _policy_spec(index: int, count: int) -> FeaturePolicySpec:
    """The best variant on a workload of its own, a lesser one on the next policy's."""
    own, next_one = f"model-{index:05}", f"model-{(index + 1) % count:05}"
    return FeaturePolicySpec(
        flag_key=f"feature-{index:05}",
        variants=(
            Variant(name="full", costs=(Cost(scaler=own, gpu_seconds_per_request="1"),)),
            Variant(name="lite", costs=(Cost(scaler=next_one, gpu_seconds_per_request="150m"),)),
            Variant(name="denied"),
        ),
        shed_order=100 + index % 7,
        tiers=(
            TierEntry(tier_ref=Ref(name="pro"), availability="Always"),
            TierEntry(tier_ref=Ref(name="plus"), lowest="lite"),
            *(TierEntry(tier_ref=Ref(name=name)) for name in ("edu", "trial", "free")),
        ),
    )


class Seen:
    """What is observed of products under a load: everything that is measured is new at each tick."""

    def __init__(self, there: Products, *, load: str, seed: int = 1) -> None:
        self._there = there
        self._load = load
        self._random = Random(seed)

    def at(self, now: float) -> Snapshot:
        there = self._there
        used = {one.key: self._fullness(i, now) * REPLICAS for i, one in enumerate(there.policies)}
        return Snapshot(
            pools={pool.key: Pool(stored=pool, nodes=there.nodes[pool.key]) for pool in there.pools},
            scalers={
                one.key: Scaler(
                    stored=one,
                    workload=there.workloads[one.key],
                    metrics={
                        "queue": Sample(max(0.0, 10 * (used[one.key] - REPLICAS)), now),
                        "busy": Sample(min(REPLICAS, used[one.key]), now),
                    },
                )
                for one in there.scalers
            },
            tiers={tier.key: tier for tier in there.tiers},
            policies={one.key: self._policy(one, used[one.key], now) for one in there.policies},
            namespaces={tier.key.namespace: {} for tier in there.tiers},
        )

    def _fullness(self, index: int, now: float) -> float:
        """What a workload is asked for, over what it has."""
        if self._load == "steady":
            return 0.6
        if self._load == "full":
            return 2.0
        return 1.5 + 1.5 * sin(2 * pi * (now / (300 + index % 11) + index / 17))

    def _policy(self, stored: StoredPolicy, flow: float, now: float) -> Policy:
        rates: Rates = {}
        for audience in AUDIENCES:
            rate = flow / len(AUDIENCES)
            rates[audience] = Sample(max(0.0, self._random.gauss(rate, sqrt(rate / 30))), now)
        return Policy(stored=stored, offered=rates, admitted=rates)


def ticks(seen: Seen, count: int) -> Iterator[tuple[float, Plan]]:
    """Seconds of processor time and plan of each tick after the warm-up."""
    memory, now = Memory(), 100_000.0
    for tick in range(WARM_UP_TICKS + count):
        now += TICK_SECONDS
        snapshot = seen.at(now)
        if tick >= WARM_UP_TICKS:
            gc.collect()
        began = process_time()
        decided, memory = plan(snapshot, memory, now)
        if tick >= WARM_UP_TICKS:
            yield process_time() - began, decided


def measure(size: int, load: str, runs: int) -> dict[str, object]:
    seen = Seen(products(size, of=10 if load == "spread" else 1), load=load)
    found = list(ticks(seen, runs))
    seconds = [took for took, _ in found]
    last = found[-1][1]
    return {
        "size": size,
        "load": load,
        "runs": runs,
        "median_ms": 1000 * median(seconds),
        "min_ms": 1000 * min(seconds),
        "max_ms": 1000 * max(seconds),
        "saturated": sum(scaler.saturated for scaler in last.scalers.values()),
        "cells_shed": sum(
            cell.level.variant > 0 or cell.level.percent < 100 for p in last.policies.values() for cell in p.cells
        ),
        "notes": len(last.notes),
    }


def machine() -> str:
    """The processor, the system and the interpreter."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
    return f"{model}, {platform.system()} {platform.machine()}, Python {platform.python_version()}, one core"


def main() -> None:
    parser = argparse.ArgumentParser(description="Processor time of one tick's decisions.")
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1000, 3000, 10_000], metavar="N")
    parser.add_argument("--loads", nargs="+", default=["steady", "waves", "spread", "full"], metavar="LOAD")
    parser.add_argument("--runs", type=int, default=9, help="ticks measured for each line")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    args = parser.parse_args()
    table = Table("scalers and policies", "load", "median ms", "min", "max", "saturated", "cells shed", "notes")
    found = []
    for load in args.loads:
        for size in args.sizes:
            one = measure(size, load, args.runs)
            found.append(one)
            row = [one["size"], one["load"], *(f"{one[name]:.1f}" for name in ("median_ms", "min_ms", "max_ms"))]
            table.add_row(*(str(cell) for cell in [*row, one["saturated"], one["cells_shed"], one["notes"]]))
            print(f"{size} {load}: {one['median_ms']:.1f} ms", file=sys.stderr)
    console = Console()
    console.print(machine())
    console.print(table)
    if args.json:
        args.json.write_text(json.dumps({"machine": machine(), "lines": found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
