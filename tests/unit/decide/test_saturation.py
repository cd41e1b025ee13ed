"""Saturation: the integral beyond full, by the lower bound of the flow; left only where nothing is missing."""

from typing import Any

import pytest
from msgspec import structs

from brownout.api.scaler import InferenceScalerSpec, QueueSettings, ScaleTargetRef
from brownout.api.schema import Ref
from brownout.decide.demand import Demand, Flow
from brownout.decide.memory import ScalerMemory
from brownout.decide.saturation import follow, measured, saturation_of


def demand(
    flow: float | None = None, *, noise: float = 0.0, backlog: float | None = None, objective: float | None = None
) -> Demand:
    admitted = None if flow is None else Flow(flow, noise)
    return Demand(offered=admitted, admitted=admitted, backlog=backlog, objective_ratio=objective)


def ratio(of: Demand, *, capacity: float = 10.0, order: Any = "Tiered") -> float | None:
    """Of a workload whose queue is worked off in 15 s, with an objective of 5 s."""
    spec = InferenceScalerSpec(
        pool_ref=Ref(name="gpus"),
        scale_target_ref=ScaleTargetRef(name="image"),
        queue=QueueSettings(objective_seconds=5, drain_seconds=15, order=order),
    )
    return saturation_of(of, capacity=capacity, spec=spec)


def entered(at: float, *, tick: float = 1.0, enter: float = 3.0) -> float | None:
    """Seconds of a steady saturation until it is entered, None if not within two minutes."""
    memory = ScalerMemory()
    for i in range(int(120 / tick)):
        memory = follow(memory, at, whole=True, elapsed=tick, enter_excess=enter, now=i * tick)
        if memory.saturated:
            return (i + 1) * tick
    return None


def test_saturation_is_admitted_flow_over_ready_capacity() -> None:
    assert ratio(demand(7.0)) == pytest.approx(0.7)


def test_a_backlog_counts_beyond_a_seconds_worth() -> None:
    assert ratio(demand(9.0, backlog=10.0)) == pytest.approx(0.9)
    assert ratio(demand(9.0, backlog=40.0)) == pytest.approx(0.9 + 30 / (15 * 10))
    assert ratio(demand(None, backlog=160.0)) == pytest.approx(1.0)


def test_in_a_queue_without_tiers_a_backlog_counts_over_the_objective() -> None:
    """There those who pay wait behind all others, from the first second on."""
    assert ratio(demand(9.0, backlog=40.0), order="FIFO") == pytest.approx(0.9 + 30 / (5 * 10))


def test_what_may_be_noise_is_not_held_against_users() -> None:
    assert ratio(demand(10.5, noise=0.5)) == pytest.approx(0.95)
    assert ratio(demand(0.5, noise=0.5)) == 0.0


def test_a_workload_with_nothing_ready_is_saturated_as_soon_as_somebody_asks() -> None:
    assert ratio(demand(0.1), capacity=0.0) == 2.0
    assert ratio(demand(None, backlog=3.0), capacity=0.0) == 2.0
    assert ratio(demand(0.0), capacity=0.0) == 0.0


def test_without_any_evidence_there_is_no_saturation_to_speak_of() -> None:
    assert ratio(demand(None)) is None


def test_a_missed_objective_is_ten_percent_over_where_the_flow_is_close_to_full() -> None:
    assert ratio(demand(9.1, objective=1.5)) == pytest.approx(1.1)
    assert ratio(demand(14.0, objective=1.5)) == pytest.approx(1.4)


def test_a_missed_objective_far_from_full_has_another_cause() -> None:
    assert ratio(demand(5.0, objective=3.0)) == pytest.approx(0.5)


def test_an_objective_is_evidence_where_there_is_no_other() -> None:
    assert ratio(demand(None, objective=1.2)) == pytest.approx(1.1)
    assert ratio(demand(None, objective=0.8)) == 0.0


