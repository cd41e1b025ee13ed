"""Prometheus is away, slow, closed, empty or wrong, in the middle of a surge: what is not known takes no replica and changes no
feature, each object says what is the matter, and once there is evidence again everything comes back."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from brownout_localcluster import LocalCluster
from support.chronicle import chronicle
from support.cluster import fresh_namespace
from support.operator import Operator
from support.operator_world import API_VERSION, FEATURE, World, calm_world
from support.process import resident_bytes
from support.prometheus import Remembering
from support.prometheus_proxy import PrometheusProxy
from support.size import sized
from support.surge import everything_comes_back, lasting_surge
from support.waiting import holds_for, wait_for

AWAY_SECONDS = sized(bounded=4, whole=90)
"""Longer than a dwell and a step of the small product, and than `stale.afterSeconds`; the whole time also than a policy's."""
COMES_BACK = sized(bounded=False, whole=True)
"""Whether after each fault the surge ends and everything comes back, or after one of them."""
SERIES = 100_000
OFFERED = f'offered{{feature="{FEATURE}",tier="free",cohort=""}}'
ADMITTED = f'admitted{{feature="{FEATURE}",tier="free",cohort=""}}'


class Surged(NamedTuple):
    """What the tests of this module share."""

    world: World
    operator: Operator
    prometheus: PrometheusProxy


@pytest.fixture(scope="module")
def surged(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Surged]:
    """A surge that lasts from one fault to the next."""
    with (
        fresh_namespace(cluster) as namespace,
        calm_world(cluster, namespace) as world,
        PrometheusProxy(cluster.prometheus.url) as prometheus,
        Operator(cluster, namespace.name, tmp_path_factory.mktemp("operator"), started=False) as operator,
    ):
        operator.start(prometheus_url=prometheus.url)
        # One fault comes after the other, and after each what was taken comes back.
        often = {"spec": {"shedding": {"maxReversalsPerCellPerHour": 60}}}
        cluster.objects.patch(API_VERSION, "GPUPool", world.pool, often)
        lasting_surge(world)
        yield Surged(world, operator, prometheus)


@pytest.fixture
def world(surged: Surged) -> Iterator[World]:
    """The small product in its surge, which took free users' feature; after the fault, as it was before."""
    yield surged.world
    surged.prometheus.mend()
    if surged.operator.ended():
        surged.operator.start(prometheus_url=surged.prometheus.url)
    surged.world.namespace.patch(API_VERSION, "InferenceScaler", "image", {"spec": {"metrics": None}})
    surged.world.namespace.patch(
        API_VERSION, "FeaturePolicy", FEATURE, {"spec": {"demand": surged.world.policy()["spec"]["demand"]}}
    )
    lasting_surge(surged.world)


@pytest.fixture
def operator(surged: Surged) -> Operator:
    """It asks Prometheus by the proxy."""
    return surged.operator


@pytest.fixture
def prometheus(surged: Surged) -> PrometheusProxy:
    """The way to the cluster's Prometheus."""
    return surged.prometheus


@contextmanager
def frozen(world: World, *words: str, falls: bool = True) -> Iterator[None]:
    """While the block's fault lasts the policy and the scaler say these words, and nothing is taken or given back.

    Nor where meanwhile the load `falls`, which nobody can see; before the fault ends it is as it was.
    """
    with chronicle(world) as seen:
        yield
        found = world.wait_for_sentence("FeaturePolicy", FEATURE, "MetricsAvailable", "demand.offered", *words)
        assert (found["status"], found["reason"]) == ("False", "Missing")
        found = world.wait_for_sentence("InferenceScaler", "image", "MetricsAvailable", *words)
        assert (found["status"], found["reason"]) == ("False", "Missing")
        wait_for(lambda: world.condition("FeaturePolicy", FEATURE, "Held")["status"] == "True", "the policy is held")
        if falls:
            world.set_load(pro=0.1, free=0.1)
        holds_for(lambda: world.served("free") == ("denied", 100), "free users stay denied", seconds=AWAY_SECONDS)
        if falls:
            world.set_load(pro=4.6, free=3, admitted=0)
            wait_for(lambda: is_scraped(world, 3), "Prometheus knows it, if it is there")
    seen.nothing_changed()


def is_scraped(world: World, rate: float) -> bool:
    """Whether Prometheus has this rate of free users, or is not there to have one."""
    query = f'offered{{namespace="{world.namespace.name}",tier="free"}}'
    try:
        return [value for _, value in world.cluster.prometheus.query(query)] == [rate]
    except OSError:
        return True


def comes_back(world: World, *, all_of_it: bool = COMES_BACK) -> None:
    """Evidence is there again, and so is everything else in time."""
    for kind, name in (("FeaturePolicy", FEATURE), ("InferenceScaler", "image")):
        wait_for(partial(_read, world, kind, name), f"the evidence of {name} is back", seconds=60)
    if all_of_it:
        everything_comes_back(world)


