"""What is asked of the past, and what came back: offered and admitted rates, ready replicas, GPUs, work done."""

from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import Struct

from brownout.api.resources import Key
from brownout.decide.evidence import Missing
from brownout.decide.snapshot import Audience, StoredPolicy, StoredScaler
from brownout.observe.engine_packs import matchers
from brownout.observe.queries import POLICY_LOOKBACK_SECONDS, WHICH, Which, demand_query, metric_query
from brownout.simulate.manifests import Manifests
from brownout.simulate.past.history import Answer, Line, Question, Span
from brownout.simulate.record import Floats
from brownout.simulate.scenario import ScenarioError

LOOKBACK_SECONDS = 300
"""Of gauges that change slowly: what Prometheus itself takes."""

Rates = dict[Audience, Floats]


class Readings(Struct, frozen=True, kw_only=True):
    """By object; values by moment of the span, NaN where there is none. What could not be had is not there."""

    offered: dict[Key, Rates]
    admitted: dict[Key, Rates]
    ready: dict[str, Floats]
    work: dict[str, Floats]
    gpus: Floats | None
    nodes: tuple[int, ...]


class Asked(Struct, frozen=True, kw_only=True):
    """All questions, by what they are about; alternatives in the order in which they are believed."""

    demand: dict[tuple[Key, Which], Question]
    ready: dict[str, tuple[Question, ...]]
    work: dict[str, Question]
    gpus: Question
    nodes: Question

    @property
    def all(self) -> list[Question]:
        ready = (question for questions in self.ready.values() for question in questions)
        return [*self.demand.values(), *ready, *self.work.values(), self.gpus, self.nodes]


def questions(manifests: Manifests) -> Asked:
    """The operator's own queries for demand and work, and two exporters' for replicas and GPUs."""
    pool = manifests.pool
    parameter = pool.spec.prometheus.namespace_parameter

    def question(query: str, namespace: str = "", lookback_seconds: int = LOOKBACK_SECONDS) -> Question:
        parameters = ((parameter, namespace),) if parameter and namespace else ()
        return Question(query=query, lookback_seconds=lookback_seconds, parameters=parameters)

    work = {}
    for key, scaler in manifests.scalers.items():
        for metric in scaler.spec.metrics:
            if metric.role == "Busy" and isinstance(query := metric_query(scaler, metric), str):
                work[key.name] = question(query, key.namespace, scaler.spec.stale.after_seconds)
    resource = pool.spec.resource_name.replace(".", "_").replace("/", "_").replace("-", "_")
    return Asked(
        demand={
            (key, which): question(demand_query(policy, which).query, key.namespace, POLICY_LOOKBACK_SECONDS)
            for key, policy in manifests.policies.items()
            for which in WHICH
        },
        ready={key.name: tuple(map(question, _ready(scaler))) for key, scaler in manifests.scalers.items()},
        work=work,
        gpus=question(f'max(brownout_pool_gpus{{pool="{pool.key.name}",state="capacity"}})'),
        nodes=question(f'kube_node_status_allocatable{{resource="{resource}"}} > 0'),
    )


def _ready(scaler: StoredScaler) -> tuple[str, ...]:
    """By the operator, and by kube-state-metrics. A scrape may have renamed the namespace that they name."""
    namespace, target = scaler.key.namespace, scaler.spec.scale_target_ref
    kind = target.kind.lower()
    own = {"scaler": scaler.key.name, "state": "ready"}
    queries = [("brownout_scaler_replicas", own), (f"kube_{kind}_status_replicas_ready", {kind: target.name})]
    return tuple(
        f"max({name}{{{matchers({**labels, 'exported_namespace': namespace})}}}"
        f" or {name}{{{matchers({**labels, 'namespace': namespace})}}})"
        for name, labels in queries
    )


def read(manifests: Manifests, asked: Asked, answers: Mapping[Question, Answer], span: Span) -> Readings:
    """What came back. ScenarioError where a policy's demand did not, with the query that asked for it."""
    offered: dict[Key, Rates] = {}
    admitted: dict[Key, Rates] = {}
    for key, policy in manifests.policies.items():
        offered[key] = _rates(policy, "offered", asked, answers, span)
        try:
            admitted[key] = _rates(policy, "admitted", asked, answers, span)
        except ScenarioError:  # says only what shedding there was; demand is known without it
            continue
    ready = {name: _first(asks, answers) for name, asks in asked.ready.items()}
    work = {name: _first([question], answers) for name, question in asked.work.items()}
    nodes = answers[asked.nodes]
    return Readings(
        offered=offered,
        admitted=admitted,
        ready={name: values for name, values in ready.items() if values is not None},
        work={name: values for name, values in work.items() if values is not None},
        gpus=_first([asked.gpus], answers),
        nodes=()
        if isinstance(nodes, Missing)
        else tuple(_most(line) for line in nodes if not np.isnan(line.values).all()),
    )


def _rates(policy: StoredPolicy, which: Which, asked: Asked, answers: Mapping[Question, Answer], span: Span) -> Rates:
    """A policy's rates by audience."""
    question = asked.demand[policy.key, which]
    query, answer = demand_query(policy, which), answers[question]
    where = f"FeaturePolicy {policy.key}: demand.{which}: {question.query}"
    if isinstance(answer, Missing):
        raise ScenarioError(f"{where}: {answer.message}")
    known = [line for line in answer if not np.isnan(line.values).all()]
    if not known:
        came = "no series came back" if not answer else f"{len(answer)} series came back, none with a number"
        raise ScenarioError(
            f"{where}: {came} for the last {span.seconds / 3600:g} h; check that its metric is scraped, "
            "write the query that has it into spec.demand, or leave the policy out of --manifests"
        )
    found: Rates = {}
    for line in known:
        tier = line.labels.get(query.tier_label)
        if not tier:
            has = ", ".join(sorted(line.labels)) or "none"
            raise ScenarioError(
                f"{where}: a series has no label {query.tier_label!r} (its labels: {has}); write sum by ({query.tier_label}, {query.cohort_label})"
            )
        audience = Audience(tier, line.labels.get(query.cohort_label, ""))
        found[audience] = np.maximum(0.0, line.values)
    return found


def filled(values: Floats) -> tuple[Floats, int]:
    """Values without gaps, and how many there were. Before the first and after the last one nobody asked."""
    known = np.flatnonzero(~np.isnan(values))
    whole = np.interp(np.arange(len(values)), known, values[known], left=0.0, right=0.0)
    return whole, int(np.isnan(values[known[0] : known[-1] + 1]).sum())


def _first(asks: Sequence[Question], answers: Mapping[Question, Answer]) -> Floats | None:
    """The first question's answer that has a number."""
    for question in asks:
        answer = answers[question]
        if not isinstance(answer, Missing) and answer and not np.isnan(answer[0].values).all():
            return answer[0].values
    return None


def _most(line: Line) -> int:
    return int(np.nanmax(line.values))
