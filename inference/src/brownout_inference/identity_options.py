"""The options that say whose word about a user counts."""

import argparse
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from brownout_inference.settings import (
    DEFAULT_CLAIMS,
    LOOPBACK,
    IdentitySettings,
    SettingsError,
    TokenSettings,
    from_environment,
)
from brownout_inference.tokens import ALGORITHMS


def add_identity_options(parser: argparse.ArgumentParser) -> None:
    """Adds them to the arguments of `serve`."""
    add = parser.add_argument_group("identity", "Whose word about a user counts.").add_argument
    add(
        "--identity",
        choices=["headers", "jwt", "none"],
        default="headers",
        help="X-Brownout-* headers of a gateway, verified tokens, or nobody's word (default headers)",
    )
    add(
        "--identity-required", action="store_true", help="refuse who is unknown (default: they are of the default tier)"
    )
    add(
        "--trusted-gateways",
        help="comma-separated networks whose headers count [TRUSTED_GATEWAYS] (default 127.0.0.0/8,::1 where --host is one of them or there is a secret, else none); "
        "with GATEWAY_SECRET in the environment they have to show it as X-Brownout-Gateway-Secret too",
    )
    add("--jwt-jwks", help="the keys of whoever issues tokens: a URL or a file [JWT_JWKS]")
    add("--jwt-issuer", help="the `iss` that tokens must have [JWT_ISSUER]")
    add("--jwt-audience", help="comma-separated; one of them must be in `aud` [JWT_AUDIENCE]")
    add("--jwt-algorithms", default="RS256,ES256,EdDSA", help="comma-separated (default RS256,ES256,EdDSA)")
    add(
        "--jwt-claims",
        help="attribute=claim, comma-separated: targetingKey=sub,plan=plan,accountCreatedAt=...,zoneinfo=... [JWT_CLAIMS]",
    )
    add("--jwt-leeway-seconds", type=float, default=30.0, help="how far clocks may differ (default 30)")
    add(
        "--jwt-refresh-seconds", type=float, default=300.0, help="how often the URL is asked for new keys (default 300)"
    )
    add(
        "--jwt-stale-seconds",
        type=float,
        default=86_400.0,
        help="how long the last known keys serve while the URL does not answer (default 86400)",
    )


def identity_settings(arguments: argparse.Namespace, *, host: str) -> IdentitySettings:
    """What they say, for a server that listens on `host`. Raises SettingsError."""
    if arguments.identity == "none" and arguments.identity_required:
        raise SettingsError(
            "--identity none makes everybody unknown, and --identity-required refuses who is; leave one of them out, or write --identity headers or jwt"
        )
    secret = from_environment("GATEWAY_SECRET", "")
    gateways = arguments.trusted_gateways or from_environment("TRUSTED_GATEWAYS", "")
    return IdentitySettings(
        source=arguments.identity,
        gateways=_networks(gateways) if gateways else trusted_by_default(host, secret=secret),
        gateway_secret=secret,
        required=arguments.identity_required,
        tokens=_tokens(arguments) if arguments.identity == "jwt" else None,
    )


def trusted_by_default(host: str, *, secret: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """Loopback, where the server listens there alone or a gateway shows a secret; else nobody.

    A mesh's sidecar hands on from loopback what came from anywhere: Istio's from 127.0.0.6, Linkerd's from 127.0.0.1.
    """
    try:
        address = ip_address(host)
        local = any(address in network for network in LOOPBACK)
    except ValueError:
        local = host == "localhost"
    return LOOPBACK if local or secret else ()


def _networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    networks = []
    for word in _words(text):
        try:
            networks.append(ip_network(word))
        except ValueError as error:
            raise SettingsError(f"--trusted-gateways: {error}; write a network such as 10.4.0.0/16") from None
    return tuple(networks)


def _tokens(arguments: argparse.Namespace) -> TokenSettings:
    found = {
        name: getattr(arguments, f"jwt_{name}") or from_environment(f"JWT_{name.upper()}", "")
        for name in ("jwks", "issuer", "audience", "claims")
    }
    for name in ("jwks", "issuer", "audience"):
        if not found[name]:
            raise SettingsError(
                f"--identity jwt needs --jwt-{name}: a token may be meant for somebody else; name yours"
            )
    algorithms = _words(arguments.jwt_algorithms)
    if unknown := [algorithm for algorithm in algorithms if algorithm not in ALGORITHMS]:
        raise SettingsError(f"--jwt-algorithms: {unknown[0]!r} is not one of {', '.join(ALGORITHMS)}")
    for name, least in (("leeway", 0), ("refresh", 1), ("stale", 1)):
        if not getattr(arguments, f"jwt_{name}_seconds") >= least:
            raise SettingsError(f"--jwt-{name}-seconds is too small; write {least} or more")
    return TokenSettings(
        jwks=found["jwks"],
        issuer=found["issuer"],
        audience=tuple(_words(found["audience"])),
        algorithms=tuple(algorithms),
        claims=_claims(found["claims"]),
        leeway_seconds=arguments.jwt_leeway_seconds,
        refresh_seconds=arguments.jwt_refresh_seconds,
        stale_seconds=arguments.jwt_stale_seconds,
    )


def _claims(text: str) -> dict[str, str]:
    claims = dict(DEFAULT_CLAIMS)
    for word in _words(text):
        name, _, claim = word.partition("=")
        if name not in DEFAULT_CLAIMS or not claim:
            known = ", ".join(DEFAULT_CLAIMS)
            raise SettingsError(f"--jwt-claims: {word!r} is not attribute=claim with one of {known}")
        claims[name] = claim
    return claims


def _words(text: str) -> list[str]:
    return [word for part in text.split(",") if (word := part.strip())]
