"""For whoever runs brownout-inference: queues, engines, and what GPU time is spent on."""

from grafana.model import Dashboard, Query, Row, Variable, lines

WORKLOADS = 'namespace=~"$namespace", workload=~"$workload"'
FEATURES = 'namespace=~"$namespace", feature=~"$feature"'
BOTH = f'{WORKLOADS}, feature=~"$feature"'


def rate(metric: str, by: str, where: str = WORKLOADS) -> str:
    return f"sum by ({by}) (rate({metric}{{{where}}}[$__rate_interval]))"


def p95(metric: str, by: str = "workload, tier", where: str = WORKLOADS) -> str:
    return f"histogram_quantile(0.95, {rate(f'{metric}_bucket', f'{by}, le', where)})"


def gauge(metric: str, by: str = "workload") -> str:
    return f"sum by ({by}) (brownout_inference_{metric}{{{WORKLOADS}}})"


TIER = "{{workload}} {{tier}}"

QUEUE = Row(
    "Queue",
    [
        lines(
            "Requests that wait",
            Query(gauge("queue_length", "workload, tier"), TIER),
            unit="none",
            stacked=True,
            says="Tiers are served in order; who waits is of the least of them, if all is well.",
        ),
        lines(
            "Work that waits",
            Query(gauge("queue_gpu_seconds"), "{{workload}}"),
            unit="s",
            says="Declared GPU-seconds of what waits, of all replicas: the Backlog metric of a scaler.",
        ),
        lines(
            "Wait, 95 %",
            Query(p95("brownout_inference_queue_wait_seconds"), TIER),
            unit="s",
            says="From being let in to a place in the batch.",
        ),
        lines(
            "Asked for",
            Query(rate("brownout_feature_offered_total", "feature, tier", FEATURES), "{{feature}} {{tier}}"),
            unit="reqps",
            stacked=True,
            says="Requests that users made, whatever became of them.",
        ),
        lines(
            "Refused, by reason",
            Query(rate("brownout_feature_refused_total", "feature, reason", FEATURES), "{{feature}}: {{reason}}"),
            unit="reqps",
            stacked=True,
            says="queue_full and too_late are this server's own doing, denied_* the flags'.",
        ),
        lines(
            "Failed",
            Query(rate("brownout_feature_failed_total", "feature, reason", FEATURES), "{{feature}}: {{reason}}"),
            unit="reqps",
            says="Let in, and without an answer.",
        ),
    ],
)

DEVICE = Row(
    "GPU time",
    [
        lines(
            "Busy devices",
            Query(rate("brownout_inference_gpu_busy_seconds_total", "workload"), "{{workload}} busy"),
            Query(rate("brownout_inference_gpu_work_seconds_total", "workload"), "{{workload}} of full batches"),
            unit="none",
            says="Seconds a second in which devices ran steps, and the same counted by the share of the batch that was taken.",
        ),
        lines(
            "GPU time by feature and variant",
            Query(
                rate("brownout_inference_feature_gpu_seconds_total", "feature, variant", BOTH),
                "{{feature}}: {{variant}}",
            ),
            unit="none",
            stacked=True,
            says="GPU-seconds a second, split by what the batch's places were used for: what a variant really costs.",
        ),
        lines(
            "Answers by variant",
            Query(rate("brownout_feature_completed_total", "feature, variant", BOTH), "{{feature}}: {{variant}}"),
            unit="reqps",
            stacked=True,
            says="Requests that were answered.",
        ),
        lines(
            "In the batch",
            Query(gauge("running"), "{{workload}} run"),
            Query(gauge("paused"), "{{workload}} paused"),
            Query(gauge("batch_slots"), "{{workload}} places"),
            unit="none",
            says="Places become fewer for a time where the device's memory was full.",
        ),
        lines(
            "Fill of the batch",
            Query(f"avg by (workload) (brownout_inference_batch_fill{{{WORKLOADS}}})", "{{workload}}"),
            unit="percentunit",
            defaults={"max": 1},
            says="Share of the batch's places in use, the mean of the replicas.",
        ),
        lines(
            "Declared cost of a plain request",
            Query(
                f"max by (workload, feature) (brownout_inference_declared_gpu_seconds{{{BOTH}}})",
                "{{workload}} {{feature}}",
            ),
            unit="s",
            says="GPU-seconds, at the best variant.",
        ),
    ],
)

