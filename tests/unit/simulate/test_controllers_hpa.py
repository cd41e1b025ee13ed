"""The HorizontalPodAutoscaler, by the examples of its documentation and the cases of its source."""

import pytest

from brownout.simulate.controller import WorkloadSeen
from brownout.simulate.controllers.hpa import HPA, Parameters, proposed
from support.simulate_builders import observed, setting, unseen, workload


def hpa(target: float = 0.5) -> HPA:
    return HPA(setting(), Parameters(target=target))


def replicas(controller: HPA, seen: WorkloadSeen, at: float) -> int:
    """What a workload has after one decision."""
    return controller.decide(observed(seen, at=at)).replicas.get(seen.name, seen.replicas)


@pytest.mark.parametrize(("busy", "wanted"), [(1.0, 8), (0.25, 2)])
def test_twice_the_target_doubles_the_pods_and_half_of_it_halves_them(busy: float, wanted: int) -> None:
    assert proposed(workload(ready=4), busy, 0.5) == wanted


@pytest.mark.parametrize("busy", [0.46, 0.5, 0.55])
def test_within_ten_percent_of_the_target_nothing_changes(busy: float) -> None:
    assert proposed(workload(ready=40), busy, 0.5) == 40


def test_beyond_ten_percent_it_is_rounded_up() -> None:
    assert proposed(workload(ready=10), 0.56, 0.5) == 12


def test_pods_that_load_count_as_idle_when_more_is_wanted() -> None:
    assert proposed(workload(ready=4, loading=2), 1.0, 0.5) == 8


def test_pods_that_load_hold_back_what_they_will_carry_themselves() -> None:
    assert proposed(workload(ready=4, loading=4), 1.0, 0.5) == 8


def test_a_pending_pod_counts_as_idle_when_more_is_wanted() -> None:
    assert proposed(workload(ready=4, pending=4), 1.0, 0.5) == 8


def test_pending_pods_do_not_turn_a_wish_for_more_into_less() -> None:
    assert proposed(workload(ready=4, pending=8), 1.0, 0.5) == 12


def test_pods_that_load_count_as_at_the_target_when_less_is_wanted() -> None:
    assert proposed(workload(ready=6, loading=4), 0.2, 0.5) == 7, "6 x 0.2 + 4 x 0.5 over 0.5 is 6.4"


def test_pending_pods_are_not_looked_at_when_less_is_wanted() -> None:
    assert proposed(workload(ready=4, pending=4), 0.25, 0.5) == 2


def test_without_a_ready_pod_there_is_no_metric_and_no_answer() -> None:
    assert proposed(workload(ready=0, loading=3), 0.0, 0.5) is None


def test_it_looks_every_fifteen_seconds() -> None:
    controller = hpa()
    replicas(controller, workload(busy=0.5), 0.0)

    assert replicas(controller, workload(busy=1.0), 10.0) == 4
    assert replicas(controller, workload(busy=1.0), 15.0) == 8


def test_a_missing_metric_changes_nothing() -> None:
    controller = hpa()

    assert [replicas(controller, unseen(), at) for at in (0.0, 15.0, 600.0)] == [4, 4, 4]


def test_it_goes_down_to_the_highest_recommendation_of_five_minutes() -> None:
    controller = hpa()
    replicas(controller, workload(ready=8, busy=0.5), 0.0)
    replicas(controller, workload(ready=8, busy=0.3), 15.0)
    falls = [replicas(controller, workload(ready=8, busy=0.1), float(at)) for at in range(30, 360, 15)]

    assert falls[:18] == [8] * 18, "the first sync asked for 8 until 300 s"
    assert falls[18] == 5, "the second for 5 until 315 s"
    assert falls[19:] == [2, 2, 2]


def test_it_goes_up_at_once_by_four_pods_or_by_all_of_them() -> None:
    assert replicas(hpa(0.1), workload(ready=2, busy=1.0), 0.0) == 6
    assert replicas(hpa(0.1), workload(ready=8, busy=1.0), 0.0) == 16


def test_it_keeps_the_bounds() -> None:
    assert replicas(hpa(), workload(ready=4, busy=1.0, most=6), 0.0) == 6
    assert replicas(hpa(), workload(ready=4, busy=0.5, most=3), 0.0) == 3
    assert replicas(hpa(), workload(ready=1, busy=0.5, least=3), 0.0) == 3


def test_it_never_goes_to_zero_and_leaves_zero_alone() -> None:
    controller = hpa()
    for at in range(0, 600, 15):
        last = replicas(controller, workload(ready=2, busy=0.0, least=0), float(at))

    assert last == 1
    assert replicas(hpa(), workload(ready=0, busy=None, least=1), 0.0) == 0


def test_a_restart_forgets_recommendations_and_starts_from_what_there_is() -> None:
    controller = hpa()
    replicas(controller, workload(ready=8, busy=0.5), 0.0)
    controller.restart()

    assert replicas(controller, workload(ready=6, busy=0.1), 5.0) == 6
    assert replicas(controller, workload(ready=6, busy=0.1), 305.0) == 2
