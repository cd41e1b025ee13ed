"""A place on the ladder as one number."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brownout.decide.cells import FIRST
from brownout.decide.outcome import Level
from brownout.simulate.controllers.ladder import Demand, Ladder, groups
from support.build import cell_key
from support.simulate_builders import CELLS, observed, setting

LADDER = Ladder(CELLS)
OFFERED = {("video", "free"): 2.0, ("image", "free"): 5.0, ("image", "pro"): 1.0}


def demand() -> Demand:
    found = LADDER.demand(observed(offered=OFFERED))
    assert found is not None
    return found


def test_at_zero_nobody_loses_anything() -> None:
    assert LADDER.levels(0.0) == {}


def test_a_whole_number_takes_as_many_rungs_from_the_cheap_end() -> None:
    assert LADDER.levels(3.0) == {
        cell_key("video", "free/new-accounts"): Level(1),
        cell_key("video", "free"): Level(1),
        cell_key("image", "free/new-accounts"): Level(1),
    }


def test_a_fraction_takes_a_part_of_the_next_rung_in_percent() -> None:
    assert LADDER.levels(0.4) == {cell_key("video", "free/new-accounts"): Level(0, 60)}


def test_a_fraction_that_rounds_to_all_of_a_rung_is_the_next_variant() -> None:
    assert LADDER.levels(0.999) == {cell_key("video", "free/new-accounts"): Level(1)}


def test_the_top_takes_everything_that_may_be_taken_and_no_more() -> None:
    levels = LADDER.levels(LADDER.top)

    assert levels[cell_key("image", "plus")] == Level(1)
    assert levels[cell_key("image", "free")] == Level(2)
    assert cell_key("image", "pro") not in levels


@given(st.floats(0.0, LADDER.top), st.floats(0.0, LADDER.top))
def test_further_on_nobody_has_more_and_nobody_falls_below_the_lowest(one: float, other: float) -> None:
    less, more = LADDER.levels(min(one, other)), LADDER.levels(max(one, other))

    for cell in CELLS:
        here = more.get(cell.key, FIRST)
        assert less.get(cell.key, FIRST).depth <= here.depth <= cell.floor.depth
        assert 1 <= here.percent <= 100


def test_offered_load_is_at_declared_cost_and_the_first_variant() -> None:
    assert demand().offered == 2.0 * 8.0 + 6.0 * 4.0


def test_demand_is_unknown_where_a_rate_is() -> None:
    assert LADDER.demand(observed(offered={**OFFERED, ("image", "free"): None})) is None


def test_the_position_that_saves_a_load_passes_rungs_that_nobody_asks_for() -> None:
    assert demand().position_saving(4.0) == pytest.approx(1.25), "a quarter of video for free, after new accounts"
    assert demand().position_saving(16.0 + 15.0 + 2.5) == pytest.approx(5.5), "all of it lite, half of lite denied"


@given(st.floats(0.1, 30.0))
def test_a_position_saves_what_it_was_asked_to_save(load: float) -> None:
    assert demand().saved(demand().position_saving(load)) == pytest.approx(load)


def test_more_than_can_be_saved_is_the_top() -> None:
    assert demand().position_saving(1000.0) == LADDER.top


def test_a_service_is_the_features_that_load_common_workloads() -> None:
    found = groups(setting().cells, "service")

    assert sorted((group.workloads, len(group.ladder.cells)) for group in found) == [(("image",), 4), (("video",), 2)]


def test_a_pool_is_one_group() -> None:
    (group,) = groups(setting().cells, "pool")

    assert group.workloads == ("image", "video")
    assert group.ladder.top == LADDER.top
