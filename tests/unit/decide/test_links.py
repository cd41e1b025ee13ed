"""References: what leads nowhere says so, with the object, the field, what was found and what to write; nothing else stops."""

import pytest
from msgspec import structs

from brownout.api.pool import LabelSelector, LabelSelectorRequirement
from brownout.api.reasons import Reason
from brownout.api.resources import Key
from brownout.api.tier import Match
from brownout.decide.evidence import Missing
from brownout.decide.links import Links, link, selects
from brownout.decide.outcome import Verdict
from brownout.decide.snapshot import Pool, StoredTier
from support.build import (
    FREE,
    PLUS,
    PRO,
    invalid,
    named,
    policy,
    pool,
    scaler,
    snapshot,
    tier,
)

VIDEO = {"full": {"video": 1.0}, "denied": {}}


def ready(links: Links, kind: str, name: str) -> Verdict:
    return links.ready[kind, Key("", name) if kind == "GPUPool" else named(name)]


def only_for(labels: dict[str, str]) -> Pool:
    there = pool()
    spec = structs.replace(there.stored.spec, namespace_selector=LabelSelector(match_labels=labels))
    return structs.replace(there, stored=structs.replace(there.stored, spec=spec))


def test_what_is_right_is_accepted_and_in_use() -> None:
    links = link(snapshot(pool(), scaler(), policy()))

    assert all(verdict.status for verdict in links.ready.values())
    assert [s.stored.key for s in links.scalers_of[Key("", "gpus")]] == [named("image")]
    assert [p.stored.key for p in links.policies_of[named("image")]] == [named("image")]


def test_a_pool_that_does_not_exist() -> None:
    links = link(snapshot(pool(name="a100"), scaler(pool_name="h100"), policy()))

    verdict = ready(links, "InferenceScaler", "image")
    assert (verdict.status, verdict.reason) == (False, Reason.NOT_FOUND)
    assert verdict.message == (
        "InferenceScaler media/image: spec.poolRef.name: no GPUPool 'h100'; write the name of one that exists (a100), or create it"
    )


def test_a_pool_that_does_not_admit_the_namespace() -> None:
    verdict = ready(link(snapshot(only_for({"team": "media"}), scaler())), "InferenceScaler", "image")

    assert verdict.reason is Reason.NOT_ADMITTED
    assert "label the namespace as its spec.namespaceSelector asks" in verdict.message


def test_a_pool_of_other_namespaces_is_there_and_does_not_admit_ours() -> None:
    others = structs.replace(snapshot(scaler(pool_name="h100")), elsewhere=frozenset({"h100"}))
    verdict = ready(link(others), "InferenceScaler", "image")

    assert verdict.reason is Reason.NOT_ADMITTED
    assert "GPUPool h100 does not admit the namespace media" in verdict.message


def test_a_workload_that_cannot_be_had_says_why() -> None:
    verdict = ready(
        link(snapshot(pool(), scaler(workload=Missing("no Deployment 'image'")))), "InferenceScaler", "image"
    )

    assert (verdict.reason, verdict.message) == (Reason.NOT_FOUND, "no Deployment 'image'")


def test_two_scalers_of_one_workload_the_older_one_keeps_it() -> None:
    older, younger = scaler("image", created_at=1.0), scaler("again", created_at=2.0)
    spec = structs.replace(younger.stored.spec, scale_target_ref=older.stored.spec.scale_target_ref)
    younger = structs.replace(younger, stored=structs.replace(younger.stored, spec=spec))

    links = link(snapshot(pool(), younger, older))

    assert ready(links, "InferenceScaler", "image").status
    assert ready(links, "InferenceScaler", "again").reason is Reason.CONFLICT
    assert "InferenceScaler image scales Deployment image already" in ready(links, "InferenceScaler", "again").message


def test_a_workload_that_cannot_be_read_is_still_claimed_by_its_older_scaler() -> None:
    older, younger = scaler("image", created_at=1.0, workload=Missing("later")), scaler("again", created_at=2.0)
    spec = structs.replace(younger.stored.spec, scale_target_ref=older.stored.spec.scale_target_ref)
    younger = structs.replace(younger, stored=structs.replace(younger.stored, spec=spec))

    assert ready(link(snapshot(pool(), younger, older)), "InferenceScaler", "again").reason is Reason.CONFLICT


def test_a_missing_tier_costs_that_tier_alone() -> None:
    links = link(snapshot(pool(), scaler(), policy(tiers={"pro": "Always", "gold": "Auto"})))

    verdict = ready(links, "FeaturePolicy", "image")
    assert verdict.message == (
        "FeaturePolicy media/image: spec.tiers[1].tierRef.name: no UserTier 'gold' in media; "
        "write one that exists (free, plus, pro), or create it"
    )
    assert len(links.usable_policies) == 1


def test_a_missing_scaler_costs_that_cost_alone() -> None:
    links = link(snapshot(pool(), scaler("image"), policy(variants={"full": {"image": 1.0, "xl": 9.0}, "denied": {}})))

    verdict = ready(links, "FeaturePolicy", "image")
    assert (
        "spec.variants[0].costs[1].scaler: no InferenceScaler 'xl' in media; write one that exists (image)"
        in verdict.message
    )
    assert [p.stored.key for p in links.policies_of[named("image")]] == [named("image")]


