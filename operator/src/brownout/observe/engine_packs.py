"""Engine packs: named queries for the metrics that known inference servers already have.

A pack turns `engine: {pack: vllm, signal: kv-cache}` into PromQL over the engine's own metric names, within the scaler's
namespace. Counts are summed over replicas, utilizations averaged, latencies taken at the 95th percentile; Triton has no
histograms by default, and so means over its requests; its compute time counts a batch once for each request in it, and so is
no measure of work done. `charts/brownout/examples/engines` has a sample of each.

| pack | signals |
|---|---|
| vllm | running, waiting, kv-cache, queue-p95, first-token-p95, latency-p95 |
| sglang | running, waiting, kv-cache, first-token-p95, latency-p95 |
| tgi | running, waiting, queue-p95, latency-p95 |
| triton | waiting, gpu, queue-mean, latency-mean |
| brownout | busy, work, backlog, running, waiting, batch-fill, queue-wait-p95 |
"""

import re

from brownout.api.scaler import EngineMetric
from brownout.decide.evidence import Missing

WINDOW = "30s"
"""Rates look back this far: at least two samples at a scrape interval of up to 15 s, and still about 20 s on average."""

_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def _p95(histogram: str) -> str:
    return f"histogram_quantile(0.95, sum by (le) (rate({histogram}_bucket{{MATCHERS}}[{WINDOW}])))"


def _mean_of_requests(microseconds: str) -> str:
    """Seconds of a request on average; NaN, and so missing, where nobody was answered."""
    requests = f"sum(rate(nv_inference_request_success{{MATCHERS}}[{WINDOW}]))"
    return f"sum(rate({microseconds}{{MATCHERS}}[{WINDOW}])) / {requests} / 1e6"


PACKS: dict[str, dict[str, str]] = {
    "vllm": {
        "running": "sum(vllm:num_requests_running{MATCHERS})",
        "waiting": "sum(vllm:num_requests_waiting{MATCHERS})",
        "kv-cache": "avg(vllm:kv_cache_usage_perc{MATCHERS} or vllm:gpu_cache_usage_perc{MATCHERS})",
        "queue-p95": _p95("vllm:request_queue_time_seconds"),
        "first-token-p95": _p95("vllm:time_to_first_token_seconds"),
        "latency-p95": _p95("vllm:e2e_request_latency_seconds"),
    },
    "sglang": {
        "running": "sum(sglang:num_running_reqs{MATCHERS})",
        "waiting": "sum(sglang:num_queue_reqs{MATCHERS})",
        "kv-cache": "avg(sglang:token_usage{MATCHERS})",
        "first-token-p95": _p95("sglang:time_to_first_token_seconds"),
        "latency-p95": _p95("sglang:e2e_request_latency_seconds"),
    },
    "tgi": {
        "running": "sum(tgi_batch_current_size{MATCHERS})",
        "waiting": "sum(tgi_queue_size{MATCHERS})",
        "queue-p95": _p95("tgi_request_queue_duration"),
        "latency-p95": _p95("tgi_request_duration"),
    },
    "triton": {
        "waiting": "sum(nv_inference_pending_request_count{MATCHERS})",
        "gpu": "avg(nv_gpu_utilization{MATCHERS})",
        "queue-mean": _mean_of_requests("nv_inference_queue_duration_us"),
        "latency-mean": _mean_of_requests("nv_inference_request_duration_us"),
    },
    "brownout": {
        "busy": f"sum(rate(brownout_inference_gpu_busy_seconds_total{{MATCHERS}}[{WINDOW}]))",
        "work": f"sum(rate(brownout_inference_gpu_work_seconds_total{{MATCHERS}}[{WINDOW}]))",
        "backlog": "sum(brownout_inference_queue_gpu_seconds{MATCHERS})",
        "running": "sum(brownout_inference_running{MATCHERS})",
        "waiting": "sum(brownout_inference_queue_length{MATCHERS})",
        "batch-fill": "avg(brownout_inference_batch_fill{MATCHERS})",
        "queue-wait-p95": _p95("brownout_inference_queue_wait_seconds"),
    },
}


def query(engine: EngineMetric, *, labels: dict[str, str], namespace: str) -> str | Missing:
    """The PromQL of a signal, for the series of one namespace that carry these labels."""
    signals = PACKS[engine.pack]
    if engine.signal not in signals:
        return Missing(
            f"engine.signal: {engine.pack} has no signal {engine.signal!r}; write one of {', '.join(sorted(signals))}"
        )
    for label in labels:
        if not _LABEL.fullmatch(label):
            return Missing(f"engine.labels: {label!r} is no label of Prometheus; write letters, digits and underscores")
    return signals[engine.signal].replace("MATCHERS", matchers({**labels, "namespace": namespace}))


def matchers(labels: dict[str, str]) -> str:
    """Label matchers between the braces of a selector, quoted as PromQL has it."""
    return ",".join(f'{name}="{quoted(value)}"' for name, value in sorted(labels.items()))


def quoted(value: str) -> str:
    """Text as it stands between double quotes in PromQL."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
