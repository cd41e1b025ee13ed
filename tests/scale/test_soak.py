"""The demo's flood at four times its speed, one after the other, for two hours: memory stays flat, and nobody logs an error."""

import asyncio
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from brownout_demo import stage
from brownout_demo.crowd import Crowd
from brownout_demo.records import Outcome
from brownout_demo.schedule import MINUTES
from brownout_localcluster import LocalCluster
from support.process import MIB, resident_bytes

SOAK_MINUTES = float(os.environ.get("BROWNOUT_SOAK_MINUTES", "120"))
SPEED = 4.0
WARM_SHARE = 0.25
"""Of the time, in which caches fill and what is learned is learned for the first time."""
GROWTH_MIB = 15.0
"""What the last quarter may hold above the second: an allocator's noise."""


class Memory:
    """What the operator and the flag server held, by the share of the time that had passed."""

    def __init__(self, pods: dict[str, int]) -> None:
        self.pods = pods
        self.seen: list[tuple[float, dict[str, float]]] = []

    def look(self, share: float) -> None:
        """One more look."""
        self.seen.append((share, {name: resident_bytes(pid) / MIB for name, pid in self.pods.items()}))

    def between(self, name: str, begin: float, end: float) -> float:
        """The median between two shares of the time, in MiB."""
        values = sorted(held[name] for share, held in self.seen if begin <= share <= end)
        return values[len(values) // 2]


def test_a_flood_after_the_other(figures: list[Any], tmp_path: Path) -> None:
    from figure import Figure

    outcomes: list[Outcome] = []
    with stage.cluster(print, keep_logs=tmp_path / "logs") as cluster:
        stage.install(cluster, print)
        stage.wait_until_ready(cluster, print)
        memory = Memory(processes(cluster))
        floods = asyncio.run(soak(cluster, outcomes, memory))
        errors = list(errors_logged(cluster))
        assert memory.pods == processes(cluster), "the operator or the flag server ended"
    for name in memory.pods:
        early, late = memory.between(name, WARM_SHARE, 0.5), memory.between(name, 0.75, 1.0)
        figures.append(
            Figure(
                name=f"memory of the {name} after {SOAK_MINUTES:g} minutes and {floods} floods",
                goal=f"no more than {GROWTH_MIB:g} MiB above the second quarter",
                measured=f"{early:.0f} MiB in the second quarter, {late:.0f} in the last",
                met=late <= early + GROWTH_MIB,
            )
        )
        assert late <= early + GROWTH_MIB
    failed = [outcome for outcome in outcomes if outcome.ending == "failed"]
    figures.append(
        Figure(
            name="errors that the operator and the flag server logged meanwhile",
            goal="none",
            measured=f"{len(errors)}; {len(failed)} of {len(outcomes):,} requests failed",
            met=not errors,
        )
    )
    assert errors == []


async def soak(cluster: LocalCluster, outcomes: list[Outcome], memory: Memory) -> int:
    """Floods until the time is over. Returns how many there were."""
    began, floods, each = time.monotonic(), 0, MINUTES / SPEED
    watching = asyncio.create_task(_watch(memory, began))
    try:
        while time.monotonic() - began < SOAK_MINUTES * 60:
            crowd = Crowd(
                stage.hosts(cluster), minutes=each, seed=floods, record=outcomes.append, started=time.monotonic()
            )
            await crowd.come()
            floods += 1
    finally:
        watching.cancel()
    memory.look(1.0)
    return floods


async def _watch(memory: Memory, began: float) -> None:
    while True:
        memory.look(min(1.0, (time.monotonic() - began) / (SOAK_MINUTES * 60)))
        await asyncio.sleep(SOAK_MINUTES / 12)


def processes(cluster: LocalCluster) -> dict[str, int]:
    """The operator's and the flag server's process id, by name."""
    found = {}
    for pod in cluster.objects.list("v1", "Pod", namespace=stage.SYSTEM):
        for name in ("operator", "flags"):
            if pod["metadata"]["name"].startswith(f"{stage.RELEASE}-{name}"):
                container = pod["status"]["containerStatuses"][0]["containerID"]
                found[{"operator": "operator", "flags": "flag server"}[name]] = int(container.rpartition("/")[2])
    return found


def errors_logged(cluster: LocalCluster) -> Iterator[str]:
    """Lines of level error or above that the two have printed."""
    for pod in cluster.objects.list("v1", "Pod", namespace=stage.SYSTEM):
        for line in cluster.pod_logs(stage.SYSTEM, pod["metadata"]["name"]).splitlines():
            if line.startswith("{") and json.loads(line).get("level") in ("error", "critical"):
                yield line
