"""What inference engines say at /metrics: their documented names and labels, with numbers of a test's choosing.

Where the names are documented (looked up in November 2026):

- vLLM: docs.vllm.ai/en/stable/usage/metrics, and vllm/v1/metrics/loggers.py. `kv_cache_usage_perc` is of version 1 of the
  engine; before it was `gpu_cache_usage_perc`, and for a while there were both.
- SGLang: docs.sglang.io/references/production_metrics.html
- TGI: huggingface.co/docs/text-generation-inference/reference/metrics
- Triton: github.com/triton-inference-server/server, docs/user_guide/metrics.md
"""

from typing import NamedTuple

BUCKETS = ("0.5", "1.0", "2.5", "5.0", "+Inf")
"""Of each histogram: one request in each below +Inf, so that the 95th percentile is in the last but one."""

P95 = 4.5
"""By linear interpolation (Prometheus, histogram_quantile): rank 0.95 * 4 = 3.8 is 0.8 into the bucket from 2.5 to 5."""


class Exposition(NamedTuple):
    """An engine's series. `gauges` have their values; `counters` what a step adds to them; `histograms` get four requests in a step.

    labels: what every series carries, as text between braces.
    """

    labels: str
    gauges: dict[str, float]
    counters: dict[str, float]
    histograms: tuple[str, ...] = ()

    def text(self, step: int) -> str:
        """What Prometheus scrapes after so many steps."""
        lines = []
        for name, value in self.gauges.items():
            lines += [f"# TYPE {name} gauge", f"{name}{{{self.labels}}} {value}"]
        for name, each in self.counters.items():
            lines += [f"# TYPE {name} counter", f"{name}{{{self.labels}}} {each * step}"]
        for name in self.histograms:
            lines.append(f"# TYPE {name} histogram")
            for number, bound in enumerate(BUCKETS, start=1):
                lines.append(f'{name}_bucket{{{self.labels},le="{bound}"}} {min(number, len(BUCKETS) - 1) * step}')
            lines += [f"{name}_sum{{{self.labels}}} {9 * step}", f"{name}_count{{{self.labels}}} {4 * step}"]
        return "\n".join([*lines, ""])


VLLM = Exposition(
    labels='model_name="chat-8b",engine="0"',
    gauges={"vllm:num_requests_running": 12, "vllm:num_requests_waiting": 3, "vllm:kv_cache_usage_perc": 0.5},
    counters={"vllm:prompt_tokens_total": 1000},
    histograms=(
        "vllm:request_queue_time_seconds",
        "vllm:time_to_first_token_seconds",
        "vllm:e2e_request_latency_seconds",
    ),
)
OLDER_VLLM = VLLM._replace(gauges={"vllm:gpu_cache_usage_perc": 0.5})
BOTH_VLLM = VLLM._replace(gauges={"vllm:gpu_cache_usage_perc": 0.5, "vllm:kv_cache_usage_perc": 0.5})

SGLANG = Exposition(
    labels='model_name="chat-8b"',
    gauges={"sglang:num_running_reqs": 12, "sglang:num_queue_reqs": 3, "sglang:token_usage": 0.5},
    counters={"sglang:prompt_tokens_total": 1000},
    histograms=("sglang:time_to_first_token_seconds", "sglang:e2e_request_latency_seconds"),
)

TGI = Exposition(
    labels='service="chat"',  # no label of the engine: one that a scrape configuration adds
    gauges={"tgi_batch_current_size": 12, "tgi_queue_size": 3},
    counters={"tgi_request_count": 4},
    histograms=("tgi_request_queue_duration", "tgi_request_duration"),
)

TRITON = Exposition(
    labels='model="chat",version="1"',
    gauges={"nv_inference_pending_request_count": 3, "nv_gpu_utilization": 0.5},
    counters={
        "nv_inference_request_success": 4,
        "nv_inference_request_duration_us": 9_000_000,
        "nv_inference_queue_duration_us": 1_000_000,
    },
)

ENGINES = {"vllm": VLLM, "sglang": SGLANG, "tgi": TGI, "triton": TRITON}

EXPECTED: dict[str, dict[str, float]] = {
    "vllm": {
        "running": 12,
        "waiting": 3,
        "kv-cache": 0.5,
        "queue-p95": P95,
        "first-token-p95": P95,
        "latency-p95": P95,
    },
    "sglang": {"running": 12, "waiting": 3, "kv-cache": 0.5, "first-token-p95": P95, "latency-p95": P95},
    "tgi": {"running": 12, "waiting": 3, "queue-p95": P95, "latency-p95": P95},
    "triton": {"waiting": 3, "gpu": 0.5, "queue-mean": 0.25, "latency-mean": 2.25},
}
"""What each signal's query comes to."""


def asked_for(step: int) -> str:
    """What a gateway counts for the sample's feature after so many steps, under the reference server's names."""
    return "".join(
        f'brownout_feature_{which}_total{{feature="chat",tier="{tier}",cohort=""}} {step}\n'
        for which in ("offered", "admitted")
        for tier in ("pro", "free")
    )
