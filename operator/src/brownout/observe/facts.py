"""What we keep of Kubernetes' own objects: a few fields, frozen.

A watch on all pods of a large cluster is affordable only if little of each is kept. Whatever is not read by a decision is
dropped here, so that an event about it (a heartbeat, an annotation) changes no fact and wakes nothing.
"""

from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from brownout.api.pool import LabelSelector
from brownout.api.resources import Key
from brownout.api.schema import number

Body = dict[str, Any]

HOPELESS = frozenset(
    {
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
    }
)
"""Reasons for which a waiting container will not start as it is."""


class NodeFact(Struct, frozen=True, kw_only=True):
    """`usable` is schedulable and ready; `allocatable` counts extended resources such as nvidia.com/gpu."""

    key: Key
    labels: dict[str, str]
    allocatable: dict[str, int]
    usable: bool


class PodFact(Struct, frozen=True, kw_only=True):
    """A pod that has not ended. Times in Unix seconds; `requests` counts extended resources."""

    key: Key
    labels: dict[str, str]
    requests: dict[str, int]
    created_at: float
    node: str | None
    ready_at: float | None
    terminating: bool
    failed: bool


class NamespaceFact(Struct, frozen=True, kw_only=True):
    key: Key
    labels: dict[str, str]


class QuotaFact(Struct, frozen=True, kw_only=True):
    """`hard` holds the limits on requests of extended resources, by resource name without the `requests.` prefix."""

    key: Key
    hard: dict[str, int]


class TargetFact(Struct, frozen=True, kw_only=True):
    """A workload that can be scaled. `requests` are the extended resources of one pod; None where no template is known."""

    key: Key
    replicas: int
    selector: LabelSelector
    requests: dict[str, int] | None


def seconds(time: str | None) -> float | None:
    """RFC 3339 text as Unix seconds; None where there is none or it is not a time."""
    if not time:
        return None
    try:
        moment = datetime.fromisoformat(time)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def key_of(body: Body) -> Key:
    meta = body.get("metadata", {})
    return Key(meta.get("namespace") or "", meta.get("name", ""))


def created_at(body: Body) -> float:
    return seconds(body.get("metadata", {}).get("creationTimestamp")) or 0.0


def node_fact(body: Body) -> NodeFact:
    spec, status = body.get("spec") or {}, body.get("status") or {}
    return NodeFact(
        key=key_of(body),
        labels=_labels(body),
        allocatable=_extended(status.get("allocatable")),
        usable=not spec.get("unschedulable") and _condition_time(status, "Ready") is not None,
    )


def pod_fact(body: Body) -> PodFact:
    spec, status = body.get("spec") or {}, body.get("status") or {}
    return PodFact(
        key=key_of(body),
        labels=_labels(body),
        requests=pod_requests(spec),
        created_at=created_at(body),
        node=spec.get("nodeName") or None,
        ready_at=_condition_time(status, "Ready"),
        terminating=bool(body.get("metadata", {}).get("deletionTimestamp")),
        failed=status.get("phase") == "Failed" or _hopeless(status),
    )


def namespace_fact(body: Body) -> NamespaceFact:
    return NamespaceFact(key=key_of(body), labels=_labels(body))


def quota_fact(body: Body) -> QuotaFact:
    hard = (body.get("spec") or {}).get("hard") or {}
    prefix = "requests."
    return QuotaFact(
        key=key_of(body),
        hard=_extended({name.removeprefix(prefix): v for name, v in hard.items() if name.startswith(prefix)}),
    )


def target_fact(body: Body) -> TargetFact:
    """A Deployment or StatefulSet. `spec.replicas` defaults to 1, as the API server has it."""
    spec = body.get("spec") or {}
    replicas = spec.get("replicas")
    return TargetFact(
        key=key_of(body),
        replicas=1 if replicas is None else int(replicas),
        selector=msgspec.convert(spec.get("selector") or {}, LabelSelector),
        requests=pod_requests((spec.get("template") or {}).get("spec") or {}),
    )


def pod_requests(spec: Body) -> dict[str, int]:
    """Extended resources of one pod, as the scheduler counts them: containers and sidecars together, or the greatest
    init container where that is more. For extended resources the request is the limit where only that is written."""
    together: dict[str, int] = {}
    greatest: dict[str, int] = {}
    for container in spec.get("initContainers") or []:
        requests = _container_requests(container)
        if container.get("restartPolicy") == "Always":
            together = _added(together, requests)
        else:
            needed = _added(together, requests)
            greatest = {name: max(greatest.get(name, 0), needed.get(name, 0)) for name in greatest | needed}
    for container in spec.get("containers") or []:
        together = _added(together, _container_requests(container))
    return {name: max(together.get(name, 0), greatest.get(name, 0)) for name in together | greatest}


def _container_requests(container: Body) -> dict[str, int]:
    resources = container.get("resources") or {}
    return _extended({**(resources.get("limits") or {}), **(resources.get("requests") or {})})


def _added(left: dict[str, int], right: dict[str, int]) -> dict[str, int]:
    return {name: left.get(name, 0) + right.get(name, 0) for name in left | right}


def _extended(quantities: Body | None) -> dict[str, int]:
    """Only names with a domain (nvidia.com/gpu) are extended resources; they are counted in whole numbers."""
    counted = {}
    for name, quantity in (quantities or {}).items():
        if "/" in name:
            try:
                counted[name] = int(number(quantity))
            except ValueError:
                continue
    return counted


def _labels(body: Body) -> dict[str, str]:
    return dict(body.get("metadata", {}).get("labels") or {})


def _condition_time(status: Body, kind: str) -> float | None:
    """Since when a condition has been True; None where it is not."""
    for condition in status.get("conditions") or []:
        if condition.get("type") == kind and condition.get("status") == "True":
            return seconds(condition.get("lastTransitionTime")) or 0.0
    return None


def _hopeless(status: Body) -> bool:
    statuses = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    return any(((s.get("state") or {}).get("waiting") or {}).get("reason") in HOPELESS for s in statuses)
