"""Who somebody is: nothing unknown or malformed earns a better tier, or a place outside a cohort that is shed first."""

import time
from typing import Any

import pytest

from brownout.api.tier import Cohort, Match
from brownout.flags.audience import Tier
from brownout.flags.evaluate import Evaluation, Evaluator
from brownout.flags.render import AUDIENCE, render
from flags.builders import FREE, NAMESPACE, TIERS, WEEK, on_plan, tier, young

OLD = 1_500_000_000


def who(*tiers: Tier, **context: Any) -> str:
    """The variant of `brownout.audience` for a user."""
    flag_set = render(NAMESPACE, policies=[], tiers=tiers, overrides=[], now=time.time())
    found = Evaluator(flag_set).evaluate(AUDIENCE, context)
    assert isinstance(found, Evaluation)
    return found.variant


def test_the_audience_names_tier_cohort_and_priority() -> None:
    flag_set = render(NAMESPACE, policies=[], tiers=TIERS, overrides=[], now=0)
    found = Evaluator(flag_set).evaluate(AUDIENCE, {"plan": "free"})
    assert isinstance(found, Evaluation)
    assert found.value == {"tier": "free", "cohort": "new-accounts", "priority": 10}
    assert found.variant == "free.new-accounts"


def test_the_remainder_of_a_tier_has_no_cohort() -> None:
    assert who(*TIERS, plan="free", accountCreatedAt=OLD) == "free"


def test_tiers_are_tried_by_descending_priority() -> None:
    assert who(tier("low", 1, on_plan("x")), tier("high", 9, on_plan("x")), plan="x") == "high"


def test_tiers_of_one_priority_are_tried_by_name() -> None:
    assert who(tier("beta", 5, on_plan("x")), tier("alpha", 5, on_plan("x")), plan="x") == "alpha"


def test_a_tier_without_match_is_the_default_whatever_its_priority() -> None:
    everybody = tier("everybody", 50)
    assert who(everybody, tier("paid", 10, on_plan("paid")), plan="paid") == "paid"
    assert who(everybody, tier("paid", 10, on_plan("paid")), plan="?") == "everybody"


def test_without_a_default_the_unknown_user_gets_the_tier_of_lowest_priority() -> None:
    assert who(tier("pro", 100, on_plan("pro")), tier("basic", 10, on_plan("basic"))) == "basic"


def test_of_two_defaults_the_unknown_user_gets_the_least_protected() -> None:
    assert who(tier("a", 100), tier("b", 10)) == "b"


def test_without_tiers_the_user_is_nobody() -> None:
    assert who(plan="pro") == "nobody"


def test_all_matches_of_a_tier_must_hold() -> None:
    staff = tier("staff", 100, on_plan("pro"), Match(key="team", operator="Exists"))
    assert who(staff, tier("rest", 1), plan="pro") == "rest"
    assert who(staff, tier("rest", 1), plan="pro", team="a") == "staff"


def test_cohorts_are_tried_in_the_order_in_which_they_are_listed() -> None:
    both = [Cohort(name="one", match=(on_plan("x"),)), Cohort(name="two", match=(on_plan("x"),))]
    assert who(tier("t", 1, cohorts=both), plan="x") == "t.one"


@pytest.mark.parametrize("plan", [None, "", 0, 7, True, ["pro"], {"pro": "pro"}, "Pro", "pro "])
def test_in_holds_for_exactly_the_listed_text(plan: Any) -> None:
    assert who(tier("pro", 100, on_plan("pro")), tier("free", 1), plan=plan) == "free"


@pytest.mark.parametrize("plan", [None, "", 0, 7, True, ["free"], {"free": "free"}])
def test_not_in_does_not_hold_for_a_missing_or_malformed_attribute(plan: Any) -> None:
    paid = tier("paid", 100, Match(key="plan", operator="NotIn", values=("free",)))
    assert who(paid, tier("free", 1), plan=plan) == "free"
    assert who(paid, tier("free", 1)) == "free"


def test_not_in_holds_for_other_text() -> None:
    paid = tier("paid", 100, Match(key="plan", operator="NotIn", values=("free",)))
    assert who(paid, tier("free", 1), plan="pro") == "paid"
    assert who(paid, tier("free", 1), plan="free") == "free"


