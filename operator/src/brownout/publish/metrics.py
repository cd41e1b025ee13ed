"""The operator's own metrics: live values, where status only explains decisions.

A counter that is born at 1 has not increased for Prometheus: what an alert looks at is there from the start, as 0.
"""

from collections.abc import Iterable, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from brownout.api.resources import RESOURCES, Key
from brownout.decide.evidence import Missing
from brownout.decide.memory import Memory
from brownout.decide.outcome import Plan
from brownout.decide.snapshot import Snapshot
from brownout.publish.plan_metrics import SCALER, PlanMetrics

TICK_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 7.5, 10, 15, 30)
QUERY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)

disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """Everything that /metrics shows, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self._plan = PlanMetrics()
        registry.register(self._plan)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"brownout_{name}", text, labels, registry=registry)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"brownout_{name}", text, labels, registry=registry)

        self.tick_seconds = Histogram(
            "brownout_tick_duration_seconds", "How long a tick took", buckets=TICK_BUCKETS, registry=registry
        )
        self.tick_errors = counter("tick_errors", "Ticks that ended in an error")
        self.leader = gauge("leader", "1 while this operator decides; 0 while it starts or stands by")
        self.writes_fenced = counter("writes_fenced", "Writes that were not sent, because the lease may have run out")
        self.last_tick = gauge("last_tick_timestamp_seconds", "When the last tick ended; 0 before the first")
        self.decisions = counter(
            "decisions", "Changed decisions, by the kind of object and the reason", "kind", "reason"
        )
        self.scale_writes = counter("scale_writes", "Writes to /scale: written, failed or out_of_date", "result")
        self.status_writes = counter("status_writes", "Writes of status", "kind")
        self.api_errors = counter(
            "kubernetes_api_errors", "Writes of status that the API server did not take, by kind", "what"
        )
        self.unwritten = gauge(
            "status_unwritten",
            "1: the status of the object cannot be written; what was decided about a policy is not in force",
            "kind",
            "namespace",
            "name",
        )
        self.events_dropped = counter("events_dropped", "Events that were not posted")
        self.feature_flag = gauge(
            "featureflag", "The FeatureFlag resource of a namespace: 1 for its state", "namespace", "state"
        )
        self.feature_flag_writes = counter("featureflag_writes", "Writes of FeatureFlag resources")
        self.queries = counter(
            "prometheus_queries", "Requests to Prometheus, for one query or several: answered or failed", "result"
        )
        self.query_seconds = Histogram(
            "brownout_prometheus_query_duration_seconds",
            "How long Prometheus took to answer a request, or not to",
            buckets=QUERY_BUCKETS,
            registry=registry,
        )
        self.unseen = gauge("kind_unseen", "1 while the objects of a kind are not known", "kind")
        self.invalid = gauge("objects_invalid", "Objects that cannot be read", "kind")
        self.missing = gauge(
            "evidence_missing", "Numbers of the object that are missing or stale", "kind", "namespace", "name"
        )
        self.left_out = gauge(
            "namespace_left_out",
            "1 for a namespace of watchNamespaces that is not acted in: it is absent, ending (being deleted), or forbidden to be read",
            "namespace",
            "why",
        )
        self.replicas = gauge(
            "scaler_replicas", "Replicas: desired, current, ready, coming, demanded, obtainable", *SCALER, "state"
        )
        self.saturation = gauge("scaler_saturation_ratio", "Admitted demand over ready capacity; 1 is full", *SCALER)
        self.flow = gauge(
            "scaler_demand_gpus",
            "In GPU-seconds a second: what is offered and admitted, and the capacity of what is ready",
            *SCALER,
            "which",
        )
        self.backlog = gauge("scaler_backlog_gpu_seconds", "Work that waits", *SCALER)
        self.cost_factor = gauge("scaler_cost_factor", "Learned cost over declared cost", *SCALER)
        self.gpus = gauge("pool_gpus", "GPUs: capacity, granted, held", "pool", "state")
        self.ladder = gauge("pool_ladder_rungs", "Rungs: taken and total", "pool", "state")
        for result in ("answered", "failed"):
            self.queries.labels(result)
        for result in ("written", "failed", "out_of_date"):
            self.scale_writes.labels(result)
        for kind in RESOURCES:
            self.api_errors.labels(kind.kind)
        self._looked: Snapshot | None = None
        self._decided: tuple[Plan, Memory] | None = None

    def answered(self, result: str, seconds: float) -> None:
        """A query to Prometheus was answered or failed, after so long."""
        self.queries.labels(result).inc()
        self.query_seconds.observe(seconds)

    def page(self) -> bytes:
        """Everything in Prometheus' text format. Gauges show the last tick, and are set now: a scrape comes less often than ticks do."""
        if self._looked is not None:
            self._show_evidence(self._looked)
        if self._decided is not None:
            self._show_scalers(*self._decided)
            self._show_pools(self._decided[0])
        self._looked = self._decided = None
        return generate_latest(self.registry)

    def show_unwritten(self, names: Iterable[tuple[str, Key]]) -> None:
        """The objects whose statuses cannot be written now."""
        self.unwritten.clear()
        for kind, key in names:
            self.unwritten.labels(kind, key.namespace, key.name).set(1)

    def show_feature_flags(self, states: Mapping[str, str]) -> None:
        """The state of each namespace's resource."""
        self.feature_flag.clear()
        for namespace, state in states.items():
            self.feature_flag.labels(namespace, state).set(1)

    def show_left_out(self, namespaces: Mapping[str, str]) -> None:
        """The namespaces that are left out, and why."""
        self.left_out.clear()
        for namespace, why in namespaces.items():
            self.left_out.labels(namespace, why).set(1)

    def show(self, snapshot: Snapshot, plan: Plan, memory: Memory) -> None:
        """Show one tick from now on; objects that are gone show no more, and what is not known has no series."""
        self._looked = snapshot
        if snapshot.unseen:
            return
        self._plan.saw(snapshot, plan, memory)
        self._decided = (plan, memory)
        for note in plan.notes:
            self.decisions.labels(note.kind, str(note.reason)).inc()

    def _show_evidence(self, snapshot: Snapshot) -> None:
        for gauge in (self.unseen, self.invalid, self.missing):
            gauge.clear()
        for kind in snapshot.unseen:
            self.unseen.labels(kind).set(1)
        for kind, _ in snapshot.invalid:
            self.invalid.labels(kind).inc()
        for key, scaler in snapshot.scalers.items():
            count = sum(isinstance(evidence, Missing) for evidence in scaler.metrics.values())
            self.missing.labels("InferenceScaler", key.namespace, key.name).set(count)
        for key, policy in snapshot.policies.items():
            count = sum(isinstance(rates, Missing) for rates in (policy.offered, policy.admitted, policy.heaviest))
            self.missing.labels("FeaturePolicy", key.namespace, key.name).set(count)

    def _show_scalers(self, plan: Plan, memory: Memory) -> None:
        for gauge in (self.replicas, self.saturation, self.flow, self.backlog, self.cost_factor):
            gauge.clear()
        for key, scaler in plan.scalers.items():
            at = (key.namespace, key.name)
            for state, count in (
                ("desired", None if scaler.unread else scaler.replicas),
                ("current", None if scaler.unread else scaler.current),
                ("ready", scaler.ready),
                ("coming", scaler.coming),
                ("demanded", scaler.demanded),
                ("obtainable", scaler.obtainable),
            ):
                if count is not None:
                    self.replicas.labels(*at, state).set(count)
            if scaler.saturation_percent is not None:
                self.saturation.labels(*at).set(scaler.saturation_percent / 100)
            for which, value in (
                ("offered", scaler.flow.offered),
                ("admitted", scaler.flow.admitted),
                ("capacity", scaler.flow.capacity),
            ):
                if value is not None:
                    self.flow.labels(*at, which).set(value)
            if scaler.flow.backlog is not None:
                self.backlog.labels(*at).set(scaler.flow.backlog)
            if (remembered := memory.scalers.get(key)) and remembered.cost_learned:
                self.cost_factor.labels(*at).set(remembered.cost_factor)

    def _show_pools(self, plan: Plan) -> None:
        for gauge in (self.gpus, self.ladder):
            gauge.clear()
        for key, pool in plan.pools.items():
            if pool.capacity is not None:
                self.gpus.labels(key.name, "capacity").set(pool.capacity)
            self.gpus.labels(key.name, "granted").set(pool.granted)
            self.gpus.labels(key.name, "held").set(pool.held)
            self.ladder.labels(key.name, "taken").set(pool.rungs_taken)
            self.ladder.labels(key.name, "total").set(pool.rungs_total)
