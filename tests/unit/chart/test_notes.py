"""What whoever installs the chart is told: where everything is, and what of it is seldom meant; and what ends an installation."""

from typing import Any

import pytest

from brownout.flags.tokens import ALGORITHMS
from brownout_localcluster.charts import ChartError, render_all
from support.chart import CHART, IMAGE, RELEASE, SYSTEM

TRUSTING = "anybody can claim any plan"
URL = {"prometheus": {"url": "http://prometheus:9090"}}


def jwt(**settings: Any) -> dict[str, Any]:
    """Values with settings of tokens, otherwise as they should be."""
    return {"flags": {"auth": {"jwt": {"jwksUrl": "https://id/keys", "issuer": "i", "audiences": ["a"]} | settings}}}


WARNED: list[tuple[dict[str, Any], str]] = [
    ({"operator": {"prometheus": {"url": ""}}}, "operator.prometheus.url is not set"),
    ({"operator": {"replicas": 0}}, "operator.replicas is 0: nothing is decided"),
    ({"flags": {"service": {"type": "LoadBalancer"}}}, TRUSTING),
    ({"flags": {"publicUrl": "https://flags.example.com"}}, TRUSTING),
    ({"flags": {"cors": {"origins": ["*"]}}}, TRUSTING),
    ({"flags": {"auth": {"trustContext": False}}}, "nobody can say who they are"),
    ({"flags": {"replicas": 3}}, "a quota of 3 give up to 9"),
    ({"flags": {"replicas": 1}}, "a lost node leaves applications with their own defaults"),
    ({"redis": {"enabled": True}}, "redis has no volume"),
    ({"redis": {"enabled": True}, "networkPolicy": {"enabled": False}}, "neither a password nor a NetworkPolicy"),
    ({"crds": {"keep": False}}, "uninstalling the release deletes every policy"),
    ({"networkPolicy": {"egress": {"enabled": True}}}, "does not reach a Prometheus"),
    ({"inference": {"workloads": [IMAGE | {"replicas": 2}]}}, "workload image has replicas"),
]

CALM: dict[str, Any] = {
    "operator": URL,
    "flags": {"quotaStorage": {"secretRef": {"name": "redis"}}},
    "inference": {"workloads": [IMAGE]},
}

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"operator": {"replicas": 2}}, "operator.replicas: 2 operators would each decide and write"),
    (
        {"redis": {"enabled": True}, "flags": {"quotaStorage": {"secretRef": {"name": "mine"}}}},
        "redis.enabled and flags.quotaStorage.secretRef.name: quotas are counted in one place",
    ),
    ({"flags": {"auth": {"required": True}}}, "flags.auth.required: nobody has credentials that count"),
    ({"inference": {"workloads": [IMAGE, IMAGE]}}, "inference.workloads: there are two of chart-product/image"),
    ({"inference": {"workloads": [{"name": "a"}]}}, "inference.workloads: chart-system/a: features: is needed"),
    (
        {"inference": {"workloads": [{"name": "pictures", "features": ["a"]}]}},
        "inference.workloads: chart-system/pictures: model: is needed; write image, language,",
    ),
    (
        {"operator": {"prometheus": {"url": "prometheus:9090"}}},
        'operator.prometheus.url: "prometheus:9090" is not an address; write one such as',
    ),
    ({"operator": {"featureFlag": "Brown Out"}}, 'operator.featureFlag: "Brown Out" cannot be the name of a resource'),
    (
        {"networkPolicy": {"egress": {"enabled": True, "apiServer": {"cidrs": ["10.96.0.1"]}}}},
        'networkPolicy.egress.apiServer.cidrs: "10.96.0.1" is not a network; write one such as 10.96.0.1/32',
    ),
    (jwt(jwksUrl="id.example.com/keys"), 'flags.auth.jwt.jwksUrl: "id.example.com/keys" is not an address'),
    (
        jwt(algorithms=["HS256"]),
        f'flags.auth.jwt.algorithms: "HS256" is not one with public keys; write some of {", ".join(ALGORITHMS)}',
    ),
    ({"podMonitor": {"enabled": True}}, "podMonitor.enabled: this cluster has no kind PodMonitor"),
]  # fmt: skip


@pytest.fixture(scope="module")
def told() -> list[dict[str, str] | ChartError]:
    """All renderings of this module, in one process."""
    every = [CALM, *(values for values, _ in WARNED), *(values for values, _ in REFUSED)]
    return render_all(CHART, RELEASE, namespace=SYSTEM, values=every)


def notes(rendered: dict[str, str] | ChartError) -> str:
    assert isinstance(rendered, dict), rendered
    return next(text for path, text in rendered.items() if path.endswith("/NOTES.txt"))


def test_notes_say_what_to_do_next_and_warn_of_nothing_that_is_meant(told: list[dict[str, str] | ChartError]) -> None:
    said = notes(told[0])
    assert f"helm test {RELEASE} --namespace {SYSTEM}" in said
    assert f"http://{RELEASE}-flags.{SYSTEM}:8080/NS/" in said
    assert "WARNING" not in said


def test_notes_name_the_service_for_outside_where_there_is_one(told: list[dict[str, str] | ChartError]) -> None:
    at = next(1 + n for n, (values, _) in enumerate(WARNED) if "service" in values.get("flags", {}))
    assert f"{RELEASE}-flags-public, of type LoadBalancer" in notes(told[at])
    assert "-public" not in notes(told[0])


@pytest.mark.parametrize("number", range(len(WARNED)), ids=[sentence for _, sentence in WARNED])
def test_notes_warn_of_what_is_seldom_meant(told: list[dict[str, str] | ChartError], number: int) -> None:
    said = notes(told[1 + number])
    assert WARNED[number][1] in said.partition("WARNING")[2]


@pytest.mark.parametrize("number", range(len(REFUSED)), ids=[sentence for _, sentence in REFUSED])
def test_what_cannot_work_ends_the_installation_with_a_sentence(
    told: list[dict[str, str] | ChartError], number: int
) -> None:
    refused = told[1 + len(WARNED) + number]
    assert isinstance(refused, ChartError)
    assert REFUSED[number][1] in str(refused)
