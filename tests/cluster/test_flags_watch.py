"""The watches against a real API server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from brownout.api.resources import Key, Stored
from brownout.api.schema import API_VERSION
from brownout.api.tier import USER_TIER
from brownout.flags.watch import ExpiredError, Found, Part, events, watch
from brownout.run.credentials import client
from brownout_localcluster import LocalCluster
from support.cluster import Namespace
from support.operator import install_kinds
from support.waiting import wait_for_async


@pytest.fixture(scope="module")
def kinds(cluster: LocalCluster) -> LocalCluster:
    """The cluster, with our kinds in it."""
    install_kinds(cluster)
    return cluster


class Heard:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.objects: dict[str, Any] = {}
        self.lists = 0
        self.losses: list[str] = []

    def listed(self, part: Part, objects: list[Found]) -> None:
        self.lists += 1
        self.objects = {each.key.name: each for each in objects}

    def changed(self, part: Part, found: Found) -> None:
        self.objects[found.key.name] = found

    def deleted(self, part: Part, key: Key) -> None:
        del self.objects[key.name]

    def heard(self, part: Part) -> None: ...

    def lost(self, part: Part, reason: str) -> None:
        self.losses.append(reason)

    def priorities(self) -> dict[str, int]:
        return {name: each.spec.priority for name, each in self.objects.items() if isinstance(each, Stored)}


@asynccontextmanager
async def watching(part: Part, kubeconfig: str) -> AsyncIterator[Heard]:
    heard = Heard()
    task = asyncio.create_task(watch(part, login=lambda: client(kubeconfig), listener=heard))
    try:
        yield heard
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def tier(name: str, priority: int, *, text: str = "") -> dict[str, Any]:
    metadata = {"name": name, "annotations": {"text": text}}
    return {"apiVersion": API_VERSION, "kind": "UserTier", "metadata": metadata, "spec": {"priority": priority}}


async def test_a_watch_hears_what_is_there_and_everything_that_happens(
    kinds: LocalCluster, namespace: Namespace
) -> None:
    namespace.create(tier("before", 1))
    async with watching(Part(USER_TIER, namespace.name), str(kinds.kubeconfig)) as heard:
        await wait_for_async(lambda: seen(heard, {"before": 1}), "what was there is listed")
        namespace.create(tier("after", 2))
        await wait_for_async(lambda: seen(heard, {"before": 1, "after": 2}), "what is created is heard")
        namespace.patch(API_VERSION, "UserTier", "after", {"spec": {"priority": 3}})
        await wait_for_async(lambda: seen(heard, {"before": 1, "after": 3}), "what is changed is heard")
        namespace.delete(API_VERSION, "UserTier", "before")
        await wait_for_async(lambda: seen(heard, {"after": 3}), "what is deleted is heard")
        assert heard.lists == 1
        assert heard.losses == []


async def seen(heard: Heard, priorities: dict[str, int]) -> bool:
    return heard.priorities() == priorities


async def test_an_object_of_any_size_that_kubernetes_takes_is_heard(kinds: LocalCluster, namespace: Namespace) -> None:
    async with watching(Part(USER_TIER, namespace.name), str(kinds.kubeconfig)) as heard:
        await wait_for_async(lambda: seen(heard, {}), "the list is there")
        namespace.create(tier("large", 1, text="x" * 250_000))
        await wait_for_async(lambda: seen(heard, {"large": 1}), "a line of 250 kB is heard")
        assert heard.losses == []


async def test_a_version_that_the_api_server_no_longer_has_is_told_apart(
    kinds: LocalCluster, namespace: Namespace
) -> None:
    namespace.create(tier("one", 1))
    async with await client(str(kinds.kubeconfig)) as api:
        with pytest.raises(ExpiredError):
            async for _ in events(Part(USER_TIER, ""), api, "1"):
                pass


async def test_a_watch_goes_on_where_the_api_server_was_away(kinds: LocalCluster, namespace: Namespace) -> None:
    namespace.create(tier("one", 1))
    api_server = kinds.component("kube-apiserver")
    async with watching(Part(USER_TIER, namespace.name), str(kinds.kubeconfig)) as heard:
        await wait_for_async(lambda: seen(heard, {"one": 1}), "what was there is listed")
        api_server.stop()
        try:
            await wait_for_async(lambda: some(heard.losses), "it is missed")
            assert heard.priorities() == {"one": 1}
        finally:
            api_server.start()
        await wait_for_async(lambda: created(namespace), "it is back", seconds=60)
        await wait_for_async(lambda: seen(heard, {"one": 1, "two": 2}), "and heard again")


async def some(losses: list[str]) -> bool:
    return bool(losses)


async def created(namespace: Namespace) -> bool:
    namespace.create(tier("two", 2))
    return True
