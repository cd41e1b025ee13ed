"""One scaler as the rules see it: what serves now, what is coming, what is asked of it."""

from msgspec import Struct

from brownout.api.resources import Key
from brownout.api.scaler import InferenceScalerSpec
from brownout.decide.demand import Demand
from brownout.decide.learn import cold_start_seconds
from brownout.decide.memory import ScalerMemory
from brownout.decide.snapshot import Pod, Scaler, Workload


class Supply(Struct, frozen=True, kw_only=True):
    """Replicas of a workload: `ready` serve, `coming` load (the first is expected at `coming_ready_at`), `dead` are given up.

    A pod that failed for good is replaced by its controller, so of those that are given up only as many count as replicas
    are lacking for: what an eviction left lying about is nobody's replica.

    `pods` are those that are not on their way out, `by_node` counts them.
    """

    replicas: int
    gpus: int
    ready: int
    coming: int
    dead: int
    coming_ready_at: float | None
    by_node: dict[str, int]
    pods: tuple[Pod, ...] = ()

    @property
    def capacity(self) -> float:
        """GPU-seconds a second of what is ready now."""
        return float(self.ready * self.gpus)


def supply_of(workload: Workload, spec: InferenceScalerSpec, memory: ScalerMemory, *, now: float) -> Supply:
    """Count a workload's replicas. What is not ready giveUpAfterSeconds after its creation is given up: dead."""
    alive = tuple([pod for pod in workload.pods if not pod.terminating])
    unready = [pod for pod in alive if pod.ready_at is None or pod.failed]
    ready = len(alive) - len(unready)
    given_up = [pod for pod in unready if now - pod.created_at > spec.cold_start.give_up_after_seconds]
    loading = [pod for pod in unready if pod not in given_up and not pod.failed]
    there = max(workload.replicas, ready + len(loading))
    dead = min(len(given_up), there - ready - len(loading))
    coming = there - ready - dead
    first: float | None = None
    if loading or coming:
        expected = cold_start_seconds(memory, expected=spec.cold_start.expected_seconds)
        first = min([max(now, pod.created_at + expected) for pod in loading], default=now + expected)
    nodes: dict[str, int] = {}
    for pod in alive:
        if pod.node is not None:
            nodes[pod.node] = nodes.get(pod.node, 0) + 1
    return Supply(
        replicas=workload.replicas,
        gpus=spec.gpus_per_replica or workload.gpus_per_replica,
        ready=ready,
        coming=coming,
        dead=dead,
        coming_ready_at=first,
        by_node=nodes,
        pods=alive,
    )


class ScalerView(Struct, frozen=True, kw_only=True):
    """Everything the rules need of one scaler. `saturation` is a ratio (1 is full), None where it cannot be known."""

    scaler: Scaler
    supply: Supply
    demand: Demand
    memory: ScalerMemory
    saturation: float | None = None
    saturated: bool = False
    demanded: int = 0
    forecast: int | None = None
    floor: int = 0
    tiers: tuple[tuple[int, int], ...] = ()
    reach: tuple[tuple[int, int], ...] = ()

    @property
    def key(self) -> Key:
        return self.scaler.stored.key

    @property
    def spec(self) -> InferenceScalerSpec:
        return self.scaler.stored.spec

    @property
    def blind(self) -> bool:
        """Nothing at all is known of its demand."""
        return not self.demand.known
