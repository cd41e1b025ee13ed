"""What is kept of Kubernetes' objects."""

from typing import Any

from brownout.api.resources import Key
from brownout.observe import facts

GPU = "nvidia.com/gpu"


def container(gpus: int = 0, **more: Any) -> dict[str, Any]:
    """A container with GPU limits."""
    return {"resources": {"limits": {GPU: str(gpus), "cpu": "4"}}} | more


def pod(*, spec: dict[str, Any] | None = None, status: dict[str, Any] | None = None, **meta: Any) -> dict[str, Any]:
    """A pod as the API server gives it."""
    meta = {"name": "p", "namespace": "n", "creationTimestamp": "2026-01-01T00:00:00Z"} | meta
    return {"metadata": meta, "spec": spec or {}, "status": status or {}}


def ready(status: str = "True") -> dict[str, Any]:
    """A Ready condition."""
    return {"type": "Ready", "status": status, "lastTransitionTime": "2026-01-01T00:00:30Z"}


def test_a_pod_asks_for_what_its_containers_ask_for_together() -> None:
    assert facts.pod_requests({"containers": [container(2), container(1)]}) == {GPU: 3}


def test_an_init_container_counts_only_where_it_asks_for_more() -> None:
    spec = {"initContainers": [container(4)], "containers": [container(2)]}
    assert facts.pod_requests(spec) == {GPU: 4}


def test_a_sidecar_counts_beside_the_containers() -> None:
    spec = {"initContainers": [container(1, restartPolicy="Always")], "containers": [container(2)]}
    assert facts.pod_requests(spec) == {GPU: 3}


def test_a_pod_without_gpus_asks_for_nothing() -> None:
    assert facts.pod_requests({"containers": [{"resources": {"requests": {"cpu": "1"}}}]}) == {}


def test_a_ready_pod_says_since_when() -> None:
    fact = facts.pod_fact(pod(status={"conditions": [ready()]}))
    assert fact.ready_at is not None
    assert fact.ready_at - fact.created_at == 30


def test_a_pod_that_is_not_ready_has_no_time() -> None:
    assert facts.pod_fact(pod(status={"conditions": [ready("False")]})).ready_at is None


def test_a_pod_whose_image_cannot_be_pulled_has_failed() -> None:
    waiting = {"state": {"waiting": {"reason": "ImagePullBackOff"}}}
    assert facts.pod_fact(pod(status={"containerStatuses": [waiting]})).failed
    creating = {"state": {"waiting": {"reason": "ContainerCreating"}}}
    assert not facts.pod_fact(pod(status={"containerStatuses": [creating]})).failed


def test_a_pod_that_is_being_deleted_is_terminating() -> None:
    assert facts.pod_fact(pod(deletionTimestamp="2026-01-01T00:00:00Z")).terminating


def test_a_cordoned_or_unready_node_is_not_usable() -> None:
    def usable(spec: dict[str, Any], *conditions: dict[str, Any]) -> bool:
        return facts.node_fact({"metadata": {"name": "n"}, "spec": spec, "status": {"conditions": conditions}}).usable

    assert usable({}, ready())
    assert not usable({"unschedulable": True}, ready())
    assert not usable({}, ready("Unknown"))
    assert not usable({})


def test_a_heartbeat_changes_no_fact() -> None:
    def node(version: str, beat: str) -> dict[str, Any]:
        conditions = [ready() | {"lastHeartbeatTime": beat}]
        status = {"allocatable": {GPU: "8"}, "conditions": conditions}
        return {"metadata": {"name": "n", "resourceVersion": version}, "status": status}

    assert facts.node_fact(node("1", "2026-01-01T00:00:00Z")) == facts.node_fact(node("2", "2026-01-01T01:00:00Z"))


def test_a_quota_limits_requests_of_extended_resources() -> None:
    hard = {f"requests.{GPU}": "8", "requests.cpu": "4", "pods": "10"}
    fact = facts.quota_fact({"metadata": {"name": "q", "namespace": "n"}, "spec": {"hard": hard}})
    assert fact == facts.QuotaFact(key=Key("n", "q"), hard={GPU: 8})


def test_a_target_without_replicas_has_one_as_the_api_server_has_it() -> None:
    assert facts.target_fact({"metadata": {"name": "d"}, "spec": {}}).replicas == 1
    assert facts.target_fact({"metadata": {"name": "d"}, "spec": {"replicas": 0}}).replicas == 0


def test_a_time_that_is_none_is_none() -> None:
    assert facts.seconds("yesterday") is None
    assert facts.seconds("") is None
    assert facts.seconds("1970-01-01T00:01:00Z") == 60.0
