"""One reading of what a feature's workloads do: from Prometheus where one is given, else from what status says."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from brownout.api.resources import Key, Stored
from brownout.cli.drilling.rung import By
from brownout.cli.explanation.cells import cost_factor
from brownout.cli.explanation.seen import assumed
from brownout.decide.evidence import Missing, Sample
from brownout.decide.recall import recall
from brownout.decide.scene import Scene, look
from brownout.decide.snapshot import Audience, Rates
from brownout.observe.prometheus import Prometheus
from brownout.observe.queries import Asker, Evidences, Questions
from brownout.observe.sources import Source


class Load(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A workload at one moment, in GPU-seconds a second; None where it is not known.

    `busy`: work done, as its Busy metric counts it. `admitted`: what was let through, at the costs as learned.
    """

    busy: float | None = None
    admitted: float | None = None
    saturation_percent: float | None = None


class Reading(Struct, frozen=True, kw_only=True):
    """All workloads at a moment, and what users asked for: requests a second of the feature, None where it is not known.

    `asked`: what those ask for whom a drill is about, in any unit; None where nobody has asked yet. `missing`: sentences of
    what could not be read.
    """

    at: float
    loads: dict[Key, Load]
    offered: float | None = None
    asked: float | None = None
    missing: tuple[str, ...] = ()


def from_status(objects: By, scalers: tuple[Key, ...], *, now: float) -> Reading:
    """What the operator last wrote. It does not tell apart who asks: `asked` is what all workloads together are asked for."""
    loads, offered = {}, []
    for key in scalers:
        scaler = objects["InferenceScaler"].get(key)
        if scaler is not None:
            loads[key] = Load(
                admitted=_number(scaler.status.demand.admitted),
                saturation_percent=scaler.status.saturation_percent,
            )
            offered.append(_number(scaler.status.demand.offered))
    known = [value for value in offered if value is not None]
    return Reading(at=now, loads=loads, asked=sum(known) if known else None)


async def asked(objects: By, prometheus: Prometheus, url: str, *, now: float) -> Evidences:
    """What Prometheus says of these scalers and policies."""
    own = Asker(Source(url=url.rstrip("/")))
    questions = Questions(
        scalers=objects["InferenceScaler"], policies=objects["FeaturePolicy"], pools={}, own=own, namespaces={}
    )
    answered = await prometheus.ask_all(questions.asks)
    return questions.read(answered, at=now, asked_at=prometheus.asked_at)


def from_evidence(
    objects: By,
    evidence: Evidences,
    policy: Key,
    scalers: tuple[Key, ...],
    *,
    now: float,
    whom: Callable[[Audience], bool] = lambda _: True,
) -> Reading:
    """What Prometheus says; `whom`: those whom a drill is about."""
    scene = scene_of(objects, evidence, now=now)
    loads = {}
    for key in scalers:
        scaler = objects["InferenceScaler"].get(key)
        if scaler is not None:
            loads[key] = Load(busy=_busy(scaler, evidence), admitted=_admitted(scene, evidence, key))
    offered = evidence.offered.get(policy, {})
    if isinstance(offered, Missing):
        return Reading(at=now, loads=loads, missing=(offered.message,))
    own = [sample.value for audience, sample in offered.items() if whom(audience)]
    total = sum(sample.value for sample in offered.values())
    return Reading(at=now, loads=loads, offered=total, asked=sum(own) if own else None)


def scene_of(objects: By, evidence: Evidences, *, now: float) -> Scene:
    """The feature's cells as the operator's rules see them: what they ask for, and what each of their levels costs."""
    demand = {key: (evidence.offered[key], evidence.admitted[key]) for key in objects["FeaturePolicy"]}
    snapshot = assumed(objects, demand=demand)
    return look(snapshot, recall(snapshot, now), now=now)


def predicted(
    objects: By, evidence: Evidences, word: Stored[Any, Any], scalers: tuple[Key, ...], *, now: float
) -> dict[Key, float]:
    """What the plan says that an override saves each workload, in GPU-seconds a second; below 0 where it costs more.

    By the scene that replicas and rungs are planned from: what it carries with the override in it, against without. Empty
    where demand is not known.
    """
    if any(
        isinstance(evidence.offered[key], Missing)
        for key in objects["FeaturePolicy"]
        if key.name == word.spec.policy_ref.name
    ):
        return {}
    others = {key: one for key, one in objects.get("FeatureOverride", {}).items() if key != word.key}
    without = scene_of({**objects, "FeatureOverride": others}, evidence, now=now)
    with_it = scene_of(with_override(objects, word), evidence, now=now)
    saved = {}
    for key in scalers:
        factor = _factor(objects, key)
        saved[key] = without.flows(key, factor).carried.mean - with_it.flows(key, factor).carried.mean
    return saved


def _factor(objects: By, scaler: Key) -> float:
    found = objects["InferenceScaler"].get(scaler)
    return 1.0 if found is None else cost_factor(found.status)


def _busy(scaler: Stored[Any, Any], evidence: Evidences) -> float | None:
    found = evidence.metrics.get(scaler.key, {})
    values = [found.get(metric.name) for metric in scaler.spec.metrics if metric.role == "Busy"]
    known = [value.value for value in values if isinstance(value, Sample)]
    return sum(known) if known and len(known) == len(values) else None


def _admitted(scene: Scene, evidence: Evidences, scaler: Key) -> float | None:
    """What is let through to a workload, by what each cell's users have now; None where any of it is not known."""
    total = 0.0
    for cell in scene.by_scaler.get(scaler, ()):
        rates: Rates | Missing = evidence.admitted[cell.key.policy]
        if isinstance(rates, Missing):
            return None
        if (sample := rates.get(cell.key.audience)) is not None:
            total += sample.value * cell.admitted_cost(scene.served[cell.key], scaler)
    return total * cost_factor(scene.snapshot.scalers[scaler].stored.status)


def with_override(objects: By, word: Stored[Any, Any]) -> By:
    """The objects with this override among them."""
    return {**objects, "FeatureOverride": {**objects.get("FeatureOverride", {}), word.key: word}}


def _number(text: str) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None
