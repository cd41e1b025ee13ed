"""One look, as the operator looks: the same observer on listed facts instead of watched ones; and the plan that it leads to."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from kubernetes.aio.client import ApiClient
from msgspec import Struct, structs

from brownout.api.resources import Key
from brownout.cli.planning.facts import Facts
from brownout.decide.evidence import Missing
from brownout.decide.outcome import Plan
from brownout.decide.recall import recall
from brownout.decide.saturation import LONGEST_STEP_SECONDS
from brownout.decide.snapshot import Snapshot
from brownout.decide.tick import plan as decide
from brownout.observe.ask import Answer, Ask
from brownout.observe.observer import Observer
from brownout.observe.prometheus import COMMAND_SECONDS, Prometheus
from brownout.observe.sources import Source, Sources
from brownout.observe.targets import ScaleReader

WATCHED_TARGETS = ("Deployment", "StatefulSet")


class OneSource(Sources):
    """A Prometheus that is asked in place of every pool's own: theirs are often reached from inside the cluster alone."""

    def __init__(self, client: ApiClient, url: str) -> None:
        super().__init__(client, namespace="", default_url=url)

    async def named(self, name: str, *, now: float) -> Source | Missing:
        return self.own()


class OfPools(Sources):
    """What the pools' Secrets say, where they may be read; whoever plans has no Prometheus of their own."""

    def own(self) -> Source | Missing:
        return Missing("no Prometheus is known; write --prometheus-url, or set PROMETHEUS_URL")


class Looked(Struct, frozen=True, kw_only=True):
    """A snapshot, and the plan that the operator would make of it."""

    snapshot: Snapshot
    plan: Plan

    @property
    def missing(self) -> tuple[str, ...]:
        """What could not be seen, a sentence each."""
        return tuple(dict.fromkeys(_missing(self.snapshot)))


class AskedOnce(Prometheus):
    """Every question once: whoever looks again at the same moment gets the same answers."""

    def __init__(self) -> None:
        super().__init__(look_seconds=COMMAND_SECONDS)
        self._answers: dict[Ask, Answer] = {}

    async def ask_all(self, asks: Iterable[Ask]) -> dict[Ask, Answer]:
        wanted = list(asks)
        self._answers |= await super().ask_all(ask for ask in wanted if ask not in self._answers)
        return {ask: self._answers[ask] for ask in wanted}


async def look(
    client: ApiClient, different: Sequence[Facts], *, prometheus_url: str, operator_namespace: str, now: float
) -> list[Looked]:
    """Look at the same moment at each of several states of affairs, and plan for each. `now` in Unix seconds."""
    prometheus = AskedOnce()
    sources = (
        OneSource(client, prometheus_url)
        if prometheus_url
        else OfPools(client, namespace=operator_namespace, default_url="")
    )
    found = []
    try:
        for facts in different:
            observer = Observer(
                partial(_facts_of, facts),
                scales=ScaleReader(client, watched=[kind for kind in WATCHED_TARGETS if facts.get(kind)]),
                prometheus=prometheus,
                sources=sources,
            )
            snapshot = await observer.look(lambda: now)
            found.append(Looked(snapshot=snapshot, plan=planned(snapshot, now=now)))
    finally:
        await prometheus.close()
    return found


def _facts_of(facts: Facts, kind: str) -> dict[Key, Any]:
    return facts.get(kind, {})


def planned(snapshot: Snapshot, *, now: float) -> Plan:
    """The plan of an operator that has what status tells of the past, and has seen what is there now for as long as one that
    was away takes to be true: a shortage of this moment counts as one that lasts.
    """
    memory = structs.replace(recall(snapshot, now), at=now - LONGEST_STEP_SECONDS)
    plan, _ = decide(snapshot, memory, now)
    return plan


def _missing(snapshot: Snapshot) -> Iterator[str]:
    for key, scaler in snapshot.scalers.items():
        if isinstance(scaler.workload, Missing):
            yield scaler.workload.message
        for name, evidence in scaler.metrics.items():
            if isinstance(evidence, Missing):
                yield f"InferenceScaler {key}: {name}: {evidence.message}"
    for policy in snapshot.policies.values():
        yield from (rates.message for rates in (policy.offered, policy.admitted) if isinstance(rates, Missing))


def variants(snapshot: Snapshot, policy: Key) -> tuple[str, ...]:
    """The names of a policy's variants, best first."""
    return tuple(variant.name for variant in snapshot.policies[policy].stored.spec.variants)
