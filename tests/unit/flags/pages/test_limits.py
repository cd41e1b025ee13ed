"""What is limited for whom, as the flags serve it."""

from collections.abc import Iterable

import msgspec
import pytest

from brownout.api.override import FEATURE_OVERRIDE, CellRef
from brownout.api.policy import FEATURE_POLICY, CellStatus
from brownout.api.schema import Condition
from brownout.api.tier import USER_TIER
from brownout.flags.cells import Override, Policy
from brownout.flags.pages.limits import Feature, Limit, features
from flags.builders import TIERS, always, auto, cell, never, override, policy

NOON = 1_795_780_800.0  # 2026-11-27T12:00:00Z


def look(*policies: Policy, overrides: Iterable[Override] = ()) -> tuple[Feature, ...]:
    objects = {
        FEATURE_POLICY.plural: policies,
        USER_TIER.plural: TIERS,
        FEATURE_OVERRIDE.plural: tuple(overrides),
    }
    return features(objects, scalers={}, now=NOON)


def limits(*policies: Policy, overrides: Iterable[Override] = ()) -> dict[str, tuple[int, int]]:
    """Percent reduced and paused, by audience."""
    return {
        who(limit): (limit.reduced_percent, limit.paused_percent)
        for limit in look(*policies, overrides=overrides)[0].limits
    }


def who(limit: Limit) -> str:
    audience = limit.audience
    return f"{audience.tier}/{audience.cohort}" if audience.cohort else audience.tier


def test_where_everybody_has_everything_nothing_is_limited() -> None:
    assert limits(policy()) == {}


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        (cell("free", "full"), None),
        (cell("free", "full", 60), (40, 0)),
        (cell("free", "lite"), (100, 0)),
        (cell("free", "lite", 65), (65, 35)),
        (cell("free", "denied"), (0, 100)),
        (cell("free", "unknown"), (0, 100)),
    ],
    ids=lambda value: f"{value.variant} {value.percent}" if isinstance(value, CellStatus) else str(value),
)
def test_a_share_of_a_cell_is_told_in_parts(line: CellStatus, parts: tuple[int, int] | None) -> None:
    assert limits(policy(cells=[line])) == ({} if parts is None else {"free": parts})


def test_a_cohort_and_the_rest_of_its_tier_are_told_apart() -> None:
    found = look(policy(cells=[cell("free", "denied", cohort="new-accounts"), cell("free", "lite")]))[0].limits
    assert [(who(limit), limit.audience.rest) for limit in found] == [("free/new-accounts", False), ("free", True)]


def test_what_a_plan_never_gave_is_not_limited() -> None:
    assert limits(policy(tiers=[always("pro"), never("free")])) == {}


def test_a_tier_is_never_shown_below_its_lowest() -> None:
    assert limits(policy(tiers=[auto("plus", lowest="lite")], cells=[cell("plus", "denied")])) == {"plus": (100, 0)}


def test_a_user_who_is_held_back_alone_is_not_on_the_page() -> None:
    assert limits(policy(cells=[cell("free", "full"), cell("free", "denied", user="somebody")])) == {}


def test_in_mode_advise_nothing_is_limited() -> None:
    assert limits(policy(mode="Advise", cells=[cell("free", "denied")])) == {}


def test_an_override_is_somebodys_word_since_it_was_created() -> None:
    word = override(
        cells=[CellRef(tier="free", cohort="new-accounts")], created_at=NOON - 60, expires="2026-11-27T13:00:00Z"
    )
    (limit,) = look(policy(), overrides=[word])[0].limits
    assert (who(limit), limit.cause, limit.since) == ("free/new-accounts", "Override", NOON - 60)
    assert limit.back is not None
    assert limit.back.at == NOON + 3600


def test_an_override_that_is_over_limits_nobody() -> None:
    assert limits(policy(), overrides=[override(created_at=NOON - 60, expires="2026-11-27T11:59:30Z")]) == {}


def test_a_feature_is_limited_since_anybody_lacked_anything() -> None:
    line = msgspec.structs.replace(cell("free", "denied"), since="2026-11-27T11:50:00Z")
    taken = policy(cells=[line])
    shedding = Condition(type="Shedding", status="True", reason="Capacity", last_transition_time="2026-11-27T11:40:00Z")
    status = msgspec.structs.replace(taken.status, conditions=(shedding,))
    feature = look(msgspec.structs.replace(taken, status=status))[0]
    assert feature.since == NOON - 1200
    assert feature.limits[0].since == NOON - 600


def test_limited_features_come_first_and_of_two_policies_with_one_key_the_older() -> None:
    found = look(
        policy("chat"),
        policy("video", cells=[cell("free", "denied")]),
        policy("newer", flag_key="video", created_at=1.0),
    )
    assert [(feature.key, bool(feature.limits)) for feature in found] == [("video", True), ("chat", False)]


def test_only_what_the_loop_took_comes_back_by_itself() -> None:
    word = override(created_at=NOON - 60, expires="2026-11-27T13:00:00Z")
    assert look(policy(cells=[cell("free", "denied")]))[0].by_itself
    assert not look(policy(mode="Paused", cells=[cell("free", "denied")]))[0].by_itself
    assert not look(policy(), overrides=[word])[0].by_itself
