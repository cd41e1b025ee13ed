"""V and the figures that are counted."""

import numpy as np
import pytest

from brownout.simulate.figures import Figures, fairness, figures, score, value, wasted_gpu_hours
from brownout.simulate.scenario import Weights
from support.build import cell, cell_key
from support.record_builder import FREE, PRO, during, record, scenario


def test_everything_served_at_the_first_variant_is_worth_one() -> None:
    assert value(record(), scenario()) == 1.0


def test_v_weighs_tiers_features_and_quality() -> None:
    video = cell("video", tier="free")
    run = record(PRO, video, ticks=2, asked={0: 10.0, 1: 40.0}, good={0: 10.0, 1: 20.0}, variant={1: 1.0})
    weights = Weights(tiers={"pro": 8.0, "free": 1.0}, features={"video": 2.0}, qualities={})
    # asked: 2 x (10 x 8 + 40 x 2); served: 2 x (10 x 8 + 20 x 2 x 0.5)
    assert value(run, scenario(weights=weights)) == pytest.approx(200 / 320)


def test_refusing_everybody_is_worth_nothing() -> None:
    assert value(record(good=0.0), scenario()) == 0.0


def test_late_answers_are_worth_nothing() -> None:
    run = record(ticks=2, good=0.0, late=np.full((2, 2), 10.0))
    assert value(run, scenario()) == 0.0


def test_where_nobody_asks_nothing_is_withheld() -> None:
    assert value(record(asked=0.0), scenario()) == 1.0


def test_the_score_is_the_part_of_what_foresight_would_add_to_an_hpa() -> None:
    assert score(0.8, hpa=0.6, best=0.85) == pytest.approx(0.8)


def test_doing_what_an_hpa_does_scores_nothing_and_less_scores_below() -> None:
    assert score(0.6, hpa=0.6, best=0.85) == 0.0
    assert (score(0.5, hpa=0.6, best=0.85) or 0.0) < 0.0


def test_a_scenario_that_cannot_tell_controllers_apart_has_no_score() -> None:
    assert score(0.9, hpa=0.9, best=0.949) is None


def test_gpus_beyond_the_replicas_that_latent_flow_needs_are_wasted() -> None:
    # 3.2 GPUs of flow at 80 % need 4; 6 held for half an hour waste one GPU-hour
    assert wasted_gpu_hours(record(ticks=360, held=6.0, latent=3.2)) == pytest.approx(1.0)


def test_a_last_replica_is_never_wasted_and_holding_too_few_wastes_nothing() -> None:
    assert wasted_gpu_hours(record(held=1.0, latent=0.0)) == 0.0
    assert wasted_gpu_hours(record(held=1.0, latent=9.0)) == 0.0


def test_what_is_needed_comes_in_whole_replicas() -> None:
    # replicas of 4 GPUs: 4 GPUs of flow at 80 % need 5, which is two replicas
    run = record(ticks=720, held=8.0, latent=4.0, desired=np.full((720, 1), 2))
    assert wasted_gpu_hours(run) == 0.0


def by_user(*users: tuple[int, int, int], **more: object) -> dict[str, object]:
    """Users as (cell, asked, good)."""
    columns = np.array(users, dtype=np.int64).reshape(-1, 3).T
    return {"user_cell": columns[0], "user_asked": columns[1], "user_good": columns[2], **more}


def test_users_of_a_tier_who_are_served_alike_are_served_fairly() -> None:
    run = record(**by_user((1, 10, 5), (1, 2, 1), (0, 4, 4)))  # type: ignore[arg-type]
    assert fairness(run) == {"free": pytest.approx(1.0), "pro": pytest.approx(1.0)}


def test_one_of_four_users_served_has_a_quarter_of_fairness() -> None:
    run = record(**by_user((1, 4, 4), (1, 4, 0), (1, 4, 0), (1, 4, 0)))  # type: ignore[arg-type]
    assert fairness(run) == {"free": pytest.approx(0.25)}