def _read(world: World, kind: str, name: str) -> bool:
    return evidence(world, kind, name) == "True"


def test_a_prometheus_that_is_gone(world: World, operator: Operator) -> None:
    with frozen(world, "Prometheus cannot be reached"):
        world.cluster.prometheus.stop()
    world.cluster.prometheus.start()
    comes_back(world)


def test_a_prometheus_that_answers_too_late(world: World, operator: Operator, prometheus: PrometheusProxy) -> None:
    with frozen(world, "no answer from Prometheus within 5 s"):
        prometheus.delay_seconds = 6
    assert "the last tick ended" in operator.get("/livez")
    prometheus.delay_seconds = 0
    comes_back(world)


def test_a_prometheus_that_answers_late_is_heard(world: World, operator: Operator, prometheus: PrometheusProxy) -> None:
    prometheus.delay_seconds = 2
    comes_back(world, all_of_it=True)


def test_a_prometheus_that_refuses_us(world: World, operator: Operator, prometheus: PrometheusProxy) -> None:
    with frozen(world, "Prometheus refuses us (HTTP 401); check the credentials"):
        prometheus.status = 401
    told = [world.status("FeaturePolicy", FEATURE), world.status("InferenceScaler", "image"), world.pool_status()]
    assert "a secret" not in f"{told} {operator.log()} {operator.get('/metrics')}"
    prometheus.status = None
    comes_back(world)


def test_metrics_that_are_gone(world: World, operator: Operator) -> None:
    with frozen(world, "the query returns nothing", falls=False):
        world.set_gauges("")
    lasting_surge(world)
    comes_back(world)


def test_rates_that_are_no_numbers(world: World, operator: Operator) -> None:
    with frozen(world, "no series of the query is a finite rate; look for a division by zero", falls=False):
        world.set_gauges(f"{OFFERED} NaN\n{ADMITTED} NaN\n")
    lasting_surge(world)
    comes_back(world)


def test_a_metric_of_two_series_raises_and_lowers_nothing(world: World, operator: Operator) -> None:
    world.namespace.patch(API_VERSION, "InferenceScaler", "image", {"spec": {"metrics": [metric(world, "busy")]}})
    world.set_load(pro=4.6, free=3, admitted=0, extra='busy{replica="a"} 0.9\nbusy{replica="b"} 0.1')
    with chronicle(world) as seen:
        found = world.wait_for_sentence(
            "InferenceScaler", "image", "MetricsAvailable", "busy", "more than one series; write sum(...) or max(...)"
        )
        assert (found["status"], found["reason"]) == ("False", "Missing")
        world.set_load(pro=0.5, free=0.5, admitted=0.05, extra='busy{replica="a"} 0.9\nbusy{replica="b"} 0.1')
        holds_for(lambda: world.replicas() == 4, "no replica goes", seconds=AWAY_SECONDS)
    seen.no_replica_was_lost()
    world.set_load(pro=0.5, free=0.5, admitted=0.05, extra="busy 0.1")
    wait_for(lambda: evidence(world, "InferenceScaler", "image") == "True", "the metric is read again")
    if COMES_BACK:
        wait_for(lambda: world.replicas() < 4, "replicas follow the load again", seconds=120)


def test_tiers_of_two_series_each(world: World, operator: Operator) -> None:
    twice = {which: {"query": f'{which}{{namespace="{world.namespace.name}"}}'} for which in ("offered", "admitted")}
    again = "\n".join(f'{which}{{feature="other",tier="free",cohort=""}} 1' for which in ("offered", "admitted"))
    with frozen(world, "two series for free", "write sum by (tier, cohort)", falls=False):
        world.namespace.patch(API_VERSION, "FeaturePolicy", FEATURE, {"spec": {"demand": twice}})
        world.set_load(pro=4.6, free=3, admitted=0, extra=again)
    world.namespace.patch(API_VERSION, "FeaturePolicy", FEATURE, {"spec": {"demand": world.policy()["spec"]["demand"]}})
    comes_back(world)


def test_numbers_that_nobody_renews(world: World, operator: Operator) -> None:
    """The exporter goes on telling what it knew at a moment, with that moment beside it, and it says that all is well."""
    world.namespace.patch(API_VERSION, "InferenceScaler", "image", {"spec": {"metrics": [metric(world, "busy")]}})
    world.set_load(pro=4.6, free=3, admitted=0, extra="busy 0.1")
    wait_for(lambda: evidence(world, "InferenceScaler", "image") == "True", "the metric is read")
    with chronicle(world) as seen:
        world.set_load(pro=4.6, free=3, admitted=0, extra=f"busy 0.1 {time.time() * 1000:.0f}")
        found = world.wait_for_sentence(
            "InferenceScaler", "image", "MetricsAvailable", "busy", "returns nothing; check that its metric exists"
        )
        assert (found["status"], found["reason"]) == ("False", "Missing")
        holds_for(lambda: world.replicas() == 4, "no replica goes", seconds=AWAY_SECONDS)
    seen.nothing_changed()
    world.set_load(pro=4.6, free=3, admitted=0, extra="busy 0.1")
    wait_for(lambda: evidence(world, "InferenceScaler", "image") == "True", "the metric is read again")


