"""GPUPool: GPUs that several scalers share. Cluster-scoped: it belongs to administrators, as nodes and credentials do."""

from typing import Annotated, ClassVar

from msgspec import Meta, field

from brownout.api.schema import Column, Conditions, Label, Name, Object, Percent, Ref, Resource, Rule, Time


class LabelSelectorRequirement(Object, frozen=True, kw_only=True):
    rules: ClassVar = (
        Rule(
            "!(self.operator in ['In', 'NotIn']) || (has(self.values) && size(self.values) > 0)",
            "In and NotIn need values; write values: [h100]",
        ),
        Rule(
            "self.operator in ['In', 'NotIn'] || !has(self.values) || size(self.values) == 0",
            "Exists and DoesNotExist take no values; remove them, or write operator: In",
        ),
    )
    key: Annotated[str, Meta(min_length=1, max_length=317)]
    operator: Annotated[str, Meta(extra_json_schema={"enum": ["In", "NotIn", "Exists", "DoesNotExist"]})]
    values: Annotated[tuple[Annotated[str, Meta(max_length=63)], ...], Meta(max_length=64)] = ()


class LabelSelector(Object, frozen=True, kw_only=True):
    """Kubernetes' label selector. Empty selects everything."""

    match_labels: Annotated[dict[str, Annotated[str, Meta(max_length=63)]], Meta(max_length=64)] = {}
    match_expressions: Annotated[tuple[LabelSelectorRequirement, ...], Meta(max_length=32)] = ()


class NodeCapacity(Object, frozen=True, kw_only=True):
    """GPUs counted from nodes, per node and in whole replicas."""

    selector: LabelSelector = LabelSelector()
    max_gpus: (
        Annotated[
            int,
            Meta(ge=0, le=1_000_000, description="what a node autoscaler may grow to; pending pods are then coming"),
        ]
        | None
    ) = field(default=None, name="maxGPUs")
    provision_seconds: Annotated[
        int, Meta(ge=0, le=86400, description="how long the node autoscaler takes to add a node")
    ] = 420


class QuotaRef(Object, frozen=True, kw_only=True):
    """A ResourceQuota whose GPUs bound the pool."""

    namespace: Label
    name: Name


class Capacity(Object, frozen=True, kw_only=True):
    """Where the number of GPUs comes from. At least one; the least counts."""

    rules: ClassVar = (
        Rule(
            "has(self.nodes) || has(self.gpus) || (has(self.quotas) && size(self.quotas) > 0)",
            "capacity names no source of GPUs; write at least one of nodes, quotas or gpus",
        ),
        Rule(
            "!has(self.quotas) || self.quotas.all(q, self.quotas.exists_one(r, r.__namespace__ == q.__namespace__ && r.name == q.name))",
            "a quota is listed twice; list each quota once",
            ".quotas",
        ),
    )
    nodes: NodeCapacity | None = None
    quotas: Annotated[
        tuple[QuotaRef, ...], Meta(max_length=64, description="ResourceQuotas; of each namespace the least, added up")
    ] = ()
    gpus: (
        Annotated[int, Meta(ge=0, le=1_000_000, description="a number of GPUs, where there is nothing to count")] | None
    ) = None


class PrometheusSource(Object, frozen=True, kw_only=True):
    """Whom to ask. The secret (in the operator's namespace) may hold url, bearer, username, password, ca.crt and headers."""

    secret_ref: Annotated[Ref, Meta(description="none means the operator's own Prometheus")] | None = None
    namespace_parameter: Annotated[
        str, Meta(max_length=63, description="the query parameter that carries the namespace, for multi-tenant proxies")
    ] = ""


class SaturationSettings(Object, frozen=True, kw_only=True):
    enter_excess_seconds: Annotated[
        int, Meta(ge=0, le=600, description="integral of saturation beyond 100 % that enters it")
    ] = 3
    restore_percent: Annotated[
        int, Meta(ge=10, le=97, description="a cell returns only if ready capacity stays below this")
    ] = 90


