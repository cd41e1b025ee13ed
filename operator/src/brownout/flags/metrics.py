"""What the flag server says of itself to Prometheus. Labels are never taken from a client.

A counter that is born at 1 has not increased for Prometheus: what an alert looks at is there from the start, as 0.
"""

import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from brownout.flags.beliefs import KINDS
from brownout.flags.watch import Part

QUOTA_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)


class Evaluations(Collector):
    """Evaluations by endpoint and outcome: counted in a dictionary, because a counter of the library, which any thread may count
    with, takes a thirtieth of the time of an answer. Counted by the event loop's thread alone."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], int] = {}

    def count(self, endpoint: str, outcome: str) -> None:
        key = endpoint, outcome
        self._counts[key] = self._counts.get(key, 0) + 1

    def collect(self) -> Iterator[Metric]:
        family = CounterMetricFamily(
            "brownout_flags_evaluations",
            "OFREP requests by outcome: ok, not_modified, or the error code in lower case.",
            labels=["endpoint", "outcome"],
        )
        for labels, count in self._counts.copy().items():
            family.add_metric(labels, count)
        yield family


class Metrics:
    """One registry for each server, so that two in one process do not collide."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.sync_age = Gauge(
            "brownout_flags_sync_age_seconds",
            "Seconds since the API server was last heard, of the kind that waits longest; -1 before the first time.",
            registry=self.registry,
        )
        self.sync_errors = Counter(
            "brownout_flags_sync_errors_total", "Failed LISTs and WATCHes.", ["kind"], registry=self.registry
        )
        self.missing = Gauge(
            "brownout_flags_kind_missing",
            "1 where all objects of a kind have gone and the last known ones are served.",
            ["kind"],
            registry=self.registry,
        )
        self.unreadable = Counter(
            "brownout_flags_unreadable_objects_total",
            "Objects that could not be read; their last readable state is served, if there is one.",
            ["kind"],
            registry=self.registry,
        )
        self.withheld = Gauge(
            "brownout_flags_namespaces_withheld",
            "Namespaces of which nothing is served because an object cannot be read and never could.",
            registry=self.registry,
        )
        self.sets = Gauge("brownout_flags_sets", "Flag sets that are served.", registry=self.registry)
        self.set_info = Gauge(
            "brownout_flags_set_info", "The version of each set.", ["namespace", "version"], registry=self.registry
        )
        self.renders = Counter(
            "brownout_flags_renders_total",
            "Renderings: changed, unchanged or failed.",
            ["result"],
            registry=self.registry,
        )
        self.snapshot_errors = Counter(
            "brownout_flags_snapshot_errors_total",
            "Snapshots that could not be read or written.",
            ["operation"],
            registry=self.registry,
        )
        self.evaluations = Evaluations()
        self.registry.register(self.evaluations)
        self.quota_requests = Counter(
            "brownout_flags_quota_requests_total",
            "Requests to the ledger by outcome: unlimited, reserved, denied_quota, uncounted, committed, refunded, "
            "reservation_closed, quota_unavailable, or why it was refused.",
            ["operation", "outcome"],
            registry=self.registry,
        )
        self.quota_uncounted = Counter(
            "brownout_flags_quota_uncounted_total",
            "Requests that came while the quota storage was away, by what the policy gave them.",
            ["choice"],
            registry=self.registry,
        )
        self.quota_ledger_seconds = Histogram(
            "brownout_flags_quota_ledger_seconds",
            "How long the quota storage took to answer, or not to.",
            buckets=QUOTA_BUCKETS,
            registry=self.registry,
        )
        self.quota_available = Gauge(
            "brownout_flags_quota_available",
            "1 while the quota storage answers, as of the last request to it.",
            registry=self.registry,
        )
        self.quota_available.set(1)
        self.quota_turned_away = Counter(
            "brownout_flags_quota_turned_away_total",
            "Requests that did not come to ask the quota storage, because too many others waited for it.",
            registry=self.registry,
        )
        self.jwks_errors = Counter(
            "brownout_flags_jwks_errors_total",
            "Failures to read the keys of tokens; the known ones stay in use.",
            registry=self.registry,
        )
        self.event_streams = Gauge(
            "brownout_flags_event_streams", "Open streams of server-sent events.", registry=self.registry
        )
        self.notices = Counter(
            "brownout_flags_notices_total", "Notices of a changed set, to one stream each.", registry=self.registry
        )
        self.streams_dropped = Counter(
            "brownout_flags_event_streams_dropped_total",
            "Streams that were ended because their reader did not read.",
            registry=self.registry,
        )
        self.streams_displaced = Counter(
            "brownout_flags_event_streams_displaced_total",
            "Streams that were ended for one of another address, because theirs had far more of all that there may be.",
            registry=self.registry,
        )
        for kind in KINDS:
            self.unreadable.labels(kind.plural)
            self.sync_errors.labels(kind.plural)
        for result in ("changed", "unchanged", "failed"):
            self.renders.labels(result)
        for operation in ("read", "write"):
            self.snapshot_errors.labels(operation)
        self.streams = Gauge("brownout_flags_streams", "Open flagd sync streams.", registry=self.registry)
        self.sent = Counter("brownout_flags_sets_sent_total", "Sets sent on sync streams.", registry=self.registry)


class Heard:
    """When the API server was last heard about each part of each kind, in monotonic seconds."""

    def __init__(self) -> None:
        self._at: dict[Part, float | None] = {}

    def expect(self, part: Part) -> None:
        self._at.setdefault(part, None)

    def now(self, part: Part) -> None:
        self._at[part] = time.monotonic()

    def age_seconds(self, namespace: str | None = None) -> float | None:
        """Seconds since the part that waits longest was heard, of those of one namespace or of all; None where one never was."""
        moments = [at for part, at in self._at.items() if namespace is None or part.namespace in ("", namespace)]
        if not moments or None in moments:
            return None
        return max(0.0, time.monotonic() - min(moment for moment in moments if moment is not None))

    def least_age_seconds(self) -> float | None:
        """As `age_seconds`, of the namespace of which the API server was heard last; None where it never was, of any."""
        ages = [self.age_seconds(namespace) for namespace in {part.namespace for part in self._at}]
        return min((age for age in ages if age is not None), default=None)
