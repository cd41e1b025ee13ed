"""Objects that were deleted while nobody watched.

When a watch cannot be resumed (an API server that restarted no longer knows where it was), kopf lists the kind anew and goes on;
but what is missing from the new list stays in its index. A pod that is gone would then count as ready capacity for ever. So after
every new list, and now and then besides, the names that are really there are asked for, and the rest is hidden.
"""

import asyncio
import logging

import msgspec
from kubernetes.aio.client import ApiClient
from msgspec import Struct

from brownout.observe.watch import Watch, Watched

log = logging.getLogger(__name__)

EVERY_SECONDS = 300.0
SETTLE_SECONDS = 1.0
PAGE = 500
TIMEOUT_SECONDS = 30.0
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


class _Metadata(Struct):
    uid: str = ""


class _Item(Struct):
    metadata: _Metadata


class _ListMetadata(Struct):
    onwards: str = msgspec.field(default="", name="continue")


class _Page(Struct):
    items: list[_Item]
    metadata: _ListMetadata


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
        gone = known - await self._uids(kind)
        if news := self._watch.hide(kind.kind, gone):
            log.info("%d %s were deleted unseen", news, kind.plural)
            self._watch.wake.set()

    async def _uids(self, kind: Watched) -> set[str]:
        found: set[str] = set()
        onwards = ""
        while True:
            query = [("limit", str(PAGE))]
            query += [("fieldSelector", kind.field_selector)] if kind.field_selector else []
            query += [("continue", onwards)] if onwards else []
            method, url, headers, body, form = await self._client.param_serialize(
                "GET",
                kind.path,
                query_params=query,
                header_params={"Accept": METADATA_ONLY},
                auth_settings=["BearerToken"],
            )
            response = await self._client.call_api(method, url, headers, body, form, _request_timeout=TIMEOUT_SECONDS)
            text = await response.read()
            if response.status != 200:
                raise RuntimeError(f"HTTP {response.status}")
            page = msgspec.json.decode(text, type=_Page)
            found.update(item.metadata.uid for item in page.items)
            onwards = page.metadata.onwards
            if not onwards:
                return found
