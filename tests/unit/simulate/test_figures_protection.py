"""Time to protect, minutes of paid breach, and whether priorities were kept meanwhile."""

import pytest

from brownout.simulate.protection import paid_breach_minutes, priority_inversion_minutes, seconds_to_protect
from brownout.simulate.record import Record
from brownout.simulate.scenario import Episode, Simulated
from support.build import cell
from support.record_builder import FREE, PRO, during, record, scenario

SPAN = Episode(start=300.0, end=900.0)
TICKS = 300  # 1500 s
SCENARIO = scenario(seconds=1500.0)
ON_VIDEO = {"full": {"video": 1.0}, "denied": {}}


def failing(*spans: tuple[int, int], asked: float = 20.0, **more: object) -> Record:
    """A run in which no paying request is served between these ticks."""
    served = during(TICKS, *((first, last, 0.0) for first, last in spans), otherwise=asked)
    return record(ticks=TICKS, asked=asked, good={0: served}, **more)  # type: ignore[arg-type]


def protect(run: Record, *, onset: float = 300.0) -> float:
    (found,) = seconds_to_protect(run, SCENARIO, [Episode(start=onset, end=onset + 600)])
    return found


def test_payers_who_are_always_served_are_safe_at_once() -> None:
    assert protect(failing()) == 0.0


def test_payers_are_safe_after_the_last_bucket_that_failed() -> None:
    assert protect(failing((60, 64))) == 20.0


def test_a_relapse_within_ten_minutes_counts_and_later_ones_do_not() -> None:
    assert protect(failing((60, 64), (100, 102))) == 210.0
    assert protect(failing((60, 64), (182, 184))) == 20.0


def test_a_breach_before_the_onset_is_not_of_this_episode() -> None:
    assert protect(failing((50, 60))) == 0.0


def test_a_breach_that_never_ends_takes_ten_minutes() -> None:
    assert protect(failing((60, TICKS))) == 600.0


def test_a_breach_that_the_run_does_not_see_the_end_of_takes_ten_minutes_too() -> None:
    assert protect(failing((280, TICKS)), onset=1400.0) == 600.0


def test_doing_nothing_in_an_overload_does_not_protect_anybody() -> None:
    late = record(ticks=TICKS, good=during(TICKS, (60, 180, 2.0), otherwise=10.0))
    assert protect(late) == 600.0


def test_refusing_payers_does_not_protect_them() -> None:
    refused = record(ticks=TICKS, good={0: 0.0}, variant={0: 2.0})
    assert protect(refused) == 600.0


def test_a_single_late_answer_among_few_is_judged_with_those_that_follow() -> None:
    served = during(TICKS, (60, 61, 0.0), otherwise=1.0)
    assert protect(record(ticks=TICKS, asked=1.0, good={0: served})) == 0.0


def test_each_episode_has_its_own_time() -> None:
    run = failing((60, 64), (200, 210))
    spans = [Episode(start=300.0, end=400.0), Episode(start=1000.0, end=1100.0)]
    assert seconds_to_protect(run, SCENARIO, spans) == (20.0, 50.0)


def test_without_paying_requests_nobody_has_to_be_protected() -> None:
    unpaid = record(FREE, ticks=TICKS, good=0.0)
    assert protect(unpaid) == 0.0
    assert paid_breach_minutes(unpaid, SCENARIO) == 0.0


def test_minutes_of_paid_breach_are_counted_over_the_whole_run() -> None:
    assert paid_breach_minutes(failing((0, 12), (120, 144)), SCENARIO) == pytest.approx(3.0)


def test_users_who_do_not_pay_are_no_paid_breach() -> None:
    assert paid_breach_minutes(record(ticks=TICKS, good={1: 0.0}), SCENARIO) == 0.0


def inversion(run: Record, **more: object) -> float:
    return priority_inversion_minutes(run, scenario(seconds=1500.0, **more), [SPAN])  # type: ignore[arg-type]


def test_a_paid_breach_while_free_users_have_everything_is_an_inversion_after_thirty_seconds() -> None:
    assert inversion(failing((60, 78))) == pytest.approx(1.0)


def test_a_breach_within_the_first_thirty_seconds_is_nobodys_fault() -> None:
    assert inversion(failing((60, 66))) == 0.0


def test_a_breach_before_any_episode_is_none() -> None:
    assert inversion(failing((10, 40))) == 0.0


def test_what_an_episode_leaves_behind_counts() -> None:
    assert inversion(failing((200, 212))) == pytest.approx(1.0)


def test_a_breach_with_every_lower_rung_taken_is_no_inversion() -> None:
    assert inversion(failing((60, 120), variant={1: 2.0})) == 0.0


def test_a_rung_that_is_taken_in_part_is_not_taken() -> None:
    assert inversion(failing((60, 78), variant={1: 1.0}, percent={1: 20.0})) == pytest.approx(1.0)


def test_a_breach_without_end_is_an_inversion_until_the_rungs_are_taken() -> None:
    shed = during(TICKS, (78, TICKS, 2.0))
    assert inversion(failing((60, 200), variant={1: shed})) == pytest.approx(1.0)


def test_a_cell_at_the_lowest_that_its_policy_allows_has_nothing_more_to_give() -> None:
    run = failing((60, 78), variant={1: 1.0})
    kept = cell("image", tier="free", lowest="lite").cell
    assert inversion(Record(**{**vars(run), "cells": (PRO.cell, kept)})) == 0.0


def test_a_cell_for_which_nobody_asks_has_nothing_to_give() -> None:
    served = during(TICKS, (60, 78, 0.0), otherwise=20.0)
    assert inversion(record(ticks=TICKS, asked={0: 20.0, 1: 0.0}, good={0: served})) == 0.0


def test_a_tier_that_comes_first_need_not_give_way() -> None:
    plus = cell("image", tier="plus")
    run = record(PRO, plus, ticks=TICKS, asked=20.0, good={1: 0.0})
    assert inversion(run, paying=("plus",)) == 0.0


def test_payers_of_a_lower_tier_are_an_inversion_for_those_of_a_higher_one() -> None:
    plus = cell("image", tier="plus")
    served = during(TICKS, (60, 78, 0.0), otherwise=20.0)
    run = record(PRO, plus, ticks=TICKS, asked=20.0, good={0: served})
    assert inversion(run, paying=("pro", "plus")) == pytest.approx(1.0)


def test_a_gpu_that_another_workload_holds_above_its_floor_is_an_inversion() -> None:
    video = cell("video", tier="pro", variants=ON_VIDEO, always=True)
    served = during(TICKS, (60, 78, 0.0), otherwise=20.0)
    two = {"workloads": {name: Simulated(objective_seconds=5.0) for name in ("image", "video")}}

    def run(*, image: float, video_holds: float) -> Record:
        return record(
            PRO,
            video,
            ticks=TICKS,
            asked=20.0,
            good={1: served},
            workloads=("image", "video"),
            held={0: image, 1: video_holds},
            floor=1.6,
        )

    assert inversion(run(image=2.0, video_holds=2.0), **two) == 0.0
    assert inversion(run(image=3.0, video_holds=2.0), **two) == pytest.approx(1.0)
    assert inversion(run(image=2.0, video_holds=5.0), **two) == 0.0


def test_without_paying_requests_there_is_no_inversion() -> None:
    assert inversion(record(FREE, ticks=TICKS, good=0.0)) == 0.0
