"""Supply: who serves, who is coming, who is given up."""

from brownout.api.scaler import ColdStart
from brownout.decide.memory import ScalerMemory
from brownout.decide.snapshot import Pod, Workload
from brownout.decide.view import Supply, supply_of
from support.build import NOW, pods, scaler

SPEC = scaler(cold_start=ColdStart(expected_seconds=60, give_up_after_seconds=900)).stored.spec


def supply(*there: Pod, replicas: int | None = None, gpus: int = 1, memory: ScalerMemory | None = None) -> Supply:
    seen = Workload(replicas=len(there) if replicas is None else replicas, gpus_per_replica=gpus, pods=there)
    return supply_of(seen, SPEC, memory or ScalerMemory(), now=NOW)


def pod(name: str, *, age: float, ready: bool = False, failed: bool = False, terminating: bool = False) -> Pod:
    return Pod(
        name=name,
        created_at=NOW - age,
        ready_at=NOW - age + 60 if ready else None,
        failed=failed,
        terminating=terminating,
    )


def test_ready_replicas_are_the_capacity() -> None:
    seen = supply(*pods(3, coming=2))

    assert (seen.ready, seen.coming, seen.dead) == (3, 2, 0)
    assert seen.capacity == 3.0


def test_the_scalers_own_number_of_gpus_for_each_replica_counts() -> None:
    spec = scaler(gpus=4).stored.spec
    seen = supply_of(Workload(replicas=2, gpus_per_replica=1, pods=pods(2)), spec, ScalerMemory(), now=NOW)

    assert (seen.gpus, seen.capacity) == (4, 8.0)


def test_replicas_without_a_pod_yet_are_coming() -> None:
    seen = supply(*pods(1), replicas=4)

    assert (seen.ready, seen.coming) == (1, 3)
    assert seen.coming_ready_at == NOW + 60


def test_the_first_of_those_that_are_coming_is_expected_after_the_cold_start() -> None:
    assert supply(pod("a", age=20), pod("b", age=5)).coming_ready_at == NOW + 40
    assert supply(pod("late", age=100)).coming_ready_at == NOW


def test_a_learned_cold_start_counts() -> None:
    slow = ScalerMemory(cold_starts=(200.0, 200.0, 200.0))

    assert supply(pod("a", age=20), memory=slow).coming_ready_at == NOW + 180


def test_what_does_not_become_ready_is_given_up() -> None:
    seen = supply(pod("a", age=7200, ready=True), pod("b", age=901), pod("c", age=899))

    assert (seen.ready, seen.coming, seen.dead) == (1, 1, 1)


def test_a_pod_that_crashes_after_it_was_ready_does_not_serve() -> None:
    assert supply(pod("a", age=600, ready=True, failed=True)).ready == 0
    assert supply(pod("a", age=600, ready=True, failed=True)).coming == 1
    assert supply(pod("a", age=901, ready=True, failed=True)).dead == 1


def test_what_an_eviction_left_lying_about_is_nobodys_replica() -> None:
    """Its controller has replaced it, and leaves the failed pod there for people to look at."""
    evicted = [pod(f"evicted-{i}", age=age, failed=True) for i, age in enumerate((5000, 4000, 50))]

    seen = supply(*pods(3), *evicted, replicas=3)

    assert (seen.ready, seen.coming, seen.dead) == (3, 0, 0)
    assert seen.coming_ready_at is None


def test_terminating_pods_are_gone() -> None:
    seen = supply(pod("a", age=7200, ready=True), pod("b", age=7200, ready=True, terminating=True), replicas=1)

    assert (seen.ready, seen.coming, seen.dead) == (1, 0, 0)


def test_the_surge_of_a_rollout_is_coming_and_takes_nothing_from_what_is_ready() -> None:
    seen = supply(*pods(3, coming=1), replicas=3)

    assert (seen.ready, seen.coming, seen.dead) == (3, 1, 0)


def test_pods_are_counted_by_node() -> None:
    assert supply(*pods(2, node="n1"), *pods(coming=1, node="n2")).by_node == {"n1": 2, "n2": 1}
