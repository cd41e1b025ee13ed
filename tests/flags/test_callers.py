"""Whose word about a user counts: API keys, tokens, and nobody's on a public listener."""

import base64
import gzip
import hmac
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from brownout.flags.callers import CallerSettings, read_api_keys
from brownout.flags.tokens import TokenSettings
from flags.builders import NAMESPACE, cell, policy
from flags.hosted import HostedServer, hosted
from flags.issuer import AUDIENCE, NAME, Issuer
from flags.process import Asked
from support.waiting import wait_for

KEY = "image-generation"
SINGLE, BULK = f"/{NAMESPACE}/ofrep/v1/evaluate/flags/{KEY}", f"/{NAMESPACE}/ofrep/v1/evaluate/flags"
CLAIMS_PRO = {"plan": "pro", "targetingKey": "somebody"}
SHED = policy(cells=[cell("free", "lite"), cell("free", "denied", cohort="new-accounts")])


def tokens(jwks: str, **settings: Any) -> TokenSettings:
    return TokenSettings(jwks=jwks, issuer=NAME, audience=(AUDIENCE,), **settings)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def variant(server: Asked, context: dict[str, Any], headers: dict[str, str] | None = None) -> str:
    """The variant that is served, or the status where none is."""
    status, body, _ = server.ask(SINGLE, {"context": context}, headers=headers)
    return body["variant"] if status == 200 else str(status)


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer("one")


@pytest.fixture(scope="module")
def public(issuer: Issuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostedServer]:
    """A public listener: tokens of the issuer, an API key for everything, and one for another namespace."""
    folder = tmp_path_factory.mktemp("keys")
    (folder / "jwks.json").write_bytes(issuer.jwks)
    (folder / "api-keys").write_text("# gateways\ngateway-key\nother-key other\nmedia-key other, media\n")
    callers = CallerSettings(
        trust_context=False, api_keys_file=folder / "api-keys", tokens=tokens(str(folder / "jwks.json"))
    )
    with hosted(SHED, callers=callers) as running:
        yield running


# A public listener


def test_on_a_public_listener_nobody_can_claim_a_tier(public: HostedServer) -> None:
    assert variant(public, {"plan": "pro"}) == "denied_new_accounts"
    assert variant(public, {"plan": "free", "accountCreatedAt": 1_500_000_000}) == "denied_new_accounts"
    for flag in public.ask(BULK, {"context": CLAIMS_PRO})[1]["flags"]:
        assert flag["variant"] in {"free.new-accounts", "denied_new_accounts"}


def test_on_a_public_listener_nobody_is_told_which_namespaces_are_served(public: HostedServer) -> None:
    for path in ("/readyz", "/livez", "/"):
        status, body, _ = public.ask(path)
        assert status == 200
        assert NAMESPACE not in json.dumps(body)


def test_the_claims_of_a_token_are_the_context(public: HostedServer, issuer: Issuer) -> None:
    pro = issuer.token("one", sub="u", plan="pro")
    free = issuer.token("one", sub="u", plan="free", accountCreatedAt=1_500_000_000)
    assert variant(public, {}, bearer(pro)) == "full"
    assert variant(public, {}, bearer(free)) == "lite"


def test_what_is_sent_beside_a_token_adds_nothing_to_it(public: HostedServer, issuer: Issuer) -> None:
    no_plan = issuer.token("one", sub="u")
    free = issuer.token("one", sub="u", plan="free")
    for token in (no_plan, free):
        assert (
            variant(public, {"plan": "pro", "accountCreatedAt": 1_500_000_000}, bearer(token)) == "denied_new_accounts"
        )


def test_the_subject_is_the_targeting_key_whatever_is_sent(issuer: Issuer, tmp_path: Path) -> None:
    (tmp_path / "jwks.json").write_bytes(issuer.jwks)
    alone = policy(cells=[cell("pro", "full"), cell("free", "full"), cell("free", "denied", user="batch")])
    callers = CallerSettings(trust_context=False, tokens=tokens(str(tmp_path / "jwks.json")))
    with hosted(alone, callers=callers) as server:
        token = issuer.token("one", sub="batch", plan="free", accountCreatedAt=1_500_000_000)
        assert variant(server, {"targetingKey": "somebody-else"}, bearer(token)) == "denied_capacity"


