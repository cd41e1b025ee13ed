"""How many ask: smoothed where few are counted, and remembered where nobody is let in to ask."""

import pytest
from msgspec import structs

from brownout.decide.memory import CellMemory
from brownout.decide.rates import (
    RATE_WINDOW_SECONDS,
    asked_by_all,
    counted_seconds,
    follow,
    smoothed,
    smoothing_seconds,
    window_seconds,
)
from support.build import NOW, cell

WHOLE, DENIED = cell(tier="free").memory, cell(tier="free").shed(ago=0, asked=10.0).memory


def asked(
    memory: CellMemory,
    seen: float | None,
    *,
    later: float = 0.0,
    denies: bool = True,
    served: float = 0.0,
    admitted: float | None = None,
    remember: float = 3600.0,
) -> float | None:
    return asked_by_all(
        memory,
        seen,
        denies=denies,
        served=served,
        admitted=admitted,
        window=RATE_WINDOW_SECONDS,
        now=NOW + later,
        remember_seconds=remember,
    )


def followed(
    memory: CellMemory, seen: float | None, *, seconds: float, admitted: float | None = None, start: float = 0.0
) -> CellMemory:
    """The memory of a cell that asks for so much, tick after tick of 2 s, from `start` after NOW on."""
    for i in range(int(seconds / 2)):
        now = NOW + start + 2.0 * (i + 1)
        memory = follow(memory, seen, admitted, elapsed=2.0, window=RATE_WINDOW_SECONDS, now=now)
    return memory


# --- counts that are few


def test_where_enough_are_counted_the_window_is_believed() -> None:
    assert smoothing_seconds(1.0, 30.0) == 0.0
    assert smoothed(1.5, 1.0, elapsed=2.0, window=30.0) == 1.0


def test_where_few_are_counted_a_rate_is_smoothed_over_as_long_as_it_takes_to_count_thirty() -> None:
    assert window_seconds(0.1, 30.0) == pytest.approx(300.0)
    assert window_seconds(0.0001, 30.0) == window_seconds(0.0, 30.0) == 600.0
    assert 0.10 < smoothed(0.1, 0.2, elapsed=2.0, window=30.0) < 0.11


def test_no_more_is_counted_than_in_the_time_that_was_measured() -> None:
    assert counted_seconds(0.1, 30.0, 0.0) == 30.0
    assert counted_seconds(0.1, 30.0, 60.0) == 90.0
    assert counted_seconds(0.1, 30.0, 3600.0) == window_seconds(0.1, 30.0)
    assert counted_seconds(5.0, 30.0, 0.0) == counted_seconds(5.0, 30.0, 3600.0) == 30.0


def test_eight_requests_in_a_window_are_no_trend_and_thirty_are() -> None:
    """Four are usual in a window: eight are two standard deviations of eight away, thirty are five."""
    usual = 4 / 30

    assert smoothed(usual, 8 / 30, elapsed=2.0, window=30.0) < 1.1 * usual
    assert smoothed(usual, 1.0, elapsed=2.0, window=30.0) == 1.0


def test_a_first_request_after_none_is_no_surge() -> None:
    assert smoothed(0.0, 1 / 30, elapsed=2.0, window=30.0) < 0.001


def test_the_first_windows_of_a_new_counter_are_not_believed_for_minutes() -> None:
    """Four asks in a minute, from a window that was empty when it was first looked at: after a minute most of it is known."""
    memory = follow(WHOLE, 0.0, None, elapsed=0.0, window=RATE_WINDOW_SECONDS, now=NOW)
    for second in range(2, 62, 2):
        seen = 0.15 * min(1.0, second / RATE_WINDOW_SECONDS)
        memory = follow(memory, seen, None, elapsed=2.0, window=RATE_WINDOW_SECONDS, now=NOW + second)

    assert memory.rate is not None
    assert 0.12 < memory.rate < 0.15


def test_the_first_rate_that_is_seen_is_the_rate() -> None:
    assert smoothed(None, 0.1, elapsed=2.0, window=30.0) == 0.1


def test_how_fast_a_rate_follows_does_not_depend_on_how_often_the_loop_looks() -> None:
    often = seldom = 0.1
    for _ in range(20):
        often = smoothed(often, 0.2, elapsed=1.0, window=30.0)
    for _ in range(2):
        seldom = smoothed(seldom, 0.2, elapsed=10.0, window=30.0)

    assert often == pytest.approx(seldom, rel=0.01)


def test_the_mean_rate_is_that_of_a_minute() -> None:
    memory = followed(structs.replace(WHOLE, rate=10.0, mean_rate=10.0), 20.0, seconds=60)

    assert memory.rate == 20.0
    assert memory.mean_rate == pytest.approx(20 - 10 / 2.718, abs=0.1)


def test_what_cannot_be_seen_leaves_the_rate_as_it_is() -> None:
    known = structs.replace(WHOLE, rate=10.0, mean_rate=9.0)

    assert followed(known, None, seconds=60) == known


# --- users whom nobody lets in


def test_a_whole_cell_is_what_is_seen() -> None:
    assert asked(WHOLE, 3.0, denies=False) == 3.0
    assert asked(WHOLE, None, denies=False) is None


def test_what_a_denied_cell_asked_for_decays_over_remember_seconds() -> None:
    """A hidden button stops asking; that nobody asks is then no sign that nobody would."""
    assert asked(DENIED, 0.0) == 10.0
    assert asked(DENIED, 0.0, later=900) == pytest.approx(7.5)
    assert asked(DENIED, None, later=900) == pytest.approx(7.5)
    assert asked(DENIED, 0.0, later=9999) == 0.0


