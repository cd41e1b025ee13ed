"""What is asked for whom."""

import pytest

from brownout.api.policy import Demand, DemandQuery, HeaviestQuery, TierEntry
from brownout.api.pool import LabelSelector, PrometheusSource
from brownout.api.resources import Key
from brownout.api.scaler import EngineMetric, Metric
from brownout.api.schema import Ref
from brownout.decide.evidence import Missing, Sample
from brownout.decide.snapshot import Audience, StoredPolicy, StoredScaler
from brownout.observe.answers import Series
from brownout.observe.queries import Asker, Questions, askers, demand_query, heaviest_query
from brownout.observe.sources import Source
from support.operator_builders import policy, pool, scaler

AUTO = (TierEntry(tier_ref=Ref(name="free")),)
OWN = Asker(Source(url="http://own"))
THEIRS = Source(url="http://theirs")


def questions(
    *,
    scalers: tuple[StoredScaler, ...] = (),
    policies: tuple[StoredPolicy, ...] = (),
    pools: dict[str, Asker] | None = None,
    labels: dict[str, str] | None = None,
) -> Questions:
    """Questions about these objects; `labels` are the namespace's."""
    return Questions(
        scalers={s.key: s for s in scalers},
        policies={p.key: p for p in policies},
        pools=pools or {},
        own=OWN,
        namespaces={} if labels is None else {"media": labels},
    )


def test_a_policy_without_queries_is_asked_by_the_reference_servers_names_in_its_namespace() -> None:
    assert (
        demand_query(policy(), "offered").query
        == 'sum by (tier, cohort) (rate(brownout_feature_offered_total{feature="images",namespace="media"}[30s]))'
    )


def test_a_policys_own_query_is_asked_as_it_is_written() -> None:
    own = DemandQuery(query="my_rate", tier_label="plan")
    assert demand_query(policy(demand=Demand(offered=own)), "offered") is own


def test_the_reference_pack_names_the_workload() -> None:
    metric = Metric(name="queue", role="Backlog", engine=EngineMetric(pack="brownout", signal="backlog"))
    asks = list(questions(scalers=(scaler(metrics=(metric,)),)).asks)
    assert [ask.query for ask in asks] == [
        'sum(brownout_inference_queue_gpu_seconds{namespace="media",workload="image"})'
    ]


def test_a_scaler_is_asked_of_its_pools_prometheus_and_staleness_is_its_own() -> None:
    metric = Metric(name="busy", query="up")
    found = list(questions(scalers=(scaler(metrics=(metric,)),), pools={"h100": Asker(THEIRS, "ns")}).asks)
    assert [(ask.source, ask.lookback_seconds, ask.parameters) for ask in found] == [(THEIRS, 60, (("ns", "media"),))]


def test_a_policy_is_asked_of_the_pool_of_its_first_scaler() -> None:
    asked = questions(scalers=(scaler(),), policies=(policy(),), pools={"h100": Asker(THEIRS)})
    assert {ask.source for ask in asked.asks} == {THEIRS}


def test_a_policy_of_no_known_pool_is_asked_of_the_operators_own() -> None:
    asked = questions(policies=(policy(scaler="nobody"),), pools={"h100": Asker(THEIRS)})
    assert {ask.source for ask in asked.asks} == {OWN.source}


def test_a_source_that_cannot_be_had_is_missing_for_everything_that_needs_it() -> None:
    gone = Asker(Missing("no Secret brownout/x"))
    one = scaler(metrics=(Metric(name="busy", query="up"),))
    asked = questions(scalers=(one,), policies=(policy(),), pools={"h100": gone})
    assert list(asked.asks) == []
    read = asked.read({}, at=1.0)
    assert read.metrics[one.key] == {"busy": Missing("no Secret brownout/x")}
    assert isinstance(read.offered[Key("media", "images")], Missing)


@pytest.mark.parametrize("labels", [None, {}, {"pool": "other"}], ids=["unknown", "none", "others"])
def test_nothing_is_asked_with_a_pools_credentials_for_a_namespace_that_it_does_not_admit(
    labels: dict[str, str] | None,
) -> None:
    one, two = scaler(metrics=(Metric(name="busy", query="up"),)), policy(tiers=AUTO)
    theirs = {"h100": Asker(THEIRS, "ns", LabelSelector(match_labels={"pool": "h100"}))}
    asked = questions(scalers=(one,), policies=(two,), pools=theirs, labels=labels)
    assert list(asked.asks) == []
    read = asked.read({}, at=1.0)
    for found in (read.metrics[one.key]["busy"], read.offered[two.key], read.admitted[two.key], read.heaviest[two.key]):
        assert isinstance(found, Missing)
        assert "GPUPool h100 does not admit the namespace media; label the namespace" in found.message
    admitted = questions(scalers=(one,), policies=(two,), pools=theirs, labels={"pool": "h100"})
    assert {ask.source for ask in admitted.asks} == {THEIRS}


