"""A pod's status follows from the states of its containers."""

import datetime

import pytest

from brownout_localcluster.runner.status import Conditions, ContainerState, phase, pod_status

NOW = datetime.datetime(2026, 11, 22, 20, 0, 0, tzinfo=datetime.UTC)
LATER = NOW + datetime.timedelta(seconds=30)


def container(name: str = "main") -> ContainerState:
    return ContainerState(name=name, image="image")


def running(*, ready: bool = True) -> ContainerState:
    state = container()
    state.running(NOW, 4711)
    state.ready = state.started = ready
    return state


def ended(exit_status: int, *, finished: bool = True) -> ContainerState:
    state = running()
    state.terminated(exit_status, NOW, LATER)
    state.finished = finished
    return state


def crash_loop() -> ContainerState:
    state = ended(1, finished=False)
    state.waiting("CrashLoopBackOff")
    return state


@pytest.mark.parametrize(
    ("containers", "expected"),
    [
        ([container()], "Pending"),
        ([container(), running()], "Running"),
        ([running(ready=False)], "Running"),
        ([crash_loop()], "Running"),
        ([ended(0)], "Succeeded"),
        ([ended(0), ended(1)], "Failed"),
        ([ended(0), running()], "Running"),
        ([ended(1, finished=False)], "Running"),
    ],
)
def test_the_phase_of_a_pod(containers: list[ContainerState], expected: str) -> None:
    assert phase(containers) == expected


def test_a_signal_becomes_an_exit_code_above_128() -> None:
    assert ended(-9).exit_code == 137
    assert ended(0).state["terminated"]["reason"] == "Completed"
    assert ended(3).state["terminated"]["reason"] == "Error"


def test_a_restart_is_counted_together_with_the_end_that_caused_it() -> None:
    state = ended(-15, finished=False)
    state.restarting()
    assert (state.restart_count, state.last_state["terminated"]["exitCode"]) == (1, 143)


def test_the_last_end_is_remembered_when_a_container_starts_again() -> None:
    state = ended(3, finished=False)
    state.running(LATER, 4712)
    assert state.last_state["terminated"]["exitCode"] == 3
    assert not state.ready


def ready_condition(containers: list[ContainerState], conditions: Conditions, now: datetime.datetime) -> dict[str, str]:
    status = pod_status(
        containers=containers,
        init_containers=[],
        conditions=conditions,
        pod_ip="127.16.1.1",
        host_ip="127.16.0.1",
        started=NOW,
        now=now,
    )
    return next(condition for condition in status["conditions"] if condition["type"] == "Ready")


def test_a_pod_is_ready_when_all_its_containers_are_and_says_which_are_not() -> None:
    assert ready_condition([running()], Conditions(), NOW)["status"] == "True"
    unready = ready_condition([running(), container("second")], Conditions(), NOW)
    assert (unready["status"], unready["message"]) == ("False", "containers with unready status: [second]")


def test_a_transition_time_moves_only_with_the_status() -> None:
    conditions = Conditions()
    assert ready_condition([running()], conditions, NOW)["lastTransitionTime"] == "2026-11-22T20:00:00Z"
    assert ready_condition([running()], conditions, LATER)["lastTransitionTime"] == "2026-11-22T20:00:00Z"
    assert ready_condition([crash_loop()], conditions, LATER)["lastTransitionTime"] == "2026-11-22T20:00:30Z"
