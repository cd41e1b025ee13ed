"""When a cell is expected back, and how sure that is."""

from typing import Any

import msgspec
import pytest

from brownout.api.policy import CellStatus, Cost, Variant
from brownout.api.reasons import Reason
from brownout.api.scaler import InferenceScalerStatus, Learned
from brownout.flags.pages.expected import Return, expected
from flags.builders import cell, override, policy

NOON = 1_795_780_800.0  # 2026-11-27T12:00:00Z
AT_TEN_PAST = "2026-11-27T12:10:00Z"
TEN_PAST = NOON + 600

IMAGES = policy(
    variants=[
        Variant(name="full", costs=(Cost(scaler="image", gpu_seconds_per_request=1),)),
        Variant(name="denied"),
    ]
)


def waiting(refused_by: str = "", *, back: str = AT_TEN_PAST) -> CellStatus:
    return msgspec.structs.replace(cell("free", "denied"), expected_return=back, refused_by=refused_by)


def scaler(p50: int, p95: int, *, ready: str = AT_TEN_PAST) -> InferenceScalerStatus:
    learned = Learned(cold_start_p50_seconds=p50, cold_start_p95_seconds=p95)
    return InferenceScalerStatus(coming_ready_at=ready, learned=learned)


def ask(line: CellStatus | None, **known: Any) -> Return | None:
    return expected(IMAGES, line, word=known.pop("word", None), scalers=known, now=NOON)


@pytest.mark.parametrize("rule", [Reason.DWELL, Reason.STEP, Reason.REVERSALS])
def test_the_end_of_a_wait_is_the_soonest_and_no_more(rule: Reason) -> None:
    assert ask(waiting(rule)) == Return(at=TEN_PAST, certainty="NotBefore")


@pytest.mark.parametrize("rule", [Reason.STILL_SATURATED, Reason.DOES_NOT_FIT])
def test_replicas_that_are_loading_make_an_estimate(rule: Reason) -> None:
    assert ask(waiting(rule)) == Return(at=TEN_PAST, certainty="Estimated")


def test_learned_cold_starts_say_by_when_it_is_nearly_sure() -> None:
    found = ask(waiting(Reason.DOES_NOT_FIT), image=scaler(90, 150))
    assert found == Return(at=TEN_PAST, certainty="Estimated", latest=TEN_PAST + 60)


@pytest.mark.parametrize(
    "known",
    [
        {"image": scaler(0, 0)},
        {"image": scaler(90, 150, ready="2026-11-27T12:20:00Z")},
        {"image": scaler(90, 150, ready="")},
        {"video": scaler(90, 150)},
    ],
    ids=["nothing learned", "another time", "nothing is loading", "another workload"],
)
def test_what_was_not_learned_of_these_replicas_is_not_said(known: dict[str, InferenceScalerStatus]) -> None:
    assert ask(waiting(Reason.DOES_NOT_FIT), **known) == Return(at=TEN_PAST, certainty="Estimated")


@pytest.mark.parametrize("back", ["", "2026-11-27T11:59:00Z", "2026-11-27T12:00:00Z", "soon"])
def test_no_time_a_time_that_has_passed_or_one_that_cannot_be_read_is_none(back: str) -> None:
    assert ask(waiting(Reason.DWELL, back=back)) is None


def test_a_cell_without_a_line_has_no_expected_return() -> None:
    assert ask(None) is None


def test_an_override_ends_on_schedule_where_the_loop_took_nothing() -> None:
    word = override(expires=AT_TEN_PAST, created_at=NOON)
    assert ask(None, word=word) == Return(at=TEN_PAST, certainty="Scheduled")
    assert ask(cell("free", "full"), word=word) == Return(at=TEN_PAST, certainty="Scheduled")


def test_beneath_an_override_what_the_loop_took_makes_its_end_the_soonest() -> None:
    word = override(expires=AT_TEN_PAST, created_at=NOON)
    assert ask(cell("free", "full", 50), word=word) == Return(at=TEN_PAST, certainty="NotBefore")