def test_answers_become_evidence_by_object() -> None:
    one = scaler(metrics=(Metric(name="busy", query="up"),))
    asked = questions(scalers=(one,))
    read = asked.read({ask: (Series({}, 3.0),) for ask in asked.asks}, at=1.0)
    assert read.metrics[one.key] == {"busy": Sample(3.0, 1.0)}


def test_evidence_is_as_old_as_its_question_whenever_its_answer_came() -> None:
    one, two, other = scaler(metrics=(Metric(name="busy", query="up"),)), policy("images"), policy("chat")
    asked = questions(scalers=(one,), policies=(two, other))
    answer = (Series({"feature": "images", "tier": "free"}, 3.0),)
    answered = dict.fromkeys(asked.asks, answer)
    assert any("images" in ask.query and "chat" in ask.query for ask in answered)  # both policies at once
    read = asked.read(answered, at=9.0, asked_at={ask: 4.0 for ask in answered if "admitted" not in ask.query})
    assert read.metrics[one.key] == {"busy": Sample(3.0, 4.0)}
    assert read.offered[two.key] == {Audience("free"): Sample(3.0, 4.0)}
    assert read.admitted[two.key] == {Audience("free"): Sample(3.0, 9.0)}  # not known, so of this look


def test_missing_demand_names_the_policy_and_the_field() -> None:
    asked = questions(policies=(policy(),))
    read = asked.read(dict.fromkeys(asked.asks, ()), at=1.0)
    offered = read.offered[Key("media", "images")]
    assert isinstance(offered, Missing)
    assert offered.message.startswith("FeaturePolicy media/images: demand.offered: the query returns nothing")
    assert (
        "brownout_feature_offered_total" in offered.message
    )  # the reference server's name, which is written nowhere else


def test_a_pool_with_a_secret_has_its_own_source() -> None:
    with_secret = pool(prometheus=PrometheusSource(secret_ref=Ref(name="s"), namespace_parameter="ns"))
    assert askers([with_secret], {"s": THEIRS}, own=OWN) == {"h100": Asker(THEIRS, "ns")}
    assert askers([pool()], {}, own=OWN) == {"h100": OWN}
    chosen = LabelSelector(match_labels={"pool": "h100"})
    assert askers([pool(namespace_selector=chosen)], {}, own=OWN) == {"h100": Asker(OWN.source, "", chosen)}


def test_the_heaviest_users_are_asked_by_the_reference_servers_name() -> None:
    asked = {ask.query for ask in questions(policies=(policy(tiers=AUTO),)).asks}
    assert (
        'topk by (tier, cohort) (5, sum by (tier, cohort, user) (brownout_feature_heaviest_requests_per_second{feature="images",namespace="media"}))'
        in asked
    )


def test_a_policys_own_query_for_the_heaviest_users_is_asked_as_it_is_written() -> None:
    own = HeaviestQuery(query="my_users", user_label="account")
    one = policy(tiers=AUTO, demand=Demand(heaviest=own))
    assert heaviest_query(one) is own
    asked = questions(policies=(one,))
    answer = (Series({"tier": "free", "account": "ana"}, 2.0),)
    read = asked.read({ask: answer if ask.query == "my_users" else () for ask in asked.asks}, at=1.0)
    assert read.heaviest[one.key] == {Audience("free", "", "ana"): Sample(2.0, 1.0)}


def test_nobody_asks_for_users_of_whom_none_may_be_held_back() -> None:
    always = (TierEntry(tier_ref=Ref(name="pro"), availability="Always"),)
    for one in (policy(tiers=always), policy(tiers=AUTO, mode="Advise")):
        asked = questions(policies=(one,))
        assert not [ask for ask in asked.asks if "heaviest" in ask.query]
        assert asked.read(dict.fromkeys(asked.asks, ()), at=1.0).heaviest == {one.key: {}}


def test_a_server_that_counts_no_users_is_nothing_amiss() -> None:
    one = policy(tiers=AUTO)
    asked = questions(policies=(one,))
    assert asked.read(dict.fromkeys(asked.asks, ()), at=1.0).heaviest == {one.key: {}}


def test_missing_heaviest_users_name_the_policy_and_the_field() -> None:
    one = policy(tiers=AUTO)
    asked = questions(policies=(one,))
    heaviest = asked.read(dict.fromkeys(asked.asks, Missing("HTTP 500")), at=1.0).heaviest[one.key]
    assert heaviest == Missing("FeaturePolicy media/images: demand.heaviest: HTTP 500")
