"""What a user is served: the rules of the flags, each with a test that fails open without it."""

import json
import time
from itertools import pairwise
from typing import Any

import pytest
from msgspec import structs

from brownout.api.override import MAX_OVERRIDE_SECONDS, CellRef
from brownout.api.policy import CellStatus, Notice, Variant
from brownout.flags.cells import Override, Policy
from brownout.flags.evaluate import Evaluation, Evaluator
from brownout.flags.render import AUDIENCE, FlagSet, render
from flags.builders import (
    DENIED,
    FULL,
    LITE,
    NAMESPACE,
    TIERS,
    VARIANTS,
    always,
    auto,
    cell,
    never,
    on_plan,
    override,
    policy,
    tier,
)

NOW = 1_795_377_600.0  # 2026-11-22T20:00:00Z
OLD = 1_500_000_000

PRO_USER = {"plan": "pro", "targetingKey": "p"}
PLUS_USER = {"plan": "plus", "targetingKey": "p"}
FREE_USER = {"plan": "free", "targetingKey": "f", "accountCreatedAt": OLD}
NEW_USER = {"plan": "free", "targetingKey": "n"}


def flags(*policies: Policy, overrides: list[Override] | None = None, now: float = NOW - 3600) -> FlagSet:
    return render(NAMESPACE, policies=policies, tiers=TIERS, overrides=overrides or [], now=now)


def answer(flag_set: FlagSet, context: dict[str, Any], key: str = "image-generation") -> Evaluation:
    found = Evaluator(flag_set).evaluate(key, context)
    assert isinstance(found, Evaluation)
    return found


def served(flag_set: FlagSet, context: dict[str, Any], key: str = "image-generation") -> str:
    return answer(flag_set, context, key).variant


# Variants and denials


def test_a_value_is_served_verbatim() -> None:
    assert answer(flags(policy()), FREE_USER).value == FULL
    assert answer(flags(policy(cells=[cell("free", "lite")])), FREE_USER).value == LITE


def test_every_denial_has_the_value_of_the_last_variant() -> None:
    variants = json.loads(flags(policy()).document)["flags"]["image-generation"]["variants"]
    denials = {name for name in variants if name.startswith("denied")}
    assert denials == {"denied", "denied_capacity", "denied_plan", "denied_override", "denied_new_accounts"}
    assert all(variants[name] == DENIED for name in denials)


def test_a_denial_is_named_after_the_last_variant_whatever_that_is_called() -> None:
    paused = [Variant(name="on", value=FULL), Variant(name="paused", value=DENIED)]
    flag_set = flags(policy(variants=paused, cells=[cell("free", "paused")]))
    assert served(flag_set, FREE_USER) == "paused_capacity"


def test_no_flag_is_ever_disabled() -> None:
    flag_set = flags(policy(mode="Paused", cells=[cell("free", "denied")]), policy("b", mode="Advise"))
    assert {flag["state"] for flag in json.loads(flag_set.document)["flags"].values()} == {"ENABLED"}


def test_a_rule_that_comes_to_nothing_is_a_denial() -> None:
    flag = json.loads(flags(policy()).document)["flags"]["image-generation"]
    assert flag["variants"][flag["defaultVariant"]] == DENIED


# The plan


def test_a_tier_that_is_not_listed_is_denied_by_plan() -> None:
    assert served(flags(policy(tiers=[always("pro")])), FREE_USER) == "denied_plan"


def test_a_tier_that_is_never_is_denied_by_plan() -> None:
    assert served(flags(policy(tiers=[always("pro"), never("free")])), FREE_USER) == "denied_plan"


def test_without_any_tiers_everybody_is_denied_by_plan() -> None:
    flag_set = render(NAMESPACE, policies=[policy()], tiers=[], overrides=[], now=NOW)
    assert served(flag_set, PRO_USER) == "denied_plan"


def test_a_tier_that_is_always_keeps_the_first_variant_whatever_status_says() -> None:
    assert served(flags(policy(cells=[cell("pro", "denied")])), PRO_USER) == "full"


