"""Who asks, from tokens: real ones, verified with the keys of a real server."""

import asyncio
import hmac
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jwt
import pytest
from jwt.utils import base64url_encode

from brownout_inference.jwks import KeySet, NoKeysError
from brownout_inference.settings import DEFAULT_CLAIMS, TokenSettings
from brownout_inference.tokens import InvalidTokenError, Tokens, context_of_claims
from flags.issuer import AUDIENCE, NAME, Issuer
from support.waiting import wait_for_async


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer("first").online() as running:
        yield running


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def verifying(
    source: str, *, clock: Any = time.monotonic, refresh_seconds: float = 0.05, **more: Any
) -> AsyncIterator[Tokens]:
    """Tokens verified with the keys of `source`, which is looked at again and again meanwhile."""
    settings = TokenSettings(jwks=source, issuer=NAME, audience=(AUDIENCE,), **more)
    keys = KeySet(
        source, refresh_seconds=refresh_seconds, stale_seconds=settings.stale_seconds, clock=clock, pause_seconds=0.0
    )
    looking = asyncio.create_task(keys.run())
    try:
        yield Tokens(settings, keys)
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


async def test_a_token_says_who_its_bearer_is(issuer: Issuer) -> None:
    token = issuer.token("first", sub="ana", plan="pro", accountCreatedAt=1_767_225_600, zoneinfo="Europe/Paris")
    async with verifying(issuer.url) as tokens:
        context = await tokens.context(token)
    assert context.targeting_key == "ana"
    assert context.attributes == {"plan": "pro", "accountCreatedAt": 1_767_225_600, "zoneinfo": "Europe/Paris"}


async def test_claims_of_other_names_are_mapped(issuer: Issuer) -> None:
    names = {**DEFAULT_CLAIMS, "plan": "app.plan", "zoneinfo": "https://example.com/zone"}
    claims = {"sub": "ana", "app": {"plan": "plus"}, "https://example.com/zone": "Asia/Tokyo", "plan": "pro"}
    async with verifying(issuer.url, claims=names) as tokens:
        context = await tokens.context(issuer.token("first", **claims))
    assert context.attributes == {"plan": "plus", "zoneinfo": "Asia/Tokyo"}


@pytest.mark.parametrize(
    ("made", "why"),
    [
        ({"lasts": -60.0}, "expired"),
        ({"aud": "somebody else"}, "Audience"),
        ({"iss": "https://evil.example.com"}, "issuer"),
        ({"exp": None}, "exp"),
        ({"nbf": time.time() + 3600}, "not yet valid"),
        ({"plan": "pro plus"}, "claim plan"),
        ({"plan": ["pro"]}, "claim plan"),
        ({"accountCreatedAt": True}, "claim accountCreatedAt"),
        ({"accountCreatedAt": -5}, "claim accountCreatedAt"),
        ({"zoneinfo": "../../etc/passwd"}, "claim zoneinfo"),
    ],
)
async def test_what_does_not_count_is_told_why(issuer: Issuer, made: dict[str, Any], why: str) -> None:
    async with verifying(issuer.url) as tokens:
        with pytest.raises(InvalidTokenError, match=why):
            await tokens.context(issuer.token("first", **{"sub": "ana", **made}))


async def test_clocks_may_differ_by_the_leeway(issuer: Issuer) -> None:
    async with verifying(issuer.url) as tokens:
        context = await tokens.context(issuer.token("first", lasts=-20.0, sub="ana", nbf=time.time() + 20))
    assert context.targeting_key == "ana"


async def test_a_token_without_a_signature_does_not_count(issuer: Issuer) -> None:
    claims = {"iss": NAME, "aud": AUDIENCE, "exp": time.time() + 60, "sub": "ana"}
    async with verifying(issuer.url) as tokens:
        with pytest.raises(InvalidTokenError, match="'none' is not allowed"):
            await tokens.context(jwt.encode(claims, None, algorithm="none"))


