"""KEDA: the HPA's arithmetic on a shared metric, null is zero, and the way from and to nothing."""

import pytest

from brownout.simulate.controller import WorkloadSeen
from brownout.simulate.controllers.keda import KEDA, Parameters, proposed
from support.simulate_builders import observed, setting, unseen, workload


def replicas(controller: KEDA, seen: WorkloadSeen, at: float) -> int:
    return controller.decide(observed(seen, at=at)).replicas.get(seen.name, seen.replicas)


def keda(**parameters: object) -> KEDA:
    return KEDA(setting(), Parameters(**({"target": 0.5} | parameters)))  # type: ignore[arg-type]


def after(controller: KEDA, seen: WorkloadSeen, *, seconds: int, since: int = 0) -> int:
    last = seen.replicas
    for at in range(since, since + seconds, 5):
        last = replicas(controller, seen, float(at))
    return last


def test_the_value_is_shared_by_the_replicas() -> None:
    assert proposed(41.0, 5.0, pods=4) == 9


def test_within_ten_percent_the_pods_that_there_are_stay() -> None:
    assert proposed(21.5, 5.0, pods=4) == 4
    assert proposed(22.5, 5.0, pods=4) == 5


def test_the_target_is_a_share_of_the_batch_and_the_signal_can_be_the_queue() -> None:
    busy = workload(ready=4, batch=10, concurrency=40.0, waiting=60.0)

    assert replicas(keda(), busy, 0.0) == 8
    assert replicas(keda(signal="waiting", target=1.0), busy, 0.0) == 6


def test_an_empty_result_is_zero_so_that_an_outage_scales_to_the_minimum() -> None:
    """kedacore/keda #3065."""
    controller = keda()
    replicas(controller, workload(ready=8, concurrency=40.0), 0.0)

    assert after(controller, unseen(ready=8, least=2), since=15, seconds=270) == 8, "the HPA's 300 s hold it"
    assert replicas(controller, unseen(ready=8, least=2), 300.0) == 2


def test_without_null_is_zero_an_outage_changes_nothing() -> None:
    controller = keda(ignore_null_values=False)
    replicas(controller, workload(ready=8, concurrency=40.0), 0.0)

    assert after(controller, unseen(ready=8), since=15, seconds=900) == 8


def test_the_hpa_asks_every_fifteen_seconds() -> None:
    controller = keda()
    replicas(controller, workload(ready=4, concurrency=20.0), 0.0)

    assert replicas(controller, workload(ready=4, concurrency=40.0), 10.0) == 4
    assert replicas(controller, workload(ready=4, concurrency=40.0), 15.0) == 8


def test_it_wakes_up_at_a_poll_every_thirty_seconds() -> None:
    controller = keda()
    asleep = workload(ready=0, least=0, concurrency=0.0)
    replicas(controller, asleep, 0.0)
    wanted = workload(ready=0, least=0, concurrency=3.0)

    assert replicas(controller, wanted, 25.0) == 0
    assert replicas(controller, wanted, 30.0) == 1


@pytest.mark.parametrize(("least", "ends_at"), [(0, 0), (1, 1)])
def test_it_falls_asleep_after_the_cooldown_where_the_minimum_is_zero(least: int, ends_at: int) -> None:
    controller = keda()
    replicas(controller, workload(ready=1, least=least, concurrency=3.0), 0.0)
    idle = workload(ready=1, least=least, concurrency=0.0)

    assert after(controller, idle, since=5, seconds=295) == 1
    assert replicas(controller, idle, 300.0) == ends_at