def test_refusing_a_whole_tier_alike_is_not_fair() -> None:
    assert fairness(record(**by_user((1, 4, 0), (1, 4, 0)))) == {"free": 0.0}  # type: ignore[arg-type]


def test_users_who_did_not_ask_say_nothing_of_fairness() -> None:
    run = record(**by_user((1, 4, 4), (1, 0, 0), (0, 0, 0)))  # type: ignore[arg-type]
    assert fairness(run) == {"free": pytest.approx(1.0)}


def test_whoever_is_held_back_alone_is_one_user_however_much_they_ask_for() -> None:
    """Nine of ten users got all, and one nothing of ten thousand asks: as fair as if that one had asked once."""
    others = [(1, 4, 4)] * 9
    script, modest = (record(**by_user(*others, (1, asked, 0))) for asked in (10_000, 1))  # type: ignore[arg-type]
    assert fairness(script) == fairness(modest) == {"free": pytest.approx(0.9)}


def test_cohorts_of_a_tier_are_judged_together() -> None:
    run = record(cell("image", tier="free/new-accounts"), FREE, **by_user((0, 4, 0), (1, 4, 4)))  # type: ignore[arg-type]
    assert fairness(run) == {"free": pytest.approx(0.5)}


def test_all_figures_of_a_run_that_sheds_and_gives_back() -> None:
    shed = during(240, (60, 120, 2.0))
    served = during(240, (60, 120, 0.0), otherwise=10.0)
    writes = np.array(during(240, (60, 61, 1.0), (120, 121, 1.0)), dtype=np.int64)
    stale = np.array(during(240, (118, 122, 1.0)), dtype=np.bool_)
    run = record(
        ticks=240,
        variant={1: shed},
        good={1: served},
        writes=writes,
        stale=stale,
        pods_created=3,
        restarts=(590.0,),
        held=2.0,
        **by_user((0, 10, 10), (1, 8, 4)),  # type: ignore[arg-type]
    )
    found = figures(
        run,
        scenario(seconds=1200.0, episodes=[(300.0, 600.0)]),
        ideal=record(ticks=240),
        oracle_sheds={cell_key("image", "free"): 1},
    )
    assert found.value == pytest.approx(1 - 600 / ((2400 - 10) * 11))  # the last 10 s cannot be judged
    assert found.unneeded_unavailable_minutes == pytest.approx(20 * 600 / 4800)
    assert found == Figures(
        value=found.value,
        seconds_to_protect=(0.0,),
        paid_breach_minutes=0.0,
        unneeded_unavailable_minutes=found.unneeded_unavailable_minutes,
        reversals=1.0,
        priority_inversion_minutes=0.0,
        seconds_to_restore=(0.0,),
        wasted_gpu_hours=0.0,
        pods_created=3,
        changes_on_stale_data=1,
        direction_changes_after_restart=1,
        fairness={"free": 1.0, "pro": 1.0},
        api_writes=2,
    )


def test_what_it_cannot_be_measured_against_is_not_made_up() -> None:
    found = figures(record(), scenario(), ideal=None, oracle_sheds=None)
    assert found.unneeded_unavailable_minutes is None
    assert found.reversals is None


def test_a_run_without_episodes_has_nothing_to_protect_from_and_nothing_to_restore() -> None:
    found = figures(record(), scenario(), ideal=None, oracle_sheds=None)
    assert (found.seconds_to_protect, found.seconds_to_restore) == ((), ())


def test_a_run_in_which_nobody_asks_has_figures() -> None:
    quiet = record(asked=0.0)
    found = figures(quiet, scenario(episodes=[(100.0, 200.0)]), ideal=quiet, oracle_sheds={})
    assert found.seconds_to_protect == (0.0,)
    assert found.unneeded_unavailable_minutes == 0.0
    assert found.priority_inversion_minutes == 0.0
    assert found.fairness == {}
