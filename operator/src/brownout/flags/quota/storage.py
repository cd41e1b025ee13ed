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

SENTINEL_SECONDS = ANSWER_SECONDS / 4
"""How long a Sentinel may take to say who the master is, before the next one is asked: two of three may hang."""

_ASKING_SENTINELS: dict[str, Any] = {
    "sentinel_kwargs": {
        "socket_connect_timeout": SENTINEL_SECONDS,
        "socket_timeout": SENTINEL_SECONDS,
        "retry": Retry(NoBackoff(), 0),
    }
}

log = logging.getLogger(__name__)


class StorageUrlError(ValueError):
    """A storage URL that cannot be used. The message never has the URL in it, which may hold a password."""


def ledger_of(
    url: str,
    *,
    on_change: Callable[[bool], None] = lambda answers: None,
    turned_away: Callable[[], None] = lambda: None,
) -> Ledger:
    """The ledger behind a URL; it connects when first asked. Raises StorageUrlError.

    on_change: told whether the storage answers, whenever that changes. turned_away: of each request for which too many others waited.
    """
    if url == IN_MEMORY:
        log.info("quotas are counted in this process alone, and anew after its restart")
        return MemoryLedger()
    client, others = _clients(url)
    return RedisLedger(client, others=others, on_change=on_change, turned_away=turned_away)


def _clients(url: str) -> tuple[Any, list[Any]]:
    """The client that `limits` makes of a URL, and others that it has made for it: those of Sentinels.

    A connection that was closed meanwhile is made anew, once.
    """
    scheme, _, rest = url.partition("://")
    if scheme not in SCHEMES or not rest:
        raise StorageUrlError("the scheme is unknown; write memory://, or a URL such as redis://HOST:PORT/0")
    try:
        for place in urlsplit(url).netloc.rpartition("@")[2].split(","):  # Sentinels and clusters may have several
            _ = urlsplit(f"//{place}").port  # raises where it is no number
        storage: Any = storage_from_string(
            f"async+{SCHEMES[scheme]}://{rest}",
            implementation="redispy",
            socket_connect_timeout=ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 1, (RedisConnectionError,)),  # type: ignore[arg-type]
            **(_ASKING_SENTINELS if scheme.endswith("+sentinel") else {}),
        )
    except (ConfigurationError, ValueError) as error:
        kind = type(error).__name__
        raise StorageUrlError(f"it cannot be used ({kind}); write a URL such as redis://HOST:PORT/0") from None
    bridge = storage.bridge
    others = [*bridge.sentinel.sentinels, bridge.storage_replica] if scheme.endswith("+sentinel") else []
    return bridge.get_connection(), others
