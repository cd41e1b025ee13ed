"""Who calls: from a request to a caller, by whoever's word counts.

Anybody who can reach the server can send headers, so they count from trusted gateways only. Headers of anybody else are refused rather than ignored: a gateway that
is missing from the list shows at once, instead of turning every paying user into an unknown one. Who says nothing is an unknown user, in the default tier.
"""

import asyncio
import hmac
import logging
from collections.abc import AsyncIterator
from ipaddress import IPv6Address, ip_address

from aiohttp import web

from brownout_inference import refusal
from brownout_inference.identity import IDENTITY_HEADERS, USER, Caller, HeaderError, caller_of
from brownout_inference.jwks import KeySet, NoKeysError
from brownout_inference.refusal import RefusedError
from brownout_inference.settings import IdentitySettings
from brownout_inference.tokens import InvalidTokenError, Tokens

log = logging.getLogger(__name__)

GATEWAY_SECRET = "X-Brownout-Gateway-Secret"


class Callers:
    """Tells callers by their requests."""

    def __init__(self, settings: IdentitySettings) -> None:
        self._settings = settings
        self._keys: KeySet | None = None
        self._tokens: Tokens | None = None
        if settings.source == "jwt" and (tokens := settings.tokens):
            self._keys = KeySet(tokens.jwks, refresh_seconds=tokens.refresh_seconds, stale_seconds=tokens.stale_seconds)
            self._tokens = Tokens(tokens, self._keys)

    @property
    def can_tell(self) -> bool:
        """Tokens can be verified, where there may be some."""
        return self._keys is None or self._keys.usable

    async def background(self, _: web.Application) -> AsyncIterator[None]:
        """Says whose word counts, and keeps keys up to date for as long as the application lives."""
        if self._settings.source == "headers":
            networks = ", ".join(map(str, self._settings.gateways)) or "nobody"
            log.info("X-Brownout-* headers count from %s alone (--trusted-gateways)", networks)
        task = asyncio.create_task(self._keys.run()) if self._keys else None
        yield
        if task:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def tell(self, request: web.Request) -> Caller:
        """The caller who made this request. Raises RefusedError: 401 or 403 for a word that does not count, 400 for a malformed one, 503 where nobody can tell."""
        languages = request.headers.get("Accept-Language", "")
        caller = Caller(accept_language=languages)
        if self._tokens is not None:
            caller = await self._by_token(self._tokens, request, languages)
        elif self._settings.source == "headers" and (sent := [n for n in IDENTITY_HEADERS if n in request.headers]):
            self._check_gateway(request, sent[0])
            try:
                caller = caller_of(request.headers)
            except HeaderError as error:
                raise RefusedError(refusal.bad_request(str(error), parameter=error.header)) from error
        if self._settings.required and caller.user is None:
            instead = (
                "show a token (Authorization: Bearer)" if self._tokens else f"send {USER} through a trusted gateway"
            )
            raise RefusedError(refusal.unauthorized(f"Nobody says who you are; {instead}."))
        return caller

    def _check_gateway(self, request: web.Request, header: str) -> None:
        if not self._from_gateway(request.remote):
            detail = f"{header} counts from trusted gateways only, and {request.remote} is none of them"
            detail += " (--trusted-gateways); leave it out to be an unknown user."
            raise RefusedError(refusal.bad_request(detail, parameter=header, status=403, reason="untrusted_gateway"))
        shown = request.headers.get(GATEWAY_SECRET, "").encode(errors="surrogateescape")
        if self._settings.gateway_secret and not hmac.compare_digest(self._settings.gateway_secret.encode(), shown):
            detail = f"{header} counts together with the gateways' secret only; {GATEWAY_SECRET} is missing or wrong."
            raise RefusedError(
                refusal.bad_request(detail, parameter=GATEWAY_SECRET, status=403, reason="untrusted_gateway")
            )

    def _from_gateway(self, remote: str | None) -> bool:
        try:
            address = ip_address((remote or "").partition("%")[0])
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return any(address in network for network in self._settings.gateways)

    async def _by_token(self, tokens: Tokens, request: web.Request, languages: str) -> Caller:
        if "Authorization" not in request.headers:
            return Caller(accept_language=languages)
        scheme, _, token = request.headers["Authorization"].partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise RefusedError(refusal.unauthorized("Authorization: expected Bearer and a token."))
        try:
            return Caller(context=await tokens.context(token.strip()), accept_language=languages)
        except InvalidTokenError as invalid:
            raise RefusedError(refusal.unauthorized(f"The token does not count: {invalid}.")) from None
        except NoKeysError as error:
            detail = f"Tokens cannot be verified just now: {error}."
            raise RefusedError(
                refusal.unavailable(refusal.IDENTITY_UNAVAILABLE, detail, retry_after_seconds=5)
            ) from None


CALLERS = web.AppKey("callers", Callers)
