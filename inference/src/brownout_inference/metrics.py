"""The metrics, whose names are a contract: autoscaling and shedding are computed from them.

A counter's first sample is already an increment, and `rate()` does not see what came before a first sample: the first request of a new (feature, tier,
cohort) on a replica is missing from it. A query without any series says that nothing is known, which is not that nobody asks; so each feature of the server has
a series from the start, and each cell has those of what alerts look at from its first request on. Tiers and cohorts come from the flags alone, never from a client, and past a bound they are
counted as `other`.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from brownout_inference import refusal
from brownout_inference.heaviest import Heaviest
from brownout_inference.vllm_names import VllmNames

if TYPE_CHECKING:
    from brownout_inference.engine.scheduler import Scheduler
    from brownout_inference.ticket import Ticket

OTHER = "other"
UNKNOWN = "unknown"
"""The tier of users whose tier is not known."""

QUOTA_UNAVAILABLE = "unavailable"
"""The outcome of asking a ledger that does not answer."""
FAILED_IN_ENGINE = "engine"
"""Why a request that was let in has no answer, where it is the engine that has none."""
UNSUITABLE = "unsuitable"
"""The same, where the model cannot do what was asked for, which is its user's mistake."""

MAX_LABEL_VALUES = 32
DURATION_BUCKETS = (0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 30, 45, 60, 90, 120)
TOKEN_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 2.5)
WAIT_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 8, 10, 15, 20, 30, 60, 120)

disable_created_metrics()  # type: ignore[no-untyped-call]


class LabelCap:
    """Lets the first `most` values through and calls the rest `other`."""

    def __init__(self, most: int = MAX_LABEL_VALUES) -> None:
        self._most = most
        self._known: set[str] = set()

    def __call__(self, value: str) -> str:
        if value in self._known:
            return value
        if len(self._known) >= self._most:
            return OTHER
        self._known.add(value)
        return value


