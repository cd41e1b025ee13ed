"""Objects that were deleted while nobody watched.

When a watch cannot be resumed (an API server that restarted no longer knows where it was), kopf lists the kind anew and goes on;
but what is missing from the new list stays in its index. A pod that is gone would then count as ready capacity for ever. So after
every new list, and now and then besides, the names that are really there are asked for, and the rest is hidden. Right after its
start an API server turns many away, and that is when new lists are made: a check that fails is made again within seconds.
"""

import asyncio
import logging

from kubernetes.aio.client import ApiClient

from brownout.observe.metadata import list_versions
from brownout.observe.watch import Watch, Watched
from brownout.retries import pause_seconds

log = logging.getLogger(__name__)

EVERY_SECONDS = 300.0
SETTLE_SECONDS = 1.0
FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 1.0, 30.0
LASTING_FAILURES = 4
"""So many in succession are no passing one (7 s, after 1, 2 and 4): it is said."""


class Audit:
    """Compares the index with the cluster. Start `run` as a task."""

    def __init__(self, client: ApiClient, watch: Watch) -> None:
        self._client = client
        self._watch = watch
        self._failures: dict[str, int] = {}

    async def run(self) -> None:
        """Check after every new list, and every few minutes; in between, again and again, what could not be checked."""
        await self._watch.complete.wait()
        while True:
            kinds = list(self._watch.kinds)
            try:
                await asyncio.wait_for(self._watch.relisted.wait(), self._pause_seconds())
                await asyncio.sleep(SETTLE_SECONDS)
                self._watch.relisted.clear()
            except TimeoutError:
                kinds = [kind for kind in kinds if kind.plural in self._failures] or kinds
            for kind in kinds:
                await self._try(kind)

    def _pause_seconds(self) -> float:
        fewest = min(self._failures.values(), default=0)
        if not fewest:
            return EVERY_SECONDS
        return pause_seconds(fewest, first=FIRST_RETRY_SECONDS, most=LONGEST_RETRY_SECONDS)

    async def _try(self, kind: Watched) -> None:
        try:
            await self.check(kind)
        except Exception as error:
            failures = self._failures[kind.plural] = self._failures.get(kind.plural, 0) + 1
            level = logging.WARNING if failures == LASTING_FAILURES else logging.DEBUG
            log.log(
                level,
                "whether %s were deleted unseen cannot be checked (%s); those that were still count, and it is tried again",
                kind.plural,
                str(error) or type(error).__name__,
            )
        else:
            if self._failures.pop(kind.plural, 0) >= LASTING_FAILURES:
                log.info("whether %s were deleted unseen is checked again", kind.plural)

    async def check(self, kind: Watched) -> None:
        """Hide what is in the index and not in the cluster. Raises where the cluster cannot be asked."""
        known = self._watch.uids(kind.kind)  # taken first: what is made after this is not missed below
        if not known:
            return
        gone = known - (await list_versions(self._client, kind)).keys()
        if news := self._watch.hide(kind.kind, gone):
            log.info("%d %s were deleted unseen", news, kind.plural)
            self._watch.wake.set()
