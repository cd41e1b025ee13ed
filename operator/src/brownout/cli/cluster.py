"""The cluster that kubectl would talk to: a few calls on our kinds, and what went wrong in kubectl's words."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aiohttp
from kubernetes.aio.client import ApiClient, CustomObjectsApi
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.config import ConfigException

from brownout.api.resources import RESOURCES, InvalidObject, Key, Stored, decode
from brownout.api.schema import GROUP, VERSION, Resource
from brownout.cli.failure import CommandError, failed
from brownout.cli.options import Scope, Where, must_exist
from brownout.cli.overview import Objects
from brownout.observe.facts import created_at
from brownout.run.credentials import load

TIMEOUT_SECONDS = 10.0
PAGE = 500

T = TypeVar("T")
Body = dict[str, Any]


class Cluster:
    """An API server, and the namespace that the kubeconfig's context names ("" where it names none)."""

    def __init__(self, client: ApiClient, namespace: str) -> None:
        self.client = client
        self.namespace = namespace
        self._objects = CustomObjectsApi(client)

    async def list(self, resource: Resource, namespace: str | None) -> list[Body]:
        """The objects of a kind in a namespace; None: in all. Those of a cluster-scoped kind are always all."""
        found: list[Body] = []
        onwards = ""
        while True:
            more: dict[str, Any] = {"limit": PAGE, "_request_timeout": TIMEOUT_SECONDS}
            if onwards:
                more["_continue"] = onwards
            if namespace is not None and resource.namespaced:
                page = await self._objects.list_namespaced_custom_object(
                    GROUP, VERSION, namespace, resource.plural, **more
                )
            else:
                page = await self._objects.list_cluster_custom_object(GROUP, VERSION, resource.plural, **more)
            found += page["items"]
            onwards = page["metadata"].get("continue", "")
            if not onwards:
                return found

    async def create(self, resource: Resource, namespace: str, body: Body, *, dry_run: bool = False) -> Body:
        """Create an object; with `dry_run` the API server only says whether it would."""
        more: dict[str, Any] = {"dry_run": "All"} if dry_run else {}
        made: Body = await self._objects.create_namespaced_custom_object(
            GROUP, VERSION, namespace, resource.plural, body, _request_timeout=TIMEOUT_SECONDS, **more
        )
        return made

    async def delete(self, resource: Resource, key: Key, *, dry_run: bool = False) -> None:
        """Delete an object."""
        more: dict[str, Any] = {"dry_run": "All"} if dry_run else {}
        await self._objects.delete_namespaced_custom_object(
            GROUP, VERSION, key.namespace, resource.plural, key.name, _request_timeout=TIMEOUT_SECONDS, **more
        )


def on_cluster(where: Where, work: Callable[[Cluster], Awaitable[T]]) -> T:
    """What `work` comes to on the cluster. Raises CommandError for whatever the API server, or the way to it, refuses."""

    async def worked() -> T:
        async with connected(where) as cluster:
            return await work(cluster)

    return asyncio.run(worked())


@asynccontextmanager
async def connected(where: Where) -> AsyncIterator[Cluster]:
    """A cluster for as long as the block lasts. Raises CommandError, also for what the block's calls are refused."""
    must_exist(where)
    try:
        credentials = await load(where.kubeconfig, where.context)
    except ConfigException as error:
        raise _no_way(str(error), where) from None
    except OSError as error:
        raise _no_way(f"{error.strerror}: {error.filename}", where) from None
    client = ApiClient(credentials.configuration)
    client.user_agent = "brownout-cli"
    try:
        yield Cluster(client, credentials.namespace)
    except ApiException as error:
        raise refused(error) from None
    except (aiohttp.ClientError, ConnectionError, TimeoutError) as error:
        host = credentials.configuration.host
        words = str(error) or "it did not answer in time"
        raise failed(f"unable to connect to the server {host}: {words}") from None
    finally:
        await client.close()


def refused(error: ApiException) -> CommandError:
    """What the API server said, as kubectl says it, and what to do about it where that is known."""
    try:
        said = json.loads(error.body or "")
    except ValueError:
        said = {}
    if error.status == 404 and not said:
        return failed(f"the server has no {GROUP}/{VERSION}; install the chart, or crds/")
    reason, message = said.get("reason") or error.reason or error.status, said.get("message") or error.reason
    hint = ""
    if error.status == 403:
        hint = "\nAsk for the ClusterRole brownout-view to read, brownout-override to override."
    return CommandError(f"Error from server ({reason}): {message}{hint}")


def _no_way(sentence: str, where: Where) -> CommandError:
    if where.context is not None and f"name {where.context} in" in sentence:
        return failed(f"context {where.context!r} does not exist; `kubectl config get-contexts` lists those that do")
    return failed(f"no way to the API server ({sentence}); set KUBECONFIG, or write --kubeconfig")


async def read(cluster: Cluster, kinds: Iterable[str], namespace: str | None) -> Objects:
    """The objects of these kinds in a namespace (None: in all), and all that are cluster-scoped."""
    wanted = [resource for resource in RESOURCES if resource.kind in set(kinds)]
    listed = await asyncio.gather(*(cluster.list(resource, namespace) for resource in wanted))
    return {resource.kind: decoded(resource, bodies) for resource, bodies in zip(wanted, listed, strict=True)}


async def read_allowed(
    cluster: Cluster, kinds: tuple[str, ...], namespace: str | None
) -> tuple[Objects, tuple[str, ...]]:
    """The objects, and the kinds that may be read: pools are the cluster's, and not everybody's to see. Warns where they are not."""
    try:
        return await read(cluster, kinds, namespace), kinds
    except ApiException as error:
        if error.status != 403 or namespace is None or "GPUPool" not in kinds:
            raise
    namespaced = tuple(kind for kind in kinds if kind != "GPUPool")
    objects = await read(cluster, namespaced, namespace)
    print("warning: pools are not shown: they are the cluster's, and you may not list them", file=sys.stderr)
    return objects, namespaced


def decoded(resource: Resource, bodies: Iterable[Body]) -> list[Stored[Any, Any] | InvalidObject]:
    """Objects of a kind as typed ones."""
    return [decode(resource, body, created_at(body)) for body in bodies]


def from_cluster(kinds: Iterable[str], where: Where, scope: Scope) -> Objects:
    """The objects of these kinds in the namespaces that are meant, and all that are cluster-scoped. Raises CommandError."""

    async def reading(cluster: Cluster) -> Objects:
        return await read(cluster, kinds, scope.wide(cluster.namespace))

    return on_cluster(where, reading)
