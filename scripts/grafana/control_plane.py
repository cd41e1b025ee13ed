"""For whoever keeps it running: the operator and the flag servers themselves."""

from grafana.model import Dashboard, Panel, Query, Row, Variable, lines, number

HERE = 'namespace=~"$namespace"'
"""Where Brownout is installed: the label of the scrape, and not that of products."""
OPERATOR = f"and on (namespace, instance) brownout_last_tick_timestamp_seconds{{{HERE}}}"
FLAGS = f"and on (namespace, instance) brownout_flags_sets{{{HERE}}}"
PROCESSES = {"the operator": OPERATOR, "flag servers": FLAGS}


def rate(metric: str, by: str, labels: str = "") -> str:
    own = f"{HERE}, {labels}" if labels else HERE
    return f"sum by ({by}) (rate({metric}{{{own}}}[$__rate_interval]))"


def quantile(share: float, metric: str) -> str:
    return f"histogram_quantile({share}, {rate(f'{metric}_bucket', 'le')})"


def memory_and_processor(which: str) -> list[Panel]:
    theirs = PROCESSES[which]
    return [
        lines(
            f"Memory of {which}",
            Query(f"process_resident_memory_bytes{{{HERE}}} {theirs}", "{{instance}}"),
            unit="bytes",
            says="Resident. Compare with the limit in the chart's values.",
        ),
        lines(
            f"Processor of {which}",
            Query(f"rate(process_cpu_seconds_total{{{HERE}}}[$__rate_interval]) {theirs}", "{{instance}}"),
            unit="none",
            says="Cores in use; each is one process with one busy thread.",
        ),
    ]


NOW = Row(
    "Now",
    [
        number(
            "Age of the last tick",
            Query(f"time() - max(brownout_last_tick_timestamp_seconds{{{HERE}}} > 0)"),
            unit="s",
            bad=60,
            says="Usually 2 seconds at most. Standbys of a leader do not tick; the newest counts.",
        ),
        number(
            "Failed ticks in an hour",
            Query(f"sum(increase(brownout_tick_errors_total{{{HERE}}}[1h]))"),
            unit="none",
            bad=1,
            says="A tick that fails is begun anew.",
        ),
        number(
            "Kinds not seen",
            Query(f"sum(brownout_kind_unseen{{{HERE}}}) or vector(0)"),
            unit="none",
            bad=1,
            says="Kinds whose objects are not known now; everything is held meanwhile.",
        ),
        number(
            "Unreadable objects",
            Query(f"sum(brownout_objects_invalid{{{HERE}}}) or vector(0)"),
            unit="none",
            bad=1,
            says="Their condition Ready says which field, and what to write.",
        ),
        number(
            "Oldest flags",
            Query(f"max(brownout_flags_sync_age_seconds{{{HERE}}})"),
            unit="s",
            bad=180,
            says="Since a flag server last heard the API server; below 0: never since it started.",
        ),
        number(
            "Quota storage answers",
            Query(f"min(brownout_flags_quota_available{{{HERE}}})"),
            unit="bool_yes_no",
            says="Whether it answered the last request of every flag server.",
        ),
    ],
)

TICKS = Row(
    "The operator",
    [
        lines(
            "Duration of a tick",
            *(
                Query(quantile(share, "brownout_tick_duration_seconds"), f"{share:.0%}".replace("%", " %"))
                for share in (0.5, 0.95, 0.99)
            ),
            unit="s",
            says="Look, decide, act, publish.",
        ),
        lines(
            "Queries to Prometheus",
            Query(rate("brownout_prometheus_queries_total", "result"), "{{result}}"),
            unit="reqps",
            stacked=True,
            says="Identical ones are asked once in a tick.",
        ),
        lines(
            "Prometheus' answer, 95 %",
            Query(quantile(0.95, "brownout_prometheus_query_duration_seconds"), "95 %"),
            unit="s",
            says="After 5 seconds a query counts as failed.",
        ),
        lines(
            "Writes to the API server",
            Query(rate("brownout_status_writes_total", "kind"), "status of {{kind}}"),
            Query(rate("brownout_scale_writes_total", "result"), "/scale: {{result}}"),
            Query(rate("brownout_featureflag_writes_total", ""), "FeatureFlag"),
            unit="ops",
            says="In a steady state there are none.",
        ),
        lines(
            "Refused by the API server",
            Query(rate("brownout_kubernetes_api_errors_total", "what"), "status of {{what}}"),
            Query(rate("brownout_scale_writes_total", "", 'result="failed"'), "/scale"),
            Query(rate("brownout_events_dropped_total", ""), "Events dropped"),
            unit="ops",
            says="The operator's log says why.",
        ),
        lines(
            "FeatureFlag resources",
            Query("sum by (state) (brownout_featureflag)", "{{state}}"),
            unit="none",
            says="Namespaces by the state of their resource, where it is written.",
        ),
        *memory_and_processor("the operator"),
    ],
)