class SheddingSettings(Object, frozen=True, kw_only=True):
    step_seconds: Annotated[int, Meta(ge=0, le=600, description="least time between two steps down the ladder")] = 10
    max_reversals_per_cell_per_hour: Annotated[
        int, Meta(ge=1, le=60, description="changes of direction; the budget delays restoring, never shedding")
    ] = 4


class ReclaimSettings(Object, frozen=True, kw_only=True):
    """When GPUs that one scaler holds above its share move to another that is short."""

    deficit_percent: Annotated[
        Percent,
        Meta(description="the least deficit, of what the scaler that is short should have, and at least a replica"),
    ] = 10
    after_seconds: Annotated[int, Meta(ge=0, le=3600, description="how long the deficit must last")] = 60
    hold_seconds: Annotated[
        int, Meta(ge=0, le=86400, description="the opposite direction stays closed for this long")
    ] = 600


class GPUPoolSpec(Object, frozen=True, kw_only=True):
    namespace_selector: Annotated[
        LabelSelector, Meta(description="namespaces whose scalers may use the pool; none means all")
    ] = LabelSelector()
    resource_name: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=253,
            pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
            description="the extended resource that pods ask for",
        ),
    ] = "nvidia.com/gpu"
    capacity: Capacity
    prometheus: PrometheusSource = PrometheusSource()
    saturation: SaturationSettings = SaturationSettings()
    shedding: SheddingSettings = SheddingSettings()
    reclaim: ReclaimSettings = ReclaimSettings()


class PoolGPUs(Object, frozen=True, kw_only=True):
    """capacity: what may be had; granted: planned for scalers; held: by their pods; free: capacity less held.

    What is not known is absent.
    """

    capacity: int | None = None
    granted: int | None = None
    held: int | None = None
    free: int | None = None
    limited_by: str = ""


class Holder(Object, frozen=True, kw_only=True):
    namespace: str
    scaler: str
    gpus: int
    ready: int = 0
    coming: int = 0


class PoolSaturation(Object, frozen=True, kw_only=True):
    """percent: the worst of those scalers whose saturation is known, absent where none is; unknown: how many others there are."""

    percent: int | None = None
    unknown: int | None = None
    scaler: str = ""
    message: str = ""
    since: Time = ""


class LadderPosition(Object, frozen=True, kw_only=True):
    """taken of total rungs, once they were judged; next is what would be shed next, last what was shed last."""

    taken: int | None = None
    total: int | None = None
    position: Annotated[str, Meta(description="taken/total; absent where there is no rung")] = ""
    next: str = ""
    last: str = ""


class GPUPoolStatus(Object, frozen=True, kw_only=True):
    observed_generation: int = 0
    gpus: PoolGPUs = PoolGPUs()
    holders: tuple[Holder, ...] = ()
    saturation: PoolSaturation = PoolSaturation()
    ladder: LadderPosition = LadderPosition()
    conditions: Conditions = ()


GPU_POOL = Resource(
    kind="GPUPool",
    plural="gpupools",
    short_names=("gpool",),
    namespaced=False,
    spec=GPUPoolSpec,
    status=GPUPoolStatus,
    description="GPUs that several scalers share, and how they are shared when they run out.",
    columns=(
        Column("GPUs", ".status.gpus.capacity", "integer", "GPUs that may be had"),
        Column("Granted", ".status.gpus.granted", "integer", "GPUs planned for scalers"),
        Column("Free", ".status.gpus.free", "integer", "GPUs that no pod holds"),
        Column(
            "Saturation%",
            ".status.saturation.percent",
            "integer",
            "the worst scaler's; 100 is full, empty is not known",
        ),
        Column("Saturated", '.status.conditions[?(@.type=="Saturated")].status'),
        Column("Ladder", ".status.ladder.position", "string", "rungs taken of all"),
        Column("Next", ".status.ladder.next", "string", "what would be shed next", 1),
        Column("Age", ".metadata.creationTimestamp", "date"),
    ),
)