class Meters:
    """Every metric of one server, in a registry of its own."""

    def __init__(self, workload: str) -> None:
        self.workload = workload
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._heaviest: Heaviest | None = None
        self._tier, self._cohort, self._variant, self._reason = LabelCap(), LabelCap(), LabelCap(), LabelCap()
        self._cells: set[tuple[str, str, str]] = set()
        cell = ["feature", "tier", "cohort"]

        def counter(name: str, text: str, labels: list[str]) -> Counter:
            return Counter(name, text, labels, registry=self.registry)

        self._offered = counter("brownout_feature_offered", "Requests that users made, retries too", cell)
        self._admitted = counter(
            "brownout_feature_admitted", "Requests that were let into the queue", [*cell, "variant"]
        )
        self._refused = counter("brownout_feature_refused", "Requests that were turned away", [*cell, "reason"])
        self._completed = counter(
            "brownout_feature_completed", "Requests that were answered", [*cell, "variant", "workload"]
        )
        self._failed = counter("brownout_feature_failed", "Admitted requests without an answer", [*cell, "reason"])
        self._duration = Histogram(
            "brownout_feature_duration_seconds",
            "From admission to the answer",
            cell,
            buckets=DURATION_BUCKETS,
            registry=self.registry,
        )
        self._busy = counter(
            "brownout_inference_gpu_busy_seconds", "Seconds in which the device ran steps", ["workload"]
        )
        self._work = counter(
            "brownout_inference_gpu_work_seconds",
            "Busy seconds, a step counting by the share of the batch's places that were taken: what costs are learned from",
            ["workload"],
        )
        self._feature_work = counter(
            "brownout_inference_feature_gpu_seconds",
            "Seconds of work on the device, by what the batch's places were used for",
            ["workload", "feature", "variant"],
        )

        def histogram(name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(name, text, ["workload", "tier"], buckets=buckets, registry=self.registry)

        self._wait = histogram(
            "brownout_inference_queue_wait_seconds", "From admission to a place in the batch", WAIT_BUCKETS
        )
        self._request = histogram(
            "brownout_inference_request_seconds", "From admission to the answer", DURATION_BUCKETS
        )
        self._first_token = histogram(
            "brownout_inference_first_token_seconds", "From admission to the first token", WAIT_BUCKETS
        )
        self._token = histogram(
            "brownout_inference_token_seconds", "From one token to the next, the mean of a request", TOKEN_BUCKETS
        )
        self._prompt_tokens = counter("brownout_inference_prompt_tokens", "Tokens of prompts", ["workload"])
        self._generated_tokens = counter("brownout_inference_generated_tokens", "Tokens made", ["workload"])
        self._finished = counter(
            "brownout_inference_finished", "Texts by how they ended: stop or length", ["workload", "reason"]
        )
        self._load = Gauge(
            "brownout_inference_load_seconds", "From start to ready", ["workload"], registry=self.registry
        )
        self._declared = Gauge(
            "brownout_inference_declared_gpu_seconds",
            "Declared cost of a plain request at the best variant",
            ["workload", "feature"],
            registry=self.registry,
        )
        self._quota = counter("brownout_inference_quota", "Asks of the ledger by outcome", ["feature", "outcome"])
        self._flag_changes = counter("brownout_inference_flag_changes", "Changes of the flags that were received", [])
        self._busy.labels(workload)
        self._work.labels(workload)

    def cell(self, tier: str, cohort: str) -> tuple[str, str]:
        """The label values for a tier and a cohort."""
        return self._tier(tier), self._cohort(cohort)

    def answers_for(self, feature: str) -> None:
        """The feature's demand is there from now on, as 0: when all replicas are new, and the users who were denied see no button, nobody else would say so."""
        self._offered.labels(feature, *self.cell(UNKNOWN, ""))
        self._begin(feature, *self.cell(UNKNOWN, ""))
        self._quota.labels(feature, QUOTA_UNAVAILABLE)

    def _begin(self, *cell: str) -> None:
        """What an alert looks at of a cell is there from now on, as 0: what is born at 1 has not increased."""
        self._cells.add((cell[0], cell[1], cell[2]))
        for reason in refusal.OVERLOAD:
            self._refused.labels(*cell, self._reason(reason))
        self._failed.labels(*cell, FAILED_IN_ENGINE)

    def offered(self, feature: str, tier: str, cohort: str, user: str | None = None) -> None:
        """A request was made; without a `user` nobody knows by whom."""
        if (feature, tier, cohort) not in self._cells:
            self._begin(feature, tier, cohort)
        self._offered.labels(feature, tier, cohort).inc()
        if self._heaviest is not None and user:
            self._heaviest.offered((feature, tier, cohort), user)

    def admitted(self, feature: str, tier: str, cohort: str, variant: str) -> None:
        self._admitted.labels(feature, tier, cohort, self._variant(variant)).inc()

    def refused(self, feature: str, tier: str, cohort: str, reason: str) -> None:
        self._refused.labels(feature, tier, cohort, self._reason(reason)).inc()

    def completed(self, feature: str, tier: str, cohort: str, variant: str, seconds: float) -> None:
        self._completed.labels(feature, tier, cohort, self._variant(variant), self.workload).inc()
        self._duration.labels(feature, tier, cohort).observe(seconds)
        self._request.labels(self.workload, tier).observe(seconds)

    def failed(self, feature: str, tier: str, cohort: str, reason: str) -> None:
        self._failed.labels(feature, tier, cohort, reason).inc()

    def gpu_busy(self, seconds: float, *, fill: float) -> None:
        """Steps that took `seconds`, with `fill` of the batch's places taken, from 0 to 1."""
        self._busy.labels(self.workload).inc(seconds)
        self._work.labels(self.workload).inc(seconds * fill)

    def worked(self, seconds: float, tickets: "Collection[Ticket]", *, most: float) -> None:
        """Steps that took `seconds`, by who had which places of `most`."""
        slots: defaultdict[tuple[str, str], float] = defaultdict(float)
        for ticket in tickets:
            slots[ticket.feature, ticket.verdict.variant] += ticket.work.slots
        for (feature, variant), taken in slots.items():
            self._feature_work.labels(self.workload, feature, self._variant(variant)).inc(seconds * taken / most)

    def first_token(self, tier: str, seconds: float) -> None:
        """The first part of a text was made `seconds` after its admission."""
        self._first_token.labels(self.workload, tier).observe(max(0.0, seconds))

    def text(self, tier: str, *, prompt_tokens: int, tokens: int, ended: bool, seconds_of_tokens: float) -> None:
        """A text is complete; `seconds_of_tokens` from its first token to its last."""
        self._prompt_tokens.labels(self.workload).inc(prompt_tokens)
        self._generated_tokens.labels(self.workload).inc(tokens)
        self._finished.labels(self.workload, "stop" if ended else "length").inc()
        if tokens > 1:
            self._token.labels(self.workload, tier).observe(seconds_of_tokens / (tokens - 1))

    def queue_wait(self, tier: str, seconds: float) -> None:
        self._wait.labels(self.workload, tier).observe(max(0.0, seconds))

    def quota(self, feature: str, outcome: str) -> None:
        self._quota.labels(feature, outcome).inc()

    def flags_changed(self) -> None:
        self._flag_changes.inc()

    def loaded(self, seconds: float) -> None:
        self._load.labels(self.workload).set(seconds)

    def declared(self, feature: str, gpu_seconds: float) -> None:
        self._declared.labels(self.workload, feature).set(gpu_seconds)

    def name_heaviest(self, most: int, *, clock: Callable[[], float]) -> None:
        """From now on the `most` heaviest users of each feature, tier and cohort are named in the metrics."""
        self._heaviest = Heaviest(clock=clock, most=most)
        self.registry.register(self._heaviest)

    def watch(self, scheduler: "Scheduler") -> None:
        """Reads queue and batch whenever metrics are asked for, and shows what vLLM measures too under its names."""
        batch = _QueueAndBatch(self.workload, scheduler)
        self.registry.register(batch)
        measured = (
            self._wait,
            self._request,
            self._first_token,
            self._token,
            self._prompt_tokens,
            self._generated_tokens,
            self._finished,
        )
        self.registry.register(VllmNames([batch, *measured]))

    def page(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self.registry)


class _QueueAndBatch(Collector):
    """Looked up at the moment of the scrape, so that nothing has to be kept up to date in between."""

    def __init__(self, workload: str, scheduler: "Scheduler") -> None:
        self._workload = workload
        self._scheduler = scheduler

    def collect(self) -> Iterable[Metric]:
        scheduler = self._scheduler
        length = GaugeMetricFamily("brownout_inference_queue_length", "Requests that wait", labels=["workload", "tier"])
        for tier, waiting in scheduler.queue.lengths.items():
            length.add_metric([self._workload, tier], waiting)
        yield length
        for name, text, value in (
            ("queue_gpu_seconds", "Declared cost of what waits", scheduler.queue.gpu_seconds()),
            ("running", "Requests in the batch", scheduler.running),
            ("paused", "Requests that have begun and let others go first", scheduler.paused),
            ("batch_fill", "Share of the batch's places in use", scheduler.slots_in_use / scheduler.max_batch),
            ("batch_slots", "Places of the batch, fewer after the device was full", scheduler.slots.now),
        ):
            gauge = GaugeMetricFamily(f"brownout_inference_{name}", text, labels=["workload"])
            gauge.add_metric([self._workload], value)
            yield gauge
        preemptions = CounterMetricFamily(
            "brownout_inference_preemptions", "Times that a request was paused for another", labels=["workload"]
        )
        preemptions.add_metric([self._workload], scheduler.preemptions)
        yield preemptions
        losses = CounterMetricFamily("brownout_inference_engine_losses", "Engines that were lost", labels=["workload"])
        losses.add_metric([self._workload], scheduler.losses)
        yield losses
        yield from self._memory()

    def _memory(self) -> Iterable[Metric]:
        """What is not known has no series."""
        memory = self._scheduler.memory
        size = GaugeMetricFamily(
            "brownout_inference_memory_bytes",
            "Memory of the device: used, and the most that there is",
            labels=["workload", "kind"],
        )
        for kind, bytes_ in (("used", memory.used_bytes), ("most", memory.most_bytes)):
            if bytes_ is not None:
                size.add_metric([self._workload, kind], bytes_)
        yield size
        usage = GaugeMetricFamily(
            "brownout_inference_kv_usage",
            "Key-value caches in use over those that a full batch has, paused ones too, 1 at most",
            labels=["workload"],
        )
        if memory.kv_places_most:
            usage.add_metric([self._workload], min(1.0, self._scheduler.held_slots / self._scheduler.max_batch))
        yield usage
