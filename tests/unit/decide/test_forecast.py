"""The forecast: where demand will be when a new replica is ready. It may raise the plan, never lower it."""

from random import Random

import pytest

from brownout.decide.evidence import Missing
from brownout.decide.forecast import trend as trend_of
from brownout.decide.history import HISTORY_SECONDS, History, history, remember
from brownout.decide.memory import Memory
from brownout.decide.outcome import ScalePlan
from brownout.decide.rates import RATE_WINDOW_SECONDS
from support.build import GONE, NOW, named, policy, pool, scaler, snapshot, tick


def trend(known: History, *, noise: float = 0.0, lead_seconds: float = 60.0) -> float | None:
    return trend_of(known, noise=noise, window=RATE_WINDOW_SECONDS, lead_seconds=lead_seconds)


def line(start: float, slope: float, *, seconds: float = 60.0, step: float = 2.0) -> History:
    times = tuple(i * step for i in range(int(seconds / step) + 1))
    return history(times, (start + slope * time for time in times))


def test_a_rising_line_goes_on_rising() -> None:
    assert trend(line(10.0, 0.1)) == pytest.approx(22.0)


def test_a_falling_line_goes_on_falling_and_never_below_nothing() -> None:
    assert trend(line(20.0, -0.1)) == pytest.approx(8.0)
    assert trend(line(10.0, -0.1), lead_seconds=600) == 0.0


def test_level_demand_has_no_forecast() -> None:
    assert trend(line(10.0, 0.0)) is None


def test_a_forecast_is_at_most_twice_what_is_there() -> None:
    assert trend(line(1.0, 1.0), lead_seconds=600) == pytest.approx(2 * 61.0)


def test_few_points_or_a_short_while_are_no_trend() -> None:
    assert trend(line(1.0, 1.0, seconds=14)) is None
    assert trend(line(1.0, 1.0, seconds=30, step=10.0)) is None
    assert trend(line(1.0, 1.0, seconds=16)) is not None


def test_a_slope_within_counting_noise_is_no_trend() -> None:
    rising = line(10.0, 0.05)  # 3 GPUs in a minute

    assert trend(rising, noise=0.1) is not None
    assert trend(rising, noise=2.0) is None


def test_a_slope_within_the_scatter_of_its_own_points_is_no_trend() -> None:
    """Two levels in turn: the line through them rises a little, and by chance."""
    scattered = history(map(float, range(60)), (10.0, 13.0) * 30)

    assert trend(scattered) is None


def test_the_history_is_a_minute_long() -> None:
    known = History()
    for second in range(0, 300, 2):
        known = remember(known, now=float(second), value=1.0)

    assert known.times[-1] - known.times[0] <= HISTORY_SECONDS


def test_a_second_look_at_the_same_moment_replaces_the_first() -> None:
    assert remember(history([1.0], [5.0]), now=1.0, value=6.0) == history([1.0], [6.0])


def test_steady_load_with_counting_noise_is_hardly_ever_forecast_to_grow() -> None:
    """Rates over overlapping windows wander together, so the residuals of a line say little about its slope's error."""
    random = Random(3)
    rate, window = 4.0, int(RATE_WINDOW_SECONDS)
    counts = [sum(random.random() < rate / 20 for _ in range(20)) for _ in range(6000)]
    noise = (rate / window) ** 0.5
    known = History()
    found = 0
    for second in range(window, 6000, 2):
        known = remember(known, now=float(second), value=sum(counts[second - window : second]) / window)
        found += trend(known, noise=noise) is not None

    assert found / 3000 < 0.02


def grown(missing: Missing | None = None, *, trending: bool = True) -> ScalePlan:
    """After a minute of growth from 4 to 10 GPUs, in whose middle the demand was missing if it is said."""
    memory = Memory()
    for second in range(0, 62, 2):
        now = NOW + second
        offered = missing if missing is not None and 20 < second < 40 else {"pro": 40.0 + second}
        demand = policy(variants={"full": {"image": 0.1}, "denied": {}}, offered=offered, at=now)
        there = scaler(replicas=12, trend=trending, at=now)
        decided, memory = tick(snapshot(pool(64), there, demand), memory, now=now)
    return decided.scalers[named("image")]


def test_a_trend_raises_the_plan_over_the_cold_start() -> None:
    assert grown().demanded > grown(trending=False).demanded
    assert "by the time a new replica is ready" in grown().message
    assert "by the time" not in grown(trending=False).message
    assert grown().forecast == grown().demanded
    assert grown(trending=False).forecast is None


def test_a_falling_trend_lowers_no_plan() -> None:
    """It says only how much of what is asked for will still be of use when others' GPUs have come."""

    def planned(*, trending: bool) -> ScalePlan:
        memory = Memory()
        for second in range(0, 62, 2):
            now = NOW + second
            demand = policy(
                variants={"full": {"image": 0.1}, "denied": {}}, offered={"pro": 100.0 - second / 3}, at=now
            )
            there = scaler(replicas=12, trend=trending, at=now)
            decided, memory = tick(snapshot(pool(64), there, demand), memory, now=now)
        return decided.scalers[named("image")]

    falls, stays = planned(trending=True), planned(trending=False)
    assert 0 < falls.forecast < falls.demanded
    assert (falls.demanded, falls.replicas) == (stays.demanded, stays.replicas)


def test_missing_evidence_is_no_part_of_a_trend() -> None:
    """Demand that comes back after an outage did not grow meanwhile."""
    memory = Memory()
    for second in range(0, 80, 2):
        now = NOW + second
        away = GONE if second < 30 else {"free": 50.0}
        things = (policy(offered={"pro": 10.0}, at=now), policy("video", offered=away, at=now))
        decided, memory = tick(snapshot(pool(200), scaler(replicas=80, at=now), *things), memory, now=now)

    assert "by the time" not in decided.scalers[named("image")].message