def test_without_a_token_a_share_is_still_sticky_by_the_targeting_key_that_is_sent(
    issuer: Issuer, tmp_path: Path
) -> None:
    (tmp_path / "jwks.json").write_bytes(issuer.jwks)
    callers = CallerSettings(trust_context=False, tokens=tokens(str(tmp_path / "jwks.json")))
    half = policy(cells=[cell("free", "full", 50, cohort="new-accounts")])
    with hosted(half, callers=callers) as server:
        seen = {f"u{number}": variant(server, {"targetingKey": f"u{number}"}) for number in range(30)}
        assert set(seen.values()) == {"full", "lite"}
        assert {user: variant(server, {"targetingKey": user}) for user in seen} == seen


def test_an_upgraded_user_never_gets_a_304_for_the_answer_before(public: HostedServer, issuer: Issuer) -> None:
    free = issuer.token("one", sub="u", plan="free")
    etag = public.ask(BULK, {"context": {}}, headers=bearer(free))[2]["ETag"]
    same = {"If-None-Match": etag}
    assert public.ask(BULK, {"context": {}}, headers=bearer(free) | same)[0] == 304
    pro = issuer.token("one", sub="u", plan="pro")
    status, body, _ = public.ask(BULK, {"context": {}}, headers=bearer(pro) | same)
    assert status == 200
    assert {flag["variant"] for flag in body["flags"]} == {"pro", "full"}


def test_a_gateway_is_believed_and_shows_that_it_is_one_by_its_key(public: HostedServer) -> None:
    for headers in ({"X-API-Key": "gateway-key"}, bearer("gateway-key"), {"X-API-Key": "media-key"}):
        assert variant(public, {"plan": "pro"}, headers) == "full"


def test_who_may_not_read_a_namespace_gets_a_403(public: HostedServer) -> None:
    status, body, _ = public.ask(SINGLE, {"context": {}}, headers={"X-API-Key": "other-key"})
    assert (status, body.keys()) == (403, {"errorDetails"})
    assert NAMESPACE in body["errorDetails"]


# Tokens that do not count


