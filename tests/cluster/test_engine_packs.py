"""Engine packs and their samples: each query on what the engine documents that it exposes, scraped by a real Prometheus and
asked by the operator's own code; each sample on the real API server, decided on by a real operator."""

import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from brownout.api.scaler import EngineMetric
from brownout.decide.evidence import Missing, Sample
from brownout.observe.answers import single
from brownout.observe.ask import Ask
from brownout.observe.engine_packs import PACKS, query
from brownout.observe.prometheus import Prometheus
from brownout.observe.sources import Source
from brownout_localcluster import LocalCluster
from support.cluster import Namespace
from support.examples import ENGINES as SAMPLES
from support.examples import objects_in
from support.expositions import BOTH_VLLM, ENGINES, EXPECTED, OLDER_VLLM, Exposition, asked_for
from support.operator import Operator, install_kinds
from support.operator_world import API_VERSION, World, condition_of, deployment
from support.waiting import wait_for

SEEN_SECONDS = 40.0


def serving(world: World, exposition: Exposition) -> Callable[[], None]:
    """A pod that says this to Prometheus; the function takes the next step."""
    world.start_gauges()
    steps = itertools.count(1)

    def step() -> None:
        now = next(steps)
        world.set_gauges(exposition.text(now) + asked_for(now))

    step()
    return step


def answers(cluster: LocalCluster, namespace: str, pack: str) -> dict[str, Sample | Missing]:
    """The evidence of every signal of a pack, as the operator would have it."""
    source = Source(url=cluster.prometheus.url)

    async def ask() -> dict[str, Sample | Missing]:
        prometheus, found = Prometheus(), {}
        for signal in PACKS[pack]:
            text = query(EngineMetric(pack=pack, signal=signal), labels={}, namespace=namespace)  # type: ignore[arg-type]
            assert isinstance(text, str), text
            series = await prometheus.ask(Ask(source=source, query=text, lookback_seconds=15, limit=2))
            found[signal] = single(series, query=signal, at=0.0)
        await prometheus.close()
        return found

    return asyncio.run(ask())


def known(found: dict[str, Sample | Missing]) -> dict[str, float]:
    return {signal: round(one.value, 6) for signal, one in found.items() if isinstance(one, Sample)}


@pytest.mark.parametrize("engine", ENGINES)
def test_every_signal_of_a_pack_is_a_number_on_the_engines_documented_names(
    engine: str, cluster: LocalCluster, namespace: Namespace
) -> None:
    step = serving(World(cluster, namespace), ENGINES[engine])

    def numbers() -> dict[str, float] | None:
        step()
        found = known(answers(cluster, namespace.name, engine))
        return found if found.keys() == PACKS[engine].keys() else None

    found = wait_for(numbers, f"every signal of {engine} is a number", seconds=SEEN_SECONDS)
    assert found == pytest.approx(EXPECTED[engine])


@pytest.mark.parametrize("exposition", [OLDER_VLLM, BOTH_VLLM], ids=["older name", "both names"])
def test_the_cache_of_an_older_vllm_is_read_by_the_name_it_had(
    exposition: Exposition, cluster: LocalCluster, namespace: Namespace
) -> None:
    serving(World(cluster, namespace), exposition)
    seen = lambda: known(answers(cluster, namespace.name, "vllm")).get("kv-cache")  # noqa: E731
    assert wait_for(seen, "the cache's use is a number", seconds=SEEN_SECONDS) == 0.5


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda file: file.stem)
def test_a_sample_is_applied_and_all_its_evidence_is_there(
    sample: Path, cluster: LocalCluster, namespace: Namespace, tmp_path: Path
) -> None:
    install_kinds(cluster)
    pool, *others = objects_in(sample)
    cluster.objects.apply(pool)
    try:
        step = serving(World(cluster, namespace), ENGINES[sample.stem])
        namespace.create(deployment("chat"))
        for body in others:
            namespace.apply(body)
        with Operator(cluster, namespace.name, tmp_path):

            def available() -> bool:
                step()
                scaler = namespace.get(API_VERSION, "InferenceScaler", "chat")["status"]
                policy = namespace.get(API_VERSION, "FeaturePolicy", "chat")["status"]
                found = [condition_of(one, "MetricsAvailable") for one in (scaler, policy)]
                assert all(one["status"] == "True" for one in found), found
                assert condition_of(scaler, "Ready")["status"] == "True", scaler
                assert scaler["saturationPercent"] >= 0
                return True

            wait_for(available, "the operator has all the evidence that the sample asks for", seconds=60)
    finally:
        cluster.objects.delete(API_VERSION, "GPUPool", pool["metadata"]["name"])
