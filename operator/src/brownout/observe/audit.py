"""Objects that were deleted while nobody watched.

When a watch cannot be resumed (an API server that restarted no longer knows where it was), kopf lists the kind anew and goes on;
but what is missing from the new list stays in its index. A pod that is gone would then count as ready capacity for ever. So after
every new list, and now and then besides, the names that are really there are asked for, and the rest is hidden.
"""

import asyncio
import logging

from kubernetes.aio.client import ApiClient

from brownout.observe.metadata import list_versions
from brownout.observe.watch import Watch, Watched

log = logging.getLogger(__name__)

EVERY_SECONDS = 300.0
SETTLE_SECONDS = 1.0


class Audit:
    """Compares the index with the cluster. Start `run` as a task."""

    def __init__(self, client: ApiClient, watch: Watch) -> None:
        self._client = client
        self._watch = watch

    async def run(self) -> None:
        """Check after every new list, and every few minutes."""
        await self._watch.complete.wait()
        while True:
            try:
                await asyncio.wait_for(self._watch.relisted.wait(), EVERY_SECONDS)
                await asyncio.sleep(SETTLE_SECONDS)
            except TimeoutError:
                pass
            self._watch.relisted.clear()
            for kind in self._watch.kinds:
                try:
                    await self.check(kind)
                except Exception as error:  # the API server is away; the next list sets off the next check
                    log.debug("check of %s: %s", kind.plural, error)

    async def check(self, kind: Watched) -> None:
        """Hide what is in the index and not in the cluster. Raises where the cluster cannot be asked."""
        known = self._watch.uids(kind.kind)  # taken first: what is made after this is not missed below
        if not known:
            return
        gone = known - (await list_versions(self._client, kind)).keys()
        if news := self._watch.hide(kind.kind, gone):
            log.info("%d %s were deleted unseen", news, kind.plural)
            self._watch.wake.set()