def forged(issuer: Issuer) -> dict[str, str]:
    """Tokens, each with one thing wrong, by what it is."""

    def part(content: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()

    good = issuer.token("one", sub="u", plan="pro")
    head, body, signature = good.split(".")
    confused = f"{part({'alg': 'HS256', 'kid': 'one'})}.{body}"
    secret = json.dumps(issuer.published[0]).encode()
    mac = base64.urlsafe_b64encode(hmac.digest(secret, confused.encode(), "sha256")).rstrip(b"=").decode()
    stranger = Issuer("one")
    return {
        "has expired": issuer.token("one", lasts=-120, plan="pro"),
        "no end": issuer.token("one", exp=None, plan="pro"),
        "not yet": issuer.token("one", nbf=time.time() + 600, plan="pro"),
        "another audience": issuer.token("one", aud="billing", plan="pro"),
        "no audience": issuer.token("one", aud=None, plan="pro"),
        "another issuer": issuer.token("one", iss="https://evil.example.com", plan="pro"),
        "no signature": f"{part({'alg': 'none', 'kid': 'one'})}.{body}.",
        "public key as secret": f"{confused}.{mac}",
        "another's signature": stranger.token("one", plan="pro"),
        "other claims": f"{head}.{part({'iss': NAME, 'aud': AUDIENCE, 'exp': 9e9, 'plan': 'pro'})}.{signature}",
        "unknown key": stranger.token("one", plan="pro").replace("x", "y"),
        "garbage": "garbage",
        "empty parts": "..",
    }


@pytest.mark.parametrize("what", list(forged(Issuer("one"))))
def test_a_token_that_does_not_count_is_a_401_and_never_the_default_tier(
    public: HostedServer, issuer: Issuer, what: str
) -> None:
    for path in (SINGLE, BULK):
        status, body, headers = public.ask(path, {"context": {}}, headers=bearer(forged(issuer)[what]))
        assert (status, body.keys()) == (401, {"errorDetails"})
        assert headers["WWW-Authenticate"].startswith("Bearer")
    if what == "has expired":
        assert "expired" in body["errorDetails"]


def test_clocks_may_differ_a_little(public: HostedServer, issuer: Issuer) -> None:
    assert variant(public, {}, bearer(issuer.token("one", lasts=-10, plan="pro"))) == "full"
    assert variant(public, {}, bearer(issuer.token("one", nbf=time.time() + 10, plan="pro"))) == "full"


def test_a_verified_token_is_not_remembered_beyond_its_end(issuer: Issuer, tmp_path: Path) -> None:
    (tmp_path / "jwks.json").write_bytes(issuer.jwks)
    callers = CallerSettings(tokens=tokens(str(tmp_path / "jwks.json"), leeway_seconds=0.0))
    with hosted(SHED, callers=callers) as server:
        token = issuer.token("one", lasts=2, plan="pro")
        assert variant(server, {}, bearer(token)) == "full"
        wait_for(lambda: variant(server, {}, bearer(token)) == "401", "it has expired", seconds=6)


@pytest.mark.parametrize("header", ["Basic dTpw", "Bearer", "Bearer  ", "token"])
def test_another_scheme_is_a_401_that_says_what_to_write(public: HostedServer, header: str) -> None:
    status, body, _ = public.ask(SINGLE, {"context": {}}, headers={"Authorization": header})
    assert (status, body["errorDetails"]) == (401, "Authorization: expected Bearer and a token")


def test_a_wrong_api_key_is_a_401(public: HostedServer) -> None:
    assert variant(public, {}, {"X-API-Key": "guess"}) == "401"


@pytest.mark.parametrize("header", ["Authorization", "X-API-Key"])
@pytest.mark.parametrize("credentials", ["\xff", "a.\xff.c"])
def test_credentials_that_are_no_text_are_a_401(public: HostedServer, header: str, credentials: str) -> None:
    sent = f"Bearer {credentials}" if header == "Authorization" else credentials
    assert variant(public, {}, {header: sent}) == "401"


@pytest.mark.parametrize("body", [b"no gzip", gzip.compress(b'{"context": {}}')], ids=["garbage", "compressed"])
def test_a_body_that_is_compressed_is_a_400(public: HostedServer, body: bytes) -> None:
    status, answer, _ = public.ask(SINGLE, body, headers={"Content-Encoding": "gzip"})
    assert (status, answer["errorCode"]) == (400, "PARSE_ERROR")


# Other listeners


def test_without_any_settings_the_context_counts_and_headers_do_not() -> None:
    with hosted(SHED) as server:
        assert variant(server, {"plan": "pro"}) == "full"
        assert variant(server, {"plan": "pro"}, {"Authorization": "Bearer x", "X-API-Key": "y"}) == "full"


@pytest.mark.parametrize("trust_context", [True, False])
def test_an_api_key_that_nothing_was_configured_for_takes_nothing_from_a_token(
    issuer: Issuer, tmp_path: Path, trust_context: bool
) -> None:
    (tmp_path / "jwks.json").write_bytes(issuer.jwks)
    callers = CallerSettings(trust_context=trust_context, required=True, tokens=tokens(str(tmp_path / "jwks.json")))
    gateways = {"X-API-Key": "of-the-gateway"}
    with hosted(SHED, callers=callers) as server:
        assert variant(server, {}, bearer(issuer.token("one", plan="pro")) | gateways) == "full"
        assert variant(server, {}, bearer("garbage") | gateways) == "401"
        assert variant(server, {}, gateways) == "401"


def test_behind_a_gateway_claims_count_more_than_what_is_sent(issuer: Issuer, tmp_path: Path) -> None:
    (tmp_path / "jwks.json").write_bytes(issuer.jwks)
    callers = CallerSettings(trust_context=True, tokens=tokens(str(tmp_path / "jwks.json")))
    with hosted(SHED, callers=callers) as server:
        assert variant(server, {"plan": "pro"}) == "full"
        assert variant(server, {"plan": "pro"}, bearer(issuer.token("one", plan="free"))) == "denied_new_accounts"


def test_where_credentials_are_required_who_shows_none_gets_a_401(tmp_path: Path) -> None:
    (tmp_path / "api-keys").write_text("secret\n")
    callers = CallerSettings(required=True, api_keys_file=tmp_path / "api-keys")
    with hosted(SHED, callers=callers) as server:
        assert variant(server, {"plan": "pro"}) == "401"
        assert variant(server, {"plan": "pro"}, {"X-API-Key": "secret"}) == "full"
        assert server.ask("/livez")[0] == 200


def test_attributes_may_be_held_by_one_claim(issuer: Issuer, tmp_path: Path) -> None:
    (tmp_path / "jwks.json").write_bytes(issuer.jwks)
    settings = tokens(str(tmp_path / "jwks.json"), context_claim="https://example.com/flags")
    with hosted(SHED, callers=CallerSettings(trust_context=False, tokens=settings)) as server:
        held = issuer.token("one", **{"https://example.com/flags": {"plan": "pro"}})
        assert variant(server, {}, bearer(held)) == "full"
        assert variant(server, {}, bearer(issuer.token("one", plan="pro"))) == "denied_new_accounts"
        odd = issuer.token("one", **{"https://example.com/flags": "pro"})
        assert variant(server, {}, bearer(odd)) == "denied_new_accounts"


# Keys that change


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("brownout.flags.jwks.LEAST_PAUSE_SECONDS", 0.2)


@pytest.mark.usefixtures("quick")
def test_a_new_key_is_found_with_the_first_token_that_names_it() -> None:
    with Issuer("one").online() as issuer, hosted(SHED, callers=CallerSettings(tokens=tokens(issuer.url))) as server:
        assert variant(server, {}, bearer(issuer.token("one", plan="pro"))) == "full"
        issuer.add("two", algorithm="RS256")
        time_of_two = issuer.token("two", plan="pro")
        wait_for(lambda: variant(server, {}, bearer(time_of_two)) == "full", "the new key is found", seconds=3)
        assert variant(server, {}, bearer(issuer.token("one", plan="pro"))) == "full"


@pytest.mark.usefixtures("quick")
def test_tokens_of_a_key_that_was_withdrawn_do_not_count_any_more() -> None:
    settings = {"refresh_seconds": 0.3}
    with (
        Issuer("one", "two").online() as issuer,
        hosted(SHED, callers=CallerSettings(tokens=tokens(issuer.url, **settings))) as server,
    ):
        token = issuer.token("one", plan="pro")
        assert variant(server, {}, bearer(token)) == "full"
        issuer.withdraw("one")
        wait_for(lambda: variant(server, {}, bearer(token)) == "401", "the key is gone", seconds=5)


@pytest.mark.usefixtures("quick")
def test_an_issuer_that_is_away_changes_nothing_for_known_keys() -> None:
    settings = {"refresh_seconds": 0.2}
    with (
        Issuer("one").online() as issuer,
        hosted(SHED, callers=CallerSettings(tokens=tokens(issuer.url, **settings))) as server,
    ):
        assert variant(server, {}, bearer(issuer.token("one", plan="pro"))) == "full"
        issuer.broken = True
        wait_for(lambda: server.metric("brownout_flags_jwks_errors_total") > 1, "failures are counted")
        assert variant(server, {}, bearer(issuer.token("one", plan="pro", sub="again"))) == "full"


@pytest.mark.usefixtures("quick")
def test_keys_outlive_a_restart_while_the_issuer_is_away(tmp_path: Path) -> None:
    with Issuer("one").online() as issuer:
        callers = CallerSettings(trust_context=False, tokens=tokens(issuer.url))
        with hosted(SHED, callers=callers, snapshot_dir=tmp_path) as server:
            assert variant(server, {}, bearer(issuer.token("one", plan="pro"))) == "full"
            wait_for(lambda: (tmp_path / "jwks.json").exists(), "the keys are kept")
        issuer.broken = True
        with hosted(SHED, callers=callers, snapshot_dir=tmp_path) as server:
            assert variant(server, {}, bearer(issuer.token("one", plan="pro"))) == "full"


@pytest.mark.usefixtures("quick")
def test_while_no_keys_have_been_had_a_token_is_neither_believed_nor_refused() -> None:
    with Issuer("one").online() as issuer:
        issuer.broken = True
        callers = CallerSettings(trust_context=False, tokens=tokens(issuer.url))
        with hosted(SHED, callers=callers) as server:
            status, body, _ = server.ask(SINGLE, {"context": {}}, headers=bearer(issuer.token("one", plan="pro")))
            assert (status, body.keys()) == (500, {"errorDetails"})
            assert variant(server, {}) == "denied_new_accounts"
            issuer.broken = False
            token = bearer(issuer.token("one", plan="pro"))
            wait_for(lambda: variant(server, {}, token) == "full", "the keys have come", seconds=5)


def test_made_up_keys_do_not_make_us_ask_the_issuer_again_and_again() -> None:
    with Issuer("one").online() as issuer, hosted(SHED, callers=CallerSettings(tokens=tokens(issuer.url))) as server:
        assert variant(server, {}, bearer(issuer.token("one", plan="pro"))) == "full"
        stranger = Issuer(*(f"made-up-{number}" for number in range(10)))
        for number in range(10):
            assert variant(server, {}, bearer(stranger.token(f"made-up-{number}", plan="pro"))) == "401"
        assert issuer.asked <= 2


def test_api_keys_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("brownout.flags.callers.KEYS_READ_EVERY_SECONDS", 0.1)
    keys = tmp_path / "api-keys"
    keys.write_text("old\n")
    with hosted(SHED, callers=CallerSettings(required=True, api_keys_file=keys)) as server:
        assert variant(server, {"plan": "pro"}, {"X-API-Key": "old"}) == "full"
        keys.write_text("new\n")
        wait_for(lambda: variant(server, {"plan": "pro"}, {"X-API-Key": "new"}) == "full", "the new key is known")
        assert variant(server, {"plan": "pro"}, {"X-API-Key": "old"}) == "401"


def test_a_revoked_key_is_a_401_also_where_no_other_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("brownout.flags.callers.KEYS_READ_EVERY_SECONDS", 0.1)
    keys = tmp_path / "api-keys"
    keys.write_text("old\n")
    with hosted(SHED, callers=CallerSettings(trust_context=False, api_keys_file=keys)) as server:
        assert variant(server, {"plan": "pro"}, {"X-API-Key": "old"}) == "full"
        keys.write_text("")
        wait_for(lambda: variant(server, {"plan": "pro"}, {"X-API-Key": "old"}) != "full", "the key is not known")
        assert variant(server, {"plan": "pro"}, {"X-API-Key": "old"}) == "401"
        assert variant(server, {"plan": "pro"}, bearer("old")) == "401"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le"])
def test_a_file_of_keys_that_is_not_utf_8_leaves_the_known_keys_until_it_can_be_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("brownout.flags.callers.KEYS_READ_EVERY_SECONDS", 0.1)
    keys = tmp_path / "api-keys"
    keys.write_text("old\n")
    with hosted(SHED, callers=CallerSettings(trust_context=False, api_keys_file=keys)) as server:
        keys.write_bytes("new\n".encode(encoding))
        wait_for(lambda: "API keys cannot be read" in caplog.text, "it is said")
        assert variant(server, {"plan": "pro"}, {"X-API-Key": "old"}) == "full"
        keys.write_text("new\n")
        wait_for(lambda: variant(server, {"plan": "pro"}, {"X-API-Key": "new"}) == "full", "the new key is known")
        assert variant(server, {"plan": "pro"}, {"X-API-Key": "old"}) == "401"


def test_a_file_of_keys_that_is_not_utf_8_keeps_a_server_from_starting_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "api-keys").write_bytes("new\n".encode("utf-16"))
    with pytest.raises(OSError, match=r"api-keys: is no text in UTF-8; write it again as UTF-8"):
        read_api_keys(tmp_path / "api-keys")


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    (tmp_path / "marked").write_bytes("first\n".encode("utf-8-sig"))
    (tmp_path / "plain").write_bytes(b"first\n")
    assert read_api_keys(tmp_path / "marked") == read_api_keys(tmp_path / "plain")


