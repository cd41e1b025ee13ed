"""People with switches, static quotas, and the event's own story."""

import pytest

from brownout.decide.outcome import CellKey, Level
from brownout.simulate.controller import Observation
from brownout.simulate.controllers.event import Event
from brownout.simulate.controllers.event import Parameters as Story
from brownout.simulate.controllers.people import DAY, Parameters, People, switches
from brownout.simulate.controllers.quotas import Parameters as Limit
from brownout.simulate.controllers.quotas import Quotas
from support.build import cell_key
from support.simulate_builders import observed, setting, unseen, workload

VIDEO = {cell_key("video", "free/new-accounts"), cell_key("video", "free")}
IMAGE = {cell_key("image", "free/new-accounts"), cell_key("image", "free")}


def slow(at: float) -> Observation:
    return observed(workload("image", queue_seconds=30.0), at=at)


def calm(at: float) -> Observation:
    return observed(workload("image", queue_seconds=0.0), at=at)


def people(delay: float = 900.0, give_back: float = DAY) -> People:
    return People(setting(), Parameters(delay_seconds=delay, give_back_seconds=give_back))


def lost(team: People, start: int, stop: int, seen: object = slow) -> list[set[CellKey]]:
    """The cells that are off, minute by minute."""
    assert callable(seen)
    return [set(team.decide(seen(60.0 * minute)).levels) for minute in range(start, stop)]


def test_a_switch_is_a_feature_for_a_whole_tier_in_the_order_of_the_ladder() -> None:
    found = [{cell.key for cell in cells} for cells in switches(setting())]

    assert found == [VIDEO, IMAGE, {cell_key("image", "plus")}]


@pytest.mark.parametrize("minutes", [15, 30, 60])
def test_a_switch_is_thrown_after_the_delay_and_the_next_after_another(minutes: int) -> None:
    off = lost(people(60.0 * minutes), 0, 2 * minutes + 1)

    assert off[minutes - 1] == set()
    assert off[minutes] == off[2 * minutes - 1] == VIDEO
    assert off[2 * minutes] == VIDEO | IMAGE


def test_what_is_off_goes_to_the_lowest_that_the_policy_allows_and_never_further() -> None:
    team = people()
    lost(team, 0, 120)
    levels = team.decide(slow(7200.0)).levels

    assert levels[cell_key("image", "free")] == Level(2)
    assert levels[cell_key("image", "plus")] == Level(1)
    assert cell_key("image", "pro") not in levels


def test_trouble_that_is_over_for_five_minutes_is_forgotten() -> None:
    team = people()
    lost(team, 0, 10)
    lost(team, 10, 16, calm)

    assert lost(team, 16, 31) == [set()] * 15
    assert lost(team, 31, 32) == [VIDEO]


def test_trouble_that_comes_and_goes_is_one_incident() -> None:
    team = people()
    for minute in range(0, 15, 2):
        lost(team, minute, minute + 1)
        off = lost(team, minute + 1, minute + 2, calm)

    assert off == [VIDEO]


def test_they_give_back_a_day_later() -> None:
    team = people()
    lost(team, 0, 16)
    day = lost(team, 16, 16 + 1440 + 6, calm)

    assert day.index(set()) == 1440 + 4, "a day after it was calm for five minutes"


def test_they_may_give_back_after_as_long_as_it_took() -> None:
    team = people(give_back=900.0)
    lost(team, 0, 31)
    off = lost(team, 31, 70, calm)

    assert off.index(VIDEO) == 4 + 15
    assert off.index(set()) == 4 + 30


def test_who_sees_no_data_does_nothing() -> None:
    team = people()
    lost(team, 0, 14)

    assert lost(team, 14, 60, lambda at: observed(unseen("image"), at=at)) == [set()] * 46


def test_a_restart_means_nothing_to_people() -> None:
    team = people()
    lost(team, 0, 15)
    team.restart()

    assert lost(team, 15, 16) == [VIDEO]


def test_quotas_are_three_a_day_for_those_who_do_not_pay() -> None:
    action = Quotas(setting(), Limit()).decide(calm(0.0))

    assert action.quotas == dict.fromkeys(VIDEO | IMAGE, 3)
    assert action.levels == {}


def test_the_event_takes_a_day_two_days_and_six_and_opens_again_after_seven() -> None:
    story = Event(setting(onset=600.0), Story())
    offered = {("image", "free"): 9.0, ("video", "free"): 1.0}

    def after(days: float) -> tuple[set[CellKey], set[CellKey]]:
        action = story.decide(observed(workload("image"), at=600.0 + days * DAY, offered=offered))
        return set(action.levels), set(action.quotas)

    first = {cell_key("video", "free/new-accounts")}
    assert after(0.99) == (set(), set())
    assert after(1.0) == (IMAGE, set())
    assert after(2.0) == (IMAGE, VIDEO | IMAGE)
    assert after(6.0) == (IMAGE | first, VIDEO | IMAGE)
    assert after(7.0) == (first, VIDEO | IMAGE)