def test_a_scaler_that_is_not_ready_is_named_with_where_to_look() -> None:
    links = link(snapshot(pool(), scaler("video", pool_name="nowhere"), policy("video", variants=VIDEO)))

    verdict = ready(links, "FeaturePolicy", "video")
    assert "InferenceScaler video is not ready; its own Ready condition says why" in verdict.message


def test_where_nothing_exists_the_words_say_none() -> None:
    links = link(snapshot(scaler(), policy(), tiers=()))

    assert "(none)" in ready(links, "InferenceScaler", "image").message
    assert "(none)" in ready(links, "FeaturePolicy", "image").message


def test_two_policies_of_one_flag_the_older_one_keeps_it() -> None:
    links = link(
        snapshot(pool(), scaler(), policy("new", flag_key="image", created_at=2.0), policy("image", created_at=1.0))
    )

    assert ready(links, "FeaturePolicy", "image").status
    assert ready(links, "FeaturePolicy", "new").reason is Reason.CONFLICT
    assert [p.stored.key.name for p in links.usable_policies] == ["image"]


def test_a_policy_counts_once_for_a_scaler_that_many_of_its_variants_name() -> None:
    links = link(snapshot(pool(), scaler(), policy()))

    assert len(links.policies_of[named("image")]) == 1


def test_tiers_are_tried_by_descending_priority_and_then_by_name() -> None:
    same = tier("basic", 10)
    links = link(snapshot(tiers=(same, PLUS, FREE, PRO)))

    assert [t.key.name for t in links.tiers_of["media"]] == ["pro", "plus", "basic", "free"]


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ("pro", "pro", "matches the same users"),
        (None, None, "has no match either"),
    ],
)
def test_a_tier_whose_users_an_earlier_one_takes_all_of_says_so(
    first: str | None, second: str | None, words: str
) -> None:
    def matching(name: str, priority: int, plan: str | None) -> StoredTier:
        made = tier(name, priority, matches=plan)
        return made if plan else structs.replace(made, spec=structs.replace(made.spec, match=()))

    links = link(snapshot(tiers=(matching("upper", 90, first), matching("lower", 10, second))))

    assert ready(links, "UserTier", "upper").status
    verdict = ready(links, "UserTier", "lower")
    assert verdict.reason is Reason.CONFLICT
    assert words in verdict.message
    assert "write a match that upper does not have" in verdict.message


def test_a_narrower_match_after_a_wider_one_reaches_nobody() -> None:
    wide = tier("paying", 90)
    both = (Match(key="plan", operator="In", values=("pro", "plus")),)
    wide = structs.replace(wide, spec=structs.replace(wide.spec, match=both))

    links = link(snapshot(tiers=(wide, tier("plus", 10))))

    assert ready(links, "UserTier", "plus").reason is Reason.CONFLICT
    assert ready(link(snapshot(tiers=(wide, tier("free", 10)))), "UserTier", "free").status


def test_an_earlier_tier_of_several_tests_takes_not_all_of_a_later_one() -> None:
    narrow = tier("staff", 90)
    tests = (Match(key="plan", operator="In", values=("pro",)), Match(key="staff", operator="Exists"))
    narrow = structs.replace(narrow, spec=structs.replace(narrow.spec, match=tests))

    assert ready(link(snapshot(tiers=(narrow, tier("pro", 10)))), "UserTier", "pro").status


def test_an_object_that_cannot_be_read_is_its_own_condition() -> None:
    links = link(
        snapshot(
            pool(), scaler(), policy(), unreadable=[invalid("FeaturePolicy", "broken"), invalid("InferenceScaler", "x")]
        )
    )

    assert ready(links, "FeaturePolicy", "broken").reason is Reason.INVALID
    assert ready(links, "FeaturePolicy", "image").status


@pytest.mark.parametrize(
    ("operator", "values", "labels", "holds"),
    [
        ("In", ("a", "b"), {"k": "a"}, True),
        ("In", ("a", "b"), {"k": "c"}, False),
        ("In", ("a",), {}, False),
        ("NotIn", ("a",), {"k": "c"}, True),
        ("NotIn", ("a",), {}, True),
        ("NotIn", ("a",), {"k": "a"}, False),
        ("Exists", (), {"k": ""}, True),
        ("Exists", (), {}, False),
        ("DoesNotExist", (), {}, True),
        ("DoesNotExist", (), {"k": ""}, False),
        ("Resembles", ("a",), {"k": "a"}, False),
    ],
)
def test_selectors_select_as_kubernetes_does(
    operator: str, values: tuple[str, ...], labels: dict[str, str], holds: bool
) -> None:
    needs = (LabelSelectorRequirement(key="k", operator=operator, values=values),)

    assert selects(LabelSelector(match_expressions=needs), labels) is holds


def test_an_empty_selector_selects_everything() -> None:
    assert selects(LabelSelector(), {})
    assert selects(LabelSelector(match_labels={"a": "1"}), {"a": "1", "b": "2"})
    assert not selects(LabelSelector(match_labels={"a": "1"}), {"a": "2"})
