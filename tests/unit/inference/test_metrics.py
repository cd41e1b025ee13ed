"""What the metrics promise."""

import pytest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from brownout_inference.engine.device import PacedDevice
from brownout_inference.engine.interface import Memory
from brownout_inference.engine.scheduler import Scheduler
from brownout_inference.metrics import LabelCap, Meters
from brownout_inference.pace import Pace
from brownout_inference.ticket import Ticket
from brownout_inference.tier_queue import TierQueue
from inference.builders import ticket


def test_labels_are_bounded_and_the_rest_is_other() -> None:
    cap = LabelCap(most=2)
    assert [cap(tier) for tier in ("pro", "free", "plus", "free")] == ["pro", "free", "other", "free"]


def test_the_names_are_those_that_policies_ask_for() -> None:
    meters = Meters("image-xl")
    meters.offered("image-generation", "free", "")
    meters.admitted("image-generation", "free", "", "full")
    meters.completed("image-generation", "free", "", "full", 1.5)
    meters.gpu_busy(0.25, fill=0.5)
    page = meters.page().decode()
    assert 'brownout_feature_offered_total{cohort="",feature="image-generation",tier="free"} 1.0' in page
    assert (
        'brownout_feature_admitted_total{cohort="",feature="image-generation",tier="free",variant="full"} 1.0' in page
    )
    assert 'brownout_inference_gpu_busy_seconds_total{workload="image-xl"} 0.25' in page
    assert 'le="120.0"' in page
    assert "_created" not in page


def test_a_feature_that_nobody_has_asked_for_yet_is_asked_for_by_nobody_and_not_unknown() -> None:
    """A query that returns nothing is missing evidence, on which no feature comes back: after a rollout while users are denied a
    feature and see no button for it, there would be no series of it at all.
    """
    meters = Meters("image-xl")
    meters.answers_for("image-generation")

    assert (
        'brownout_feature_offered_total{cohort="",feature="image-generation",tier="unknown"} 0.0'
        in meters.page().decode()
    )


def families(meters: Meters) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(meters.page().decode())}


async def test_gpu_seconds_are_split_by_what_the_places_were_used_for() -> None:
    meters = Meters("image-xl")
    meters.worked(2.0, [ticket(pictures=1), ticket(pictures=2)], most=4)
    (sample,) = families(meters)["brownout_inference_feature_gpu_seconds"].samples
    assert sample.value == 2.0 * 3 / 4
    assert sample.labels == {"workload": "image-xl", "feature": "image-generation", "variant": "full"}


async def test_what_vllm_measures_stands_under_its_names_too() -> None:
    meters = Meters("chat-small")
    queue: TierQueue[Ticket] = TierQueue(places_per_tier=10)
    device = PacedDevice(step_seconds=0)
    scheduler = Scheduler(device=device, queue=queue, pace=Pace(0), max_batch=4, meters=meters)
    scheduler.memory = Memory(kv_places=3, kv_places_most=12)
    meters.watch(scheduler)
    scheduler.submit(ticket("pro"))
    meters.completed("chat", "pro", "", "full", 1.5)
    meters.first_token("pro", 0.3)
    meters.text("pro", prompt_tokens=7, tokens=5, ended=True, seconds_of_tokens=0.4)
    found = families(meters)

    def value(family: str, sample: str = "", **labels: str) -> float:
        (found_value,) = [
            each.value
            for each in found[family].samples
            if each.name == family + sample and {"model_name": "chat-small", **labels}.items() <= each.labels.items()
        ]
        return found_value

    assert value("vllm:num_requests_waiting") == 1
    assert value("vllm:num_requests_running") == 0
    assert value("vllm:kv_cache_usage_perc") == 0
    assert value("vllm:time_to_first_token_seconds", "_sum") == pytest.approx(0.3)
    assert value("vllm:time_to_first_token_seconds", "_bucket", le="0.5") == 1
    assert value("vllm:request_time_per_output_token_seconds", "_sum") == pytest.approx(0.1)
    assert value("vllm:e2e_request_latency_seconds", "_count") == 1
    assert value("vllm:prompt_tokens", "_total") == 7
    assert value("vllm:generation_tokens", "_total") == 5
    assert value("vllm:request_success", "_total", finished_reason="stop") == 1


def test_a_server_that_nobody_has_asked_yet_has_nobody_waiting_under_vllms_names() -> None:
    meters = Meters("chat-small")
    queue: TierQueue[Ticket] = TierQueue(places_per_tier=10)
    device = PacedDevice(step_seconds=0)
    meters.watch(Scheduler(device=device, queue=queue, pace=Pace(0), max_batch=4, meters=meters))
    (waiting,) = families(meters)["vllm:num_requests_waiting"].samples
    assert waiting.value == 0


def test_memory_that_is_not_known_has_no_series() -> None:
    meters = Meters("image-xl")
    device = PacedDevice(step_seconds=0)
    queue: TierQueue[Ticket] = TierQueue(places_per_tier=10)
    meters.watch(Scheduler(device=device, queue=queue, pace=Pace(0), max_batch=4, meters=meters))
    found = families(meters)
    assert not found["brownout_inference_memory_bytes"].samples
    assert not found["brownout_inference_kv_usage"].samples