def test_a_tier_never_falls_below_its_lowest() -> None:
    assert served(flags(policy(cells=[cell("plus", "denied")])), PLUS_USER) == "lite"
    assert served(flags(policy(cells=[cell("plus", "lite", 0)])), PLUS_USER) == "lite"


# When it comes back


def test_each_audience_is_told_when_it_is_expected_back_as_status_has_it() -> None:
    soon, late = "2026-11-22T20:05:00Z", "2026-11-22T21:00:00Z"
    cells = [
        structs.replace(cell("free", "lite"), expected_return=soon),
        structs.replace(cell("free", "denied", cohort="new-accounts"), expected_return=late),
        cell("plus", "lite"),
    ]
    found = json.loads(flags(policy(cells=cells)).document)["flags"]["image-generation"]["metadata"]
    assert {key: value for key, value in found.items() if key.startswith("expectedReturn")} == {
        "expectedReturn_free": soon,
        "expectedReturn_free.new-accounts": late,
    }


def test_a_return_that_draws_near_is_no_other_set() -> None:
    shed = policy(cells=[structs.replace(cell("free", "denied"), expected_return="2026-11-22T20:05:00Z")])
    assert flags(shed, now=NOW).version == flags(shed, now=NOW + 200).version == flags(shed, now=NOW + 400).version


def test_the_audience_of_a_return_is_the_one_that_the_audience_flag_names() -> None:
    dotted = tier("free.eu", 5, on_plan("free-eu"))
    shed = policy(
        cells=[structs.replace(cell("free.eu", "denied"), expected_return="2026-11-22T20:05:00Z")],
        tiers=[auto("free.eu")],
    )
    flag_set = render(NAMESPACE, policies=[shed], tiers=[dotted], overrides=[], now=NOW)
    audience = served(flag_set, {"plan": "free-eu"}, AUDIENCE)
    assert f"expectedReturn_{audience}" in json.loads(flag_set.document)["flags"]["image-generation"]["metadata"]


# The cells of status


def test_a_cell_that_status_does_not_know_has_the_first_variant() -> None:
    assert served(flags(policy(cells=[cell("plus", "lite")])), FREE_USER) == "full"


def test_a_variant_that_the_spec_does_not_know_is_the_last() -> None:
    assert served(flags(policy(cells=[cell("free", "medium")])), FREE_USER) == "denied_capacity"
    assert served(flags(policy(cells=[cell("free", "medium", 50)])), FREE_USER) == "denied_capacity"


def test_a_new_name_for_the_best_variant_takes_it_from_nobody() -> None:
    """Status speaks of the old name until the operator has looked again, which may take as long as it is down."""
    named_before = CellStatus(tier="free", variant="best", reason="Served")
    assert served(flags(policy(cells=[named_before])), FREE_USER) == "full"


def test_the_remainder_is_denied_for_capacity_and_a_cohort_by_its_name() -> None:
    flag_set = flags(policy(cells=[cell("free", "denied"), cell("free", "denied", cohort="new-accounts")]))
    assert served(flag_set, FREE_USER) == "denied_capacity"
    assert served(flag_set, NEW_USER) == "denied_new_accounts"


def test_a_cohort_is_shed_without_the_rest_of_its_tier() -> None:
    flag_set = flags(policy(cells=[cell("free", "denied", cohort="new-accounts")]))
    assert served(flag_set, NEW_USER) == "denied_new_accounts"
    assert served(flag_set, FREE_USER) == "full"


def test_a_percentage_splits_a_cell_between_its_variant_and_the_next_lower_one() -> None:
    evaluator = Evaluator(flags(policy(cells=[cell("free", "lite", 30)])))
    found = [evaluator.evaluate("image-generation", {**FREE_USER, "targetingKey": f"u{n}"}) for n in range(1000)]
    variants = [each.variant for each in found if isinstance(each, Evaluation)]
    assert set(variants) == {"lite", "denied_capacity"}
    assert 250 <= variants.count("lite") <= 350


def test_a_split_denial_of_a_cohort_is_named_after_the_cohort() -> None:
    flag_set = flags(policy(cells=[cell("free", "lite", 0, cohort="new-accounts")]))
    assert served(flag_set, NEW_USER) == "denied_new_accounts"


