"""JSON Web Tokens (RFC 7519): a token that somebody shows, and the evaluation context that its claims make.

The signature's algorithm comes from our list, never from the token alone, and is of those with a public key: the published key of an issuer must not be taken for a
secret (RFC 8725). A token without an end is refused.
"""

from collections.abc import Mapping
from typing import Any

import jwt
from openfeature.evaluation_context import EvaluationContext

from brownout_inference.identity import TARGETING_KEY, AttributeValueError, attribute
from brownout_inference.jwks import KeySet
from brownout_inference.settings import TokenSettings

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""What may be allowed; all of them have public keys."""


class InvalidTokenError(Exception):
    """Why a token does not count."""


class Tokens:
    """Verifies tokens with the keys of one set."""

    def __init__(self, settings: TokenSettings, keys: KeySet) -> None:
        self._settings = settings
        self._keys = keys

    async def context(self, token: str) -> EvaluationContext:
        """What a token says of its bearer. Raises InvalidTokenError where it does not count, NoKeysError where nobody can tell."""
        try:
            header = jwt.get_unverified_header(token)
            algorithm = str(header.get("alg"))
            if algorithm not in self._settings.algorithms:
                raise InvalidTokenError(f"its algorithm {algorithm[:20]!r} is not allowed")
            kid = header.get("kid")
            key = await self._keys.find(kid, algorithm)
            if key is None:
                raise InvalidTokenError(f"no key of the issuer fits it (kid {str(kid)[:80]!r}, {algorithm})")
            claims = jwt.decode(
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
        return context_of_claims(claims, self._settings.claims)


def context_of_claims(claims: Mapping[str, Any], names: Mapping[str, str]) -> EvaluationContext:
    """Verified claims as an evaluation context; `names` gives the claim for each attribute. Raises InvalidTokenError."""
    attributes: dict[str, Any] = {}
    for name, claim in names.items():
        value = _claim(claims, claim)
        if value is None:
            continue
        try:
            attributes[name] = attribute(name, value)
        except AttributeValueError as error:
            raise InvalidTokenError(f"its claim {claim} {error}") from None
    user = attributes.pop(TARGETING_KEY, None)
    return EvaluationContext(targeting_key=user, attributes=attributes)


def _claim(claims: Any, path: str) -> Any:
    """A claim by its name; where there is none of that name, a dot leads into an object: `app_metadata.plan`."""
    if not isinstance(claims, Mapping):
        return None
    if path in claims:
        return claims[path]
    outer, dot, inner = path.partition(".")
    return _claim(claims.get(outer), inner) if dot else None
