"""Who may use up whose units: on a public listener everybody his own alone."""

from collections.abc import Iterator
from typing import Any

import pytest

from brownout.api.policy import Quota, TierEntry
from brownout.api.schema import Ref
from brownout.flags.callers import CallerSettings
from brownout.flags.tokens import TokenSettings
from flags.builders import NAMESPACE, policy
from flags.hosted import HostedServer, hosted
from flags.issuer import AUDIENCE, NAME, Issuer

KEY = "image-generation"
RESERVE = f"/{NAMESPACE}/v1/quota/{KEY}/reserve"


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer("one")


@pytest.fixture(scope="module")
def public(issuer: Issuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostedServer]:
    """A public listener: free users have one unit a day, plus users two."""
    folder = tmp_path_factory.mktemp("keys")
    (folder / "jwks.json").write_bytes(issuer.jwks)
    (folder / "api-keys").write_text("server-key media\nother-key other\n")
    tokens = TokenSettings(jwks=str(folder / "jwks.json"), issuer=NAME, audience=(AUDIENCE,))
    callers = CallerSettings(trust_context=False, api_keys_file=folder / "api-keys", tokens=tokens)
    entries = [
        TierEntry(tier_ref=Ref(name=tier), quota=Quota(limit=limit)) for tier, limit in (("free", 1), ("plus", 2))
    ]
    with hosted(policy(tiers=entries), callers=callers) as running:
        yield running


def reserve(server: HostedServer, headers: dict[str, str], **context: Any) -> tuple[int, Any]:
    status, body, _ = server.ask(RESERVE, {"context": context}, headers=headers)
    return status, body


def bearer(credentials: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {credentials}"}


def test_a_token_reserves_for_its_subject_at_its_own_tier(public: HostedServer, issuer: Issuer) -> None:
    token = bearer(issuer.token("one", sub="ana", plan="free"))
    status, body = reserve(public, token, targetingKey="bob", plan="plus")
    assert (status, body["tier"], body["limit"], body["reserved"]) == (200, "free", 1, 1)
    assert reserve(public, token, targetingKey="carol", plan="plus")[0] == 429
    bob = bearer(issuer.token("one", sub="bob", plan="free"))
    assert reserve(public, bob)[1]["reserved"] == 1


def test_an_upgrade_in_the_token_gives_the_new_limit(public: HostedServer, issuer: Issuer) -> None:
    assert reserve(public, bearer(issuer.token("one", sub="dora", plan="free")))[0] == 200
    assert reserve(public, bearer(issuer.token("one", sub="dora", plan="free")))[0] == 429
    status, body = reserve(public, bearer(issuer.token("one", sub="dora", plan="plus")))
    assert (status, body["limit"], body["reserved"]) == (200, 2, 2)


def test_without_a_token_nobody_uses_up_what_is_somebodys(public: HostedServer, issuer: Issuer) -> None:
    status, body = reserve(public, {}, targetingKey="eve", plan="free")
    assert (status, body["reason"]) == (401, "unauthorized")
    assert reserve(public, bearer(issuer.token("one", sub="eve", plan="free")))[1]["reserved"] == 1


def test_a_token_without_a_subject_has_no_units(public: HostedServer, issuer: Issuer) -> None:
    assert reserve(public, bearer(issuer.token("one", plan="free")), targetingKey="fay")[0] == 401


@pytest.mark.parametrize("claimed", [7, ["gus"], {}, None, ""], ids=str)
def test_a_claim_that_is_no_text_is_nobodys_name(public: HostedServer, issuer: Issuer, claimed: Any) -> None:
    token = issuer.token("one", plan="free", targetingKey=claimed)
    assert reserve(public, bearer(token), targetingKey="gus")[0] == 401


@pytest.mark.parametrize("headers", [{"X-API-Key": "server-key"}, bearer("server-key")], ids=["header", "bearer"])
def test_a_server_with_a_key_asks_for_its_users(public: HostedServer, headers: dict[str, str]) -> None:
    status, body = reserve(public, headers, targetingKey=f"g-{len(headers)}-{next(iter(headers))}", plan="plus")
    assert (status, body["tier"]) == (200, "plus")


def test_a_key_for_another_namespace_is_a_403(public: HostedServer) -> None:
    assert reserve(public, {"X-API-Key": "other-key"}, targetingKey="h", plan="plus")[0] == 403


def test_what_does_not_count_is_a_401(public: HostedServer) -> None:
    assert reserve(public, bearer("no-token-at-all"), targetingKey="i")[0] == 401
