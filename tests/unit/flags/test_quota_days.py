"""Which day it is for a user, and when it ends."""

from datetime import UTC, datetime, timedelta
from zoneinfo import available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brownout.flags.quota.days import day_of, zone_of

ZONES = st.sampled_from(sorted(available_timezones()))
MOMENTS = st.integers(1_577_836_800, 2_051_222_400)  # 2020 to 2035


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_a_utc_day_ends_at_midnight() -> None:
    day = day_of(at("2026-11-27T22:30:00Z"))
    assert (day.date, day.resets_at) == ("2026-11-27", at("2026-11-28T00:00:00Z"))


def test_a_users_day_is_that_of_the_zone() -> None:
    day = day_of(at("2026-11-27T22:30:00Z"), "Asia/Tokyo")
    assert (day.date, day.resets_at) == ("2026-11-28", at("2026-11-29T00:00:00+09:00"))


@pytest.mark.parametrize(
    ("moment", "hours"), [("2026-03-29T12:00:00+02:00", 23), ("2026-10-25T12:00:00+01:00", 25)], ids=["short", "long"]
)
def test_a_day_on_which_the_clocks_change_is_shorter_or_longer(moment: str, hours: int) -> None:
    day = day_of(at(moment), "Europe/Paris")
    assert day.resets_at - day_of(day.resets_at - hours * 3600 - 1, "Europe/Paris").resets_at == hours * 3600


def test_a_midnight_that_the_clocks_skip_is_the_moment_at_which_they_do() -> None:
    day = day_of(at("2026-04-23T12:00:00Z"), "Africa/Cairo")  # 00:00 on the 24th is 01:00
    assert day.resets_at == at("2026-04-24T01:00:00+03:00")


@given(zone=ZONES, moment=MOMENTS)
def test_a_day_ends_exactly_where_the_next_one_begins(zone: str, moment: int) -> None:
    day = day_of(moment, zone)
    tomorrow = (datetime.fromisoformat(day.date) + timedelta(days=1)).date().isoformat()
    assert moment < day.resets_at <= moment + 26 * 3600
    assert day_of(day.resets_at - 1, zone).date == day.date
    assert day_of(day.resets_at, zone).date == tomorrow


@given(zone=ZONES, moment=MOMENTS)
def test_no_zone_is_more_than_a_day_from_utc(zone: str, moment: int) -> None:
    apart = datetime.fromisoformat(day_of(moment, zone).date) - datetime.fromisoformat(day_of(moment).date)
    assert abs(apart) <= timedelta(days=1)


def test_the_zone_is_read_from_the_context() -> None:
    assert zone_of({"zoneinfo": "Europe/Paris"}, "zoneinfo") == "Europe/Paris"
    assert zone_of({"profile": {"zone": "Asia/Tokyo"}}, "profile.zone") == "Asia/Tokyo"


def test_without_a_key_the_day_is_everybodys() -> None:
    assert zone_of({"zoneinfo": "Europe/Paris"}, None) == "UTC"


@pytest.mark.parametrize(
    "found", [None, "", 7, ["UTC"], {"a": 1}, "Mars/Olympus", "../../etc/passwd", "x" * 9999, "\0"]
)
def test_a_zone_that_does_not_exist_is_utc(found: object) -> None:
    assert zone_of({"zoneinfo": found}, "zoneinfo") == "UTC"
    assert datetime.fromtimestamp(day_of(0, zone_of({"zoneinfo": found}, "zoneinfo")).resets_at, UTC).hour == 0
