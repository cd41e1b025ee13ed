"""Whose word counts: real requests from loopback addresses that are trusted gateways, and from some that are not."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from brownout_inference.http.callers import Callers
from brownout_inference.refusal import RefusedError
from brownout_inference.settings import IdentitySettings, TokenSettings
from flags.issuer import AUDIENCE, NAME, Issuer
from support.web_app import on_loopback

GATEWAY, STRANGER = "127.0.0.7", "127.0.0.8"
ANA = {"X-Brownout-User": "ana", "X-Brownout-Plan": "pro"}
ONE_GATEWAY = IdentitySettings(gateways=(ip_network(f"{GATEWAY}/32"),))


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer("first").online() as running:
        yield running


@asynccontextmanager
async def server(settings: IdentitySettings) -> AsyncIterator[str]:
    """A server that answers with whom it takes the caller for, or with the refusal."""
    callers = Callers(settings)

    async def who(request: web.Request) -> web.Response:
        try:
            context = (await callers.tell(request)).context
        except RefusedError as refused:
            refusal = refused.refusal
            return web.json_response(refusal.body(), status=refusal.status, headers=refusal.headers())
        return web.json_response([context.targeting_key, dict(context.attributes)])

    app = web.Application()
    app.cleanup_ctx.append(callers.background)
    app.router.add_get("/", who)
    async with on_loopback(app) as url:
        yield f"{url}/"


async def ask(url: str, headers: dict[str, str], *, source: str = GATEWAY) -> tuple[int, Any]:
    connector = aiohttp.TCPConnector(local_addr=(source, 0))
    async with aiohttp.ClientSession(connector=connector) as session, session.get(url, headers=headers) as answer:
        return answer.status, await answer.json()


async def test_a_trusted_gateways_headers_count() -> None:
    async with server(ONE_GATEWAY) as url:
        assert await ask(url, ANA) == (200, ["ana", {"plan": "pro"}])


async def test_a_strangers_headers_are_refused_and_say_what_to_do() -> None:
    async with server(ONE_GATEWAY) as url:
        status, body = await ask(url, ANA, source=STRANGER)
    assert (status, body["reason"]) == (403, "untrusted_gateway")
    assert STRANGER in body["detail"]
    assert "--trusted-gateways" in body["detail"]


async def test_a_stranger_who_claims_nothing_is_an_unknown_user() -> None:
    async with server(ONE_GATEWAY) as url:
        assert await ask(url, {}, source=STRANGER) == (200, [None, {}])


async def test_by_default_whoever_is_on_the_same_machine_counts() -> None:
    async with server(IdentitySettings()) as url:
        assert await ask(url, ANA, source=STRANGER) == (200, ["ana", {"plan": "pro"}])


@pytest.mark.parametrize("shown", [{}, {"X-Brownout-Gateway-Secret": "guess"}, {"X-Brownout-Gateway-Secret": "é"}])
async def test_a_gateway_has_to_show_the_secret_where_there_is_one(shown: dict[str, str]) -> None:
    async with server(IdentitySettings(gateway_secret="s3cret")) as url:
        assert (await ask(url, {**ANA, **shown}))[0] == 403
        assert (await ask(url, {**ANA, "X-Brownout-Gateway-Secret": "s3cret"}))[0] == 200


async def test_a_malformed_header_of_a_gateway_is_named() -> None:
    async with server(ONE_GATEWAY) as url:
        status, body = await ask(url, {"X-Brownout-Account-Created-At": "yesterday"})
    assert (status, body["error"]["param"]) == (400, "X-Brownout-Account-Created-At")


async def test_where_nobodys_word_counts_everybody_is_unknown() -> None:
    async with server(IdentitySettings(source="none")) as url:
        assert await ask(url, ANA) == (200, [None, {}])


async def test_who_is_unknown_is_refused_where_identity_is_required() -> None:
    async with server(IdentitySettings(required=True)) as url:
        status, body = await ask(url, {})
        assert (status, body["detail"]) == (
            401,
            "Nobody says who you are; send X-Brownout-User through a trusted gateway.",
        )
        assert (await ask(url, {"X-Brownout-Plan": "pro"}))[0] == 401
        assert (await ask(url, ANA))[0] == 200


def by_token(issuer: Issuer) -> IdentitySettings:
    return IdentitySettings(
        source="jwt", tokens=TokenSettings(jwks=issuer.url, issuer=NAME, audience=(AUDIENCE,), refresh_seconds=3600)
    )


async def test_with_tokens_a_gateways_headers_count_for_nothing(issuer: Issuer) -> None:
    token = issuer.token("first", sub="bob", plan="free")
    async with server(by_token(issuer)) as url:
        assert await ask(url, {**ANA, "Authorization": f"Bearer {token}"}) == (200, ["bob", {"plan": "free"}])
        assert await ask(url, ANA) == (200, [None, {}])


async def test_a_token_that_does_not_count_is_a_401_with_the_reason(issuer: Issuer) -> None:
    expired = issuer.token("first", lasts=-60.0, sub="bob")
    async with server(by_token(issuer)) as url:
        for credentials in (f"Bearer {expired}", "Bearer", "Basic YTpi", "Bearer not-a-token"):
            status, body = await ask(url, {"Authorization": credentials})
            assert (status, body["reason"], body["error"]["type"]) == (401, "unauthenticated", "authentication_error")
        assert "expired" in (await ask(url, {"Authorization": f"Bearer {expired}"}))[1]["detail"]


async def test_while_nobody_can_verify_tokens_their_bearers_are_asked_to_come_back(issuer: Issuer) -> None:
    issuer.broken = True
    async with server(by_token(issuer)) as url:
        status, body = await ask(url, {"Authorization": f"Bearer {issuer.token('first', sub='bob')}"})
    assert (status, body["reason"]) == (503, "identity_unavailable")
