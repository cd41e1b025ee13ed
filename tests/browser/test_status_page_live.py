"""The status page against a real API server: what is written there appears on a page that is open."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from brownout.api.schema import API_VERSION
from brownout_localcluster import LocalCluster
from browser.chromium import Tabs
from browser.pages import rfc3339
from flags.process import FlagServer, flag_server
from support.cluster import Namespace
from support.operator import install_kinds
from support.waiting import wait_for

POLICY = "image-generation"


@pytest.fixture(scope="module")
def kinds(cluster: LocalCluster) -> LocalCluster:
    """The cluster, with our kinds in it."""
    install_kinds(cluster)
    return cluster


def manifest(kind: str, name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}


@pytest.fixture
def product(kinds: LocalCluster, namespace: Namespace) -> Namespace:
    """A tier and a feature that one workload carries."""
    namespace.create(manifest("UserTier", "free", priority=10))
    namespace.create(
        manifest("InferenceScaler", "image", poolRef={"name": "gpus"}, scaleTargetRef={"name": "image"}, maxReplicas=4)
    )
    full = {"name": "full", "costs": [{"scaler": "image", "gpuSecondsPerRequest": 1}]}
    policy = {"flagKey": POLICY, "variants": [full, {"name": "denied"}], "tiers": [{"tierRef": {"name": "free"}}]}
    namespace.create(manifest("FeaturePolicy", POLICY, **policy))
    return namespace


@pytest.fixture
def server(product: Namespace, tmp_path: Path) -> Iterator[FlagServer]:
    with flag_server(
        kubeconfig=product.cluster.kubeconfig, snapshot_dir=tmp_path, namespaces=[product.name]
    ) as running:
        wait_for(lambda: running.ask("/readyz")[1]["synced"], "the flag server has heard the API server")
        yield running


@pytest.fixture
def tab(tabs: Tabs, server: FlagServer, product: Namespace) -> Page:
    opened = tabs.open(f"{server.url}/{product.name}/status", locale="en-GB")
    expect(opened.get_by_role("heading", level=1)).to_have_text("Everything is available")
    expect(opened.locator("#live")).to_be_visible()
    opened.evaluate("document.body.dataset.loaded = 'once'")
    return opened


def decide(product: Namespace, variant: str, **line: str) -> None:
    """Write what the operator would."""
    cell = {"tier": "free", "variant": variant, "percent": 100, "since": rfc3339(time.time()), **line}
    product.patch(API_VERSION, "FeaturePolicy", POLICY, {"status": {"cells": [cell]}}, part="status")


def test_a_flip_and_its_restoration_appear_without_a_reload(product: Namespace, tab: Page) -> None:
    decide(product, "denied")
    expect(tab.get_by_role("heading", level=1)).to_have_text("Some features are limited")
    expect(tab.get_by_role("status")).to_have_text("Some features are limited")
    expect(tab.locator("section li")).to_contain_text("Paused")
    decide(product, "full")
    expect(tab.get_by_role("heading", level=1)).to_have_text("Everything is available")
    assert tab.evaluate("document.body.dataset.loaded") == "once"


def test_what_was_learned_of_cold_starts_says_how_sure_a_return_is(product: Namespace, tab: Page) -> None:
    soon = time.time() + 1800
    back = rfc3339(soon)
    status = {"comingReadyAt": back, "learned": {"coldStartP50Seconds": 60, "coldStartP95Seconds": 300}}
    product.patch(API_VERSION, "InferenceScaler", "image", {"status": status}, part="status")
    decide(product, "denied", expectedReturn=back, refusedBy="DoesNotFit")
    expect(tab.locator("section li dd").last).to_contain_text("very likely by")
    moments = tab.locator("section li dd").last.locator("time").evaluate_all("all => all.map(one => one.dateTime)")
    assert moments == [back, rfc3339(soon + 240)]


def test_an_override_of_a_person_appears_and_ends(product: Namespace, tab: Page) -> None:
    product.create(
        manifest(
            "FeatureOverride",
            "incident",
            policyRef={"name": POLICY},
            variant="denied",
            expireTime=rfc3339(time.time() + 3600),
            reason="a test",
        )
    )
    expect(tab.locator("section li")).to_contain_text("switched by our team")
    expect(tab.locator("section li")).to_contain_text("Planned for")
    product.delete(API_VERSION, "FeatureOverride", "incident")
    expect(tab.get_by_role("heading", level=1)).to_have_text("Everything is available")


def test_what_is_known_goes_on_being_shown_while_the_api_server_is_away(
    product: Namespace, server: FlagServer, tab: Page
) -> None:
    decide(product, "denied")
    expect(tab.get_by_role("heading", level=1)).to_have_text("Some features are limited")
    api_server = product.cluster.component("kube-apiserver")
    api_server.stop()
    try:
        wait_for(lambda: server.metric("brownout_flags_sync_errors_total", kind="usertiers") > 0, "it is missed")
        assert server.ask(f"/{product.name}/status.json")[1]["state"] == "limited"
        expect(tab.get_by_role("heading", level=1)).to_have_text("Some features are limited")
    finally:
        api_server.start()
        wait_for(lambda: product.get(API_VERSION, "FeaturePolicy", POLICY), "it is back", seconds=60)
