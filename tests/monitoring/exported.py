"""What the three programs export: names, types, labels and words, read from their own registries."""

import asyncio
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.samples import Sample

from brownout.flags.connection import Limits
from brownout.flags.connections import Connections
from brownout.flags.metrics import Metrics as FlagMetrics
from brownout.publish.metrics import Metrics as OperatorMetrics
from brownout_inference.engine.device import PacedDevice
from brownout_inference.engine.interface import Memory
from brownout_inference.engine.scheduler import Scheduler
from brownout_inference.http.connections import Connections as ClientConnections
from brownout_inference.metrics import Meters
from brownout_inference.pace import Pace
from brownout_inference.ticket import Ticket
from brownout_inference.tier_queue import TierQueue

SUFFIXES = {
    "counter": ("_total",),
    "histogram": ("_bucket", "_sum", "_count"),
    "summary": ("", "_sum", "_count"),
}


class Exported(NamedTuple):
    """A metric: the name under which it is documented, its type, its labels, and its words."""

    name: str
    type: str
    labels: frozenset[str]
    words: str

    def samples(self) -> dict[str, frozenset[str]]:
        """The names that PromQL knows, and the labels of each."""
        family = self.name.removesuffix("_total") if self.type == "counter" else self.name
        return {
            family + suffix: self.labels | ({"le"} if suffix == "_bucket" else frozenset())
            for suffix in SUFFIXES.get(self.type, ("",))
        }


@cache
def exported() -> dict[str, dict[str, Exported]]:
    """By program and name."""
    return {program: {each.name: each for each in _of(registry)} for program, registry in _registries().items()}


@cache
def from_the_start() -> tuple[Sample, ...]:
    """What processes show that have just started, a server with the feature that it answers for."""
    return tuple(
        sample for registry in _registries().values() for family in registry.collect() for sample in family.samples
    )


@cache
def labels_of() -> dict[str, frozenset[str]]:
    """The labels of every sample of any program; of a name that several export those that all have."""
    found: dict[str, frozenset[str]] = {}
    for metrics in exported().values():
        for metric in metrics.values():
            for sample, labels in metric.samples().items():
                found[sample] = found.get(sample, labels) & labels
    return found


@cache
def _registries() -> dict[str, CollectorRegistry]:
    return {"operator": OperatorMetrics().registry, "flags": _flags(), "inference": asyncio.run(_inference())}


def _flags() -> CollectorRegistry:
    metrics = FlagMetrics()
    Connections(Limits(), registry=metrics.registry)
    return metrics.registry


async def _inference() -> CollectorRegistry:
    """A server's, with a queue and an engine whose memory is known."""
    meters = Meters("image")
    meters.answers_for("images")
    queue: TierQueue[Ticket] = TierQueue(places_per_tier=1)
    scheduler = Scheduler(device=PacedDevice(step_seconds=0), queue=queue, pace=Pace(0), max_batch=1, meters=meters)
    scheduler.memory = Memory(used_bytes=1, most_bytes=2, kv_places=1, kv_places_most=2)
    meters.watch(scheduler)
    meters.name_heaviest(1, clock=lambda: 0.0)
    ClientConnections(1, registry=meters.registry)
    return meters.registry


def _of(registry: CollectorRegistry) -> Iterator[Exported]:
    for collector in list(registry._collector_to_names):
        if isinstance(collector, MetricWrapperBase):
            name = collector._name + ("_total" if collector._type == "counter" else "")
            yield Exported(name, collector._type, frozenset(collector._labelnames), collector._documentation)
        else:
            yield from map(_family, collector.collect())


def _family(family: Any) -> Exported:
    """What a collector makes when it is asked: its labels are stated, or those of its samples."""
    name = family.name + ("_total" if family.type == "counter" else "")
    stated = getattr(family, "_labelnames", None)
    labels = stated if stated is not None else _labels(family)
    return Exported(name, family.type, frozenset(labels), family.documentation)


def _labels(family: Metric) -> set[str]:
    return {label for sample in family.samples for label in sample.labels if label != "le"}


def row(metric: Exported) -> str:
    """A metric's line in the table of docs/monitoring.md."""
    labels = ", ".join(f"`{label}`" for label in sorted(metric.labels))
    return f"| `{metric.name}` | {metric.type} | {labels} | {metric.words.removesuffix('.')} |"
