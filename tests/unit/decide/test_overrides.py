"""Overrides: a person's word, above the loop, never for ever."""

import pytest
from msgspec import structs

from brownout.api.reasons import Reason
from brownout.decide.outcome import CellPlan, Plan
from brownout.decide.snapshot import StoredOverride
from support.build import NOW, cell, cell_of, named, override, policy, pool, remembered, scaler, snapshot, tick

WEEK = 7 * 86400.0


def overridden(*words: StoredOverride, now: float = NOW, who: str = "free") -> CellPlan:
    return cell_of(plan_with(*words, now=now), "image", who)


def plan_with(*words: StoredOverride, now: float = NOW) -> Plan:
    return tick(snapshot(pool(), scaler(replicas=4), policy(offered={"pro": 1.0}, at=now), *words), now=now)[0]


def test_an_override_stands_above_the_loop_and_says_whose_word_it_is() -> None:
    found = overridden(override("incident-4711", ends_at=NOW + 60))

    assert found.overridden_to == "denied"
    assert (found.reason, found.message, found.expected_return) == (
        Reason.OVERRIDE,
        "FeatureOverride incident-4711: a test",
        NOW + 60,
    )


def test_an_override_changes_what_is_served_and_nothing_that_is_remembered() -> None:
    shed = cell(tier="free").shed("lite", asked=99.0, ago=10)
    seen = snapshot(pool(), scaler(replicas=4), policy(offered={"pro": 1.0}), override(variant="full"))

    decided, memory = tick(seen, remembered(shed))

    assert memory.cells[shed.key].level == shed.level
    assert cell_of(decided, "image", "free").level == shed.level
    assert memory.served[shed.key].variant == 0
    assert decided.policies[named("image")].version == 2


def test_an_override_ends_at_its_expiry_and_after_seven_days_at_most() -> None:
    short, long = override(ends_at=NOW + 60), override(ends_at=NOW + 40 * 86400, created_at=NOW)

    assert overridden(short, now=NOW + 59).overridden_to == "denied"
    assert overridden(short, now=NOW + 60).overridden_to == ""
    assert overridden(long, now=NOW + WEEK - 1).overridden_to == "denied"
    assert overridden(long, now=NOW + WEEK).overridden_to == ""


def test_an_override_whose_end_cannot_be_read_never_began() -> None:
    unreadable = override(created_at=NOW - 60)
    unreadable = structs.replace(unreadable, spec=structs.replace(unreadable.spec, expire_time="tomorrow"))

    assert overridden(unreadable).overridden_to == ""


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-12:00"])
def test_an_end_for_which_utc_has_no_year_stops_nobodys_tick(time: str) -> None:
    odd = override()
    odd = structs.replace(odd, spec=structs.replace(odd.spec, expire_time=time))

    assert plan_with(odd).overrides[odd.key].state == ("Expired" if time < "1970" else "Active")


def test_the_newest_wins_where_they_overlap() -> None:
    older, newer = (
        override("a", variant="denied", created_at=NOW - 60),
        override("b", variant="lite", created_at=NOW - 30),
    )

    assert overridden(older, newer).overridden_to == "lite"
    assert plan_with(older, newer).overrides[named("a")].state == "Superseded"
    assert plan_with(older, newer).overrides[named("b")].state == "Active"


def test_when_the_newest_ends_the_older_one_stands_again() -> None:
    older, newer = (
        override("a", created_at=NOW - 60),
        override("b", variant="lite", created_at=NOW - 30, ends_at=NOW - 1),
    )

    assert overridden(older, newer).overridden_to == "denied"
    assert plan_with(older, newer).overrides[named("b")].state == "Expired"


@pytest.mark.parametrize(
    ("cells", "covered"),
    [
        ([], {"pro", "plus", "free/new-accounts", "free"}),
        (["free"], {"free/new-accounts", "free"}),
        (["free/new-accounts"], {"free/new-accounts"}),
        (["free/"], {"free"}),
        (["plus", "free/new-accounts"], {"plus", "free/new-accounts"}),
    ],
)
def test_an_override_covers_the_cells_that_it_names(cells: list[str], covered: set[str]) -> None:
    decided = plan_with(override(cells=cells))

    assert {str(c.key.audience) for c in decided.policies[named("image")].cells if c.overridden_to} == covered
    assert decided.overrides[named("incident")].cells == len(covered)


def test_a_tier_without_a_part_in_the_feature_cannot_be_given_one() -> None:
    seen = snapshot(
        pool(), scaler(), policy(tiers={"pro": "Always", "free": "Never"}), override(variant="full", cells=["free"])
    )

    decided, _ = tick(seen)

    assert cell_of(decided, "image", "free").overridden_to == ""
    assert cell_of(decided, "image", "free").reason is Reason.PLAN
    assert decided.overrides[named("incident")].state == "Invalid"


def test_an_override_of_another_policy_is_none_of_this_ones() -> None:
    assert overridden(override(of="video")).overridden_to == ""


@pytest.mark.parametrize(
    ("word", "message"),
    [
        (override(of="video"), "spec.policyRef.name: no FeaturePolicy 'video' in media; write one that exists (image)"),
        (
            override(variant="off"),
            "spec.variant: FeaturePolicy image has no variant 'off'; write one of full, lite, denied",
        ),
        (
            override(cells=["gold"]),
            "spec.cells: no cell of FeaturePolicy image matches; write a tier (and cohort) that it lists",
        ),
    ],
)
def test_an_override_that_leads_nowhere_says_what_to_write(word: StoredOverride, message: str) -> None:
    found = plan_with(word).overrides[named("incident")]

    assert found.state == "Invalid"
    assert found.verdicts[0].message == f"FeatureOverride media/incident: {message}"


def test_an_override_without_any_policy_says_that_there_is_none() -> None:
    decided, _ = tick(snapshot(pool(), scaler(), override()))

    assert "write one that exists (none)" in decided.overrides[named("incident")].verdicts[0].message


def test_an_override_that_comes_into_force_or_ends_is_an_event() -> None:
    new = override("incident-4711", variant="lite", ends_at=NOW + 60)
    known = structs.replace(new, status=structs.replace(new.status, state="Active"))

    def said(word: StoredOverride, now: float) -> list[tuple[Reason, str]]:
        return [(n.reason, n.message[:7]) for n in plan_with(word, now=now).notes if n.kind == "FeatureOverride"]

    assert said(new, NOW) == [(Reason.OVERRIDE, "Active:")]
    assert said(known, NOW + 1) == []
    assert said(known, NOW + 60) == [(Reason.EXPIRED, "Expired")]


def test_an_override_says_when_it_ends_and_that_seven_days_are_the_most() -> None:
    long = override("incident", ends_at=NOW + 40 * 86400, created_at=NOW)

    message = plan_with(long).overrides[long.key].verdicts[1].message

    assert message.endswith("seven days after its creation, before its expireTime")
