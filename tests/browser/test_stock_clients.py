"""What applications see: the stock OFREP providers of Python, of Node and of the browser, each through the same story."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest

from brownout.api.override import FEATURE_OVERRIDE
from brownout.api.policy import FEATURE_POLICY
from brownout.api.tier import USER_TIER
from brownout.flags.callers import CallerSettings
from brownout.flags.snapshot import encode, write
from brownout.flags.tokens import TokenSettings
from browser.chromium import Tabs
from browser.javascript import node_client, site, web_client
from flags.builders import DENIED, FULL, LITE, NAMESPACE, TIERS, cell, policy
from flags.hosted import HostedServer, hosted
from flags.issuer import AUDIENCE, NAME, Issuer
from flags.process import NOWHERE, Asked, flag_server, ofrep_client
from support.waiting import holds_for, wait_for

KEY = "image-generation"
FREE = {"plan": "free", "accountCreatedAt": 1_500_000_000, "targetingKey": "u"}
PRO = {**FREE, "plan": "pro"}

WELL = policy()
SHED = policy(cells=[cell("free", "lite")])
WORSE = policy(cells=[cell("free", "denied")])
ANY_ORIGIN = ("*",)
SOON = 0.5
"""Seconds within which a test wants restores to be told."""


class Client(Protocol):
    def variant(self, key: str, **attributes: Any) -> str: ...


Connect = Callable[[Asked], Client]


@pytest.fixture(scope="module")
def origin(built: Path) -> Iterator[str]:
    with site(built) as running:
        yield running


@pytest.fixture(params=["python", "node", "web"])
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    """Connects the client of this run to a server."""
    with ExitStack() as clients:

        def connected(server: Asked) -> Client:
            base_url = f"{server.url}/{NAMESPACE}"
            if request.param == "python":
                return clients.enter_context(ofrep_client(server, NAMESPACE))
            if request.param == "node":
                return clients.enter_context(node_client(request.getfixturevalue("built"), base_url))
            return web_client(request.getfixturevalue("tabs"), request.getfixturevalue("origin"), base_url)

        yield connected


def sees(client: Client, variant: str, **user: Any) -> None:
    wait_for(lambda: client.variant(KEY, **user) == variant, f"the client sees {variant}", seconds=15)


@contextmanager
def told_soon(*policies: Any) -> Iterator[HostedServer]:
    with hosted(*policies, cors_origins=ANY_ORIGIN, notice_spread_seconds=SOON) as server:
        yield server


# Each client through the same story


def test_it_starts_flips_and_comes_back(connect: Connect) -> None:
    with told_soon(WELL) as server:
        client = connect(server)
        assert client.variant(KEY, **FREE) == "full"
        server.publish(SHED)
        sees(client, "lite", **FREE)
        server.publish(WORSE)
        sees(client, "denied_capacity", **FREE)
        server.publish(WELL)
        sees(client, "full", **FREE)


def test_an_upgrade_of_the_same_user_counts_at_once(connect: Connect) -> None:
    with told_soon(WORSE) as server:
        client = connect(server)
        assert client.variant(KEY, **FREE) == "denied_capacity"
        assert client.variant(KEY, **PRO) == "full"
        assert client.variant(KEY, **FREE) == "denied_capacity"


def test_it_finds_the_server_again_after_a_restart(connect: Connect) -> None:
    with told_soon(WELL) as server:
        client = connect(server)
        assert client.variant(KEY, **FREE) == "full"
        server.end()
        server.publish(SHED)
        server.start()
        sees(client, "lite", **FREE)


def test_it_is_served_while_the_control_plane_is_gone(connect: Connect, tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_text(NOWHERE)
    objects = {FEATURE_POLICY.plural: (SHED,), USER_TIER.plural: TIERS, FEATURE_OVERRIDE.plural: ()}
    write(tmp_path, NAMESPACE, encode(objects, saved_at=0.0))
    with flag_server(
        kubeconfig=tmp_path / "kubeconfig", snapshot_dir=tmp_path, options=["--cors-origin", "*"]
    ) as server:
        client = connect(server)
        assert client.variant(KEY, **FREE) == "lite"
        assert client.variant(KEY, **PRO) == "full"
        server.end()
        server.start()
        sees(client, "lite", **FREE)


ODD = [
    {},
    {"plan": None},
    {"plan": ""},
    {"plan": ["pro"]},
    {"plan": {"pro": True}},
    {"plan": "PRO"},
    {"plan": "free", "accountCreatedAt": "1500000000"},
    {"plan": "free", "accountCreatedAt": 9e18},
    {"plan": "free", "accountCreatedAt": -1},
    {"plan": "free", "accountCreatedAt": True},
    {"plan": "f\u0000ree"},
    {"plan": "💥" * 1000},
    {"targetingKey": ""},
    {"targetingKey": "ü" * 500},
    {"a.b": 1, "": 2, "__proto__": 3, "$flagd": {"timestamp": 9e9}},
    {"deep": [[[[[[[["x"]]]]]]]]},
]


def test_odd_contexts_never_earn_anything_and_are_never_an_error(connect: Connect) -> None:
    shed = policy(cells=[cell("free", "lite"), cell("free", "denied", cohort="new-accounts")])
    with told_soon(shed) as server:
        client = connect(server)
        for user in ODD:
            assert client.variant(KEY, **user) == "denied_new_accounts", user


def test_a_flag_that_is_not_there_is_an_error_and_the_codes_default(connect: Connect) -> None:
    with told_soon(WELL) as server:
        assert connect(server).variant("nope", **FREE).startswith("FLAG_NOT_FOUND")


# The browser


@pytest.fixture
def page_of(tabs: Tabs, origin: str) -> Callable[..., Any]:
    """Opens a page whose flags come from a server."""
    return lambda server, **settings: web_client(tabs, origin, f"{server.url}/{NAMESPACE}", **settings)


def test_a_page_is_told_of_a_flip_without_asking(page_of: Callable[..., Any]) -> None:
    with told_soon(WELL) as server:
        client = page_of(server)
        client.become(**FREE)
        assert client.details(KEY, **FREE)["value"] == FULL
        wait_for(lambda: server.metric("brownout_flags_event_streams") == 1, "the page listens")
        asked = server.metric("brownout_flags_evaluations_total", endpoint="bulk", outcome="ok")
        holds_for(lambda: client.variant(KEY, **FREE) == "full", "nothing is asked", seconds=1)
        assert server.metric("brownout_flags_evaluations_total", endpoint="bulk", outcome="ok") == asked
        server.publish(SHED)
        wait_for(lambda: client.variant(KEY, **FREE) == "lite", "the page has been told", seconds=3)
        assert client.details(KEY, **FREE)["value"] == LITE
        server.publish(WORSE)
        wait_for(lambda: client.details(KEY, **FREE)["value"] == DENIED, "the page has been told again", seconds=3)
        assert "PROVIDER_CONFIGURATION_CHANGED" in client.told()
        assert "PROVIDER_ERROR" not in client.told()


def test_a_page_listens_once_however_often_the_user_changes(page_of: Callable[..., Any]) -> None:
    with told_soon(SHED) as server:
        client = page_of(server)
        for user in (FREE, PRO, FREE, {**FREE, "targetingKey": "other"}):
            client.variant(KEY, **user)
        wait_for(lambda: server.metric("brownout_flags_event_streams") == 1, "one stream is open")


def test_a_page_that_may_not_listen_does_not_ask_again_and_again(page_of: Callable[..., Any]) -> None:
    with hosted(WELL, cors_origins=ANY_ORIGIN, most_event_streams=0) as server:
        client = page_of(server)
        assert client.variant(KEY, **FREE) == "full"
        holds_for(lambda: client.variant(KEY, **FREE) == "full", "it goes on", seconds=3)
        assert server.metric("brownout_flags_evaluations_total", endpoint="bulk", outcome="ok") == 1


def test_a_page_may_be_of_a_configured_origin_only(tabs: Tabs, origin: str) -> None:
    with hosted(WELL, cors_origins=("https://app.example.com",)) as server:
        client = web_client(tabs, origin, f"{server.url}/{NAMESPACE}")
        with pytest.raises(Exception, match=r"fetch|OFREP"):
            client.become(**FREE)
    with hosted(WELL, cors_origins=(origin,)) as server:
        assert web_client(tabs, origin, f"{server.url}/{NAMESPACE}").variant(KEY, **FREE) == "full"


def test_a_page_with_a_token_has_its_tier_and_no_other(page_of: Callable[..., Any], tmp_path: Path) -> None:
    issuer = Issuer("one")
    (tmp_path / "jwks.json").write_bytes(issuer.jwks)
    tokens = TokenSettings(jwks=str(tmp_path / "jwks.json"), issuer=NAME, audience=(AUDIENCE,))
    callers = CallerSettings(trust_context=False, tokens=tokens)
    with hosted(WORSE, cors_origins=ANY_ORIGIN, callers=callers) as server:
        assert page_of(server).variant("brownout.audience", **PRO) == "free.new-accounts"
        bearer = {"Authorization": f"Bearer {issuer.token('one', sub='u', plan='pro')}"}
        assert page_of(server, headers=bearer).variant(KEY, plan="free") == "full"
        old = issuer.token("one", sub="u", plan="free", accountCreatedAt=1_500_000_000)
        assert page_of(server, headers={"Authorization": f"Bearer {old}"}).variant(KEY, **PRO) == "denied_capacity"
