"""What is learned: the real cost of requests, only from steady load, and the cold start of pods."""

from collections.abc import Callable
from random import Random

import pytest
from msgspec import structs

from brownout.decide.demand import Flow
from brownout.decide.history import history
from brownout.decide.learn import cold_start_seconds, learn_cold_start, learn_cost
from brownout.decide.memory import ScalerMemory
from brownout.decide.rates import RATE_WINDOW_SECONDS
from brownout.decide.snapshot import Pod, Snapshot, Workload
from support.build import GONE, NOW, TWO, cell, named, pods, policy, pool, remembered, scaler, snapshot, watch

TICK = 2.0

Load = Callable[[float], float]
"""Declared GPU-seconds a second that arrive at a moment."""


def windowed(load: Load, now: float, *, lag: float = 0.0) -> float:
    """The mean over the rate's window, of what arrived `lag` seconds before."""
    steps = int(RATE_WINDOW_SECONDS)
    return sum(load(now - lag - i) for i in range(steps)) / steps


def run(
    load: Load,
    *,
    seconds: float,
    cost: float = 1.0,
    lag: float = 0.0,
    noise: float = 0.0,
    tick: float = TICK,
    full: bool = False,
) -> ScalerMemory:
    """A memory after so long, where requests cost `cost` times what is declared and their work is done `lag` seconds later."""
    memory = ScalerMemory()
    for step in range(int(seconds / tick)):
        now = step * tick
        memory = learn_cost(
            memory,
            busy=cost * windowed(load, now, lag=lag),
            declared=Flow(windowed(load, now), noise),
            full=full,
            elapsed=tick,
            now=now,
        )
    return memory


def steady(_: float) -> float:
    return 5.0


def test_a_cost_is_called_learned_once_anything_was_seen_of_it() -> None:
    assert run(steady, seconds=900).cost_learned  # also where it is just as declared
    assert not run(steady, seconds=900, full=True).cost_learned
    assert not run(steady, seconds=30).cost_learned


@pytest.mark.parametrize("cost", [0.5, 1.0, 1.8])
def test_the_factor_follows_what_requests_really_cost(cost: float) -> None:
    assert run(steady, seconds=900, cost=cost).cost_factor == pytest.approx(cost, rel=0.02)


@pytest.mark.parametrize(("cost", "bound"), [(0.01, 1 / 3), (50.0, 3.0)])
def test_the_factor_stays_between_a_third_and_three(cost: float, bound: float) -> None:
    assert run(steady, seconds=3600, cost=cost).cost_factor == pytest.approx(bound)


def test_how_fast_it_learns_does_not_depend_on_how_often_the_loop_ticks() -> None:
    often, seldom = run(steady, seconds=200, cost=2.0, tick=1.0), run(steady, seconds=200, cost=2.0, tick=5.0)

    assert often.cost_factor == pytest.approx(seldom.cost_factor, abs=0.05)


@pytest.mark.parametrize("lag", [3.0, 15.0, 40.0])
@pytest.mark.parametrize("after", [0.5, 30.0], ids=["down", "up"])
def test_a_step_in_load_teaches_no_wrong_factor_while_busy_lags(lag: float, after: float) -> None:
    def step(now: float) -> float:
        return 5.0 if now < 300 else after

    assert run(step, seconds=600, lag=lag).cost_factor == pytest.approx(1.0, abs=0.05)


def test_a_ramp_teaches_no_wrong_factor_while_busy_lags() -> None:
    def ramp(now: float) -> float:
        return 2.0 + 18.0 * min(1.0, max(0.0, now - 120) / 120)

    assert run(ramp, seconds=300, lag=10.0).cost_factor == pytest.approx(1.0, abs=0.05)


def test_counting_noise_does_not_raise_the_factor() -> None:
    """The mean of busy / declared is above busy's over declared's, where declared is noisy."""
    random = Random(7)
    counts = [random.gauss(5.0, 5.0) for _ in range(8000)]  # in a second; over 30 s a standard deviation of 18 %

    def noisy(now: float) -> float:
        return max(0.0, counts[int(now) % len(counts)])

    learned = run(noisy, seconds=7000, lag=20.0, noise=0.9).cost_factor
    assert learned == pytest.approx(1.0, abs=0.06)


def test_nothing_is_learned_while_the_workload_is_full() -> None:
    assert run(steady, seconds=900, cost=2.0, full=True).cost_factor == 1.0


def test_nothing_is_learned_from_next_to_no_load() -> None:
    assert run(lambda _: 0.1, seconds=900, cost=3.0).cost_factor == 1.0


def test_nothing_is_learned_before_load_was_level_for_two_windows() -> None:
    assert run(steady, seconds=56, cost=2.0).cost_factor == 1.0
    assert run(steady, seconds=70, cost=2.0).cost_factor > 1.0


