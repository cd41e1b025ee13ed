"""InferenceScaler: the autoscaler of one workload in a pool."""

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from brownout.api.schema import Column, Conditions, Label, Name, Object, Quantity, Query, Ref, Resource, Rule, Time

Mode = Literal["Auto", "Advise", "Paused"]
"""Auto writes; Advise decides and publishes, and writes nothing; Paused leaves everything as it is."""


class ScaleTargetRef(Object, frozen=True, kw_only=True):
    """Anything with a /scale subresource."""

    api_version: Annotated[str, Meta(min_length=1, max_length=253)] = "apps/v1"
    kind: Annotated[str, Meta(min_length=1, max_length=63)] = "Deployment"
    name: Name


class MetricTarget(Object, frozen=True, kw_only=True):
    """AverageValue: per replica; Value: for the whole."""

    rules: ClassVar = (
        Rule(
            "type(self.value) == int ? int(self.value) > 0 : !string(self.value).matches('^[0.]+[mkMG]?$')",
            "a target of 0 can never be met; write a value above 0, such as 700m",
            ".value",
        ),
    )
    type: Literal["AverageValue", "Value"] = "AverageValue"
    value: Quantity


class EngineMetric(Object, frozen=True, kw_only=True):
    """A named query for a known inference engine's own metric names."""

    pack: Literal["vllm", "sglang", "tgi", "triton", "brownout"]
    signal: Annotated[Label, Meta(description="which of the pack's queries, such as kv-cache")]
    labels: Annotated[
        dict[str, Annotated[str, Meta(max_length=253)]],
        Meta(max_length=16, description="labels that pick this workload's series, such as model_name: flux"),
    ] = {}


class Metric(Object, frozen=True, kw_only=True):
    """One number from Prometheus.

    Load: by the HPA's formula. Backlog: GPU-seconds of queued work. Objective: evidence of saturation, never arithmetic.
    Busy: GPU-seconds of work done a second by the whole workload, from which costs are learned. A batching server must count
    a step by the share of its batch that is full: at low load it is busy all the time with batches that are nearly empty.
    """

    rules: ClassVar = (
        Rule("has(self.query) != has(self.engine)", "a metric has either query or engine; write exactly one of them"),
        Rule(
            "!(self.role in ['Load', 'Objective']) || has(self.target)",
            "a Load or Objective metric needs a target; write target: {type: AverageValue, value: 700m}",
        ),
        Rule(
            "self.role in ['Load', 'Objective'] || !has(self.target)",
            "a Backlog or Busy metric has no target; remove it (queue.drainSeconds says how fast a backlog goes)",
        ),
        Rule(
            "self.role != 'Objective' || !has(self.target) || self.target.type == 'Value'",
            "an Objective is compared as it is, not per replica; write target: {type: Value, value: ...}",
        ),
    )
    name: Label
    role: Literal["Load", "Backlog", "Objective", "Busy"] = "Load"
    query: Query | None = None
    engine: EngineMetric | None = None
    target: MetricTarget | None = None


class QueueSettings(Object, frozen=True, kw_only=True):
    """A queue adds the rate that empties it in drainSeconds; order says how the server serves it."""

    objective_seconds: Annotated[int, Meta(ge=1, le=3600, description="how long a request may wait")] = 5
    drain_seconds: Annotated[
        int, Meta(ge=1, le=3600, description="replicas are planned to empty the queue in this time")
    ] = 15
    order: Annotated[
        Literal["Tiered", "FIFO"], Meta(description="Tiered: by tier priority. FIFO: first in, first out")
    ] = "Tiered"


class FlowSettings(Object, frozen=True, kw_only=True):
    target_percent: Annotated[
        int, Meta(ge=10, le=100, description="replicas are planned so that demand fills this much of them")
    ] = 90


