"""Knative's autoscaler: two windows, panic, and what it does with holes in its data."""

from brownout.simulate.controller import WorkloadSeen
from brownout.simulate.controllers.kpa import KPA, Parameters
from support.simulate_builders import observed, setting, unseen, workload


def kpa() -> KPA:
    return KPA(setting(), Parameters())


def replicas(controller: KPA, seen: WorkloadSeen, at: float) -> int:
    return controller.decide(observed(seen, at=at)).replicas.get(seen.name, seen.replicas)


def run(controller: KPA, seen: WorkloadSeen, start: int, stop: int) -> list[int]:
    return [replicas(controller, seen, float(at)) for at in range(start, stop, 5)]


def test_a_container_for_ten_is_filled_to_seven() -> None:
    assert replicas(kpa(), workload(ready=15, batch=10, concurrency=100.0), 0.0) == 15


def test_the_stable_window_averages_a_minute() -> None:
    controller = kpa()
    run(controller, workload(ready=10, concurrency=70.0), 0, 125)

    assert run(controller, workload(ready=10, concurrency=98.0), 125, 185) == [11] * 3 + [12] * 3 + [13] * 3 + [14] * 3


def test_it_panics_at_twice_the_target_and_follows_the_short_window() -> None:
    controller = kpa()
    run(controller, workload(ready=4, concurrency=28.0), 0, 125)

    assert replicas(controller, workload(ready=4, concurrency=55.0), 125.0) == 5, "the panic window still has the calm"
    assert replicas(controller, workload(ready=4, concurrency=84.0), 130.0) == 10, "(55 + 84) / 2 / 7"


def test_in_panic_it_does_not_go_down_until_a_calm_minute_is_over() -> None:
    controller = kpa()
    run(controller, workload(ready=4, concurrency=28.0), 0, 125)
    run(controller, workload(ready=4, concurrency=84.0), 125, 135)
    calm = run(controller, workload(ready=12, concurrency=35.0), 135, 215)

    assert max(calm) == calm[0] == 12
    assert calm.index(6) * 5 + 135 > 130 + 60, "half of 12 at most at a time"
    assert set(calm) == {12, 6}


def test_it_starts_in_panic_so_that_a_restart_does_not_scale_down() -> None:
    controller = kpa()
    run(controller, workload(ready=8, concurrency=56.0), 0, 125)
    controller.restart()

    after = run(controller, workload(ready=8, concurrency=7.0), 125, 195)
    assert after[:13] == [8] * 13
    assert after[-1] == 4


def test_it_goes_down_by_half_at_most() -> None:
    controller = kpa()
    run(controller, workload(ready=8, concurrency=56.0), 0, 65)

    assert run(controller, workload(ready=8, concurrency=0.0), 65, 130)[-1] == 4


def test_a_hole_in_the_data_is_averaged_over() -> None:
    controller = kpa()
    run(controller, workload(ready=4, concurrency=28.0), 0, 125)

    assert run(controller, unseen(ready=4), 125, 170) == [4] * 9


def test_without_data_for_a_minute_nothing_changes() -> None:
    controller = kpa()
    run(controller, workload(ready=4, concurrency=28.0), 0, 125)

    assert run(controller, unseen(ready=9), 190, 800) == [9] * 122


def test_it_keeps_the_bounds() -> None:
    assert replicas(kpa(), workload(ready=1, concurrency=1000.0, most=12), 0.0) == 12
    assert replicas(kpa(), workload(ready=1, concurrency=0.0, least=3), 0.0) == 3


def test_one_measurement_counts_once() -> None:
    controller = kpa()
    controller.decide(observed(workload(ready=1, concurrency=7.0), at=0.0))
    for _ in range(9):
        controller.decide(observed(workload(ready=1, concurrency=700.0), at=0.0))

    assert replicas(controller, workload(ready=1, concurrency=7.0), 5.0) == 1
