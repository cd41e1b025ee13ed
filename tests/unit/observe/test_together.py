"""Many policies' default questions are one ask, and each policy gets the answer that it would have had alone."""

from brownout.api.policy import Demand, DemandQuery, TierEntry
from brownout.api.resources import Key
from brownout.api.schema import Ref
from brownout.decide.evidence import Missing, Sample
from brownout.decide.snapshot import Audience, StoredPolicy
from brownout.observe.answers import Series
from brownout.observe.ask import TOO_LARGE, Answer, Ask
from brownout.observe.queries import Asker, Questions
from brownout.observe.sources import Source
from brownout.observe.together import MOST_FEATURES, MOST_SERIES
from support.operator_builders import policy

AT = 7.0
AUTO = (TierEntry(tier_ref=Ref(name="free")),)


def questions(*policies: StoredPolicy) -> Questions:
    """Questions about these policies, of the operator's own Prometheus."""
    return Questions(
        scalers={}, policies={p.key: p for p in policies}, pools={}, own=Asker(Source(url="http://own")), namespaces={}
    )


def offered(asked: Questions) -> list[Ask]:
    """What is asked for the offered rates."""
    return [ask for ask in asked.asks if "offered" in ask.query]


def of(feature: str, rate: float, tier: str = "free") -> Series:
    """A series of an answer about many features."""
    return Series({"feature": feature, "tier": tier}, rate)


def answered(asked: Questions, answer: Answer) -> dict[Ask, Answer]:
    """The same answer to everything."""
    return dict.fromkeys(asked.asks, answer)


def test_features_of_a_namespace_are_asked_for_together() -> None:
    asked = questions(policy("images"), policy("chat"))
    assert [ask.query for ask in offered(asked)] == [
        'sum by (feature, tier, cohort) (rate(brownout_feature_offered_total{feature=~"chat|images",namespace="media"}[30s]))'
    ]


def test_each_policy_gets_the_series_of_its_own_feature() -> None:
    asked = questions(policy("images"), policy("chat"))
    read = asked.read(answered(asked, (of("images", 3.0), of("chat", 2.0), of("chat", 1.0, "pro"))), at=AT)
    assert read.offered[Key("media", "images")] == {Audience("free"): Sample(3.0, AT)}
    assert read.offered[Key("media", "chat")] == {Audience("free"): Sample(2.0, AT), Audience("pro"): Sample(1.0, AT)}


def test_a_feature_without_series_is_missing_and_the_others_are_not() -> None:
    asked = questions(policy("images"), policy("chat"))
    read = asked.read(answered(asked, (of("chat", 2.0),)), at=AT)
    found = read.offered[Key("media", "images")]
    assert isinstance(found, Missing)
    assert "media/images: demand.offered: the query returns nothing" in found.message
    assert read.offered[Key("media", "chat")] == {Audience("free"): Sample(2.0, AT)}


def test_an_answer_that_is_missing_is_missing_for_everybody() -> None:
    asked = questions(policy("images"), policy("chat"))
    gone = answered(asked, Missing("Prometheus cannot be reached"))
    assert asked.more(gone) == []
    read = asked.read(gone, at=AT)
    assert all(isinstance(found, Missing) for found in read.offered.values())


def test_where_an_answer_is_too_large_each_is_asked_alone_and_only_one_goes_without() -> None:
    asked = questions(policy("images"), policy("chat"))
    for too_much in (TOO_LARGE, tuple(of("images", 1.0, f"tier-{n}") for n in range(MOST_SERIES))):
        first = answered(asked, too_much)
        more = asked.more(first)
        assert [ask.query for ask in more if "offered" in ask.query] == [
            f'sum by (tier, cohort) (rate(brownout_feature_offered_total{{feature="{feature}",namespace="media"}}[30s]))'
            for feature in ("chat", "images")
        ]
        chat = (Series({"tier": "free"}, 2.0),)
        read = asked.read(first | {ask: chat if '"chat"' in ask.query else TOO_LARGE for ask in more}, at=AT)
        assert read.offered[Key("media", "chat")] == {Audience("free"): Sample(2.0, AT)}
        assert isinstance(read.offered[Key("media", "images")], Missing)


def test_a_policys_own_query_is_asked_alone() -> None:
    own = policy("images", demand=Demand(offered=DemandQuery(query="my_rate")))
    asked = questions(own, policy("chat"), policy("video"))
    assert sorted(ask.query for ask in asked.asks if "offered" in ask.query or ask.query == "my_rate") == [
        "my_rate",
        'sum by (feature, tier, cohort) (rate(brownout_feature_offered_total{feature=~"chat|video",namespace="media"}[30s]))',
    ]


def test_no_ask_is_about_more_features_than_an_answer_can_carry() -> None:
    asked = questions(*(policy(f"feature-{n:03}") for n in range(2 * MOST_FEATURES + 1)))
    assert [ask.query.count("feature-") + ask.query.count("feature\\\\-") for ask in offered(asked)] == [50, 50, 1]


def test_a_feature_is_asked_for_by_its_name_and_not_by_a_pattern() -> None:
    asked = questions(policy("a.b"), policy("c"))
    assert 'feature=~"a\\\\.b|c"' in offered(asked)[0].query


def test_the_heaviest_users_are_those_of_each_feature() -> None:
    asked = questions(policy("images", tiers=AUTO), policy("chat", tiers=AUTO))
    assert (
        'topk by (feature, tier, cohort) (5, sum by (feature, tier, cohort, user) (brownout_feature_heaviest_requests_per_second{feature=~"chat|images",namespace="media"}))'
        in {ask.query for ask in asked.asks}
    )