def test_missing_evidence_teaches_nothing_and_starts_the_wait_anew() -> None:
    known = run(steady, seconds=300, cost=2.0)

    blind = learn_cost(known, busy=None, declared=None, full=False, elapsed=TICK, now=300.0)
    again = learn_cost(blind, busy=10.0, declared=Flow(5.0), full=False, elapsed=TICK, now=302.0)

    assert blind.cost_factor == again.cost_factor == known.cost_factor
    assert again.admitted == history([302.0], [5.0])


def test_a_missing_busy_metric_teaches_nothing() -> None:
    known = run(steady, seconds=300)

    assert (
        learn_cost(known, busy=None, declared=Flow(5.0), full=False, elapsed=TICK, now=300.0).cost_factor
        == known.cost_factor
    )


def test_the_error_says_how_far_off_the_factor_still_is() -> None:
    assert run(steady, seconds=120, cost=2.0).cost_error > 0.2
    assert run(steady, seconds=1800, cost=2.0).cost_error < 0.1


def learned(admitted: object) -> ScalerMemory:
    """What a scaler learned in ten minutes in which its requests cost twice what is declared."""

    def look(now: float) -> Snapshot:
        demand = policy(offered={"pro": 5.0}, admitted=admitted, at=now)  # type: ignore[arg-type]
        return snapshot(pool(40), scaler(replicas=20, busy=10.0, at=now), demand)

    return watch(look, seconds=600, step=4.0)[1].scalers[named("image")]


def test_costs_are_learned_from_what_is_let_through() -> None:
    """A quota lets half of the requests through: what they cost is not halved."""
    assert learned({"pro": 5.0}).cost_factor == pytest.approx(2.0, abs=0.05)
    assert learned({"pro": 10.0}).cost_factor == pytest.approx(1.0, abs=0.05)


def test_where_nobody_knows_what_was_let_through_nothing_is_learned() -> None:
    assert learned(GONE).cost_factor == 1.0


def test_while_a_part_is_denied_requests_that_are_let_through_cost_what_they_did() -> None:
    half = cell(tier="free", variants=TWO).shed("full", 50, asked=10.0, ago=5)
    paused = {"variants": TWO, "tiers": {"free": "Auto"}, "mode": "Paused"}

    def look(now: float) -> Snapshot:
        demand = policy(**paused, offered={"free": 10.0}, admitted={"free": 5.0}, at=now)  # type: ignore[arg-type]
        return snapshot(pool(40), scaler(replicas=20, busy=5.0, at=now), demand)

    memory = watch(look, seconds=600, step=4.0, memory=remembered(half))[1]
    assert memory.scalers[named("image")].cost_factor == pytest.approx(1.0, abs=0.02)


def started(name: str, took: float) -> Pod:
    return Pod(name=name, created_at=NOW, ready_at=NOW + took)


def workload(*there: Pod) -> Workload:
    return Workload(replicas=len(there), gpus_per_replica=1, pods=there)


def test_the_cold_start_is_what_was_declared_until_three_pods_were_seen() -> None:
    two = learn_cold_start(ScalerMemory(), workload(started("a", 40), started("b", 50)), longest=900)
    three = learn_cold_start(two, workload(started("a", 40), started("b", 50), started("c", 90)), longest=900)

    assert cold_start_seconds(two, expected=120.0) == 120.0
    assert cold_start_seconds(three, expected=120.0) == 50.0
    assert cold_start_seconds(three, expected=120.0, quantile=0.95) == 90.0


def test_a_pod_counts_once() -> None:
    once = learn_cold_start(ScalerMemory(), workload(started("a", 40)), longest=900)

    assert learn_cold_start(once, workload(started("a", 40)), longest=900) == once


def test_pods_that_are_gone_are_forgotten_and_their_starts_are_not() -> None:
    before = learn_cold_start(ScalerMemory(), workload(*pods(3)), longest=7200)
    after = learn_cold_start(before, workload(started("new", 30)), longest=7200)

    assert after.seen_ready == ("new",)
    assert len(after.cold_starts) == 4


def test_at_most_twenty_starts_are_remembered() -> None:
    many = workload(*(started(f"pod-{i}", float(i)) for i in range(30)))

    assert learn_cold_start(ScalerMemory(), many, longest=900).cold_starts == tuple(float(i) for i in range(10, 30))


def test_a_pod_that_became_ready_again_after_days_says_nothing_of_a_start() -> None:
    flapped = workload(started("a", 40), started("b", 50), started("c", 60), started("d", 3 * 86400.0))

    assert (
        cold_start_seconds(learn_cold_start(ScalerMemory(), flapped, longest=900), expected=1.0, quantile=0.99) == 60.0
    )


def test_pods_that_are_not_ready_teach_nothing() -> None:
    memory = ScalerMemory(cost_factor=1.5)

    assert learn_cold_start(memory, workload(*pods(coming=3)), longest=900) == structs.replace(memory)
