"""What is asked of Prometheus for every scaler and policy, and how the answers become their evidence.

A sentence about missing demand names the policy and the field that asked for it, because it is read in conditions of scalers
too; one about a metric is read only beside its name.
"""

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from msgspec import Struct

from brownout.api.policy import DemandQuery, HeaviestQuery
from brownout.api.pool import LabelSelector
from brownout.api.resources import Key
from brownout.api.scaler import Metric, Stale
from brownout.decide.evidence import Evidence, Missing
from brownout.decide.links import not_admitted, selects
from brownout.decide.snapshot import Rates, StoredPolicy, StoredPool, StoredScaler
from brownout.observe import answers, engine_packs
from brownout.observe.ask import Answer, Ask
from brownout.observe.engine_packs import WINDOW
from brownout.observe.sources import Source
from brownout.observe.together import Part, Question, ask_alone, take_apart, together

POLICY_LOOKBACK_SECONDS = Stale().after_seconds
SINGLE = 2
"""Two series are enough to see that there are more than one."""

Which = Literal["offered", "admitted"]


class Asker(NamedTuple):
    """Whose Prometheus is asked for the objects of which namespaces, and the parameter that carries the namespace there."""

    source: Source | Missing
    namespace_parameter: str = ""
    namespace_selector: LabelSelector = LabelSelector()


class Evidences(Struct, frozen=True, kw_only=True):
    """The answers as evidence, by object."""

    metrics: dict[Key, dict[str, Evidence]]
    offered: dict[Key, Rates | Missing]
    admitted: dict[Key, Rates | Missing]
    heaviest: dict[Key, Rates | Missing]


class Questions:
    """Everything to ask for these objects. `pools` gives the asker of each pool by name; `own` is the operator's own.

    A policy is asked of the pool of the first scaler that its variants name; one that names none, of the operator's own. Nothing is
    asked of a pool that does not admit the namespace, by the labels that `namespaces` gives of each.
    """

    def __init__(
        self,
        *,
        scalers: Mapping[Key, StoredScaler],
        policies: Mapping[Key, StoredPolicy],
        pools: Mapping[str, Asker],
        own: Asker,
        namespaces: Mapping[str, dict[str, str]],
    ) -> None:
        self._scalers, self._policies = scalers, policies
        self._pools, self._own, self._namespaces = pools, own, namespaces
        self._parts: list[Part] = []
        self._metrics = {
            (key, metric.name): _metric_ask(scaler, metric, self._asker(scaler.spec.pool_ref.name, key.namespace))
            for key, scaler in scalers.items()
            for metric in scaler.spec.metrics
        }
        self._demand = {
            (key, which): self._of_policy(
                policy,
                demand_query(policy, which),
                DEMAND[which],
                self._asker(first_pool(policy, scalers), key.namespace),
                limit=answers.MAX_AUDIENCES + 1,
            )
            for key, policy in policies.items()
            for which in WHICH
        }
        self._heaviest = {
            key: self._of_policy(
                policy,
                heaviest_query(policy),
                HEAVIEST,
                self._asker(first_pool(policy, scalers), key.namespace),
                limit=answers.MAX_USERS + 1,
            )
            for key, policy in policies.items()
            if may_hold_back(policy)
        }
        self._together = together(self._parts)
        in_parts = {part.alone for part in self._parts}
        each = (*self._metrics.values(), *self._demand.values(), *self._heaviest.values())
        self._alone = [ask for ask in each if isinstance(ask, Ask) and ask not in in_parts]

    @property
    def asks(self) -> Iterable[Ask]:
        """What to ask at first."""
        yield from self._alone
        yield from (one.ask for one in self._together)

    def more(self, answered: Mapping[Ask, Answer]) -> list[Ask]:
        """What to ask then: of what was asked for many policies at once, and was too much, each alone."""
        return ask_alone(self._together, answered)

    def read(
        self, answered: Mapping[Ask, Answer], *, at: float, asked_at: Mapping[Ask, float] | None = None
    ) -> Evidences:
        """The evidence in the answers, each as of when it was asked for; of one that `asked_at` does not know, as of `at`."""
        found = {**answered, **take_apart(self._together, answered)}
        times = dict(asked_at or {})
        for one in self._together:
            if one.ask in times:
                times |= {part.alone: times.get(part.alone, times[one.ask]) for part in one.parts}

        def answer(ask: Ask | Missing) -> Answer:
            return ask if isinstance(ask, Missing) else found[ask]

        def when(ask: Ask | Missing) -> float:
            return at if isinstance(ask, Missing) else times.get(ask, at)

        def measured(ask: Ask | Missing) -> Evidence:
            return ask if isinstance(ask, Missing) else answers.single(found[ask], query=ask.query, at=when(ask))

        def rates(key: Key, policy: StoredPolicy, which: Which) -> Rates | Missing:
            ask = self._demand[key, which]
            return _rates(policy, which, answer(ask), at=when(ask))

        def users(key: Key, policy: StoredPolicy) -> Rates | Missing:
            ask = self._heaviest.get(key)
            return {} if ask is None else _users(policy, answer(ask), at=when(ask))

        return Evidences(
            metrics={
                key: {metric.name: measured(self._metrics[key, metric.name]) for metric in scaler.spec.metrics}
                for key, scaler in self._scalers.items()
            },
            offered={key: rates(key, policy, "offered") for key, policy in self._policies.items()},
            admitted={key: rates(key, policy, "admitted") for key, policy in self._policies.items()},
            heaviest={key: users(key, policy) for key, policy in self._policies.items()},
        )

    def _asker(self, pool: str, namespace: str) -> Asker:
        """Whom to ask for a namespace's objects in a pool; that it is not admitted is what links say of its scalers too."""
        asker = self._pools.get(pool, self._own)
        if selects(asker.namespace_selector, self._namespaces.get(namespace, {})):
            return asker
        return Asker(Missing(not_admitted(pool, namespace)))

    def _of_policy(
        self, policy: StoredPolicy, query: DemandQuery, default: str, asker: Asker, *, limit: int
    ) -> Ask | Missing:
        """One policy's ask; one by the reference server's names is noted as a part of what is asked for many."""
        lookback_seconds = POLICY_LOOKBACK_SECONDS
        ask = _ask(asker, query.query, policy.key, lookback_seconds=lookback_seconds, limit=limit)
        if isinstance(ask, Ask) and query not in (
            policy.spec.demand.offered,
            policy.spec.demand.admitted,
            policy.spec.demand.heaviest,
        ):
            self._parts.append(Part(ask, Question(default, policy.key.namespace), policy.spec.flag_key))
        return ask