class ColdStart(Object, frozen=True, kw_only=True):
    """From a pod's creation until it is ready: declared at first, learned from the pods once there are some."""

    rules: ClassVar = (
        Rule(
            "!has(self.expectedSeconds) || !has(self.giveUpAfterSeconds) || self.giveUpAfterSeconds >= self.expectedSeconds",
            "giveUpAfterSeconds is shorter than expectedSeconds; write one that is at least as long",
            ".giveUpAfterSeconds",
        ),
    )
    expected_seconds: Annotated[int, Meta(ge=0, le=7200)] = 120
    give_up_after_seconds: Annotated[
        int, Meta(ge=10, le=86400, description="a pod that is not ready by then is planned elsewhere")
    ] = 900


class Forecast(Object, frozen=True, kw_only=True):
    """Trend: demand's slope, over the cold start. It may raise the plan, never lower it."""

    method: Literal["None", "Trend"] = "Trend"


class ScalingPolicy(Object, frozen=True, kw_only=True):
    """At most `value` pods or percent in `periodSeconds`."""

    type: Literal["Pods", "Percent"]
    value: Annotated[int, Meta(ge=1, le=100_000)]
    period_seconds: Annotated[int, Meta(ge=1, le=1800)]


class ScalingRules(Object, frozen=True, kw_only=True):
    """As in autoscaling/v2."""

    stabilization_window_seconds: Annotated[int, Meta(ge=0, le=3600)] | None = None
    select_policy: Literal["Max", "Min", "Disabled"] = "Max"
    policies: Annotated[tuple[ScalingPolicy, ...], Meta(max_length=8)] = ()


class Behavior(Object, frozen=True, kw_only=True):
    """The shape and the defaults of autoscaling/v2: up at once, at most doubling or four pods in 15 s; down after 300 s."""

    scale_up: ScalingRules = ScalingRules()
    scale_down: ScalingRules = ScalingRules()


class Stale(Object, frozen=True, kw_only=True):
    """What to do while metrics are missing. Missing is never zero."""

    rules: ClassVar = (
        Rule(
            "!has(self.afterSeconds) || !has(self.fallbackAfterSeconds) || self.fallbackAfterSeconds >= self.afterSeconds",
            "fallbackAfterSeconds is shorter than afterSeconds; write one that is at least as long",
            ".fallbackAfterSeconds",
        ),
    )
    after_seconds: Annotated[int, Meta(ge=1, le=3600, description="a sample older than this is missing")] = 60
    fallback_after_seconds: Annotated[
        int, Meta(ge=1, le=86400, description="every metric missing for so long raises to fallbackReplicas")
    ] = 600
    fallback_replicas: (
        Annotated[int, Meta(ge=0, le=100_000, description="only ever raises; none means hold for ever")] | None
    ) = None


class InferenceScalerSpec(Object, frozen=True, kw_only=True):
    rules: ClassVar = (
        Rule(
            "self.minReplicas <= self.maxReplicas",
            "minReplicas is above maxReplicas; write minReplicas <= maxReplicas",
            ".minReplicas",
        ),
        Rule(
            "!has(self.stale.fallbackReplicas) || self.stale.fallbackReplicas <= self.maxReplicas",
            "stale.fallbackReplicas is above maxReplicas; write fallbackReplicas <= maxReplicas",
            ".stale.fallbackReplicas",
        ),
        Rule(
            "!has(self.metrics) || self.metrics.all(m, self.metrics.exists_one(n, n.name == m.name))",
            "two metrics share a name; give each its own",
            ".metrics",
        ),
    )
    pool_ref: Annotated[Ref, Meta(description="the GPUPool; its namespaceSelector must select this namespace")]
    scale_target_ref: ScaleTargetRef
    gpus_per_replica: (
        Annotated[int, Meta(ge=1, le=1024, description="read from the pod template where there is one")] | None
    ) = None
    priority: Annotated[
        int, Meta(ge=0, le=1000, description="who gets GPUs first when they are short; higher goes first")
    ] = 50
    mode: Annotated[
        Mode,
        Meta(
            description="Auto: scale. Advise: decide and publish, and write nothing. Paused: replicas stay as they are"
        ),
    ] = "Auto"
    min_replicas: Annotated[int, Meta(ge=0, le=100_000)] = 1
    max_replicas: Annotated[int, Meta(ge=1, le=100_000)] = 10
    metrics: Annotated[tuple[Metric, ...], Meta(max_length=16, description="the most demanding one counts")] = ()
    flow: FlowSettings = FlowSettings()
    queue: QueueSettings = QueueSettings()
    cold_start: ColdStart = ColdStart()
    forecast: Forecast = Forecast()
    behavior: Behavior = Behavior()
    stale: Stale = Stale()