@pytest.mark.parametrize("key", [{}, {"targetingKey": ""}])
def test_without_a_targeting_key_a_user_gets_the_lower_variant(key: dict[str, str]) -> None:
    context = {"plan": "free", "accountCreatedAt": OLD, **key}
    assert served(flags(policy(cells=[cell("free", "full", 99)])), context) == "lite"


@pytest.mark.parametrize(("percent", "variant"), [(250, "full"), (100, "full"), (0, "lite"), (-1, "lite")])
def test_a_percentage_at_or_beyond_an_end_splits_nobody(percent: int, variant: str) -> None:
    flag_set = flags(policy(cells=[cell("free", "full", percent)]))
    assert served(flag_set, FREE_USER) == variant
    assert "fractional" not in flag_set.document


def test_features_are_split_independently_of_each_other() -> None:
    a, b = policy("a", cells=[cell("free", "full", 50)]), policy("b", cells=[cell("free", "full", 50)])
    evaluator = Evaluator(flags(a, b))
    users = [{**FREE_USER, "targetingKey": f"u{n}"} for n in range(200)]
    both = [[each.variant for each in evaluator.evaluate_all(u) if isinstance(each, Evaluation)][:2] for u in users]
    assert any(first != second for first, second in both)


# Users who are held back alone

HEAVY_USER = {**FREE_USER, "targetingKey": "batch-job"}


def test_a_user_who_is_held_back_alone_gets_the_lower_variant_and_nobody_else_does() -> None:
    flag_set = flags(policy(cells=[cell("free", "full"), cell("free", "denied", user="batch-job")]))
    assert answer(flag_set, HEAVY_USER).value == DENIED
    assert served(flag_set, HEAVY_USER) == "denied_capacity"
    for other in ("batch-jo", "batch-job2", "Batch-Job", "", "batch-job "):
        assert served(flag_set, {**FREE_USER, "targetingKey": other}) == "full"
    assert served(flag_set, {"plan": "free", "accountCreatedAt": OLD}) == "full"


def test_a_user_of_a_cohort_is_denied_for_capacity_and_not_for_being_of_the_cohort() -> None:
    held = cell("free", "denied", cohort="new-accounts", user="n")
    assert served(flags(policy(cells=[held])), NEW_USER) == "denied_capacity"


def test_a_user_who_has_moved_to_another_tier_is_held_back_no_more() -> None:
    flag_set = flags(policy(cells=[cell("free", "denied", user="p")]))
    assert served(flag_set, PRO_USER) == "full"
    assert served(flag_set, PLUS_USER) == "full"


def test_a_user_is_never_held_back_beyond_what_the_tier_may_lose() -> None:
    flag_set = flags(policy(cells=[cell("plus", "denied", user="p"), cell("pro", "denied", user="p")]))
    assert served(flag_set, PLUS_USER) == "lite"
    assert served(flag_set, PRO_USER) == "full"
    assert served(flags(policy(tiers=[never("free")], cells=[cell("free", "lite", user="f")])), FREE_USER) == (
        "denied_plan"
    )


def test_nobody_has_more_than_the_cell_for_being_held_back() -> None:
    flag_set = flags(policy(cells=[cell("free", "denied"), cell("free", "lite", user="batch-job")]))
    assert served(flag_set, HEAVY_USER) == "denied_capacity"


def over_twenty_seconds(
    flag_set: FlagSet, context: dict[str, Any], monkeypatch: pytest.MonkeyPatch, start: int = 1_795_377_613
) -> list[str]:
    """What a user is served in each of 20 seconds in a row; the evaluator's clock has no other way in."""
    found = []
    for second in range(start, start + 20):
        with monkeypatch.context() as clock:
            clock.setattr(time, "time", lambda now=second: now + 0.25)
            found.append(served(flag_set, context))
    return found


