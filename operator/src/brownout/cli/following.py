"""The objects of the cluster as they change: one LIST and one WATCH for each kind, and nothing asked again in between."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from kubernetes.aio.client import ApiClient

from brownout.api.resources import BY_KIND, InvalidObject, Key, Stored
from brownout.cli.options import Where
from brownout.cli.overview import Objects
from brownout.flags.watch import Part, watch
from brownout.run.credentials import client

Found = Stored[Any, Any] | InvalidObject


class Following:
    """The newest state of some kinds. Made by `following`."""

    def __init__(self, parts: Iterable[Part]) -> None:
        self._found: dict[Part, dict[Key, Found]] = {part: {} for part in parts}
        self._unlisted = set(self._found)
        self._lost: dict[Part, str] = {}
        self._news = asyncio.Event()

    @property
    def objects(self) -> Objects:
        """All objects by kind."""
        return {part.resource.kind: list(found.values()) for part, found in self._found.items()}

    @property
    def complete(self) -> bool:
        """Every kind has been listed."""
        return not self._unlisted

    @property
    def unheard(self) -> str:
        """Which kinds cannot be heard now, and why; empty where all can."""
        return "; ".join(f"{part.resource.plural}: {reason}" for part, reason in self._lost.items())

    async def change(self, *, seconds: float) -> bool:
        """Wait for news, for so long at most. Whether there are any; they then count as seen."""
        try:
            async with asyncio.timeout(
                seconds
            ):  # `wait_for` of Python 3.11 loses a Ctrl-C that comes together with news
                await self._news.wait()
        except TimeoutError:
            return False
        self._news.clear()
        return True

    # What the watches tell

    def listed(self, part: Part, objects: list[Found]) -> None:
        self._found[part] = {one.key: one for one in objects}
        self._unlisted.discard(part)
        self._heard(part)
        self._news.set()

    def changed(self, part: Part, found: Found) -> None:
        self._found[part][found.key] = found
        self._news.set()

    def deleted(self, part: Part, key: Key) -> None:
        self._found[part].pop(key, None)
        self._news.set()

    def heard(self, part: Part) -> None:
        self._heard(part)

    def lost(self, part: Part, reason: str) -> None:
        self._lost[part] = reason
        self._news.set()

    def _heard(self, part: Part) -> None:
        if self._lost.pop(part, None) is not None:
            self._news.set()


@asynccontextmanager
async def following(kinds: Iterable[str], where: Where, namespace: str | None) -> AsyncIterator[Following]:
    """Follow these kinds in a namespace (None: in all) for as long as the block lasts; cluster-scoped kinds in whole."""

    async def login() -> ApiClient:
        return await client(where.kubeconfig, where.context)

    resources = [BY_KIND[kind] for kind in kinds]
    parts = [Part(resource, (namespace or "") if resource.namespaced else "") for resource in resources]
    followed = Following(parts)
    tasks = [asyncio.create_task(watch(part, login=login, listener=followed)) for part in parts]
    try:
        yield followed
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
