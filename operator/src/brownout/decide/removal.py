"""Which pods go when a workload is scaled down: the order of a ReplicaSet, as far as it can be seen from here.

GPUs that are taken back are of use to another workload only on the nodes where they come free, so a plan has to know which
those will be. Kubernetes' order (pkg/controller/controller_utils.go, ActivePodsWithRanks): who has no node, who is not ready,
who shares a node with most others of the same workload, then the youngest. What cannot be seen from here is left out: deletion
costs, restarts, and that ages are compared by powers of two.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Protocol, TypeVar


class Placed(Protocol):
    """A pod: where it is, since when, and since when it serves."""

    @property
    def name(self) -> str: ...
    @property
    def created_at(self) -> float: ...
    @property
    def ready_at(self) -> float | None: ...
    @property
    def node(self) -> str | None: ...


AnyPod = TypeVar("AnyPod", bound=Placed)


def leaves_first(pods: Iterable[AnyPod]) -> list[AnyPod]:
    """The pods of one workload, the one that a scale-down takes first before all others."""
    pods = list(pods)
    beside = Counter(pod.node for pod in pods)
    return sorted(
        pods,
        key=lambda pod: (pod.node is not None, pod.ready_at is not None, -beside[pod.node], -pod.created_at, pod.name),
    )
