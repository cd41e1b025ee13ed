"""JSON Web Tokens (RFC 7519): a token that somebody presents, and the attributes that it vouches for.

The signature's algorithm comes from our list, never from the token alone, and is of those with a public key: the published key of an
issuer must not be taken for a secret (RFC 8725). A token without an end is refused.
"""

import time
from collections.abc import Sequence
from typing import Any

import jwt
import msgspec

from brownout.flags.jwks import KeySet

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""What may be allowed; all of them have public keys."""

REGISTERED = frozenset({"iss", "sub", "aud", "exp", "nbf", "iat", "jti"})
"""Claims about the token (RFC 7519, 4.1), not about its bearer; `sub` is the bearer's targetingKey."""

MOST_REMEMBERED = 10_000


class TokenSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Whose tokens count.

    jwks: a URL or a file. context_claim: the claim that holds the attributes, where they are not claims of their own.
    """

    jwks: str
    issuer: str
    audience: Sequence[str]
    algorithms: Sequence[str] = ("RS256", "ES256", "EdDSA")
    leeway_seconds: float = 30.0
    refresh_seconds: float = 300.0
    context_claim: str = ""

    def __post_init__(self) -> None:
        for name, value in (("issuer", self.issuer), ("audience", self.audience)):
            if not value:
                raise ValueError(f"{name}: is needed, for a token may be meant for somebody else; name yours")
        if unknown := [algorithm for algorithm in self.algorithms if algorithm not in ALGORITHMS]:
            raise ValueError(f"algorithm {unknown[0]!r}: not one of {', '.join(ALGORITHMS)}")


class InvalidTokenError(Exception):
    """Why a token does not count."""


class Tokens:
    """Verifies tokens, and remembers those that it has verified."""

    def __init__(self, settings: TokenSettings, keys: KeySet) -> None:
        self._settings = settings
        self._keys = keys
        self._remembered: dict[str, tuple[float, dict[str, Any]]] = {}
        self._generation = keys.generation

    async def attributes(self, token: str) -> dict[str, Any]:
        """What a token says of its bearer, as an evaluation context.

        Raises InvalidTokenError where it does not count, UnreadableKeysError while there are no keys to tell by.
        """
        if self._generation != self._keys.generation:
            self._remembered.clear()
            self._generation = self._keys.generation
        ends, found = self._remembered.get(token, (0.0, {}))
        if time.time() < ends:
            return found
        claims = await self._verified(token)
        found = attributes(claims, context_claim=self._settings.context_claim)
        if len(self._remembered) >= MOST_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        self._remembered[token] = (claims["exp"] + self._settings.leeway_seconds, found)
        return found

    async def _verified(self, token: str) -> dict[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
            algorithm = str(header.get("alg"))
            if algorithm not in self._settings.algorithms:
                raise InvalidTokenError(f"its algorithm {algorithm!r} is not allowed")
            key = await self._keys.find(header.get("kid"), algorithm)
            if key is None:
                raise InvalidTokenError(f"no key of the issuer fits it (kid {header.get('kid')!r}, {algorithm})")
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=list(self._settings.audience),
                issuer=self._settings.issuer,
                leeway=self._settings.leeway_seconds,
                options={"require": ["exp"]},
            )
        except jwt.ExpiredSignatureError:
            raise InvalidTokenError("it has expired") from None
        except UnicodeEncodeError:
            raise InvalidTokenError("it is not written in ASCII") from None
        except jwt.exceptions.PyJWTError as error:
            raise InvalidTokenError(str(error)) from None
        return claims


def attributes(claims: dict[str, Any], *, context_claim: str = "") -> dict[str, Any]:
    """Verified claims as an evaluation context: `sub` is the targetingKey, the others are attributes under their own names.

    Without a `sub` a claim of that name is, if it is text.
    """
    held = claims.get(context_claim) if context_claim else claims
    found = {name: value for name, value in held.items() if name not in REGISTERED} if isinstance(held, dict) else {}
    if subject := claims.get("sub"):
        found["targetingKey"] = subject
    elif not isinstance(found.get("targetingKey"), str):
        found.pop("targetingKey", None)
    return found