async def test_the_published_key_is_no_secret_to_sign_with(issuer: Issuer) -> None:
    claims = {"iss": NAME, "aud": AUDIENCE, "exp": time.time() + 60, "sub": "ana"}
    parts = [{"alg": "HS256", "typ": "JWT", "kid": "first"}, claims]
    signed = b".".join(base64url_encode(json.dumps(part).encode()) for part in parts)
    signature = hmac.digest(json.dumps(issuer.published[0]).encode(), signed, "sha256")
    forged = (signed + b"." + base64url_encode(signature)).decode()
    async with verifying(issuer.url) as tokens:
        with pytest.raises(InvalidTokenError, match="'HS256' is not allowed"):
            await tokens.context(forged)


@pytest.mark.parametrize("text", ["", "a", "a.b.c", "é.é.é", "." * 1000])
async def test_what_is_no_token_does_not_count(issuer: Issuer, text: str) -> None:
    async with verifying(issuer.url) as tokens:
        with pytest.raises(InvalidTokenError):
            await tokens.context(text)


async def test_a_signature_by_another_key_does_not_count(issuer: Issuer) -> None:
    async with verifying(issuer.url) as tokens:
        with pytest.raises(InvalidTokenError):
            await tokens.context(Issuer("first").token("first", sub="ana"))


async def test_a_new_key_counts_at_once_and_a_withdrawn_one_no_longer(issuer: Issuer) -> None:
    old = issuer.token("first", sub="ana")
    async with verifying(issuer.url, refresh_seconds=3600) as tokens:
        assert (await tokens.context(old)).targeting_key == "ana"
        issuer.add("second", algorithm="RS256")
        issuer.withdraw("first")
        assert (await tokens.context(issuer.token("second", sub="bob"))).targeting_key == "bob"
        with pytest.raises(InvalidTokenError, match="no key of the issuer fits"):
            await tokens.context(old)


async def test_while_the_issuer_is_away_the_last_keys_serve_but_not_for_ever(issuer: Issuer) -> None:
    clock, token = Clock(), issuer.token("first", sub="ana")
    async with verifying(issuer.url, clock=clock, stale_seconds=600) as tokens:
        await tokens.context(token)
        issuer.broken = True
        clock.now += 599
        assert (await tokens.context(token)).targeting_key == "ana"
        clock.now += 2
        with pytest.raises(NoKeysError):
            await tokens.context(token)
        issuer.broken = False
        assert (await tokens.context(token)).targeting_key == "ana"


async def test_made_up_keys_do_not_make_it_ask_the_issuer_each_time(issuer: Issuer) -> None:
    keys = KeySet(issuer.url, refresh_seconds=3600, stale_seconds=3600)
    for number in range(20):
        assert await keys.find(f"made-up-{number}", "ES256") is None
    assert issuer.asked == 1


async def test_before_the_first_keys_nobody_can_tell(issuer: Issuer) -> None:
    issuer.broken = True
    async with verifying(issuer.url) as tokens:
        with pytest.raises(NoKeysError, match="yet"):
            await tokens.context(issuer.token("first", sub="ana"))
        issuer.broken = False
        assert (await tokens.context(issuer.token("first", sub="ana"))).targeting_key == "ana"


async def test_keys_come_from_a_file_too_and_a_broken_one_leaves_the_last_ones(issuer: Issuer, tmp_path: Path) -> None:
    file = tmp_path / "jwks.json"
    file.write_bytes(issuer.jwks)
    async with verifying(str(file)) as tokens:
        assert (await tokens.context(issuer.token("first", sub="ana"))).targeting_key == "ana"
        file.write_text("{}")
        await asyncio.sleep(0)
        assert (await tokens.context(issuer.token("first", sub="ana"))).targeting_key == "ana"
        issuer.add("second")
        file.write_bytes(issuer.jwks)

        async def counts() -> bool:
            return (await tokens.context(issuer.token("second", sub="bob"))).targeting_key == "bob"

        await wait_for_async(counts, "the file's new key counts", seconds=5)


def test_a_claim_that_is_absent_leaves_its_attribute_absent() -> None:
    context = context_of_claims({"plan": None}, DEFAULT_CLAIMS)
    assert (context.targeting_key, context.attributes) == (None, {})
