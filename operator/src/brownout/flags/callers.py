"""Who calls, and whose word about a user counts.

Inside a cluster the callers are servers of ours, and the context that they send counts (`trust_context`). On a public listener anybody
can claim to be anybody: there the attributes come from verified tokens alone, whoever has none is the unknown user, and of
what he sends only the targetingKey counts, by which nobody changes the tier. A gateway shows that it is one by an API key.
"""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from aiohttp import web

from brownout.flags.jwks import KeySet, UnreadableKeysError
from brownout.flags.metrics import Metrics
from brownout.flags.names import shown
from brownout.flags.tokens import InvalidTokenError, Tokens, TokenSettings

TARGETING_KEY = "targetingKey"
CHALLENGE = {"WWW-Authenticate": "Bearer"}
"""Goes with every 401 (RFC 9110, 11.6.1)."""
KEYS_READ_EVERY_SECONDS = 10.0
STARTED_AGAIN_AFTER_SECONDS = 5.0
"""How long a job that failed in a way nobody thought of rests."""

log = logging.getLogger(__name__)


class CallerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """trust_context: the context that is sent counts, whoever sends it. required: who shows no credentials is refused.

    api_keys_file: one key a line, and the namespaces that it is for, or none for all.
    """

    trust_context: bool = True
    required: bool = False
    api_keys_file: Path | None = None
    tokens: TokenSettings | None = None


class Caller(NamedTuple):
    """trusted: the context that is sent counts. vouched: attributes that do, whatever is sent."""

    trusted: bool = True
    vouched: Mapping[str, Any] = {}

    def context(self, sent: dict[str, Any]) -> dict[str, Any]:
        """The evaluation context, of what was sent."""
        if self.trusted:
            return {**sent, **self.vouched} if self.vouched else sent
        if TARGETING_KEY in sent and TARGETING_KEY not in self.vouched:
            return {TARGETING_KEY: sent[TARGETING_KEY], **self.vouched}
        return dict(self.vouched)


class RefusedError(Exception):
    """A caller who is not served: a status (401, 403, or 500 where it cannot be told), and a sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


class Callers:
    """Tells callers by their headers."""

    def __init__(self, settings: CallerSettings, metrics: Metrics, *, keep_in: Path | None = None) -> None:
        self._settings = settings
        self._api_keys: dict[bytes, frozenset[str]] = {}
        self._key_set: KeySet | None = None
        self._tokens: Tokens | None = None
        if settings.tokens is not None:
            self._key_set = KeySet(
                settings.tokens.jwks,
                refresh_seconds=settings.tokens.refresh_seconds,
                failed=metrics.jwks_errors.inc,
                keep_in=keep_in,
            )
            self._tokens = Tokens(settings.tokens, self._key_set)

    @property
    def anybody(self) -> bool:
        """Nothing has to be told apart: everybody is served, and believed."""
        settings = self._settings
        return settings.trust_context and not settings.required and not settings.api_keys_file and not settings.tokens

    def start(self) -> None:
        """Read the files. Raises OSError or UnreadableKeysError where one cannot be read."""
        if not self._settings.trust_context and not self._settings.tokens and not self._settings.api_keys_file:
            log.warning(
                "everybody is an unknown user, in the default tier: a public listener believes tokens and API keys alone, "
                "and none can be told; name them by --jwt-jwks or --api-keys"
            )
        if self._settings.api_keys_file is not None:
            self._api_keys = read_api_keys(self._settings.api_keys_file)
        if self._key_set is not None:
            self._key_set.start()

    async def background(self, app: web.Application) -> AsyncIterator[None]:
        """Keep keys up to date for as long as the application lives."""
        jobs: list[Callable[[], Coroutine[Any, Any, None]]] = [self._key_set.run] if self._key_set is not None else []
        if self._settings.api_keys_file is not None:
            jobs.append(partial(self._read_again, self._settings.api_keys_file))
        tasks = [asyncio.create_task(_for_ever(job)) for job in jobs]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def tell(self, headers: Mapping[str, str], namespace: str) -> Caller:
        """The caller with these headers, who asks for a namespace. Raises RefusedError.

        Headers that nothing was configured for are somebody else's: gateways pass them on.
        """
        has_keys = self._settings.api_keys_file is not None
        scheme, _, credentials = headers.get("Authorization", "").partition(" ")
        credentials = credentials.strip()
        key = headers.get("X-API-Key", "") if has_keys else ""
        key = key or (credentials if _hashed(credentials) in self._api_keys else "")
        if key:
            return self._by_api_key(key, namespace)
        if scheme and (self._tokens or has_keys):
            if scheme.lower() != "bearer" or not credentials:
                raise RefusedError(401, "Authorization: expected Bearer and a token")
            return await self._by_token(credentials)
        if self._settings.required:
            raise RefusedError(401, "show credentials: Authorization: Bearer TOKEN, or X-API-Key: KEY")
        return Caller(trusted=self._settings.trust_context)

    def _by_api_key(self, key: str, namespace: str) -> Caller:
        namespaces = self._api_keys.get(_hashed(key))
        if namespaces is None:
            raise RefusedError(401, "X-API-Key: not a key that is known here")
        if namespaces and namespace not in namespaces:
            raise RefusedError(403, f"this key is not for namespace {shown(namespace)!r}")
        return Caller()

    async def _by_token(self, token: str) -> Caller:
        if self._tokens is None:
            raise RefusedError(401, "Authorization: not a key that is known here")
        try:
            vouched = await self._tokens.attributes(token)
        except InvalidTokenError as invalid:
            raise RefusedError(401, f"the token does not count: {invalid}") from None
        except UnreadableKeysError as error:
            raise RefusedError(500, str(error)) from None
        return Caller(trusted=self._settings.trust_context, vouched=vouched)

    async def _read_again(self, path: Path) -> None:
        while True:
            await asyncio.sleep(KEYS_READ_EVERY_SECONDS)
            try:
                self._api_keys = await asyncio.to_thread(read_api_keys, path)
            except OSError as error:
                log.warning("API keys cannot be read, the known ones stay", extra={"reason": str(error)})


async def _for_ever(job: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Start a job again whenever it ends: with keys that nobody reads again those that were revoked would count for ever."""
    while True:
        try:
            await job()
        except Exception:  # whatever it is, users are served meanwhile
            log.exception("keys could not be kept up to date, the known ones stay; trying again")
        await asyncio.sleep(STARTED_AGAIN_AFTER_SECONDS)


def read_api_keys(path: Path) -> dict[bytes, frozenset[str]]:
    """The namespaces of each key, by the key's hash: comparing hashes takes no longer where more of a guess is right.

    Raises OSError where the file cannot be read, or is no text in UTF-8.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:  # as UTF-16 has it, which older PowerShells write
        raise OSError(f"{path}: is no text in UTF-8; write it again as UTF-8")
    found = {}
    for line in text.splitlines():
        words = line.replace(",", " ").split()
        if words and not line.startswith("#"):
            found[_hashed(words[0])] = frozenset(words[1:])
    return found


def _hashed(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="surrogateescape")).digest()  # bytes that are no UTF-8 come so in headers