def test_a_prometheus_that_restarts_without_its_data(world: World, operator: Operator) -> None:
    with chronicle(world) as seen:
        world.cluster.prometheus.stop()
        shutil.rmtree(world.cluster.layout.root / "prometheus")
        world.wait_for_sentence("FeaturePolicy", FEATURE, "MetricsAvailable", "Prometheus cannot be reached")
        world.cluster.prometheus.start()
        wait_for(lambda: evidence(world, "FeaturePolicy", FEATURE) == "True", "evidence is back", seconds=60)
        holds_for(lambda: world.served("free") == ("denied", 100), "free users stay denied", seconds=AWAY_SECONDS)
    seen.nothing_changed()
    comes_back(world)


@pytest.mark.parametrize(("ahead_seconds", "words"), [(-600, "s old"), (600, "s ahead")], ids=["behind", "ahead"])
def test_a_prometheus_whose_clock_is_ten_minutes_off(
    world: World, operator: Operator, prometheus: PrometheusProxy, ahead_seconds: int, words: str
) -> None:
    with frozen(world, "Prometheus' answer is", words, "set the clocks of both right"):
        prometheus.clock_ahead_seconds = ahead_seconds
    prometheus.clock_ahead_seconds = 0
    comes_back(world)


@pytest.mark.parametrize(("ahead_seconds", "words"), [(600, "s old"), (-600, "s ahead")], ids=["ahead", "behind"])
def test_an_operator_whose_clock_is_ten_minutes_off_goes_on_once_it_is_set_right(
    world: World, operator: Operator, tmp_path: Path, ahead_seconds: int, words: str
) -> None:
    """As when a node boots with a wrong clock, and NTP steps it while the operator runs."""
    operator.stop()
    with Operator(
        world.cluster, world.namespace.name, tmp_path, started=False, clock_ahead_seconds=ahead_seconds
    ) as wrong:
        with frozen(world, "Prometheus' answer is", words, "by the operator's clock"):
            wrong.start()
        wrong.set_clock(0)
        set_right = "back" if ahead_seconds > 0 else "forward"
        wait_for(lambda: f"the wall clock was set {set_right} by 600 s; it is followed" in wrong.log(), "it is noticed")
        comes_back(world)
        made = moment(world.namespace.get(API_VERSION, "FeaturePolicy", FEATURE)["metadata"]["creationTimestamp"])
        for cell in world.status("FeaturePolicy", FEATURE)["cells"]:
            assert made - 1 <= moment(cell["since"]) <= time.time() + 1, cell


@pytest.mark.parametrize("knows_limits", [True, False], ids=["a-Prometheus-that-knows-limits", "one-that-knows-none"])
def test_a_query_of_a_hundred_thousand_series(
    world: World, operator: Operator, prometheus: PrometheusProxy, knows_limits: bool
) -> None:
    """What such a query returns is refused before it is held: the rest of the operator goes on as ever."""
    remember_many(world)
    prometheus.limits = knows_limits
    many = f'last_over_time(many{{namespace="{world.namespace.name}"}}[15m])'
    asked = {which: {"query": many} for which in ("offered", "admitted")}
    memory = resident_bytes(operator.pid)
    with frozen(
        world,
        "more than 1000 series" if knows_limits else "larger than 1 MB",
        "fewer" if not knows_limits else "sum by",
    ):
        world.namespace.patch(API_VERSION, "FeaturePolicy", FEATURE, {"spec": {"demand": asked}})
    assert resident_bytes(operator.pid) < memory + 50e6
    world.namespace.patch(API_VERSION, "FeaturePolicy", FEATURE, {"spec": {"demand": world.policy()["spec"]["demand"]}})
    comes_back(world)


def remember_many(world: World) -> None:
    """A hundred thousand series, written into the cluster's Prometheus."""
    now, labels = time.time(), {"namespace": world.namespace.name, "tier": "free"}
    samples = [(now, "many", labels | {"cohort": str(number)}, 1.0) for number in range(SERIES)]
    Remembering(world.cluster.prometheus.url).remember(samples, counter=False)


def moment(text: str) -> float:
    """Unix seconds."""
    return datetime.fromisoformat(text).timestamp()


def evidence(world: World, kind: str, name: str) -> str:
    """Whether an object's numbers can all be read: "True" or "False"."""
    return str(world.condition(kind, name, "MetricsAvailable")["status"])


def metric(world: World, name: str) -> dict[str, Any]:
    """A metric of the scaler, met at 0.5."""
    return {"name": name, "query": f'{name}{{namespace="{world.namespace.name}"}}', "target": {"value": "500m"}}