@pytest.mark.parametrize("value", [0, False, "x", [], {}])
def test_exists_holds_for_any_value_but_null_and_empty_text(value: Any) -> None:
    known = tier("known", 100, Match(key="team", operator="Exists"))
    assert who(known, tier("unknown", 1), team=value) == "known"


@pytest.mark.parametrize("context", [{}, {"team": None}, {"team": ""}])
def test_does_not_exist_holds_without_a_value(context: dict[str, Any]) -> None:
    anonymous = tier("anonymous", 100, Match(key="team", operator="DoesNotExist"))
    assert who(anonymous, tier("rest", 1), **context) == "anonymous"
    assert who(anonymous, tier("rest", 1), team="x") == "rest"


def test_an_account_leaves_the_young_cohort_when_it_is_old_enough() -> None:
    now = int(time.time())
    assert who(*TIERS, plan="free", accountCreatedAt=now - WEEK + 60) == "free.new-accounts"
    assert who(*TIERS, plan="free", accountCreatedAt=now - WEEK - 60) == "free"
    assert who(*TIERS, plan="free", accountCreatedAt=float(now - WEEK - 60)) == "free"


@pytest.mark.parametrize(
    "created",
    [
        None,
        "",
        "yesterday",
        "2020-01-01T00:00:00Z",
        str(OLD),
        "1_5",
        "inf",
        True,
        False,
        0,
        -5,
        [OLD],
        [],
        {"seconds": OLD},
        OLD * 1000,
        4_000_000_000,
        10**300,
    ],
)
def test_an_absent_malformed_or_future_date_counts_as_young(created: Any) -> None:
    assert who(*TIERS, plan="free", accountCreatedAt=created) == "free.new-accounts"


def test_an_absent_date_counts_as_young() -> None:
    assert who(*TIERS, plan="free") == "free.new-accounts"


@pytest.mark.parametrize("created", [None, "x", True, 0, [OLD], 4_000_000_000])
def test_nothing_but_a_date_in_the_past_is_old(created: Any) -> None:
    veterans = tier("veterans", 100, Match(key="accountCreatedAt", operator="OlderThan", seconds=WEEK))
    assert who(veterans, tier("rest", 1), accountCreatedAt=created) == "rest"
    assert who(veterans, tier("rest", 1), accountCreatedAt=OLD) == "veterans"


def test_a_dot_in_a_key_descends_into_an_object() -> None:
    team = tier("team", 100, Match(key="account.kind", operator="In", values=("team",)))
    assert who(team, tier("rest", 1), account={"kind": "team"}) == "team"
    assert who(team, tier("rest", 1), account="team") == "rest"


def test_a_client_cannot_set_the_clock() -> None:
    assert (
        who(FREE, accountCreatedAt=int(time.time()), **{"$flagd": {"timestamp": 9_999_999_999}}) == "free.new-accounts"
    )


def test_a_tier_with_dots_and_a_cohort_are_not_mistaken_for_each_other() -> None:
    dotted = tier("a.b", 1)
    with_cohort = tier("a", 9, on_plan("x"), cohorts=[Cohort(name="b", match=(young(),))])
    assert who(dotted, with_cohort, plan="x") == "a.b"
    assert who(dotted, with_cohort) == "a_b"


class Counted(dict[str, Any]):
    """A context that counts how often it is asked for an attribute."""

    asked = 0

    def get(self, key: str, default: Any = None) -> Any:
        self.asked += 1
        return super().get(key, default)


def test_however_many_values_tell_tiers_apart_one_look_at_the_attribute_finds_the_tier() -> None:
    tiers = [tier(f"t{n}", n, on_plan(*(f"{n}-{value}" for value in range(500)))) for n in range(1, 4)]
    evaluator = Evaluator(render(NAMESPACE, policies=[], tiers=[*tiers, tier("rest", 0)], overrides=[], now=0))
    user = Counted(plan="1-499")
    found = evaluator.evaluate(AUDIENCE, user)
    assert isinstance(found, Evaluation)
    assert (found.variant, user.asked) == ("t1", 1)
