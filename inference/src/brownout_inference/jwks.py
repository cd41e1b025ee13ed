"""The keys that tokens are verified with: a JSON Web Key Set (RFC 7517) from a file or a URL, as new as can be had.

While the source is away the last known keys serve, but not for ever: a key that was withdrawn because it leaked must not count until the issuer is back, whenever
that is. A key that nobody knows yet is looked for at once, though only every few seconds, for strangers can make up as many as they like.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import msgspec

ANSWER_SECONDS = 5.0
LEAST_PAUSE_SECONDS = 5.0
"""The least time between two looks for a key that is not known, and between two tries while there are none."""
FILE_SECONDS = 10.0
"""How often a file is read again: that costs nothing."""
MOST_BYTES = 1024 * 1024

log = logging.getLogger(__name__)


class NoKeysError(Exception):
    """There are no keys to tell by: none were had yet, or the last ones are too old. The sentence says which."""


class KeySet:
    """The keys of one source. `stale_seconds` is how long they serve after the last time that they could be read."""

    def __init__(
        self,
        source: str,
        *,
        refresh_seconds: float,
        stale_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        pause_seconds: float = LEAST_PAUSE_SECONDS,
    ) -> None:
        self._source = source
        self._is_url = source.startswith(("http://", "https://"))
        self._refresh_seconds = refresh_seconds if self._is_url else min(refresh_seconds, FILE_SECONDS)
        self._stale_seconds = stale_seconds
        self._clock = clock
        self._pause_seconds = pause_seconds
        self._keys: list[dict[str, Any]] = []
        self._read_at = self._looked_at = -math.inf
        self._looking = asyncio.Lock()

    @property
    def usable(self) -> bool:
        """There are keys, and they are not too old."""
        return bool(self._keys) and self._clock() - self._read_at <= self._stale_seconds

    async def run(self) -> None:
        """Looks for newer keys, for ever. Ends only by being cancelled."""
        while True:
            async with self._looking:
                await self._look()
            await asyncio.sleep(self._refresh_seconds if self.usable else self._pause_seconds)

    async def find(self, kid: str | None, algorithm: str) -> jwt.PyJWK | None:
        """The key that a token names, for its algorithm; None where there is none, though it was just looked for.

        A token that names no key is for the only one that fits. Raises NoKeysError.
        """
        found = self._fitting(kid, algorithm) if self.usable else None
        if found is None:
            async with self._looking:
                if self._clock() - self._looked_at >= self._pause_seconds:
                    await self._look()
            if not self.usable:
                raise NoKeysError("the keys for tokens cannot be had" if self._keys else "no keys for tokens yet")
            found = self._fitting(kid, algorithm)
        return found

    def _fitting(self, kid: str | None, algorithm: str) -> jwt.PyJWK | None:
        named = [each for each in self._keys if kid is None or each.get("kid") == kid]
        fitting = [key for each in named if (key := _usable(each, algorithm))]
        return fitting[0] if len(fitting) == 1 or (fitting and kid is not None) else None

    async def _look(self) -> None:
        self._looked_at = self._clock()
        try:
            content = await (self._fetch() if self._is_url else asyncio.to_thread(Path(self._source).read_bytes))
            self._keys = _decoded(content)
            self._read_at = self._clock()
        except (OSError, aiohttp.ClientError, TimeoutError, ValueError) as error:
            log.warning("keys for tokens: %s: %s %s", self._source, type(error).__name__, error)

    async def _fetch(self) -> bytes:
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(self._source, allow_redirects=False) as response,
        ):
            if response.status != 200:
                raise ValueError(f"answered {response.status}")
            content = b""
            while len(content) <= MOST_BYTES and (more := await response.content.read(MOST_BYTES)):
                content += more
        if len(content) > MOST_BYTES:
            raise ValueError(f"larger than {MOST_BYTES} bytes")
        return content


def _decoded(content: bytes) -> list[dict[str, Any]]:
    """Raises ValueError."""
    found = msgspec.json.decode(content)
    keys = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(keys, list) or not keys or not all(isinstance(key, dict) for key in keys):
        raise ValueError("not a JSON Web Key Set: expected a list `keys`")
    return keys


def _usable(jwk: dict[str, Any], algorithm: str) -> jwt.PyJWK | None:
    """A key made ready, where it is for signatures and for this algorithm."""
    if jwk.get("use", "sig") != "sig" or jwk.get("alg", algorithm) != algorithm:
        return None
    try:
        return jwt.PyJWK(jwk, algorithm=algorithm)
    except jwt.exceptions.PyJWTError:
        return None
