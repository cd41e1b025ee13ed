"""What a simulated controller sees and is told, each in a line: the workloads `image` and `video` and the cells that load them."""

from collections.abc import Mapping

from brownout.decide.cells import Cell
from brownout.simulate.controller import CellSeen, Observation, PodSeen, Setting, WorkloadSeen
from support.build import cell, cell_key

IMAGE = {"full": {"image": 4.0}, "lite": {"image": 1.0}, "denied": {}}
VIDEO = {"full": {"video": 8.0}, "denied": {}}

CELLS = tuple(
    at.cell
    for at in (
        cell("video", tier="free/new-accounts", variants=VIDEO, shed_order=10),
        cell("video", tier="free", variants=VIDEO, shed_order=10),
        cell("image", tier="free/new-accounts", variants=IMAGE, shed_order=20),
        cell("image", tier="free", variants=IMAGE, shed_order=20),
        cell("image", tier="plus", variants=IMAGE, shed_order=20, lowest="lite"),
        cell("image", tier="pro", variants=IMAGE, shed_order=20, always=True),
    )
)
"""The ladder: video for free (new accounts, the rest), images lite for free (both), images denied for free (both), lite for plus."""


def setting(*cells: Cell, onset: float = 0.0, tick_seconds: float = 5.0, objective_seconds: float = 10.0) -> Setting:
    """What controllers are told beforehand; the cells above unless others are given."""
    workloads = ("image", "video")
    return Setting(
        cells={one.key: one for one in cells or CELLS},
        tick_seconds=tick_seconds,
        cold_start_seconds=dict.fromkeys(workloads, 180.0),
        objective_seconds=dict.fromkeys(workloads, objective_seconds),
        drain_seconds=dict.fromkeys(workloads, 15.0),
        onset=onset,
    )


def workload(
    name: str = "image",
    *,
    ready: int = 4,
    loading: int = 0,
    pending: int = 0,
    replicas: int | None = None,
    least: int = 1,
    most: int = 40,
    batch: int = 10,
    busy: float | None = 0.5,
    concurrency: float | None = 10.0,
    waiting: float | None = 0.0,
    work: float | None = 2.0,
    queue_seconds: float | None = 0.1,
) -> WorkloadSeen:
    """A workload with so many pods; `replicas` is their number unless it is said."""
    pods = [PodSeen(name=f"ready-{i}", created_at=-1000.0, ready_at=-900.0, node="a") for i in range(ready)]
    pods += [PodSeen(name=f"loading-{i}", created_at=0.0, node="a") for i in range(loading)]
    pods += [PodSeen(name=f"pending-{i}", created_at=0.0) for i in range(pending)]
    return WorkloadSeen(
        name=name,
        priority=50,
        gpus_per_replica=1,
        min_replicas=least,
        max_replicas=most,
        batch=batch,
        replicas=len(pods) if replicas is None else replicas,
        pods=tuple(pods),
        busy=busy,
        concurrency=concurrency,
        waiting=waiting,
        backlog=None if waiting is None else 4.0 * waiting,
        work=work,
        queue_seconds=queue_seconds,
    )


def unseen(name: str = "image", *, ready: int = 4, least: int = 1) -> WorkloadSeen:
    """A workload of which no metric can be had."""
    return workload(
        name, ready=ready, least=least, busy=None, concurrency=None, waiting=None, work=None, queue_seconds=None
    )


def observed(
    *workloads: WorkloadSeen, at: float = 0.0, offered: Mapping[tuple[str, str], float | None] | None = None
) -> Observation:
    """What is seen at a moment; `offered` requests a second by feature and tier, all of them let through."""
    return Observation(
        at=at,
        measured_at=at,
        workloads={one.name: one for one in workloads},
        cells={cell_key(feature, tier): CellSeen(rate, rate) for (feature, tier), rate in (offered or {}).items()},
        gpus={"a": 8},
    )
