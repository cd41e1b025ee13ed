"""The flag server against a real API server: what is patched there is what stock clients see, and its absence changes nothing."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Browser

from brownout.api.schema import API_VERSION
from brownout_localcluster import LocalCluster
from browser.chromium import Tabs, chromium
from browser.javascript import NodeClient, WebClient, build, node_client, site, web_client
from flags.process import Client, FlagServer, flag_server, in_process_client, ofrep_client
from support.cluster import Namespace, fresh_namespace
from support.operator import install_kinds
from support.waiting import holds_for, wait_for

AnyClient = Client | NodeClient | WebClient

KEY = "image-generation"
OLD = {"plan": "free", "accountCreatedAt": 1_500_000_000, "targetingKey": "old"}
NEW = {"plan": "free", "targetingKey": "new"}
PRO = {"plan": "pro", "targetingKey": "pro"}


@pytest.fixture(scope="module")
def kinds(cluster: LocalCluster) -> LocalCluster:
    """The cluster, with our kinds in it."""
    install_kinds(cluster)
    return cluster


def tier(name: str, priority: int, **spec: Any) -> dict[str, Any]:
    match = [{"key": "plan", "operator": "In", "values": [name]}]
    return {
        "apiVersion": API_VERSION,
        "kind": "UserTier",
        "metadata": {"name": name},
        "spec": {"priority": priority, "match": match, **spec},
    }


def policy(name: str = KEY) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": "FeaturePolicy",
        "metadata": {"name": name},
        "spec": {
            "flagKey": name,
            "variants": [
                {"name": "full", "value": {"enabled": True, "steps": 30}},
                {"name": "lite", "value": {"enabled": True, "steps": 8}},
                {"name": "denied", "value": {"enabled": False}},
            ],
            "tiers": [
                {"tierRef": {"name": "pro"}, "availability": "Always"},
                {"tierRef": {"name": "free"}, "availability": "Auto"},
            ],
            "notices": [{"locale": "en", "when": "Denied", "text": "Paused for now."}],
        },
    }


def shed(namespace: Namespace, variant: str, *, cohort: str = "", percent: int = 100, name: str = KEY) -> None:
    """Write what the operator would: one cell of `free`."""
    cells = [{"tier": "free", "cohort": cohort, "variant": variant, "percent": percent}]
    namespace.patch(API_VERSION, "FeaturePolicy", name, {"status": {"cells": cells}}, part="status")


@pytest.fixture
def product(kinds: LocalCluster, namespace: Namespace) -> Namespace:
    """A namespace with two tiers and a policy."""
    namespace.create(tier("pro", 100))
    young = {"key": "accountCreatedAt", "operator": "YoungerThan", "seconds": 604_800}
    namespace.create(tier("free", 10, cohorts=[{"name": "new-accounts", "match": [young]}]))
    namespace.create(policy())
    return namespace


@pytest.fixture
def server(product: Namespace, tmp_path: Path) -> Iterator[FlagServer]:
    with flag_server(
        kubeconfig=product.cluster.kubeconfig,
        snapshot_dir=tmp_path,
        namespaces=[product.name],
        options=["--cors-origin=*", "--notice-spread=1"],
    ) as running:
        wait_for(lambda: running.ask("/readyz")[1]["synced"], "the flag server has heard the API server")
        yield running


class JavaScript(NamedTuple):
    """What the JavaScript clients run in: their bundles, a browser, and the origin of a page with one of them."""

    built: Path
    browser: Browser
    origin: str


@pytest.fixture(scope="module")
def javascript(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JavaScript]:
    built = build(tmp_path_factory.mktemp("stock-clients"))
    with chromium() as browser, site(built) as origin:
        yield JavaScript(built, browser, origin)


@pytest.fixture
def clients(server: FlagServer, product: Namespace, javascript: JavaScript) -> Iterator[list[AnyClient]]:
    """The OFREP providers of Python, of Node and, in a real Chromium, of the browser; and the Python flagd provider."""
    base_url = f"{server.url}/{product.name}"
    tabs = Tabs(javascript.browser)
    with (
        ofrep_client(server, product.name) as ofrep,
        in_process_client(server, product.name) as in_process,
        node_client(javascript.built, base_url) as node,
        closing(tabs),
    ):
        yield [ofrep, in_process, node, web_client(tabs, javascript.origin, base_url)]


def all_see(clients: list[AnyClient], variant: str, **user: Any) -> None:
    """Every client is served this variant before 10 s have passed; a failure says what each of them is served instead."""
    seen: list[str] = []

    def look() -> bool:
        seen[:] = [
            f"{type(client).__name__} {number}: {client.variant(KEY, **user)}" for number, client in enumerate(clients)
        ]
        return all(each.endswith(f": {variant}") for each in seen)

    try:
        wait_for(look, f"every client sees {variant}", seconds=10)
    except AssertionError as error:
        error.add_note("; ".join(seen))
        raise


def test_a_flip_and_its_restoration_reach_every_client(product: Namespace, clients: list[AnyClient]) -> None:
    all_see(clients, "full", **OLD)
    shed(product, "denied", cohort="new-accounts")
    all_see(clients, "denied_new_accounts", **NEW)
    all_see(clients, "full", **OLD)
    shed(product, "lite")
    all_see(clients, "lite", **OLD)
    shed(product, "denied")
    all_see(clients, "denied_capacity", **OLD)
    all_see(clients, "full", **PRO)
    shed(product, "full")
    all_see(clients, "full", **OLD)


def test_an_upgraded_user_gets_the_new_tier_at_once(
    product: Namespace, server: FlagServer, clients: list[AnyClient]
) -> None:
    shed(product, "denied")
    all_see(clients, "denied_capacity", **OLD)
    path = f"/{product.name}/ofrep/v1/evaluate/flags"
    _, _, before = server.ask(path, {"context": OLD})
    status, _, _ = server.ask(path, {"context": {**OLD, "plan": "pro"}}, headers={"If-None-Match": before["ETag"]})
    assert status == 200
    all_see(clients, "full", **{**OLD, "plan": "pro"})


def test_an_override_starts_and_ends_with_its_object(product: Namespace, clients: list[AnyClient]) -> None:
    all_see(clients, "full", **OLD)
    product.create(
        {
            "apiVersion": API_VERSION,
            "kind": "FeatureOverride",
            "metadata": {"name": "incident"},
            "spec": {
                "policyRef": {"name": KEY},
                "variant": "denied",
                "expireTime": "2099-01-01T00:00:00Z",
                "reason": "a test",
            },
        }
    )
    all_see(clients, "denied_override", **OLD)
    product.delete(API_VERSION, "FeatureOverride", "incident")
    all_see(clients, "full", **OLD)


def test_clients_are_served_without_the_api_server_and_through_a_restart(
    product: Namespace, server: FlagServer, clients: list[AnyClient]
) -> None:
    shed(product, "lite")
    all_see(clients, "lite", **OLD)
    api_server = product.cluster.component("kube-apiserver")
    api_server.stop()
    with ExitStack() as always:
        always.callback(
            lambda: wait_for(lambda: product.get(API_VERSION, "FeaturePolicy", KEY), "it is back", seconds=60)
        )
        always.callback(api_server.start)
        wait_for(lambda: server.metric("brownout_flags_sync_errors_total", kind="featurepolicies") > 0, "it is missed")
        all_see(clients, "lite", **OLD)
        server.end()
        server.start()
        assert server.ask("/readyz")[1]["synced"] is False
        all_see(clients, "lite", **OLD)
    shed(product, "denied")
    seen = wait_for(
        lambda: {client.variant(KEY, **OLD) for client in clients} == {"denied_capacity"}, "updates flow again"
    )
    assert seen
    assert server.metric("brownout_flags_sync_age_seconds") >= 0


def test_an_api_server_that_hangs_changes_nothing(product: Namespace, clients: list[AnyClient]) -> None:
    shed(product, "lite")
    all_see(clients, "lite", **OLD)
    api_server = product.cluster.component("kube-apiserver")
    api_server.pause()
    try:
        holds_for(lambda: {client.variant(KEY, **OLD) for client in clients} == {"lite"}, "they are served", seconds=3)
    finally:
        api_server.resume()
    shed(product, "full")
    all_see(clients, "full", **OLD)


def test_policies_that_all_vanish_at_once_go_on_being_served(
    product: Namespace, server: FlagServer, clients: list[AnyClient]
) -> None:
    product.create(policy("chat"))
    shed(product, "denied")
    all_see(clients, "denied_capacity", **OLD)
    wait_for(lambda: {client.variant("chat", **OLD) for client in clients} == {"full"}, "chat is served")
    for name in (KEY, "chat"):
        product.delete(API_VERSION, "FeaturePolicy", name)
    wait_for(lambda: server.metric("brownout_flags_kind_missing", kind="featurepolicies") == 1, "they are missed")
    assert {client.variant(KEY, **OLD) for client in clients} == {"denied_capacity"}
    assert {client.variant("chat", **OLD) for client in clients} == {"full"}
    product.create(policy())
    all_see(clients, "full", **OLD)


def test_a_policy_that_is_deleted_alone_is_gone_from_every_client(product: Namespace, clients: list[AnyClient]) -> None:
    product.create(policy("chat"))
    wait_for(lambda: {client.variant("chat", **OLD) for client in clients} == {"full"}, "chat is served")
    product.delete(API_VERSION, "FeaturePolicy", "chat")
    wait_for(
        lambda: all("FLAG_NOT_FOUND" in client.variant("chat", **OLD) for client in clients), "chat is gone", seconds=30
    )
    all_see(clients, "full", **OLD)


def test_all_namespaces_are_served_and_kept_apart(kinds: LocalCluster, product: Namespace, tmp_path: Path) -> None:
    with fresh_namespace(kinds) as other:
        other.create(tier("free", 10))
        other.create(policy())
        shed(other, "denied")
        with (
            flag_server(kubeconfig=kinds.kubeconfig, snapshot_dir=tmp_path) as server,
            ofrep_client(server, product.name) as one,
            ofrep_client(server, other.name) as two,
        ):
            wait_for(lambda: one.variant(KEY, **OLD) == "full", "the first namespace is served")
            wait_for(lambda: two.variant(KEY, **OLD) == "denied_capacity", "the second namespace is served")


def test_a_client_that_comes_before_the_first_policy_finds_it(
    kinds: LocalCluster, namespace: Namespace, tmp_path: Path
) -> None:
    with (
        flag_server(kubeconfig=kinds.kubeconfig, snapshot_dir=tmp_path, namespaces=[namespace.name]) as server,
        in_process_client(server, namespace.name) as client,
    ):
        assert "FLAG_NOT_FOUND" in client.variant(KEY, **OLD)
        namespace.create(tier("free", 10))
        namespace.create(policy())
        all_see([client], "full", **OLD)


def test_the_kubeconfig_of_the_home_directory_is_taken_as_by_every_other_command(
    product: Namespace, tmp_path: Path
) -> None:
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_bytes(product.cluster.kubeconfig.read_bytes())
    with flag_server(home=tmp_path, snapshot_dir=tmp_path / "snapshots", namespaces=[product.name]) as server:
        wait_for(lambda: server.ask("/readyz")[1]["synced"], "it has heard the API server")
        assert [one["namespace"] for one in server.ask("/")[1]["namespaces"]] == [product.name]


def test_a_kubeconfig_that_is_named_counts_before_the_one_of_the_home_directory(
    product: Namespace, tmp_path: Path
) -> None:
    named = ["--kubeconfig", str(product.cluster.kubeconfig)]
    with flag_server(home=tmp_path, snapshot_dir=tmp_path, namespaces=[product.name], options=named) as server:
        wait_for(lambda: server.ask("/readyz")[1]["synced"], "it has heard the API server")
