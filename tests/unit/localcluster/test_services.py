"""A Service leads to the ready pods that its selector matches, each in turn."""

from typing import Any

import pytest

from brownout_localcluster.runner.services import Services, serves, target_port

KEY = ("media", "front")


def pod(address: str, *, ready: bool = True, leaving: bool = False, app: str = "front") -> dict[str, Any]:
    metadata: dict[str, Any] = {"labels": {"app": app, "more": "x"}}
    if leaving:
        metadata["deletionTimestamp"] = "2026-11-22T20:00:00Z"
    return {
        "metadata": metadata,
        "spec": {"containers": [{"ports": [{"name": "http", "containerPort": 8000}]}]},
        "status": {"podIP": address, "conditions": [{"type": "Ready", "status": "True" if ready else "False"}]},
    }


def services(*pods: dict[str, Any]) -> Services:
    known = Services(lambda namespace: list(pods) if namespace == "media" else [])
    known.on_change(
        "ADDED",
        {
            "metadata": {"namespace": "media", "name": "front"},
            "spec": {
                "clusterIP": "127.17.0.9",
                "selector": {"app": "front"},
                "ports": [{"port": 80, "targetPort": "http"}],
            },
        },
    )
    return known


async def test_connections_go_to_each_ready_pod_in_turn() -> None:
    known = services(pod("a"), pod("b"), pod("c", ready=False), pod("d", leaving=True), pod("e", app="other"))
    firsts = [known.backends(KEY, 80)[0] for _ in range(4)]
    assert sorted(firsts) == [("a", 8000), ("a", 8000), ("b", 8000), ("b", 8000)]
    assert sorted(known.backends(KEY, 80)) == [("a", 8000), ("b", 8000)]


async def test_a_removed_service_leads_nowhere() -> None:
    known = services(pod("a"))
    known.on_change("DELETED", {"metadata": {"namespace": "media", "name": "front"}})
    assert known.backends(KEY, 80) == []
    assert known.address(*KEY) is None


@pytest.mark.parametrize(("wanted", "number"), [(9000, 9000), ("http", 8000), ("grpc", None)])
def test_a_target_port_is_a_number_or_a_name_of_the_pods(wanted: int | str, number: int | None) -> None:
    assert target_port(pod("a"), wanted) == number


def test_a_pod_without_a_status_does_not_serve() -> None:
    assert not serves({"metadata": {}})
