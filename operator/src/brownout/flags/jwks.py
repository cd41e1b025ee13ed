"""The keys that tokens are verified with: a JSON Web Key Set (RFC 7517) from a file or a URL, always as new as can be had.

Keys that were read once serve until others are read: whoever issues tokens may be away for as long as it likes, and where there is a
folder for it through a restart of ours too. A key that nobody knows yet is looked for at once, but not more than every few
seconds: strangers can make up as many as they like.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import msgspec

ANSWER_SECONDS = 5.0
LEAST_PAUSE_SECONDS = 5.0
"""The least time between two looks for a key that is not known."""

MOST_BYTES = 1024 * 1024
KEPT_AS = "jwks.json"

log = logging.getLogger(__name__)


class UnreadableKeysError(Exception):
    """The key set cannot be had, or cannot be read; the sentence says why."""


class KeySet:
    """The keys of one source.

    source: a URL or a file's path. failed: called for each failure. keep_in: a folder where the keys of a URL are kept.
    """

    def __init__(
        self, source: str, *, refresh_seconds: float, failed: Callable[[], None], keep_in: Path | None = None
    ) -> None:
        self._source = source
        self._refresh_seconds = refresh_seconds
        self._failed = failed
        self._kept = keep_in / KEPT_AS if keep_in is not None and is_url(source) else None
        self._content = b""
        self._keys: list[dict[str, Any]] = []
        self._looked_at = -LEAST_PAUSE_SECONDS
        self._looking = asyncio.Lock()
        self.loaded = False
        self.generation = 0

    def start(self) -> None:
        """Take what is on disk. Raises UnreadableKeysError where the source is a file and cannot be read."""
        if not is_url(self._source):
            self._take(_read(Path(self._source)))
        elif self._kept is not None and self._kept.exists():
            try:
                self._take(_read(self._kept))
            except UnreadableKeysError as error:
                log.warning("kept keys cannot be read", extra={"reason": str(error)})

    async def run(self) -> None:
        """Look for newer keys, for ever. Ends only by being cancelled."""
        while True:
            async with self._looking:
                await self._look()
            await asyncio.sleep(self._refresh_seconds if self.loaded else LEAST_PAUSE_SECONDS)

    async def find(self, kid: str | None, algorithm: str) -> jwt.PyJWK | None:
        """The key that a token names, for its algorithm; None where there is none, though it was just looked for.

        A token that names no key is for the only one that fits. Raises UnreadableKeysError while no keys have been had.
        """
        found = self._fitting(kid, algorithm)
        if found is None:
            await self._look_again()
            found = self._fitting(kid, algorithm)
        if found is None and not self.loaded:
            raise UnreadableKeysError("the keys for tokens have not been had yet")
        return found

    def _fitting(self, kid: str | None, algorithm: str) -> jwt.PyJWK | None:
        fitting = [
            key for each in self._keys if (kid is None or each.get("kid") == kid) and (key := _usable(each, algorithm))
        ]
        return fitting[0] if len(fitting) == 1 or (fitting and kid is not None) else None

    async def _look_again(self) -> None:
        """Wait for the look that is going on, or look anew if the last one was some time ago."""
        async with self._looking:
            if time.monotonic() - self._looked_at >= LEAST_PAUSE_SECONDS:
                await self._look()

    async def _look(self) -> None:
        try:
            content = await (
                _fetch(self._source) if is_url(self._source) else asyncio.to_thread(_read, Path(self._source))
            )
            if self._take(content) and self._kept is not None:
                await asyncio.to_thread(self._keep, self._kept, content)
        except UnreadableKeysError as error:
            self._failed()
            log.warning("keys for tokens cannot be had, the known ones stay", extra={"reason": str(error)})
        self._looked_at = time.monotonic()

    def _take(self, content: bytes) -> bool:
        """Use these keys from now on. False where they are those in use."""
        if content == self._content:
            return False
        self._keys = _decoded(content, self._source)
        self._content = content
        self.loaded = True
        self.generation += 1
        return True

    @staticmethod
    def _keep(path: Path, content: bytes) -> None:
        with contextlib.suppress(OSError):
            draft = path.with_suffix(".draft")
            draft.write_bytes(content)
            draft.replace(path)


def is_url(source: str) -> bool:
    return source.startswith(("http://", "https://"))


def _usable(jwk: dict[str, Any], algorithm: str) -> jwt.PyJWK | None:
    """A key made ready, where it is for signatures and for this algorithm."""
    if jwk.get("use", "sig") != "sig" or jwk.get("alg", algorithm) != algorithm:
        return None
    try:
        return jwt.PyJWK(jwk, algorithm=algorithm)
    except jwt.exceptions.PyJWTError:
        return None


def _decoded(content: bytes, source: str) -> list[dict[str, Any]]:
    try:
        keys = msgspec.json.decode(content)["keys"]
        if not keys or not all(isinstance(key, dict) for key in keys):
            raise ValueError("keys: expected a list of keys")
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise UnreadableKeysError(f"{source}: not a JSON Web Key Set: {error}") from None
    found: list[dict[str, Any]] = keys
    return found


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnreadableKeysError(f"{path}: {error.strerror}") from None


async def _fetch(url: str) -> bytes:
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS)) as session,
            session.get(url, allow_redirects=False) as response,
        ):
            if response.status != 200:
                raise UnreadableKeysError(f"{url}: answered {response.status}")
            content = await response.content.read(MOST_BYTES + 1)
            while len(content) <= MOST_BYTES and (more := await response.content.read(MOST_BYTES)):
                content += more
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise UnreadableKeysError(f"{url}: {type(error).__name__} {error}".strip()) from None
    if len(content) > MOST_BYTES:
        raise UnreadableKeysError(f"{url}: larger than {MOST_BYTES} bytes")
    return content
