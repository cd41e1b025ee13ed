"""Engine packs and the queries of policies."""

import pytest

from brownout.api.scaler import EngineMetric
from brownout.decide.evidence import Missing
from brownout.observe.engine_packs import PACKS, matchers, query


def test_a_signal_becomes_a_query_within_the_namespace() -> None:
    engine = EngineMetric(pack="vllm", signal="waiting")
    assert (
        query(engine, labels={"model_name": "flux"}, namespace="media")
        == 'sum(vllm:num_requests_waiting{model_name="flux",namespace="media"})'
    )


def test_no_label_can_leave_the_namespace() -> None:
    engine = EngineMetric(pack="vllm", signal="waiting")
    found = query(engine, labels={"namespace": "theirs", "model_name": 'x"} or up{a="'}, namespace="ours")
    assert found == 'sum(vllm:num_requests_waiting{model_name="x\\"} or up{a=\\"",namespace="ours"})'


def test_an_unknown_signal_is_named_with_those_there_are() -> None:
    found = query(EngineMetric(pack="tgi", signal="kv-cache"), labels={}, namespace="n")
    assert isinstance(found, Missing)
    assert "tgi has no signal 'kv-cache'" in found.message
    assert "latency-p95, queue-p95, running, waiting" in found.message


def test_a_label_that_prometheus_cannot_have_is_named() -> None:
    found = query(EngineMetric(pack="tgi", signal="waiting"), labels={"model-name": "x"}, namespace="n")
    assert isinstance(found, Missing)
    assert "'model-name'" in found.message


@pytest.mark.parametrize(("pack", "signal"), [(pack, signal) for pack, signals in PACKS.items() for signal in signals])
def test_every_query_of_every_pack_is_limited_to_the_namespace(pack: str, signal: str) -> None:
    found = query(EngineMetric(pack=pack, signal=signal), labels={}, namespace="n")  # type: ignore[arg-type]
    assert isinstance(found, str)
    assert "MATCHERS" not in found
    assert found.count("{") == found.count('{namespace="n"}') > 0


def test_matchers_are_quoted_as_promql_has_it() -> None:
    assert matchers({"b": 'a"\\\n', "a": "x"}) == 'a="x",b="a\\"\\\\\\n"'
