"""Goals: measured by code, met or not."""

from collections.abc import Mapping, Sequence

import pytest
from msgspec import structs

from brownout.simulate.beside import Beside, beside, shed_minutes_once_it_fits
from brownout.simulate.bounds import Bounds
from brownout.simulate.figures import Figures
from brownout.simulate.goals import Goal, Judged, judge
from brownout.simulate.results import Comparison, Provenance, summarise
from brownout.simulate.tournament import Results
from support.record_builder import FREE, PRO, alone, during, record, scenario

FIGURES = Figures(
    value=0.9,
    seconds_to_protect=(0.0,),
    paid_breach_minutes=0.0,
    unneeded_unavailable_minutes=0.0,
    reversals=1.0,
    priority_inversion_minutes=0.0,
    seconds_to_restore=(10.0,),
    wasted_gpu_hours=1.0,
    pods_created=3,
    changes_on_stale_data=0,
    direction_changes_after_restart=0,
    fairness={"free": 1.0},
    api_writes=5,
)
BESIDE = Beside(unavailable_minutes=2.0, turns=4, shed_minutes_once_it_fits=0.0)
MADE_OF = Provenance(scenario="", scenario_hash="0", machine="here", python="3")
HPA = structs.replace(FIGURES, value=0.5)


def compared(name: str, *, ours: Figures = FIGURES, hpa: Figures = HPA, programme: float = 0.92) -> Comparison:
    runs = {
        "ours": dict.fromkeys((1, 2), ours),
        "hpa": dict.fromkeys((1, 2), hpa),
        "o3": dict.fromkeys((1, 2), FIGURES),
    }
    made_of = structs.replace(MADE_OF, scenario=name)
    return summarise(
        runs, made_of, hpa="hpa", programme="o2", bounds={"o2": {1: programme, 2: programme}}, oracles=("o3",)
    )


def results(name: str, *, ours: Sequence[Figures] = (FIGURES,), besides: Mapping[str, Beside] | None = None) -> Results:
    named = {"ours": BESIDE, "o3": BESIDE, **(besides or {})}
    return Results(
        scenario=scenario(name=name),
        bounds=Bounds(values={}, sheds={}),
        figures={"ours": dict(enumerate(ours))},
        besides={who: {1: one} for who, one in named.items()},
        records={},
    )


def goal(figure: str, *comparisons: Comparison, **judged: object) -> Goal:
    """The goal whose figure begins so."""
    given = Judged(**{"comparisons": comparisons or (compared("S1-ramp"),), "results": (), **judged})
    return next(one for one in judge(given) if one.figure.startswith(figure))


def test_a_mean_score_is_over_the_scenarios_that_count_and_names_the_others() -> None:
    found = goal("score, mean", compared("S1-ramp"), compared("S4-flat", hpa=structs.replace(FIGURES, value=0.89)))
    assert found.met is True
    assert found.measured == "0.952 over 1; excluded: S4"
    assert goal("score, mean", compared("S1-ramp", programme=0.99)).met is False


def test_one_bad_scenario_is_named_whatever_the_mean() -> None:
    bad = compared("S2-step", ours=structs.replace(FIGURES, value=0.7))
    found = goal("score, the least", compared("S1-ramp"), bad)
    assert (found.met, found.measured) == (False, "0.476 in S2")


def test_a_rank_behind_the_interval_of_the_first_is_not_met() -> None:
    assert goal("rank").met is True
    behind = compared("S2-step", hpa=structs.replace(FIGURES, value=0.95))
    found = goal("rank", compared("S1-ramp"), behind)
    assert (found.met, found.measured) == (False, "first in 1 of 2; behind in S2 (rank 2)")


@pytest.mark.parametrize(("hours", "met"), [(1.0, True), (1.1, False)])
def test_a_day_may_not_waste_more_than_an_hpa(hours: float, met: bool) -> None:
    day = compared("S6-daily", ours=structs.replace(FIGURES, wasted_gpu_hours=hours))
    assert goal("S6: wasted", day).met is met


@pytest.mark.parametrize(("minutes", "met"), [(1.0, True), (1.2, False)])
def test_a_day_may_lose_one_minute(minutes: float, met: bool) -> None:
    day = compared("S6-daily", ours=structs.replace(FIGURES, unneeded_unavailable_minutes=minutes))
    assert goal("S6: unneeded", day).met is met


