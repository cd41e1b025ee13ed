"""Reversals, restoring, and what users missed for nothing."""

import pytest

from brownout.simulate.levels import (
    direction_changes,
    direction_changes_after_restart,
    reversals,
    seconds_to_restore,
    unneeded_unavailable_minutes,
)
from brownout.simulate.record import Record
from brownout.simulate.scenario import Episode
from support.build import cell, cell_key
from support.record_builder import FREE, PRO, alone, during, record, scenario

FREE_IMAGE = cell_key("image", "free")
TICKS = 240  # 1200 s
SCENARIO = scenario(seconds=1200.0)


def shed(*spans: tuple[int, int], **more: object) -> Record:
    """Free users lose everything between these ticks."""
    variants = during(TICKS, *((first, last, 2.0) for first, last in spans))
    return record(ticks=TICKS, variant={1: variants}, **more)  # type: ignore[arg-type]


def test_shed_once_and_given_back_once_are_two_changes_and_as_often_as_the_oracle() -> None:
    run = shed((60, 120))
    assert direction_changes(run).sum() == 2
    assert reversals(run, {FREE_IMAGE: 1}) == 1.0


def test_steps_in_the_same_direction_are_one_change() -> None:
    variants = during(TICKS, (60, 70, 1.0), (70, 120, 2.0), (120, 130, 1.0))
    percents = during(TICKS, (55, 60, 40.0), (65, 70, 50.0), (120, 125, 50.0), otherwise=100.0)
    run = record(ticks=TICKS, variant={1: variants}, percent={1: percents})
    assert reversals(run, {FREE_IMAGE: 1}) == 1.0


def test_a_part_taken_and_given_back_is_a_reversal_too() -> None:
    percents = during(TICKS, (60, 65, 40.0), (65, 70, 60.0), (70, 80, 20.0), otherwise=100.0)
    assert direction_changes(record(ticks=TICKS, percent={1: percents})).sum() == 4


def test_flapping_within_an_episode_counts_against_the_oracles_single_shed() -> None:
    assert reversals(shed((60, 70), (80, 90), (100, 110)), {FREE_IMAGE: 1}) == 3.0
    assert reversals(shed((60, 70), (80, 90), (100, 110)), {FREE_IMAGE: 3}) == 1.0


def test_the_worst_cell_counts() -> None:
    run = record(ticks=TICKS, variant={0: during(TICKS, (5, 9, 2.0), (20, 25, 2.0)), 1: during(TICKS, (5, 9, 2.0))})
    assert reversals(run, {cell_key("image", "pro"): 1, FREE_IMAGE: 1}) == 2.0


def test_a_cell_that_the_oracle_leaves_alone_is_measured_against_one_episode() -> None:
    assert reversals(shed((60, 70), (80, 90)), {}) == 2.0


def test_a_cell_that_is_never_touched_has_no_reversals() -> None:
    assert reversals(record(ticks=TICKS), {FREE_IMAGE: 1}) == 0.0


def test_a_cell_that_its_policy_never_gives_does_not_change() -> None:
    never = cell("image", tier="free", never=True)
    assert not direction_changes(record(PRO, never, ticks=TICKS, variant={1: 2.0})).any()


def test_changes_of_direction_count_within_two_minutes_after_a_restart() -> None:
    # shed at 300 s, given back at 600 s
    assert direction_changes_after_restart(shed((60, 120), restarts=(590.0,))) == 1
    assert direction_changes_after_restart(shed((60, 120), restarts=(600.0,))) == 1
    assert direction_changes_after_restart(shed((60, 120), restarts=(470.0,))) == 0
    assert direction_changes_after_restart(shed((60, 120), restarts=(605.0,))) == 0


def test_a_restart_that_only_goes_on_shedding_causes_no_reversal() -> None:
    variants = during(TICKS, (60, 70, 1.0), (70, TICKS, 2.0))
    assert direction_changes_after_restart(record(ticks=TICKS, variant={1: variants}, restarts=(345.0,))) == 0


def test_a_run_without_restart_has_no_reversals_caused_by_one() -> None:
    assert direction_changes_after_restart(shed((60, 120))) == 0


def held_alone(*spans: tuple[int, int], **more: object) -> Record:
    """One free user alone loses everything between these ticks; the cell is whole all the time."""
    user = alone("ana", variant=during(TICKS, *((first, last, 2.0) for first, last in spans)))
    return record(ticks=TICKS, alone=(user,), **more)  # type: ignore[arg-type]


def test_a_user_who_is_held_back_alone_turns_round_like_a_cell() -> None:
    assert direction_changes(held_alone((60, 120))).sum() == 2
    assert reversals(held_alone((60, 120)), {}) == 1.0
    assert reversals(held_alone((60, 70), (80, 90)), {FREE_IMAGE: 1}) == 2.0
    assert reversals(held_alone((60, 70), (80, 90)), {FREE_IMAGE: 2}) == 1.0