@pytest.mark.parametrize("percent", [5, 25, 50, 85, 95])
def test_a_part_of_one_user_is_a_part_of_the_seconds_and_nobody_elses(
    percent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    flag_set = flags(policy(cells=[cell("free", "full"), cell("free", "lite", percent, user="batch-job")]))
    heavy = over_twenty_seconds(flag_set, HEAVY_USER, monkeypatch)
    assert (heavy.count("lite"), heavy.count("denied_capacity")) == (percent / 5, 20 - percent / 5)
    assert over_twenty_seconds(flag_set, FREE_USER, monkeypatch) == ["full"] * 20


def test_the_seconds_of_a_part_are_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    half = flags(policy(cells=[cell("free", "full", 50, user="batch-job")]))
    told = "".join("x" if one == "full" else "." for one in over_twenty_seconds(half, HEAVY_USER, monkeypatch))
    assert "xxx" not in told + told
    assert "..." not in told + told


def test_a_greater_part_only_ever_adds_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        over_twenty_seconds(
            flags(policy(cells=[cell("free", "full", percent, user="batch-job")])), HEAVY_USER, monkeypatch
        )
        for percent in range(5, 101, 5)
    ]
    for less, more in pairwise(rows):
        assert all(one == other or other == "full" for one, other in zip(less, more, strict=True))


def test_a_part_of_the_last_variant_that_the_tier_may_lose_is_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    flag_set = flags(policy(cells=[cell("plus", "lite", 40, user="p")]))
    assert over_twenty_seconds(flag_set, PLUS_USER, monkeypatch) == ["lite"] * 20


