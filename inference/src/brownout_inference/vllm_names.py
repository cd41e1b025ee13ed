"""The names that dashboards and autoscalers know from vLLM, for the same measurements.

Every alias is a copy, made when the page is asked for, of a family of ours: `workload` becomes `model_name`, and the other labels stay (queries for vLLM sum over
what they do not name). Names and meanings as in vLLM's documentation of its production metrics (V1 engine).
"""

from collections.abc import Iterable, Mapping

from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

ALIASES: Mapping[str, str] = {
    "brownout_inference_running": "vllm:num_requests_running",
    "brownout_inference_queue_length": "vllm:num_requests_waiting",
    "brownout_inference_kv_usage": "vllm:kv_cache_usage_perc",
    "brownout_inference_first_token_seconds": "vllm:time_to_first_token_seconds",
    "brownout_inference_token_seconds": "vllm:request_time_per_output_token_seconds",
    "brownout_inference_queue_wait_seconds": "vllm:request_queue_time_seconds",
    "brownout_inference_request_seconds": "vllm:e2e_request_latency_seconds",
    "brownout_inference_prompt_tokens": "vllm:prompt_tokens",
    "brownout_inference_generated_tokens": "vllm:generation_tokens",
    "brownout_inference_finished": "vllm:request_success",
}
"""Ours by theirs; counters without `_total`."""

WAITING = "brownout_inference_queue_length"
"""Has a series for each tier that has waited; theirs is 0 from the start."""

LABELS: Mapping[str, str] = {"workload": "model_name", "reason": "finished_reason"}


class VllmNames(Collector):
    """Shows what other collectors of the same server measure under vLLM's names as well."""

    def __init__(self, sources: Iterable[Collector]) -> None:
        self._sources = tuple(sources)

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        for source in self._sources:
            for family in source.collect():
                if theirs := ALIASES.get(family.name):
                    yield _renamed(family, theirs, always=family.name == WAITING)


def _renamed(family: Metric, name: str, *, always: bool) -> Metric:
    alias = Metric(name, family.documentation, family.type, family.unit)
    if always and not family.samples:
        alias.add_sample(name, {}, 0.0)
    for sample in family.samples:
        labels = {LABELS.get(label, label): value for label, value in sample.labels.items()}
        alias.samples.append(
            Sample(
                name + sample.name.removeprefix(family.name),
                labels,
                sample.value,
                sample.timestamp,
                sample.exemplar,
                sample.native_histogram,
            )
        )
    return alias