def test_what_a_restart_does_to_a_user_alone_counts() -> None:
    assert direction_changes_after_restart(held_alone((60, 120), restarts=(590.0,))) == 1
    assert direction_changes_after_restart(held_alone((60, 120), restarts=(470.0,))) == 0


def restored(run: Record, *spans: tuple[float, float]) -> tuple[float, ...]:
    return seconds_to_restore(run, SCENARIO, [Episode(start=start, end=end) for start, end in spans])


def test_restoring_takes_from_the_end_of_demand_until_all_cells_are_whole() -> None:
    assert restored(shed((60, 150)), (300.0, 600.0)) == (150.0,)


def test_cells_that_are_whole_when_demand_ends_take_no_time() -> None:
    assert restored(shed((60, 100)), (300.0, 600.0)) == (0.0,)


def test_the_last_part_of_the_last_cell_counts() -> None:
    percents = during(TICKS, (120, 160, 95.0), otherwise=100.0)
    assert restored(record(ticks=TICKS, percent={1: percents}), (300.0, 600.0)) == (200.0,)


def test_cells_that_never_come_back_take_until_the_run_can_no_longer_be_judged() -> None:
    assert restored(shed((60, TICKS)), (300.0, 600.0)) == (595.0,)


def test_cells_that_are_still_gone_at_the_next_onset_took_until_then() -> None:
    assert restored(shed((60, 200)), (300.0, 600.0), (800.0, 900.0)) == (200.0, 100.0)


def test_who_never_shed_but_left_a_queue_behind_has_not_restored() -> None:
    late = record(ticks=TICKS, asked=20.0, good={1: during(TICKS, (60, 160, 0.0), otherwise=20.0)})
    assert restored(late, (300.0, 600.0)) == (200.0,)


def test_an_episode_that_outlasts_the_run_has_no_time_to_restore() -> None:
    assert restored(shed((60, 120)), (300.0, 1200.0)) == ()


def test_what_a_policy_never_gives_need_not_come_back() -> None:
    never = cell("image", tier="free", never=True)
    run = record(PRO, never, ticks=TICKS, variant={1: 2.0}, good={1: 0.0})
    assert restored(run, (300.0, 600.0)) == (0.0,)


def test_nothing_is_restored_while_a_user_is_held_back_alone() -> None:
    assert restored(held_alone((60, 150)), (300.0, 600.0)) == (150.0,)


IDEAL = record(ticks=TICKS)


def test_refusing_half_of_all_users_for_two_minutes_more_than_needed_is_one_minute() -> None:
    needless = record(ticks=TICKS, good={1: during(TICKS, (60, 84, 0.0), otherwise=10.0)})
    assert unneeded_unavailable_minutes(needless, IDEAL) == pytest.approx(1.0)


def test_letting_users_wait_for_too_long_is_as_unavailable_as_refusing_them() -> None:
    waiting = record(ticks=TICKS, good=during(TICKS, (60, 84, 0.0), otherwise=10.0))
    assert unneeded_unavailable_minutes(waiting, IDEAL) == pytest.approx(2.0)


def test_minutes_in_which_more_users_ask_weigh_more() -> None:
    asked = during(TICKS, (60, 72, 30.0), otherwise=10.0)
    run = record(FREE, ticks=TICKS, asked={0: asked}, good={0: during(TICKS, (60, 72, 0.0), otherwise=10.0)})
    ideal = record(FREE, ticks=TICKS, asked={0: asked})
    assert unneeded_unavailable_minutes(run, ideal) == pytest.approx(20 * 360 / 2640)


def test_what_the_ideal_could_not_serve_either_was_needed() -> None:
    both = record(ticks=TICKS, good={1: during(TICKS, (60, 84, 0.0), otherwise=10.0)})
    assert unneeded_unavailable_minutes(both, both) == 0.0


def test_serving_more_in_one_cell_does_not_make_good_what_another_lost() -> None:
    ideal = record(ticks=TICKS, good={1: 0.0})
    run = record(ticks=TICKS, good={0: 0.0})
    assert unneeded_unavailable_minutes(run, ideal) == pytest.approx(10.0)


def test_a_request_served_a_moment_later_within_the_minute_is_not_lost() -> None:
    ideal = record(ticks=TICKS, good={1: [10.0, 0.0] * 120})
    run = record(ticks=TICKS, good={1: [0.0, 10.0] * 120})
    assert unneeded_unavailable_minutes(run, ideal) == 0.0


def test_an_ideal_of_another_seed_is_refused_with_both_named() -> None:
    with pytest.raises(ValueError, match="seed 1: the ideal is of made-by-hand, seed 2"):
        unneeded_unavailable_minutes(record(), record(seed=2))


def test_a_run_of_odd_length_is_counted_to_its_end() -> None:
    ideal, run = record(ticks=15), record(ticks=15, good=0.0)
    assert unneeded_unavailable_minutes(run, ideal) == pytest.approx(1.25)