@pytest.mark.parametrize(("own", "cells", "alone"), [(40, 60, True), (60, 40, False), (50, 50, False)])
def test_a_part_of_a_user_counts_where_it_is_less_than_the_cells(
    own: int, cells: int, alone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = policy(cells=[cell("free", "full", cells), cell("free", "full", own, user="batch-job")])
    assert (len(set(over_twenty_seconds(flags(split), HEAVY_USER, monkeypatch))) == 2) == alone


def test_a_persons_word_stands_above_a_user_who_is_held_back() -> None:
    held = policy(cells=[cell("free", "denied", user="batch-job")])
    assert served(flags(held, overrides=[override(variant="full", created_at=NOW - 7200)]), HEAVY_USER) == "full"


def test_advise_holds_nobody_back() -> None:
    assert served(flags(policy(mode="Advise", cells=[cell("free", "denied", user="f")])), FREE_USER) == "full"


@pytest.mark.parametrize("name", ['"$ref":"x"', "{{user}}", "a\\b", "ä€😀", "var", "0", "true"])
def test_a_user_may_have_any_name(name: str) -> None:
    flag_set = flags(policy(cells=[cell("free", "denied", user=name)]))
    assert served(flag_set, {**FREE_USER, "targetingKey": name}) == "denied_capacity"
    assert served(flag_set, FREE_USER) == "full"


# Modes


def test_advise_serves_the_first_variant() -> None:
    assert served(flags(policy(mode="Advise", cells=[cell("free", "denied")])), FREE_USER) == "full"


def test_advise_gives_nobody_what_the_plan_denies() -> None:
    assert served(flags(policy(mode="Advise", tiers=[auto("free")])), PRO_USER) == "denied_plan"


def test_paused_serves_the_cells_as_they_are() -> None:
    assert served(flags(policy(mode="Paused", cells=[cell("free", "lite")])), FREE_USER) == "lite"


# Overrides


def test_an_override_stands_above_status() -> None:
    flag_set = flags(
        policy(cells=[cell("free", "denied")]), overrides=[override(variant="full", created_at=NOW - 7200)]
    )
    assert served(flag_set, FREE_USER) == "full"


def test_an_override_to_the_last_variant_says_that_it_is_one() -> None:
    flag_set = flags(policy(), overrides=[override(created_at=NOW - 7200)])
    assert served(flag_set, FREE_USER) == "denied_override"
    assert answer(flag_set, FREE_USER).value == DENIED


def test_an_override_to_a_variant_that_is_not_there_changes_nothing() -> None:
    flag_set = flags(policy(cells=[cell("free", "lite")]), overrides=[override(variant="ultra", created_at=NOW - 7200)])
    assert served(flag_set, FREE_USER) == "lite"


def test_an_override_reaches_a_tier_that_is_always() -> None:
    assert served(flags(policy(), overrides=[override(created_at=NOW - 7200)]), PRO_USER) == "denied_override"


def test_an_override_reaches_below_the_lowest() -> None:
    assert served(flags(policy(), overrides=[override(created_at=NOW - 7200)]), PLUS_USER) == "denied_override"


def test_an_override_does_not_give_a_tier_what_its_plan_denies() -> None:
    word = override(variant="full", cells=[CellRef(tier="free")], created_at=NOW - 7200)
    assert served(flags(policy(tiers=[always("pro")]), overrides=[word]), FREE_USER) == "denied_plan"


def test_an_override_works_in_advise() -> None:
    flag_set = flags(policy(mode="Advise"), overrides=[override(created_at=NOW - 7200)])
    assert served(flag_set, FREE_USER) == "denied_override"


def test_an_override_touches_only_its_cells() -> None:
    flag_set = flags(
        policy(), overrides=[override(cells=[CellRef(tier="free", cohort="new-accounts")], created_at=1 + NOW - 7200)]
    )
    assert served(flag_set, NEW_USER) == "denied_override"
    assert served(flag_set, FREE_USER) == "full"
    assert served(flag_set, PRO_USER) == "full"


def test_an_override_of_a_tier_without_a_cohort_is_for_all_of_it() -> None:
    flag_set = flags(policy(), overrides=[override(cells=[CellRef(tier="free")], created_at=NOW - 7200)])
    assert served(flag_set, NEW_USER) == served(flag_set, FREE_USER) == "denied_override"


def test_an_override_of_an_empty_cohort_is_for_the_rest_of_its_tier_alone() -> None:
    word = override(cells=[CellRef(tier="free", cohort="")], created_at=NOW - 7200)
    assert served(flags(policy(), overrides=[word]), FREE_USER) == "denied_override"
    assert served(flags(policy(), overrides=[word]), NEW_USER) == "full"


def test_an_override_touches_only_its_policy() -> None:
    flag_set = flags(policy(), policy("other"), overrides=[override(policy="other", created_at=NOW - 7200)])
    assert served(flag_set, FREE_USER) == "full"


def test_where_overrides_overlap_the_newest_wins() -> None:
    older = override("z", variant="denied", created_at=NOW - 7200)
    newer = override("a", variant="lite", created_at=NOW - 7000)
    assert served(flags(policy(), overrides=[newer, older]), FREE_USER) == "lite"


def test_where_the_newest_override_does_not_reach_an_older_one_does() -> None:
    older = override("older", variant="lite", created_at=NOW - 7200)
    newer = override("newer", cells=[CellRef(tier="pro")], created_at=NOW - 7000)
    assert served(flags(policy(), overrides=[newer, older]), FREE_USER) == "lite"


def test_an_override_ends_at_its_expire_time() -> None:
    word = override(expires="2026-11-22T20:00:00Z", created_at=NOW - 7200)
    assert served(flags(policy(), overrides=[word], now=NOW - 1), FREE_USER) == "denied_override"
    assert served(flags(policy(), overrides=[word], now=NOW), FREE_USER) == "full"


def test_an_override_ends_seven_days_after_its_creation_at_the_latest() -> None:
    word = override(expires="2099-01-01T00:00:00Z", created_at=NOW - MAX_OVERRIDE_SECONDS)
    assert served(flags(policy(), overrides=[word], now=NOW - 1), FREE_USER) == "denied_override"
    assert served(flags(policy(), overrides=[word], now=NOW), FREE_USER) == "full"


def test_an_expire_time_that_cannot_be_read_is_over() -> None:
    assert served(flags(policy(), overrides=[override(expires="soon", created_at=NOW - 7200)]), FREE_USER) == "full"


def test_a_set_says_when_it_changes_by_itself() -> None:
    first = override("a", expires="2026-11-22T20:00:00+00:00", created_at=NOW - 7200)
    second = override("b", expires="2026-11-22T21:00:00Z", created_at=NOW - 7200)
    assert flags(policy(), overrides=[second, first]).changes_at == NOW
    assert flags(policy(), overrides=[second, first], now=NOW).changes_at == NOW + 3600
    assert flags(policy(), overrides=[second, first], now=NOW + 3600).changes_at is None


# Keys and words


def test_of_two_policies_with_one_flag_key_the_older_keeps_it() -> None:
    older = policy("z-older", flag_key="image-generation", created_at=1.0)
    newer = policy("a-newer", flag_key="image-generation", created_at=2.0, tiers=[])
    assert served(flags(newer, older), FREE_USER) == "full"


def test_a_policy_cannot_claim_the_reserved_flag() -> None:
    assert answer(flags(policy(flag_key=AUDIENCE)), PRO_USER, AUDIENCE).value["tier"] == "pro"


def test_notices_ride_in_metadata_by_locale() -> None:
    notices = [
        Notice(locale="en", when="Denied", text="Paused."),
        Notice(locale="pt-BR", when="Denied", text="Em pausa."),
        Notice(locale="en", when="Degraded", text="Smaller images."),
    ]
    metadata = answer(flags(policy(notices=notices, version=7)), FREE_USER).metadata
    assert metadata["notice"] == metadata["notice_en"] == "Paused."
    assert metadata["notice_pt-BR"] == "Em pausa."
    assert metadata["notice_degraded"] == "Smaller images."
    assert metadata["policy"] == "image-generation"
    assert metadata["policyVersion"] == 7


def test_metadata_leads_to_the_tick_that_made_what_is_served_where_status_names_it() -> None:
    assert answer(flags(policy(decision="kxbqzv-7")), FREE_USER).metadata["decision"] == "kxbqzv-7"
    assert "decision" not in answer(flags(policy()), FREE_USER).metadata


def test_metadata_has_only_strings_numbers_and_booleans() -> None:
    content = json.loads(flags(policy(notices=[Notice(text="x")])).document)
    for metadata in (content["metadata"], *(flag["metadata"] for flag in content["flags"].values())):
        assert all(isinstance(value, str | int | float | bool) for value in metadata.values())


def test_every_answer_says_which_set_it_came_from() -> None:
    flag_set = flags(policy())
    metadata = answer(flag_set, FREE_USER).metadata
    assert (metadata["flagSetId"], metadata["version"]) == (NAMESPACE, flag_set.version)


# The set as a whole


def test_the_same_objects_in_another_order_make_the_same_bytes() -> None:
    policies = [policy("a", cells=[cell("free", "lite", 40)]), policy("b"), policy("c")]
    words = [override("x", policy="a", created_at=NOW - 10), override("y", policy="b", created_at=NOW - 9)]
    one = render(NAMESPACE, policies=policies, tiers=TIERS, overrides=words, now=NOW - 5)
    other = render(NAMESPACE, policies=policies[::-1], tiers=TIERS[::-1], overrides=words[::-1], now=NOW - 4)
    assert one.document == other.document
    assert one.version == other.version


def test_the_version_changes_with_what_is_served_and_only_then() -> None:
    calm, shed = flags(policy()), flags(policy(cells=[cell("free", "lite")]))
    restored = flags(policy(cells=[cell("free", "full")]))
    assert calm.version != shed.version
    assert calm.version == restored.version


def test_namespaces_have_versions_of_their_own() -> None:
    other = render("other", policies=[], tiers=[], overrides=[], now=NOW)
    assert other.version != render(NAMESPACE, policies=[], tiers=[], overrides=[], now=NOW).version


def test_an_empty_namespace_has_the_reserved_flag_and_no_other() -> None:
    flag_set = render(NAMESPACE, policies=[], tiers=[], overrides=[], now=NOW)
    assert list(json.loads(flag_set.document)["flags"]) == [AUDIENCE]


def test_a_policy_with_one_tier_and_no_cohorts_needs_no_targeting() -> None:
    only = tier("everybody", 1)
    flag_set = render(
        NAMESPACE,
        policies=[policy(tiers=[auto("everybody")], variants=VARIANTS)],
        tiers=[only],
        overrides=[],
        now=time.time(),
    )
    found = answer(flag_set, {})
    assert (found.variant, found.reason) == ("full", "STATIC")
