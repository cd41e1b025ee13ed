"""What stands beside an HPA: thresholds, the dimmer, DAGOR and AIMD, each by its published rule."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brownout.decide.outcome import Level
from brownout.simulate.controller import Observation
from brownout.simulate.controllers.aimd import AIMD, Multiplier
from brownout.simulate.controllers.aimd import Parameters as Gradients
from brownout.simulate.controllers.combined import OnLadder
from brownout.simulate.controllers.dagor import DAGOR, expected_load
from brownout.simulate.controllers.dagor import Parameters as Admission
from brownout.simulate.controllers.dimmer import Dimmer, Theta
from brownout.simulate.controllers.dimmer import Parameters as Dimming
from brownout.simulate.controllers.ladder import Scope
from brownout.simulate.controllers.thresholds import Parameters as Limits
from brownout.simulate.controllers.thresholds import Thresholds
from support.build import cell_key
from support.simulate_builders import observed, setting, unseen, workload

NEW_VIDEO, FREE_VIDEO = cell_key("video", "free/new-accounts"), cell_key("video", "free")
FREE_IMAGE = cell_key("image", "free")
OFFERED = {("image", "free"): 5.0, ("image", "pro"): 5.0}
"""40 GPU-seconds a second, half of them from users who may lose them."""


def waiting(seconds: float | None, *, at: float, queue: float = 0.0) -> Observation:
    """A pool in which requests for images waited so long, of objectives of ten seconds."""
    return observed(workload("image", queue_seconds=seconds, waiting=queue, work=40.0), at=at, offered=OFFERED)


def image_load(shedder: OnLadder, seen: Observation) -> float:
    """The declared share of the offered load for images that is let through after one decision."""
    level = shedder.decide(seen).levels.get(FREE_IMAGE, Level(0))
    cell = setting().cells[FREE_IMAGE]
    return (5.0 * 4.0 + 5.0 * sum(cell.cost(level, key) for key in cell.scalers)) / 40.0


# Thresholds


def stepper(*, dwell_seconds: float = 30.0, scope: Scope = "pool") -> Thresholds:
    return Thresholds(setting(), Limits(high=0.9, low=0.6, dwell_seconds=dwell_seconds, scope=scope))


def depth(shedder: Thresholds, busy: float | None, at: float, video: float = 0.5) -> int:
    """Cells that have lost something after one decision."""
    image = unseen("image") if busy is None else workload("image", busy=busy)
    return len(shedder.decide(observed(image, workload("video", busy=video), at=at)).levels)


def test_a_rung_is_taken_after_each_dwell_above_the_high_threshold() -> None:
    shedder = stepper()

    assert [depth(shedder, 0.95, at) for at in (0.0, 25.0, 30.0, 55.0, 60.0)] == [0, 0, 1, 1, 2]


def test_a_dip_starts_the_dwell_anew() -> None:
    shedder = stepper()

    assert [depth(shedder, busy, at) for busy, at in ((0.95, 0.0), (0.8, 25.0), (0.95, 30.0), (0.95, 55.0))] == [0] * 4


def test_a_rung_is_given_back_after_each_dwell_with_all_below_the_low_threshold() -> None:
    shedder = stepper()
    for at in (0.0, 30.0, 60.0):
        depth(shedder, 0.95, at)

    assert [depth(shedder, 0.5, at, video=0.7) for at in (65.0, 95.0)] == [2, 2], "video is not below"
    assert [depth(shedder, 0.5, at) for at in (100.0, 130.0, 160.0, 190.0)] == [2, 1, 0, 0]


def test_missing_data_holds_and_a_restart_keeps_the_switches() -> None:
    shedder = stepper()
    for at in (0.0, 30.0):
        depth(shedder, 0.95, at)

    assert [depth(shedder, None, at) for at in (60.0, 600.0)] == [1, 1]
    shedder.restart()
    assert [depth(shedder, 0.95, at) for at in (605.0, 630.0, 635.0)] == [1, 1, 2]


def test_by_service_only_the_features_of_the_busy_workload_are_taken() -> None:
    shedder = stepper(scope="service")
    for at in (0.0, 30.0):
        levels = shedder.decide(observed(workload("image", busy=0.95), workload("video", busy=0.5), at=at)).levels

    assert set(levels) == {cell_key("image", "free/new-accounts")}


# The dimmer


def settle(theta: Theta, alpha: float, *, steps: int = 300) -> float:
    """A plant as the paper models it: the response time is alpha times theta."""
    for _ in range(steps):
        theta.update(alpha * theta.value)
    return theta.value


@given(st.floats(1.0, 10.0), st.sampled_from([0.5, 0.9, 0.97]))
def test_the_dimmer_settles_where_the_response_time_is_the_setpoint(alpha: float, pole: float) -> None:
    theta = Theta(pole=pole, setpoint=0.8)

    assert settle(theta, alpha) == pytest.approx(0.8 / alpha, rel=0.02)


def test_the_dimmer_finds_the_new_place_when_the_plant_becomes_slower_or_faster() -> None:
    theta = Theta(pole=0.9, setpoint=0.8)
    settle(theta, 2.0)

    assert settle(theta, 4.0) == pytest.approx(0.2, rel=0.02)
    assert settle(theta, 0.5) == 1.0


def test_the_pole_says_how_much_of_the_error_is_left_after_a_step() -> None:
    theta = Theta(pole=0.9, setpoint=1.0)
    settle(theta, 2.0)
    theta.value = 0.7

    theta.update(2.0 * 0.7)
    assert theta.value == pytest.approx(0.5 + 0.9 * 0.2)


def test_theta_is_a_probability_and_does_not_stay_at_zero() -> None:
    theta = Theta(pole=0.5, setpoint=0.8)
    for _ in range(3000):
        theta.update(10.0)
    assert theta.value == 0.0

    for _ in range(100):
        theta.update(0.1)
    assert theta.value > 0.9


def test_the_dimmer_takes_one_minus_theta_of_the_ladder_and_starts_with_nothing() -> None:
    dimmer = Dimmer(setting(), Dimming(pole=0.5))

    assert dimmer.decide(waiting(0.0, at=0.0)).levels == {}
    for at in range(5, 300, 5):
        action = dimmer.decide(waiting(60.0, at=float(at)))
    assert action.levels[FREE_IMAGE] == Level(2)
    assert action.levels[cell_key("image", "plus")] == Level(1)


def test_the_dimmer_moves_once_for_each_measurement_and_holds_without_data() -> None:
    dimmer = Dimmer(setting(), Dimming())
    dimmer.decide(waiting(20.0, at=0.0))
    once = dimmer.decide(waiting(20.0, at=0.0)).levels

    assert dimmer.decide(waiting(20.0, at=0.0)).levels == once != {}
    assert dimmer.decide(observed(unseen("image"), at=5.0)).levels == once
    dimmer.restart()
    assert dimmer.decide(observed(unseen("image"), at=10.0)).levels == {}


def test_the_dimmer_counts_the_time_of_service_too() -> None:
    """Forty requests of 4 GPU-seconds each in service at 10 GPU-seconds a second take 16 seconds: objective missed."""
    dimmer = Dimmer(setting(), Dimming())
    slow = workload("image", queue_seconds=0.0, concurrency=40.0, waiting=0.0, work=10.0)

    assert dimmer.decide(observed(slow, offered=OFFERED)).levels != {}


# DAGOR


def test_dagor_goes_down_by_five_percent_of_what_is_admitted_and_up_by_one_percent_of_what_comes() -> None:
    assert expected_load(80.0, 100.0, overloaded=True, windows=1) == pytest.approx(76.0)
    assert expected_load(80.0, 100.0, overloaded=False, windows=1) == pytest.approx(81.0)
    assert expected_load(99.9, 100.0, overloaded=False, windows=1) == 100.0


def test_dagor_moves_its_level_by_the_two_rates() -> None:
    dagor = DAGOR(setting(), Admission(threshold=0.2, window_seconds=5.0))

    assert image_load(dagor, waiting(3.0, at=0.0)) == pytest.approx(0.95, abs=0.005)
    assert image_load(dagor, waiting(3.0, at=5.0)) == pytest.approx(0.95**2, abs=0.005)
    assert image_load(dagor, waiting(1.0, at=10.0)) == pytest.approx(0.95**2 + 0.01, abs=0.005)


def test_a_measurement_of_dagor_counts_for_the_windows_since_the_last_one() -> None:
    dagor = DAGOR(setting(), Admission(threshold=0.2, window_seconds=1.0))

    assert image_load(dagor, waiting(3.0, at=0.0)) == pytest.approx(0.95**5, abs=0.005)


def test_dagor_never_takes_what_is_always_there() -> None:
    dagor = DAGOR(setting(), Admission())
    loads = [image_load(dagor, waiting(30.0, at=5.0 * i)) for i in range(40)]

    assert loads[-1] == 0.5


def test_dagor_takes_a_stuck_queue_for_overload_and_an_empty_one_not() -> None:
    dagor = DAGOR(setting(), Admission())

    assert image_load(dagor, waiting(None, at=0.0)) == 1.0
    assert image_load(dagor, waiting(None, at=5.0, queue=11.0)) < 1.0


def test_dagor_keeps_its_level_without_data_and_loses_it_in_a_restart() -> None:
    dagor = DAGOR(setting(), Admission())
    low = image_load(dagor, waiting(30.0, at=0.0))

    assert image_load(dagor, observed(unseen("image"), at=60.0)) == low < 1.0
    dagor.restart()
    assert image_load(dagor, observed(unseen("image"), at=65.0)) == 1.0


# Aperture


def test_the_multiplier_falls_with_the_gradient_but_to_a_tenth_at_most() -> None:
    assert Multiplier(Gradients(setpoint=1.0)).update(2.0, 0.8) == pytest.approx(0.4)
    assert Multiplier(Gradients(setpoint=1.0)).update(1000.0, 0.8) == pytest.approx(0.08)
    assert Multiplier(Gradients(setpoint=1.0)).update(inf, 0.8) == pytest.approx(0.08)
    assert Multiplier(Gradients(setpoint=1.0, slope=-0.5)).update(4.0, 0.8) == pytest.approx(0.4)


def test_the_multiplier_comes_back_by_a_sum_that_grows_and_starts_anew_with_each_overload() -> None:
    multiplier = Multiplier(Gradients(setpoint=1.0))
    multiplier.update(2.0, 1.0)

    assert multiplier.update(0.5, 0.5) == pytest.approx(0.525)
    assert multiplier.update(0.5, 0.525) == pytest.approx(0.575)
    multiplier.update(2.0, 0.575)
    assert multiplier.update(0.5, 0.3) == pytest.approx(0.325)


def test_from_twice_the_load_on_everything_passes() -> None:
    multiplier = Multiplier(Gradients(setpoint=1.0))

    assert multiplier.update(0.5, 1.0) is None, "it starts there"
    multiplier.update(2.0, 1.0)
    ramp = [multiplier.update(0.5, 1.0) for _ in range(40)]
    assert ramp[38] == pytest.approx(1.975)
    assert ramp[39] is None


def test_the_multiplier_is_the_share_of_the_offered_load_that_passes() -> None:
    aimd = AIMD(setting(), Gradients(setpoint=0.25))

    assert image_load(aimd, waiting(1.0, at=0.0)) == 1.0
    assert image_load(aimd, waiting(3.0, at=5.0)) == pytest.approx(0.25 / 0.3, abs=0.005)
    assert image_load(aimd, waiting(1.0, at=10.0)) == pytest.approx(0.25 / 0.3 + 0.025, abs=0.005)


def test_without_a_signal_everything_passes() -> None:
    aimd = AIMD(setting(), Gradients())
    assert image_load(aimd, waiting(30.0, at=0.0)) == 0.5

    assert image_load(aimd, observed(unseen("image"), at=5.0)) == 1.0


def test_a_restart_lets_everything_pass() -> None:
    aimd = AIMD(setting(), Gradients())
    image_load(aimd, waiting(30.0, at=0.0))
    aimd.restart()

    assert image_load(aimd, waiting(1.0, at=5.0)) == 1.0