class ReplicaCounts(Object, frozen=True, kw_only=True):
    """desired: this decision; current: the target's spec; demanded: for all offered demand; obtainable: what the pool allows.

    floor: for what may never be taken; forecast: by the trend, by the time that a new replica is ready. What is not known is
    absent.
    """

    desired: int | None = None
    current: int | None = None
    ready: int | None = None
    coming: int | None = None
    demanded: int | None = None
    obtainable: int | None = None
    floor: int | None = None
    forecast: int | None = None


class DemandStatus(Object, frozen=True, kw_only=True):
    """GPU-seconds a second, as text with two decimals; backlog in GPU-seconds."""

    offered: str = ""
    admitted: str = ""
    backlog: str = ""
    capacity: str = ""
    shortfall: str = ""
    leading_metric: str = ""


class Learned(Object, frozen=True, kw_only=True):
    """cost factor over what is declared, in percent; cold start from pod created to ready. Absent until it is learned."""

    cost_percent: int | None = None
    cost_error_percent: int | None = None
    cold_start_p50_seconds: int | None = None
    cold_start_p95_seconds: int | None = None


class ScaleDecision(Object, frozen=True, kw_only=True):
    at: Time
    from_replicas: int
    to_replicas: int
    rule: str
    message: str


class ScalerMemory(Object, frozen=True, kw_only=True):
    """What must outlive a restart, written with decisions only."""

    saturated_since: Time = ""
    deficit_since: Time = ""
    closed_until: Time = ""


class Reclaim(Object, frozen=True, kw_only=True):
    """GPUs that are about to go, or go, to another scaler of the pool that is short of its share: which, and what is kept."""

    to: str = ""
    keeps: int = 0


class InferenceScalerStatus(Object, frozen=True, kw_only=True):
    observed_generation: int = 0
    replicas: ReplicaCounts = ReplicaCounts()
    saturation_percent: Annotated[
        int | None, Meta(description="admitted demand over ready capacity; absent where it is not known")
    ] = None
    limited_by: str = ""
    demand: DemandStatus = DemandStatus()
    learned: Learned = Learned()
    coming_ready_at: Time = ""
    reclaim: Reclaim = Reclaim()
    summary: str = ""
    decisions: tuple[ScaleDecision, ...] = ()
    memory: ScalerMemory = ScalerMemory()
    conditions: Conditions = ()


INFERENCE_SCALER = Resource(
    kind="InferenceScaler",
    plural="inferencescalers",
    short_names=("isc",),
    spec=InferenceScalerSpec,
    status=InferenceScalerStatus,
    description="The autoscaler of one workload in a pool.",
    columns=(
        Column("Pool", ".spec.poolRef.name"),
        Column("Mode", ".spec.mode", "string", "", 1),
        Column("Ready", ".status.replicas.ready", "integer"),
        Column("Coming", ".status.replicas.coming", "integer", "created and still loading"),
        Column("Desired", ".status.replicas.desired", "integer"),
        Column("Demanded", ".status.replicas.demanded", "integer", "what all offered demand would need"),
        Column("Saturation%", ".status.saturationPercent", "integer", "100 is full, empty is not known"),
        Column("Limited-By", ".status.limitedBy"),
        Column("Why", ".status.summary", "string", "the rule that decided, on what numbers", 1),
        Column("Age", ".metadata.creationTimestamp", "date"),
    ),
)