LATENCY = Row(
    "What users feel",
    [
        lines(
            "Time to the answer, 95 %",
            Query(p95("brownout_inference_request_seconds"), TIER),
            unit="s",
            says="From being let in to the answer.",
        ),
        lines(
            "By feature, 95 %",
            Query(p95("brownout_feature_duration_seconds", "feature, tier", FEATURES), "{{feature}} {{tier}}"),
            unit="s",
            says="The same, by feature.",
        ),
        lines(
            "Time to the first token, 95 %",
            Query(p95("brownout_inference_first_token_seconds"), TIER),
            unit="s",
            says="Of texts.",
        ),
        lines(
            "Time between tokens, 95 %",
            Query(p95("brownout_inference_token_seconds"), TIER),
            unit="s",
            says="The mean of a text.",
        ),
        lines(
            "Tokens",
            Query(rate("brownout_inference_generated_tokens_total", "workload"), "{{workload}} made"),
            Query(rate("brownout_inference_prompt_tokens_total", "workload"), "{{workload}} of prompts"),
            unit="ops",
            says="A second.",
        ),
        lines(
            "Texts by how they ended",
            Query(rate("brownout_inference_finished_total", "workload, reason"), "{{workload}}: {{reason}}"),
            unit="reqps",
            says="length: cut off at the longest that was asked for.",
        ),
    ],
)

ENGINE = Row(
    "Engines",
    [
        lines(
            "Lost engines",
            Query(
                f"sum by (workload) (increase(brownout_inference_engine_losses_total{{{WORKLOADS}}}[$__rate_interval]))",
                "{{workload}}",
            ),
            unit="none",
            says="Each is made anew; its requests are lost.",
        ),
        lines(
            "Pauses for others",
            Query(rate("brownout_inference_preemptions_total", "workload"), "{{workload}}"),
            unit="ops",
            says="Requests that had begun and let more important ones go first.",
        ),
        lines(
            "Memory of the device",
            Query(f"max by (workload, kind) (brownout_inference_memory_bytes{{{WORKLOADS}}})", "{{workload}} {{kind}}"),
            unit="bytes",
            says="The fullest replica's. Not known on a CPU.",
        ),
        lines(
            "Key-value cache",
            Query(f"max by (workload) (brownout_inference_kv_usage{{{WORKLOADS}}})", "{{workload}}"),
            unit="percentunit",
            defaults={"max": 1},
            says="Share of its places in use, the fullest replica's.",
        ),
        lines(
            "From start to ready",
            Query(f"max by (workload) (brownout_inference_load_seconds{{{WORKLOADS}}})", "{{workload}}"),
            unit="s",
            says="Without the time for the pod's image and node: part of what a scaler calls coldStart.",
        ),
        lines(
            "Memory of the servers",
            Query(
                f'process_resident_memory_bytes{{namespace=~"$namespace"}} and on (namespace, instance) brownout_inference_running{{{WORKLOADS}}}',
                "{{instance}}",
            ),
            unit="bytes",
            says="Of the process that takes requests; its engine is a process of its own.",
        ),
        lines(
            "Changes of the flags",
            Query(
                'sum by (namespace) (increase(brownout_inference_flag_changes_total{namespace=~"$namespace"}[$__rate_interval]))',
                "{{namespace}}",
            ),
            unit="none",
            says="What servers were told by the flag server.",
        ),
        lines(
            "Quotas asked for",
            Query(rate("brownout_inference_quota_total", "feature, outcome", FEATURES), "{{feature}}: {{outcome}}"),
            unit="reqps",
            says="Where a policy has a quota. unavailable: the flag server or its storage did not answer.",
        ),
    ],
)

DASHBOARD = Dashboard(
    uid="brownout-inference",
    title="Brownout: inference",
    says="Servers of brownout-inference: who waits, what GPU time is spent on, and how engines fare.",
    variables=[
        Variable("namespace", "brownout_inference_running"),
        Variable("workload", 'brownout_inference_running{namespace=~"$namespace"}'),
        Variable("feature", 'brownout_feature_offered_total{namespace=~"$namespace"}'),
    ],
    rows=[QUEUE, DEVICE, LATENCY, ENGINE],
)