def test_users_who_try_again_and_again_count_for_half_as_many_more_at_most() -> None:
    assert asked(DENIED, 12.0) == 12.0
    assert asked(DENIED, 200.0) == 15.0


def test_who_is_let_through_does_not_try_again() -> None:
    """A tenth was denied for noise, and then the surge came: eighteen a second are served, and nobody of them is counted twice."""
    assert asked(DENIED, 20.0, later=20, served=0.9, admitted=18.0) == 18.0
    assert asked(DENIED, 20.0, later=20, served=0.1, admitted=2.0) == 15.0


def test_a_cell_that_degrades_and_denies_nobody_counts_by_what_is_seen_once_its_step_is_a_while_ago() -> None:
    lite = structs.replace(DENIED, visible_rate=None)

    assert asked(lite, 2.0, later=44, denies=False) == pytest.approx(10.0 * (1 - 44 / 3600))
    assert asked(lite, 200.0, later=44, denies=False) == 200.0
    assert asked(lite, 2.0, later=46, denies=False) == 2.0
    assert asked(lite, None, later=46, denies=False) == pytest.approx(10.0 * (1 - 46 / 3600))


def test_what_all_would_ask_for_moves_as_those_who_still_ask_do() -> None:
    """Half were denied, and five a second went on asking: once they are ten, all of them would be twenty."""
    base = followed(DENIED, 5.0, seconds=120, admitted=5.0)
    more = structs.replace(base, admitted_rate=10.0)

    assert base.visible_rate == pytest.approx(5.0)
    assert asked(base, 5.0, later=120, served=0.5) == pytest.approx(10.0)
    assert asked(more, 10.0, later=122, served=0.5) == pytest.approx(20.0)
    assert asked(base, 1.0, later=122, served=0.5) == pytest.approx(2.0)


def test_while_somebody_is_served_nothing_fades_of_what_those_who_ask_tell_of_the_others() -> None:
    """A surge that goes on for an hour is not forgotten while it can be seen."""
    base = followed(DENIED, 5.0, seconds=120, admitted=5.0)

    assert asked(base, 5.0, later=3000, served=0.5) == pytest.approx(10.0)


def test_a_surge_that_ended_right_after_the_step_is_not_remembered_for_ever() -> None:
    """All were denied, and it is calm before anybody knows how many go on asking: nobody can tell that from a hidden button."""
    base = followed(DENIED, 0.5, seconds=120)

    assert base.visible_rate == pytest.approx(0.5)
    assert asked(base, 0.5, later=120) == pytest.approx(10.0, rel=0.04)
    assert asked(base, 0.5, later=1800) == pytest.approx(5.0)
    assert asked(base, 0.5, later=3600) == 0.5
    assert asked(base, 0.5, later=99999) == 0.5


def test_those_of_a_denied_cell_who_go_on_asking_are_never_forgotten() -> None:
    """What is seen counts after whatever time, though what was remembered has faded."""
    assert asked(DENIED, 4.0, later=1800) == pytest.approx(5.0)
    assert asked(DENIED, 4.0, later=9999) == 4.0


def test_who_still_asks_is_compared_with_the_minute_after_the_step_has_settled() -> None:
    """For 45 s the rate tells of users before the step; after another minute the base stays as it is."""
    assert followed(DENIED, 8.0, seconds=44).visible_rate is None
    early = followed(DENIED, 8.0, seconds=46)
    assert early.visible_rate == 8.0
    within = followed(early, 4.0, seconds=30, start=46)
    assert 4.0 < (within.visible_rate or 0.0) < 8.0
    base = followed(DENIED, 8.0, seconds=110)
    assert followed(base, 4.0, seconds=100, start=110).visible_rate == base.visible_rate


def test_too_few_who_still_ask_say_nothing_of_all() -> None:
    few = structs.replace(DENIED, visible_rate=0.01)

    assert asked(few, 0.05, later=900) == pytest.approx(7.5)


def test_a_cell_that_is_whole_again_forgets_who_still_asked() -> None:
    assert followed(structs.replace(WHOLE, visible_rate=5.0), 5.0, seconds=2).visible_rate is None


def test_what_was_let_through_counts_only_while_a_step_is_long_past() -> None:
    assert followed(DENIED, 8.0, seconds=44, admitted=3.0).admitted_rate is None
    assert followed(DENIED, 8.0, seconds=60, admitted=3.0).admitted_rate == 3.0
    assert followed(DENIED, 8.0, seconds=60).admitted_rate is None


def test_a_clock_that_runs_backwards_makes_nothing_younger_than_it_is() -> None:
    assert asked(DENIED, 0.0, later=-500) == 10.0


# --- what those who are served say of all


def test_a_surge_that_ended_while_it_was_answered_is_over_for_those_who_were_denied_too() -> None:
    """A tenth is served and asks for next to nothing: nobody waits an hour until what was remembered has faded."""
    memory = structs.replace(DENIED, visible_rate=0.05, admitted_rate=0.05)

    remembered = asked(memory, 0.05, later=60.0)
    assert remembered is not None
    assert remembered > 9.0
    told = asked(memory, 0.05, later=60.0, served=0.1)
    assert told is not None
    assert 0.5 < told < 1.0


def test_those_who_are_served_raise_nothing_and_few_of_them_prove_little() -> None:
    memory = structs.replace(DENIED, visible_rate=1.0, admitted_rate=1.0)

    assert asked(memory, 1.0, later=60.0, served=0.1) == pytest.approx(10.0, rel=0.02)
