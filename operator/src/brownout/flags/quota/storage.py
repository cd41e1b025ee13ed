"""From a URL to a ledger: a server, a Sentinel or a cluster, of Redis or Valkey, or this process's memory.

`limits` finds the way there. Its windows are not used: a window of theirs begins with the first request instead of at midnight,
counts what it refuses, has the limit in its key (an upgraded user would begin anew), and takes nothing back.
"""

import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from limits.errors import ConfigurationError
from limits.storage import storage_from_string
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

from brownout.flags.quota.ledger import IN_MEMORY, Ledger, MemoryLedger
from brownout.flags.quota.redis import ANSWER_SECONDS, RedisLedger

_PLACES = ("", "+unix", "+sentinel", "+cluster")
SCHEMES = {
    **{f"{name}{place}": f"redis{place}" for name in ("redis", "valkey") for place in _PLACES},
    "rediss": "rediss",
    "valkeys": "rediss",
}
"""Schemes that are understood, and how they are asked: Valkey speaks Redis's protocol."""

log = logging.getLogger(__name__)


class StorageUrlError(ValueError):
    """A storage URL that cannot be used. The message never has the URL in it, which may hold a password."""


def ledger_of(url: str, *, on_change: Callable[[bool], None] = lambda answers: None) -> Ledger:
    """The ledger behind a URL; it connects when first asked. Raises StorageUrlError.

    on_change: told whether the storage answers, whenever that changes.
    """
    if url == IN_MEMORY:
        log.info("quotas are counted in this process alone, and anew after its restart")
        return MemoryLedger()
    return RedisLedger(_client(url), on_change=on_change)


def _client(url: str) -> Any:
    """The client that `limits` makes of a URL. A connection that was closed meanwhile is made anew, once."""
    scheme, _, rest = url.partition("://")
    if scheme not in SCHEMES or not rest:
        raise StorageUrlError("the scheme is unknown; write memory://, or a URL such as redis://HOST:PORT/0")
    try:
        _ = urlsplit(url).port  # raises where it is no number
        storage: Any = storage_from_string(
            f"async+{SCHEMES[scheme]}://{rest}",
            implementation="redispy",
            socket_connect_timeout=ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 1, (RedisConnectionError,)),  # type: ignore[arg-type]
        )
    except (ConfigurationError, ValueError) as error:
        kind = type(error).__name__
        raise StorageUrlError(f"it cannot be used ({kind}); write a URL such as redis://HOST:PORT/0") from None
    return storage.bridge.get_connection()
