"""What a controller may see, and what it may do: the same for all that are compared. None is missing, never zero."""

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

from brownout.api.resources import Key
from brownout.decide.cells import Cell
from brownout.decide.outcome import CellKey, Level
from brownout.decide.snapshot import Rates


class PodSeen(Struct, frozen=True, kw_only=True):
    """One pod: seconds when it was created and when it became ready (None: not yet); `node` is None while it is pending."""

    name: str
    created_at: float
    ready_at: float | None = None
    node: str | None = None


class WorkloadSeen(Struct, frozen=True, kw_only=True):
    """One workload as its metrics have it.

    `replicas` is what its spec says; `pods` are those that exist. `busy`: mean share of the ready replicas' GPU time in use
    over the rate window (0 to 1). `concurrency`: requests in the system, running and waiting. `waiting`: requests in its queue.
    `backlog`: GPU-seconds in its queue. `work`: GPU-seconds a second of work done. `queue_seconds`: mean time
    in the queue of the requests that left it within the window. None where the metric cannot be had.
    """

    name: str
    priority: int
    gpus_per_replica: int
    min_replicas: int
    max_replicas: int
    batch: int
    replicas: int
    pods: tuple[PodSeen, ...]
    busy: float | None
    concurrency: float | None
    waiting: float | None
    backlog: float | None
    work: float | None
    queue_seconds: float | None

    @property
    def ready(self) -> int:
        return len([pod for pod in self.pods if pod.ready_at is not None])


class CellSeen(Struct, frozen=True):
    """Requests a second that a cell's users ask for, and that are let through; None where it cannot be had."""

    offered: float | None
    admitted: float | None


class Observation(Struct, frozen=True, kw_only=True):
    """All that is seen at a moment. `measured_at`: when the metrics were true. `gpus`: schedulable GPUs by node.

    `heaviest`: requests a second of those who ask most of each cell, by policy and by audience with the `user`, as a
    snapshot has them; None where they cannot be had. It is empty where servers name nobody, and for controllers that do not look at it.
    """

    at: float
    measured_at: float
    workloads: Mapping[str, WorkloadSeen]
    cells: Mapping[CellKey, CellSeen]
    gpus: Mapping[str, int]
    heaviest: Mapping[Key, Rates] | None = {}


class Action(Struct, frozen=True, kw_only=True):
    """What a controller sets: replicas of workloads (absent: as they are), levels of cells (absent: whole), of
    single users too, and how many requests a user may make in a day, by cell (absent: no limit)."""

    replicas: Mapping[str, int] = {}
    levels: Mapping[CellKey, Level] = {}
    quotas: Mapping[CellKey, int] = {}


class Setting(Struct, frozen=True, kw_only=True):
    """What every controller is told of the world before it starts: what its people would have written into manifests."""

    cells: Mapping[CellKey, Cell]
    tick_seconds: float
    cold_start_seconds: Mapping[str, float]
    objective_seconds: Mapping[str, float]
    drain_seconds: Mapping[str, float]
    onset: float


class Controller(Protocol):
    """Decides at each tick. It keeps what it must in itself; `restart` loses what a process would lose."""

    def decide(self, seen: Observation) -> Action: ...

    def restart(self) -> None: ...
