"""What stands behind a scaler's scaleTargetRef: replicas, GPUs of one replica, pods."""

from collections.abc import Iterable

from brownout.api.pool import GPUPoolSpec
from brownout.decide.evidence import Missing
from brownout.decide.snapshot import Pod, StoredScaler, Workload
from brownout.observe.facts import PodFact, TargetFact


def workload(
    scaler: StoredScaler, *, pool: GPUPoolSpec | None, target: TargetFact | Missing, pods: Iterable[PodFact]
) -> Workload | Missing:
    """The scaler's workload; `pods` are those that the target selects. Missing, with a sentence, where it cannot be had.

    GPUs of a replica are what the spec says, or else what the pod template or a running pod asks for.
    """
    if isinstance(target, Missing):
        return target
    members = tuple(pods)
    gpus = scaler.spec.gpus_per_replica or _requested(pool, target, members)
    if not gpus:
        resource = pool.resource_name if pool else "nvidia.com/gpu"
        ref = scaler.spec.scale_target_ref
        return Missing(
            f"InferenceScaler {scaler.key}: spec.gpusPerReplica is not set, and {ref.kind} {ref.name} asks for no {resource}; "
            f"write gpusPerReplica: 1, or resources.limits on the container"
        )
    return Workload(replicas=target.replicas, gpus_per_replica=gpus, pods=tuple(_pod(pod) for pod in members))


def _requested(pool: GPUPoolSpec | None, target: TargetFact, pods: tuple[PodFact, ...]) -> int:
    if pool is None:
        return 1  # the scaler is refused for its pool; one sentence about it is enough
    if target.requests is not None:
        return target.requests.get(pool.resource_name, 0)
    return max((pod.requests.get(pool.resource_name, 0) for pod in pods), default=0)


def _pod(fact: PodFact) -> Pod:
    return Pod(
        name=fact.key.name,
        created_at=fact.created_at,
        ready_at=fact.ready_at,
        node=fact.node,
        terminating=fact.terminating,
        failed=fact.failed,
    )