@pytest.mark.parametrize("what", ["brownout.flags.callers.read_api_keys", "brownout.flags.jwks.KeySet._look"])
def test_a_reader_of_keys_that_dies_is_logged_and_started_again(
    issuer: Issuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    for name in ("KEYS_READ_EVERY_SECONDS", "STARTED_AGAIN_AFTER_SECONDS"):
        monkeypatch.setattr(f"brownout.flags.callers.{name}", 0.05)
    (tmp_path / "jwks.json").write_bytes(issuer.jwks)
    (tmp_path / "api-keys").write_text("key\n")
    settings = tokens(str(tmp_path / "jwks.json"), refresh_seconds=0.05)
    with hosted(SHED, callers=CallerSettings(api_keys_file=tmp_path / "api-keys", tokens=settings)):

        def broken(*_: Any) -> None:
            raise RuntimeError("nobody thought of this")

        monkeypatch.setattr(what, broken)
        wait_for(lambda: caplog.text.count("keys could not be kept up to date") > 1, "it was started again")


# Settings that would let in too many


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"issuer": ""}, "issuer: is needed"),
        ({"audience": ()}, "audience: is needed"),
        ({"algorithms": ("HS256",)}, "algorithm 'HS256'"),
        ({"algorithms": ("none",)}, "algorithm 'none'"),
    ],
)
def test_settings_that_would_let_in_anybody_are_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        TokenSettings(**{"jwks": "x", "issuer": NAME, "audience": (AUDIENCE,), **settings})
