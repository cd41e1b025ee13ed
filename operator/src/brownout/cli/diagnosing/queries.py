"""Every query that the operator asks for these objects, asked once of the Prometheus that was named, by the operator's own code."""

from brownout.api.resources import Key, Stored
from brownout.cli.diagnosing.found import Answered
from brownout.cli.diagnosing.parts import Gathering
from brownout.cli.output import document
from brownout.decide.evidence import Missing
from brownout.decide.snapshot import StoredPolicy, StoredScaler
from brownout.observe import answers
from brownout.observe.prometheus import Ask, Prometheus
from brownout.observe.queries import (
    POLICY_LOOKBACK_SECONDS,
    WHICH,
    demand_query,
    heaviest_query,
    may_hold_back,
    metric_query,
)
from brownout.observe.sources import Source

Question = tuple[str, str, str, int, bool]
"""Whose, of which field, the PromQL, how far it looks back in seconds, and whether exactly one series is wanted."""


async def queries(to: Gathering) -> None:
    """Ask them, and write down what came: how many series, or the number where it is to be one. Labels stay out: they may name users."""
    questions = [*_of_scalers(to), *_of_policies(to)]
    if not to.asked.prometheus_url:
        to.found.errors.append("prometheus: not asked; write --prometheus-url, or set PROMETHEUS_URL")
        to.found.answers = [Answered(owner, field, text, "not asked", False) for owner, field, text, *_ in questions]
    else:
        await _ask(to, questions)
    told = [{"of": one.owner, "field": one.field, "query": one.query, "answer": one.result} for one in to.found.answers]
    to.bundle.text("prometheus/queries.yaml", document(told, "yaml") + "\n")


async def _ask(to: Gathering, questions: list[Question]) -> None:
    source = Source(url=to.asked.prometheus_url.rstrip("/"))
    asks = [
        Ask(source=source, query=text, lookback_seconds=back, limit=2 if one else answers.MAX_AUDIENCES + 1)
        for _, _, text, back, one in questions
    ]
    prometheus = Prometheus()
    try:
        up = await prometheus.ask(Ask(source=source, query="vector(1)", lookback_seconds=60, limit=1))
        if isinstance(up, Missing):
            to.found.answers = [Answered("Prometheus", "url", "vector(1)", up.message, True)]
            return
        answered = await prometheus.ask_all(asks)
    finally:
        await prometheus.close()
    for (owner, field, text, _, one), ask in zip(questions, asks, strict=True):
        series = answered[ask]
        value = answers.single(series, at=to.found.now) if one else series
        if isinstance(value, Missing):
            result = value.message
        elif isinstance(value, tuple):
            result = f"{len(value)} series"
        else:
            result = f"{value.value:g}"
        nothing = not one and series == () and field != "demand.heaviest"
        missing = isinstance(value, Missing) or nothing
        to.found.answers.append(Answered(owner, field, text, "no series" if nothing else result, missing))


def _of_scalers(to: Gathering) -> list[Question]:
    found: list[Question] = []
    for scaler in _stored(to, "InferenceScaler"):
        typed: StoredScaler = scaler
        for metric in typed.spec.metrics:
            text = metric_query(typed, metric)
            field = f"metrics[{metric.name}]"
            if isinstance(text, Missing):
                to.found.answers.append(Answered(f"InferenceScaler {typed.key}", field, "", text.message, True))
            else:
                found.append((f"InferenceScaler {typed.key}", field, text, typed.spec.stale.after_seconds, True))
    return found


def _of_policies(to: Gathering) -> list[Question]:
    found: list[Question] = []
    for policy in _stored(to, "FeaturePolicy"):
        typed: StoredPolicy = policy
        owner = f"FeaturePolicy {typed.key}"
        for which in WHICH:
            found.append((owner, f"demand.{which}", demand_query(typed, which).query, POLICY_LOOKBACK_SECONDS, False))
        if may_hold_back(typed):
            found.append((owner, "demand.heaviest", heaviest_query(typed).query, POLICY_LOOKBACK_SECONDS, False))
    return found


def _stored(to: Gathering, kind: str) -> list[Stored]:  # type: ignore[type-arg]
    return sorted((one for one in to.found.objects.get(kind, ()) if isinstance(one, Stored)), key=_place)


def _place(one: Stored) -> Key:  # type: ignore[type-arg]
    return one.key
