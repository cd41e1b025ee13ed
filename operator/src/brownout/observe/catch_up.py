"""Before the first tick of a new leader: what is watched has caught up with what the last leader wrote.

Status is the memory that one leader leaves to the next. A standby's watch may lag behind, by much where it has just broken, and
whoever decided on that would put old decisions in the place of newer ones. So what is stored is asked for once, after the lease
was taken, and nothing is decided before the watch has seen as much.
"""

import asyncio
from collections.abc import Mapping

from kubernetes.aio.client import ApiClient

from brownout.api.resources import BY_KIND
from brownout.observe.metadata import list_versions
from brownout.observe.watch import Watch, Watched

PAUSE_SECONDS = 0.05
ASK_AGAIN_SECONDS = 1.0
"""What is stored is asked for again after so long: an object that was deleted meanwhile would be waited for in vain."""
LONGEST_SECONDS = 20.0


class NotCaughtUpError(Exception):
    """The watch lags too far behind to decide on; the message says of which kind."""


async def catch_up(client: ApiClient, watch: Watch) -> None:
    """Wait until the watch has seen every object of ours as it is stored now, or later. Raises NotCaughtUpError."""
    await asyncio.gather(*(_catch_up(client, watch, kind) for kind in watch.kinds if kind.kind in BY_KIND))


async def _catch_up(client: ApiClient, watch: Watch, kind: Watched) -> None:
    why = "the watch does not show what is stored"
    try:
        async with asyncio.timeout(LONGEST_SECONDS):
            while True:
                try:
                    stored = await list_versions(client, kind)
                    async with asyncio.timeout(ASK_AGAIN_SECONDS):
                        while not has_seen(watch.versions(kind.kind), stored):  # noqa: ASYNC110  an index tells nobody
                            await asyncio.sleep(PAUSE_SECONDS)
                    return
                except TimeoutError:
                    continue
                except Exception as error:
                    why = f"what is stored cannot be asked for ({str(error) or type(error).__name__})"
                    await asyncio.sleep(ASK_AGAIN_SECONDS)
    except TimeoutError:
        raise NotCaughtUpError(f"{kind.plural}: for {LONGEST_SECONDS:g} s, {why}") from None


def has_seen(seen: Mapping[str, str], stored: Mapping[str, str]) -> bool:
    """Whether each of the stored objects, versions by uid, has been seen as it is stored or later."""
    return all(uid in seen and is_as_late(seen[uid], version) for uid, version in stored.items())


def is_as_late(version: str, as_this: str) -> bool:
    """Whether a resourceVersion is this one or a later one. They are numbers that rise (Kubernetes, Resource versions)."""
    if version.isdecimal() and as_this.isdecimal():
        return int(version) >= int(as_this)
    return version == as_this
