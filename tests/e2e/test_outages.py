"""The operator or the flag servers cannot reach the API server; images that nobody can pull."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from brownout_localcluster.charts import install_chart
from e2e.cluster import KindCluster
from e2e.images import Images
from e2e.objects import Manifest
from e2e.product import DENIED, FOR_FREE, FULL, Product, sentences
from e2e.release import CHART, RELEASE, SYSTEM, values
from e2e.space import NodePort, parts, pods, wait_until_available
from flags.traffic import Traffic
from support.waiting import holds_for, wait_for

MISSING = "nobody-has-this"
HELD_SECONDS = 15.0
"""Several ticks of the operator, and longer than any gate of the product's restore."""


@contextmanager
def cut_off(cluster: KindCluster, component: str) -> Iterator[None]:
    """No pod of a part reaches the API server, nor the API server it."""
    api_server = cluster.objects.get("v1", "Service", "kubernetes", namespace="default")["spec"]["clusterIP"]
    with ExitStack() as cut:
        for pod in parts(cluster, component):
            cut.enter_context(cluster.cut_off(pod, api_server))
        yield


def said(product: Product, flags: NodePort, traffic: Traffic) -> set[str]:
    """Everything that free users were told."""
    return {each.said for way in product.ways(flags) for each in traffic.answers[way, FOR_FREE]}


def test_an_operator_cut_off_from_the_api_server_changes_nothing_and_catches_up(
    installed: KindCluster, product: Product, flags: NodePort
) -> None:
    with product.asked(flags) as traffic:
        with cut_off(installed, "operator"):
            product.set_load(pro=2.0, free=6.0)
            holds_for(lambda: product.served("free") == ("full", 100), "free users keep it", seconds=HELD_SECONDS)
        product.wait_for_variant("free", "denied", seconds=90)
        wait_for(lambda: set(traffic.latest(FOR_FREE).values()) == {DENIED}, "free users hear of it")
    assert not traffic.failures, sentences(traffic.failures)


def test_flag_servers_cut_off_from_the_api_server_serve_the_last_they_knew_and_catch_up(
    installed: KindCluster, product: Product, flags: NodePort
) -> None:
    with product.asked(flags) as traffic:
        with cut_off(installed, "flags"):
            product.shed()
            holds_for(
                lambda: set(traffic.latest(FOR_FREE).values()) == {FULL},
                "they serve what they knew",
                seconds=HELD_SECONDS,
            )
        wait_for(lambda: set(traffic.latest(FOR_FREE).values()) == {DENIED}, "free users hear of it", seconds=120)
    assert not traffic.failures, sentences(traffic.failures)
    assert said(product, flags, traffic) == {FULL, DENIED}


def test_an_image_of_the_chart_that_cannot_be_pulled_leaves_everybody_served(
    installed: KindCluster, product: Product, flags: NodePort, images: Images
) -> None:
    product.shed()
    with product.asked(flags) as traffic:
        install_chart(installed.kubeconfig, CHART, RELEASE, namespace=SYSTEM, values=values(MISSING))
        try:
            for component in ("operator", "flags"):
                wait_for(
                    lambda component=component: any(_cannot_pull(pod) for pod in parts(installed, component)),
                    f"a pod of {component} waits for its image",
                    seconds=60,
                )
            product.set_load(pro=0.5, free=0.5)
            holds_for(lambda: product.served("free") == ("denied", 100), "nobody decides", seconds=HELD_SECONDS)
        finally:
            install_chart(installed.kubeconfig, CHART, RELEASE, namespace=SYSTEM, values=values(images.tag))
        for part in ("operator", "flags"):
            wait_until_available(installed, SYSTEM, f"{RELEASE}-{part}")
        product.calm_down()
        wait_for(lambda: set(traffic.latest(FOR_FREE).values()) == {FULL}, "free users have the feature back")
    assert not traffic.failures, sentences(traffic.failures)


def test_an_image_of_a_workload_that_cannot_be_pulled_costs_nobody_what_runs(
    installed: KindCluster, product: Product
) -> None:
    product.set_load(pro=1.0, free=0.4)
    wait_for(lambda: product.gpus_held() == 2, "two pods run", seconds=60)
    pod = product.namespace.get("apps/v1", "Deployment", "image")["spec"]["template"]["spec"]
    pod["containers"][0]["image"] = f"brownout/brownout:{MISSING}"
    changed = {"spec": {"template": {"spec": {"containers": pod["containers"]}}}}
    product.namespace.patch("apps/v1", "Deployment", "image", changed)
    wait_for(
        lambda: any(_cannot_pull(pod) for pod in pods(installed, product.namespace.name, app="image")),
        "a pod waits for its image",
        seconds=60,
    )
    holds_for(lambda: product.gpus_held() == 2, "the old pods run on", seconds=HELD_SECONDS)
    assert product.served("free") == ("full", 100)


@pytest.mark.parametrize("component", ["operator", "flags"])
def test_an_image_lists_what_is_in_it_and_runs_as_a_user_without_a_name(installed: KindCluster, component: str) -> None:
    pod = parts(installed, component)[0]
    assert installed.run_in(pod, "python", "-c", "import os; print(os.getuid())").strip() == "65532"
    bill = json.loads(installed.run_in(pod, "cat", "/sbom/brownout.cdx.json"))
    listed = {each["purl"].partition("@")[0] for each in bill["components"] if "purl" in each}
    assert {"pkg:pypi/kopf", "pkg:deb/debian/libc6", "pkg:deb/debian/ca-certificates"} <= listed


@pytest.mark.parametrize("component", ["operator", "flags"])
def test_an_image_trusts_public_certificate_authorities(installed: KindCluster, component: str) -> None:
    asked = "import os, ssl; print(len(os.listdir(ssl.get_default_verify_paths().capath)))"
    assert int(installed.run_in(parts(installed, component)[0], "python", "-c", asked)) > 100


def _cannot_pull(pod: Manifest) -> bool:
    waiting = [each["state"].get("waiting", {}) for each in pod["status"].get("containerStatuses", ())]
    return any(each.get("reason") in ("ErrImagePull", "ImagePullBackOff") for each in waiting)
