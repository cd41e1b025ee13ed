"""Who asks, from the gateway's headers."""

from ipaddress import ip_network

import pytest

from brownout_inference.identity import HeaderError, context_of
from brownout_inference.main import parser, settings_from
from brownout_inference.settings import IdentitySettings, SettingsError

JWT = ["--identity", "jwt", "--jwt-jwks", "keys.json", "--jwt-issuer", "me", "--jwt-audience", "us,them"]


def settings(*arguments: str) -> IdentitySettings:
    words = ["serve", "--workload", "image", "--features", "image-generation", *arguments]
    return settings_from(parser().parse_args(words)).identity


def test_the_headers_make_an_evaluation_context() -> None:
    context = context_of(
        {"X-Brownout-User": "ana", "X-Brownout-Plan": "free", "X-Brownout-Account-Created-At": "1767225600"}
    )
    assert context.targeting_key == "ana"
    assert context.attributes == {"plan": "free", "accountCreatedAt": 1_767_225_600}


def test_the_users_time_zone_is_an_attribute() -> None:
    assert context_of({"X-Brownout-Time-Zone": "America/Argentina/Salta"}).attributes == {
        "zoneinfo": "America/Argentina/Salta"
    }


def test_an_absent_header_leaves_its_attribute_absent() -> None:
    context = context_of({})
    assert context.targeting_key is None
    assert context.attributes == {}


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("X-Brownout-User", ""),
        ("X-Brownout-User", "   "),
        ("X-Brownout-User", "a" * 257),
        ("X-Brownout-User", "a\x07b"),
        ("X-Brownout-Plan", ""),
        ("X-Brownout-Plan", "pro plus"),
        ("X-Brownout-Plan", "p" * 64),
        ("X-Brownout-Account-Created-At", "yesterday"),
        ("X-Brownout-Account-Created-At", "-5"),
        ("X-Brownout-Account-Created-At", "1.5e9"),
        ("X-Brownout-Account-Created-At", "٣"),
        ("X-Brownout-Time-Zone", ""),
        ("X-Brownout-Time-Zone", "../../etc/passwd"),
        ("X-Brownout-Time-Zone", "Europe/" + "P" * 99),
    ],
)
def test_a_malformed_header_is_refused_by_name(header: str, value: str) -> None:
    with pytest.raises(HeaderError, match=header):
        context_of({header: value})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--trusted-gateways", "10.4.0.1/16"], "write a network such as"),
        (["--identity", "jwt"], "--jwt-jwks"),
        (["--identity", "jwt", "--jwt-jwks", "keys.json", "--jwt-issuer", "me"], "--jwt-audience"),
        ([*JWT, "--jwt-algorithms", "HS256"], "'HS256' is not one of"),
        ([*JWT, "--jwt-claims", "tier=plan"], "with one of targetingKey"),
        (["--identity", "none", "--identity-required"], "leave one of them out, or write --identity headers or jwt"),
        ([*JWT, "--jwt-stale-seconds", "0"], "--jwt-stale-seconds"),
    ],
)
def test_options_that_cannot_be_used_say_what_to_write(arguments: list[str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        settings(*arguments)


def test_options_name_gateways_and_claims() -> None:
    assert settings("--trusted-gateways", "10.4.0.0/16, ::1").gateways == (ip_network("10.4.0.0/16"), ip_network("::1"))
    tokens = settings(*JWT, "--jwt-claims", "plan=app.plan").tokens
    assert tokens is not None
    assert (tokens.audience, tokens.claims["plan"], tokens.claims["targetingKey"]) == (
        ("us", "them"),
        "app.plan",
        "sub",
    )
