"""When an override is over: one rule for whoever decides and whoever serves."""

import pytest

from brownout.api.override import MAX_OVERRIDE_SECONDS, FeatureOverrideSpec, ends_at
from brownout.api.schema import Ref

CREATED = 1_795_377_600.0  # 2026-11-22T20:00:00Z


def spec(expire_time: str) -> FeatureOverrideSpec:
    return FeatureOverrideSpec(
        policy_ref=Ref(name="image"), variant="denied", expire_time=expire_time, reason="incident"
    )


@pytest.mark.parametrize(
    ("expire_time", "seconds"),
    [
        ("2026-11-22T20:05:00Z", 300),
        ("2026-11-22T21:05:00+01:00", 300),
        ("2026-11-22T20:05:00", 300),
        ("2026-11-22T19:00:00Z", -3600),
        ("2027-11-22T20:00:00Z", MAX_OVERRIDE_SECONDS),
        ("9999-12-31T23:59:59-12:00", MAX_OVERRIDE_SECONDS),
        ("0001-01-01T00:00:00+01:00", -CREATED),
        ("soon", 0),
    ],
    ids=[
        "utc",
        "another_zone",
        "no_zone_is_utc",
        "over_before_it_began",
        "seven_days_at_most",
        "after_the_last_year",
        "before_the_first_year",
        "unreadable",
    ],
)
def test_an_override_ends_at_its_expire_time_within_seven_days_and_never_begins_without_one(
    expire_time: str, seconds: float
) -> None:
    assert ends_at(spec(expire_time), created_at=CREATED) == CREATED + seconds
