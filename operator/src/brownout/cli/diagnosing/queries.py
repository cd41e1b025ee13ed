"""Every query that the operator asks for these objects, asked once of the Prometheus that was named, by the operator's own code."""

from typing import Any

from msgspec import Struct

from brownout.api.resources import Key, Stored
from brownout.cli.diagnosing.found import NOT_ASKED, Answered
from brownout.cli.diagnosing.parts import Gathering
from brownout.cli.output import document
from brownout.decide.evidence import Missing
from brownout.observe import answers
from brownout.observe.ask import Answer, Ask
from brownout.observe.prometheus import COMMAND_SECONDS, Prometheus
from brownout.observe.queries import (
    POLICY_LOOKBACK_SECONDS,
    SINGLE,
    WHICH,
    demand_query,
    first_pool,
    heaviest_query,
    may_hold_back,
    metric_query,
)
from brownout.observe.sources import Source


class Question(Struct, frozen=True, kw_only=True):
    """A query with whose it is, of which field, and the namespace parameter of its pool. `single`: one number is wanted."""

    owner: str
    field: str
    text: str
    namespace: str
    parameter: str
    lookback_seconds: int
    single: bool = False

    def ask(self, source: Source) -> Ask:
        """What is asked of Prometheus."""
        return Ask(
            source=source,
            query=self.text,
            lookback_seconds=self.lookback_seconds,
            limit=SINGLE if self.single else answers.MAX_AUDIENCES + 1,
            parameters=((self.parameter, self.namespace),) if self.parameter else (),
        )


async def queries(to: Gathering) -> None:
    """Ask them, and write down what came: how many series, or the number where it is to be one. Labels stay out: they may name users."""
    questions = [*_of_scalers(to), *_of_policies(to)]
    if to.asked.prometheus_url:
        await _ask(to, questions)
    else:
        to.found.errors.append("prometheus: not asked; write --prometheus-url, or set PROMETHEUS_URL")
        to.found.answers += [Answered(one.owner, one.field, one.text, NOT_ASKED, False) for one in questions]
    told = [{"of": one.owner, "field": one.field, "query": one.query, "answer": one.result} for one in to.found.answers]
    to.bundle.text("prometheus/queries.yaml", document(told, "yaml") + "\n")


async def _ask(to: Gathering, questions: list[Question]) -> None:
    source = Source(url=to.asked.prometheus_url.rstrip("/"))
    asks = [question.ask(source) for question in questions]
    prometheus = Prometheus(look_seconds=COMMAND_SECONDS)
    try:
        answered = await prometheus.ask_all(asks)
    finally:
        await prometheus.close()
    found = [_answered(one, answered[ask], at=to.found.now) for one, ask in zip(questions, asks, strict=True)]
    refusals = {one.message for one in answered.values() if isinstance(one, Missing)}
    if len(refusals) == 1 and all(isinstance(one, Missing) for one in answered.values()):  # it is not the queries
        to.found.answers.append(Answered("Prometheus", "every query", "", refusals.pop(), True))
        found = [one._replace(missing=False) for one in found]
    to.found.answers += found


def _answered(one: Question, series: Answer, *, at: float) -> Answered:
    value = answers.single(series, query=one.text, at=at) if one.single else series
    if isinstance(value, Missing):
        return Answered(one.owner, one.field, one.text, value.message, True)
    if not isinstance(value, tuple):
        return Answered(one.owner, one.field, one.text, f"{value.value:g}", False)
    nobody = not value and one.field != "demand.heaviest"  # that nobody is heavy is an answer
    return Answered(one.owner, one.field, one.text, "no series" if nobody else f"{len(value)} series", nobody)


def _of_scalers(to: Gathering) -> list[Question]:
    found: list[Question] = []
    parameters = _parameters(to)
    for key, scaler in sorted(_stored(to, "InferenceScaler").items()):
        for metric in scaler.spec.metrics:
            text, field = metric_query(scaler, metric), f"metrics[{metric.name}]"
            if isinstance(text, Missing):
                to.found.answers.append(Answered(f"InferenceScaler {key}", field, "", text.message, True))
                continue
            found.append(
                Question(
                    owner=f"InferenceScaler {key}",
                    field=field,
                    text=text,
                    namespace=key.namespace,
                    parameter=parameters.get(scaler.spec.pool_ref.name, ""),
                    lookback_seconds=scaler.spec.stale.after_seconds,
                    single=True,
                )
            )
    return found


def _of_policies(to: Gathering) -> list[Question]:
    found: list[Question] = []
    parameters, scalers = _parameters(to), _stored(to, "InferenceScaler")
    for key, policy in sorted(_stored(to, "FeaturePolicy").items()):
        texts = {f"demand.{which}": demand_query(policy, which).query for which in WHICH}
        if may_hold_back(policy):
            texts["demand.heaviest"] = heaviest_query(policy).query
        found += [
            Question(
                owner=f"FeaturePolicy {key}",
                field=field,
                text=text,
                namespace=key.namespace,
                parameter=parameters.get(first_pool(policy, scalers), ""),
                lookback_seconds=POLICY_LOOKBACK_SECONDS,
            )
            for field, text in texts.items()
        ]
    return found


def _parameters(to: Gathering) -> dict[str, str]:
    return {key.name: pool.spec.prometheus.namespace_parameter for key, pool in _stored(to, "GPUPool").items()}


def _stored(to: Gathering, kind: str) -> dict[Key, Any]:
    return {one.key: one for one in to.found.objects.get(kind, ()) if isinstance(one, Stored)}