def test_the_number_that_is_published_has_a_bound() -> None:
    assert ratio(demand(1e6)) == pytest.approx(9.99)


@pytest.mark.parametrize(("at", "seconds"), [(2.0, 3.0), (1.1, 30.0), (1.5, 6.0)])
def test_ten_percent_over_for_thirty_seconds_is_as_much_as_twice_full_for_three(at: float, seconds: float) -> None:
    assert entered(at) == pytest.approx(seconds, abs=1.0)


def test_full_is_not_saturated() -> None:
    assert entered(1.0) is None


def test_an_excess_of_nothing_is_entered_at_once() -> None:
    assert entered(1.01, enter=0.0) == 1.0


def test_what_was_below_full_makes_up_for_what_was_beyond() -> None:
    memory = ScalerMemory()
    for i in range(60):
        memory = follow(memory, 1.2 if i % 2 else 0.8, whole=True, elapsed=1.0, enter_excess=3.0, now=float(i))
    assert not memory.saturated


def test_calm_before_a_burst_earns_no_credit() -> None:
    memory = follow(ScalerMemory(), 0.1, whole=True, elapsed=10.0, enter_excess=3.0, now=0.0)

    assert memory.excess == 0.0


def test_it_is_left_at_97_percent() -> None:
    full = ScalerMemory(saturated=True, saturated_since=1.0, excess=3.0)

    assert follow(full, 0.98, whole=True, elapsed=60.0, enter_excess=3.0, now=9.0).saturated
    left = follow(full, 0.97, whole=True, elapsed=1.0, enter_excess=3.0, now=9.0)
    assert (left.saturated, left.saturated_since, left.excess) == (False, None, 0.0)


def test_without_evidence_saturation_is_neither_entered_nor_left() -> None:
    for memory in (ScalerMemory(saturated=True, saturated_since=1.0, excess=3.0), ScalerMemory(excess=2.9)):
        assert follow(memory, None, whole=False, elapsed=60.0, enter_excess=3.0, now=9.0) == memory


def test_a_part_of_the_evidence_can_show_that_there_is_too_much_and_never_that_there_is_not() -> None:
    full = ScalerMemory(saturated=True, saturated_since=1.0, excess=3.0)

    assert follow(full, 0.1, whole=False, elapsed=60.0, enter_excess=3.0, now=9.0).saturated
    assert follow(ScalerMemory(), 2.0, whole=False, elapsed=5.0, enter_excess=3.0, now=9.0).saturated


def test_a_loop_that_was_away_counts_ten_seconds_of_it() -> None:
    memory = follow(ScalerMemory(), 1.2, whole=True, elapsed=3600.0, enter_excess=3.0, now=0.0)

    assert memory.excess == pytest.approx(2.0)
    assert not memory.saturated


def test_time_that_runs_backwards_adds_nothing() -> None:
    assert follow(ScalerMemory(excess=1.0), 2.0, whole=True, elapsed=-60.0, enter_excess=3.0, now=0.0).excess == 1.0


# --- what may be told of it


def test_a_part_of_what_it_rests_on_is_no_figure_unless_that_alone_is_too_much() -> None:
    for part in ({"flow_whole": False}, {"backlog_whole": False}):
        seen = structs.replace(demand(7.0, backlog=0.0), **part)
        assert measured(ratio(seen), seen) is None
        over = structs.replace(demand(13.0, backlog=0.0), **part)
        assert measured(ratio(over), over) == pytest.approx(1.3)


def test_an_objective_that_is_met_is_no_figure() -> None:
    met = demand(objective=0.5)
    assert ratio(met) == 0.0
    assert measured(ratio(met), met) is None


def test_a_measured_zero_is_a_figure() -> None:
    assert measured(ratio(demand(0.0)), demand(0.0)) == 0.0
    assert measured(ratio(demand(backlog=0.0)), demand(backlog=0.0)) == 0.0