WHICH: tuple[Which, ...] = ("offered", "admitted")
DEMAND: dict[Which, str] = {
    which: f"sum by (BYtier, cohort) (rate(brownout_feature_{which}_total{{MATCHERS}}[{WINDOW}]))" for which in WHICH
}
HEAVIEST = (
    "topk by (BYtier, cohort) (5, sum by (BYtier, cohort, user)"
    " (brownout_feature_heaviest_requests_per_second{MATCHERS}))"
)


def demand_query(policy: StoredPolicy, which: Which) -> DemandQuery:
    """The policy's own query for `offered` or `admitted`, or else the one for the reference server's names."""
    own = policy.spec.demand.offered if which == "offered" else policy.spec.demand.admitted
    if own is not None:
        return own
    return DemandQuery(query=Question(DEMAND[which], policy.key.namespace).about(policy.spec.flag_key))


def heaviest_query(policy: StoredPolicy) -> HeaviestQuery:
    """The policy's own query for its heaviest users, or else the one for the reference server's name.

    Where no server has that name, or none counts users, the answer is empty: nobody is held back alone, and nothing is amiss.
    """
    if policy.spec.demand.heaviest is not None:
        return policy.spec.demand.heaviest
    return HeaviestQuery(query=Question(HEAVIEST, policy.key.namespace).about(policy.spec.flag_key))


def may_hold_back(policy: StoredPolicy) -> bool:
    """Whether anybody of a policy may be held back at all; else its heaviest users are not asked for."""
    return policy.spec.mode != "Advise" and any(entry.availability == "Auto" for entry in policy.spec.tiers)


def first_pool(policy: StoredPolicy, scalers: Mapping[Key, StoredScaler]) -> str:
    """The name of the pool whose Prometheus a policy is asked of; empty where it names no scaler that there is."""
    for cost in (cost for variant in policy.spec.variants for cost in variant.costs):
        if scaler := scalers.get(Key(policy.key.namespace, cost.scaler)):
            return scaler.spec.pool_ref.name
    return ""


def metric_query(scaler: StoredScaler, metric: Metric) -> str | Missing:
    """The PromQL of a scaler's metric: its own, or that of its engine pack's signal."""
    if metric.engine is None:
        return metric.query or ""
    labels = metric.engine.labels
    if metric.engine.pack == "brownout":  # the reference server names its workload
        labels = {"workload": scaler.spec.scale_target_ref.name, **labels}
    return engine_packs.query(metric.engine, labels=labels, namespace=scaler.key.namespace)


def _metric_ask(scaler: StoredScaler, metric: Metric, asker: Asker) -> Ask | Missing:
    lookback_seconds = scaler.spec.stale.after_seconds
    return _ask(asker, metric_query(scaler, metric), scaler.key, lookback_seconds=lookback_seconds, limit=SINGLE)


def _ask(asker: Asker, query: str | Missing, key: Key, *, lookback_seconds: int, limit: int) -> Ask | Missing:
    if isinstance(query, Missing):
        return query
    if isinstance(asker.source, Missing):
        return asker.source
    parameter = asker.namespace_parameter
    return Ask(
        source=asker.source,
        query=query,
        lookback_seconds=lookback_seconds,
        limit=limit,
        parameters=((parameter, key.namespace),) if parameter else (),
    )


def _rates(policy: StoredPolicy, which: Which, answer: Answer, *, at: float) -> Rates | Missing:
    query = demand_query(policy, which)
    found = answers.rates(
        answer, query=query.query, tier_label=query.tier_label, cohort_label=query.cohort_label, at=at
    )
    if isinstance(found, Missing):
        return Missing(f"FeaturePolicy {policy.key}: demand.{which}: {found.message}")
    return found


def _users(policy: StoredPolicy, answer: Answer, *, at: float) -> Rates | Missing:
    query = heaviest_query(policy)
    found = answers.users(
        answer, tier_label=query.tier_label, cohort_label=query.cohort_label, user_label=query.user_label, at=at
    )
    if isinstance(found, Missing):
        return Missing(f"FeaturePolicy {policy.key}: demand.heaviest: {found.message}")
    return found


def askers(pools: Iterable[StoredPool], sources: Mapping[str, Source | Missing], *, own: Asker) -> dict[str, Asker]:
    """The asker of each pool by name; `sources` are those read from Secrets, by the Secret's name."""
    return {
        pool.key.name: Asker(
            source=sources[ref.name] if (ref := pool.spec.prometheus.secret_ref) else own.source,
            namespace_parameter=pool.spec.prometheus.namespace_parameter,
            namespace_selector=pool.spec.namespace_selector,
        )
        for pool in pools
    }