def test_one_change_on_stale_data_in_one_seed_is_too_many() -> None:
    assert goal("S7", compared("S7-outage")).met is True
    assert goal("S7", compared("S7-outage", ours=structs.replace(FIGURES, changes_on_stale_data=1))).met is False


@pytest.mark.parametrize(("turns", "met"), [(4, True), (6, False)])
def test_restarts_are_judged_against_the_same_users_without_them(turns: int, met: bool) -> None:
    own = results("S8-restart", besides={"ours": structs.replace(BESIDE, turns=turns)})
    assert goal("S8", results=[own], unrestarted=results("S8-restart-without")).met is met


def test_protection_is_judged_on_the_tail_of_the_seeds_and_names_who_is_over() -> None:
    slow = structs.replace(FIGURES, seconds_to_protect=(0.0, 60.0))
    once_in_forty = results("S1-ramp", ours=[FIGURES] * 39 + [slow])
    often = results("S2-step", ours=[FIGURES] * 30 + [slow] * 10)
    found = goal("time to protect, p95 over seeds, tier", results=[once_in_forty, often])
    assert (found.met, found.measured) == (False, "1 of 2 within; S2 60 s")
    assert goal("time to protect, p95 over seeds, FIFO", fifo=[often]).met is True


def test_a_sawtooth_is_judged_by_its_worst_cell_and_by_what_is_lost_beside_the_ideal() -> None:
    saw = compared("S3-saw", ours=structs.replace(FIGURES, reversals=1.3))
    worse = results("S3-saw", besides={"ours": structs.replace(BESIDE, unavailable_minutes=3.2)})
    assert goal("S3: reversals", saw, results=[worse]).met is False
    found = goal("S3: unavailable", saw, results=[worse])
    assert (found.met, found.measured) == (False, "1.60")
    assert goal("S3: unavailable", saw, results=[results("S3-saw")]).met is True


def test_any_inversion_is_named() -> None:
    found = goal(
        "priority",
        compared("S1-ramp"),
        compared("S2-step", ours=structs.replace(FIGURES, priority_inversion_minutes=0.5)),
    )
    assert (found.met, found.measured) == (False, "none in 1 of 2; S2 0.50 min")


def test_plan_must_be_fast() -> None:
    assert goal("`plan()`", plan_milliseconds=149.0).met is True
    assert goal("`plan()`", plan_milliseconds=151.0).met is False


@pytest.mark.parametrize(
    "figure", ["S6: unneeded", "S6: wasted", "S13", "S7", "S8", "time to protect", "S3", "`plan()`"]
)
def test_what_was_not_run_is_not_judged(figure: str) -> None:
    found = goal(figure)
    assert (found.met, found.measured) == (None, "not measured")


def test_what_is_still_shed_five_minutes_after_everything_fits_is_counted() -> None:
    """120 ticks of 5 s: GPUs come at tick 30, so from tick 90 on nothing may be shed."""
    world = scenario(episodes=[(50.0, 600.0)])
    loads = {0: during(120, (10, 30, 9.0), otherwise=3.0)}
    back, stays = {1: during(120, (20, 80, 1.0))}, {1: during(120, (20, 102, 1.0))}
    assert shed_minutes_once_it_fits(record(PRO, FREE, latent=loads, variant=back), world) == 0.0
    assert shed_minutes_once_it_fits(record(PRO, FREE, latent=loads, variant=stays), world) == 1.0


def test_gpus_that_never_move_make_all_that_is_shed_count() -> None:
    world = scenario(episodes=[(50.0, 600.0)])
    run = record(PRO, FREE, latent={0: during(120, (10, 120, 9.0))}, variant={1: during(120, (20, 80, 1.0))})
    assert shed_minutes_once_it_fits(run, world) == 5.0


def test_a_user_who_is_still_held_back_alone_is_counted_like_a_cell() -> None:
    user = alone("ana", variant=during(120, (20, 110, 2.0)))
    run = record(PRO, FREE, latent={0: during(120, (10, 30, 9.0), otherwise=3.0)}, alone=(user,))
    assert shed_minutes_once_it_fits(run, scenario(episodes=[(50.0, 600.0)])) == pytest.approx(20 * 5 / 60)
    assert beside(run, scenario()).turns == 2


def test_unavailable_minutes_are_those_of_all_users() -> None:
    run = record(PRO, FREE, good={1: during(120, (0, 60, 0.0), otherwise=10.0)}, variant={1: during(120, (0, 60, 1.0))})
    found = beside(run, scenario())
    assert found.unavailable_minutes == pytest.approx(2.5)
    assert found.turns == 2
