"""What evaluated flags mean."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from brownout_inference.verdict import Audience, verdict_of

NOW = 1_795_377_600.0  # 2026-11-22T20:00:00Z
UNKNOWN = Audience(tier="unknown", cohort="", priority=-1)
NEW_FREE = {"tier": "free", "cohort": "new-accounts", "priority": 10}


@dataclass
class Flag:
    value: Any
    variant: str | None = "full"
    error_code: Any = None
    flag_metadata: Mapping[str, Any] = field(default_factory=dict)


MISSING = Flag({}, variant=None, error_code="FLAG_NOT_FOUND")


def test_a_flag_says_whether_and_how_well() -> None:
    verdict = verdict_of(Flag({"enabled": True, "steps": 2}, variant="lite"), Flag(NEW_FREE), unknown=UNKNOWN, now=NOW)
    assert verdict.enabled
    assert (verdict.variant, verdict.value["steps"]) == ("lite", 2)
    assert verdict.audience == Audience(tier="free", cohort="new-accounts", priority=10)


def test_only_enabled_false_denies() -> None:
    assert not verdict_of(Flag({"enabled": False}), Flag(NEW_FREE), unknown=UNKNOWN, now=NOW).enabled
    assert verdict_of(Flag({"steps": 2}), Flag(NEW_FREE), unknown=UNKNOWN, now=NOW).enabled


@pytest.mark.parametrize("flag", [MISSING, Flag(True), Flag("full"), Flag(None)])
def test_a_flag_that_cannot_be_read_serves_the_best(flag: Flag) -> None:
    verdict = verdict_of(flag, Flag(NEW_FREE), unknown=UNKNOWN, now=NOW)
    assert verdict.enabled
    assert verdict.variant == "default"


@pytest.mark.parametrize("flag", [MISSING, Flag("free"), Flag({"tier": 3}), Flag({"tier": "free", "priority": "high"})])
def test_an_audience_that_cannot_be_read_is_the_unknown_one(flag: Flag) -> None:
    assert verdict_of(Flag({"enabled": True}), flag, unknown=UNKNOWN, now=NOW).audience == UNKNOWN


def test_notices_are_kept_by_locale_and_those_for_degraded_answers_are_not_denials() -> None:
    metadata = {"notice": "Paused.", "notice_pt_BR": "Pausado.", "notice_degraded": "Smaller.", "policy": "images"}
    verdict = verdict_of(Flag({"enabled": False}, flag_metadata=metadata), Flag(NEW_FREE), unknown=UNKNOWN, now=NOW)
    assert verdict.notices == {"": "Paused.", "pt-br": "Pausado."}


@pytest.mark.parametrize(("said", "meant"), [(45, 45.0), ("45", None), (True, None), (-1, None), (float("nan"), None)])
def test_a_time_to_wait_must_be_a_number_of_seconds(said: object, meant: float | None) -> None:
    flag = Flag({"enabled": False}, flag_metadata={"retryAfterSeconds": said})
    assert verdict_of(flag, Flag(NEW_FREE), unknown=UNKNOWN, now=NOW).retry_after_seconds == meant


@pytest.mark.parametrize(
    ("returns", "seconds"),
    [
        ("2026-11-22T20:01:30Z", 90.0),
        ("2026-11-22T20:00:01Z", 5.0),
        ("2026-11-22T19:00:00Z", 5.0),
        ("2026-11-23T20:00:00Z", 3600.0),
        ("2026-11-22T20:01:30", None),
        ("soon", None),
        (90, None),
    ],
)
def test_a_time_of_return_is_a_wait_within_bounds(returns: object, seconds: float | None) -> None:
    flag = Flag({"enabled": False}, flag_metadata={"expectedReturn_free.new-accounts": returns})
    who = Flag(NEW_FREE, variant="free.new-accounts")
    assert verdict_of(flag, who, unknown=UNKNOWN, now=NOW).retry_after_seconds == seconds


def test_the_return_of_another_audience_is_not_ones_own() -> None:
    flag = Flag({"enabled": False}, flag_metadata={"expectedReturn_free": "2026-11-22T20:01:30Z"})
    who = Flag(NEW_FREE, variant="free.new-accounts")
    assert verdict_of(flag, who, unknown=UNKNOWN, now=NOW).retry_after_seconds is None


def test_a_wait_in_seconds_comes_before_a_time_of_return() -> None:
    metadata = {"retryAfterSeconds": 17, "expectedReturn_free": "2026-11-22T20:01:30Z"}
    verdict = verdict_of(
        Flag({"enabled": False}, flag_metadata=metadata), Flag(NEW_FREE, variant="free"), unknown=UNKNOWN, now=NOW
    )
    assert verdict.retry_after_seconds == 17