SERVING = Row(
    "Flag servers",
    [
        lines(
            "Since the API server was heard",
            Query(f"brownout_flags_sync_age_seconds{{{HERE}}}", "{{instance}}"),
            unit="s",
            defaults={"min": -1},
            says="Up to a minute is usual. -1: never since the start; what is served comes from the snapshot.",
        ),
        lines(
            "Failed lists and watches",
            Query(rate("brownout_flags_sync_errors_total", "kind"), "{{kind}}"),
            unit="ops",
            says="Tried again, ever less often.",
        ),
        lines(
            "Sets, and their versions",
            Query(f"brownout_flags_sets{{{HERE}}}", "sets of {{instance}}"),
            Query(
                "count by (namespace) (count by (namespace, version) (brownout_flags_set_info))",
                "versions of {{namespace}}",
            ),
            unit="none",
            says="More than one version of a namespace for long: replicas do not agree.",
        ),
        lines(
            "Evaluations",
            Query(rate("brownout_flags_evaluations_total", "endpoint, outcome"), "{{endpoint}}: {{outcome}}"),
            unit="reqps",
            stacked=True,
            says="OFREP requests by outcome.",
        ),
        lines(
            "Streams and connections",
            Query(f"sum(brownout_flags_event_streams{{{HERE}}})", "event streams"),
            Query(f"sum(brownout_flags_streams{{{HERE}}})", "flagd sync streams"),
            Query(f"sum(brownout_flags_connections{{{HERE}}})", "connections"),
            unit="none",
            says="Of all replicas; the chart's flags.events.most and flags.connections.most are for each.",
        ),
        lines(
            "Streams and connections ended",
            Query(rate("brownout_flags_connections_ended_total", "reason"), "connection: {{reason}}"),
            Query(rate("brownout_flags_event_streams_dropped_total", ""), "stream: reader did not read"),
            Query(rate("brownout_flags_event_streams_displaced_total", ""), "stream: displaced"),
            unit="ops",
            says="By the server. displaced and too_many: as many are open as may be.",
        ),
        lines(
            "News sent",
            Query(rate("brownout_flags_notices_total", ""), "notices on event streams"),
            Query(rate("brownout_flags_sets_sent_total", ""), "sets on sync streams"),
            unit="ops",
            says="A change that takes something is announced at once, any other over flags.events.spreadSeconds.",
        ),
        lines(
            "Renderings, and what could not be read",
            Query(rate("brownout_flags_renders_total", "result"), "rendering: {{result}}"),
            Query(rate("brownout_flags_unreadable_objects_total", "kind"), "unreadable {{kind}}"),
            Query(rate("brownout_flags_snapshot_errors_total", "operation"), "snapshot: {{operation}} failed"),
            Query(rate("brownout_flags_jwks_errors_total", ""), "keys of tokens"),
            unit="ops",
            says="What cannot be read or rendered stays as it was last.",
        ),
        lines(
            "Answers of the quota storage",
            Query(quantile(0.95, "brownout_flags_quota_ledger_seconds"), "95 % of answers"),
            unit="s",
            says="How long it takes to answer, or not to.",
        ),
        lines(
            "Requests that were not counted",
            Query(rate("brownout_flags_quota_uncounted_total", "choice"), "{{choice}}"),
            Query(rate("brownout_flags_quota_turned_away_total", ""), "did not come to ask"),
            unit="reqps",
            says="While the storage of quotas was away: what policies gave them.",
        ),
        *memory_and_processor("flag servers"),
    ],
)

DASHBOARD = Dashboard(
    uid="brownout-control-plane",
    title="Brownout: control plane",
    says="The operator and the flag servers themselves: whether they decide and answer, on how fresh news, and at what cost.",
    variables=[Variable("namespace", "brownout_last_tick_timestamp_seconds")],
    rows=[NOW, TICKS, SERVING],
)
