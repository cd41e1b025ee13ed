"""LIST and WATCH of the kinds that flags are made of: the plainest form that survives.

A watch is renewed every minute from where it ended, so that a connection that died in silence is noticed; a resourceVersion
that the API server no longer has (410) means to list again; every other failure means to wait, longer each time and never in
step with the other replicas, and to go on. The client is made anew after a failure: tokens, certificates and addresses change.
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

import aiohttp
import msgspec

from brownout.api.resources import InvalidObject, Key, Stored, decode
from brownout.api.schema import GROUP, VERSION, Resource

if TYPE_CHECKING:
    from kubernetes.aio import client

RENEW_SECONDS = 60
SHORTEST_WATCH_SECONDS = 1.0
"""A watch that ends sooner is a failure: renewing it at once would be a loop without a pause."""

ANSWER_SECONDS = 30
"""How long the API server may take to begin an answer."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.2, 15.0

log = logging.getLogger(__name__)

Found = Stored[Any, Any] | InvalidObject


class Part(NamedTuple):
    """What one watch covers: a kind, in one namespace or, with an empty name, in all."""

    resource: Resource
    namespace: str


class Listener(Protocol):
    """Who is told. Nothing here waits."""

    def listed(self, part: Part, objects: list[Found]) -> None: ...
    def changed(self, part: Part, found: Found) -> None: ...
    def deleted(self, part: Part, key: Key) -> None: ...
    def heard(self, part: Part) -> None: ...
    def lost(self, part: Part, reason: str) -> None: ...


Login: TypeAlias = "Callable[[], Awaitable[client.ApiClient]]"
"""Makes a client of the API server. Raises whatever keeps it from that."""


class RefusedError(Exception):
    """The API server answered, and not with what was asked for."""

    def __init__(self, status: int | None, reason: str | None, part: Part) -> None:
        missing = (
            f" in namespace {part.namespace}; grant list and watch there, as the chart's Role does; where the namespace"
            " was deleted the Role went with it: take it out of watchNamespaces"
        )
        hint = {
            403: missing if part.namespace else "; grant list and watch on it, as the chart's ClusterRole does",
            404: f"; the server has no {GROUP}/{VERSION}: install the chart, or crds/",
        }
        super().__init__(f"{status} {reason}{hint.get(status or 0, '')}")


class ExpiredError(Exception):
    """The API server no longer has this resourceVersion."""


async def watch(
    part: Part,
    *,
    login: Login,
    listener: Listener,
    jitter: Callable[[], float] = random.random,
) -> None:
    """Tell `listener` of one part for ever. Ends only by being cancelled.

    login: makes the client, anew after each failure.
    """
    pause = FIRST_PAUSE_SECONDS
    while True:
        try:
            async with await login() as api:
                async for _ in _follow(part, api, listener):
                    pause = FIRST_PAUSE_SECONDS
        except Exception as error:  # whatever it is, serving goes on and so does trying
            listener.lost(part, _sentence(error))
        await asyncio.sleep(pause * (0.5 + jitter()))
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


async def _follow(part: Part, api: "client.ApiClient", listener: Listener) -> AsyncIterator[None]:
    """List, then watch, renewing the watch; yields whenever the API server has been heard. Ends where a LIST is needed."""
    version = await _list(part, api, listener)
    yield
    while True:
        began = time.monotonic()
        try:
            async for event in events(part, api, version):
                version = event["object"]["metadata"]["resourceVersion"]
                _tell(part, event, listener)
                yield
        except ExpiredError:
            return
        if time.monotonic() - began < SHORTEST_WATCH_SECONDS:
            raise ConnectionError("the watch ended as soon as it began")
        listener.heard(part)
        yield


def _tell(part: Part, event: dict[str, Any], listener: Listener) -> None:
    listener.heard(part)
    match event["type"]:
        case "ADDED" | "MODIFIED":
            listener.changed(part, _decoded(part, event["object"]))
        case "DELETED":
            meta = event["object"]["metadata"]
            listener.deleted(part, Key(meta.get("namespace", ""), meta["name"]))


async def _list(part: Part, api: "client.ApiClient", listener: Listener) -> str:
    async with await _request(part, api) as response:
        if response.status != 200:
            raise RefusedError(response.status, response.reason, part)
        body = msgspec.json.decode(await response.read())
    listener.listed(part, [_decoded(part, item) for item in body.get("items", [])])
    version: str = body["metadata"]["resourceVersion"]
    return version


async def events(part: Part, api: "client.ApiClient", version: str) -> AsyncIterator[dict[str, Any]]:
    """What has happened since a resourceVersion, bookmarks included, for up to a minute.

    Raises ExpiredError where the API server no longer knows that far back, RefusedError where it refuses.
    """
    query = {
        "watch": True,
        "resource_version": version,
        "allow_watch_bookmarks": True,
        "timeout_seconds": RENEW_SECONDS,
    }
    response = await _request(part, api, **query)
    try:
        if response.status == 410:
            raise ExpiredError
        if response.status != 200:
            raise RefusedError(response.status, response.reason, part)
        async for line in response.content:
            event = msgspec.json.decode(line)
            if event["type"] == "ERROR":
                if event["object"].get("code") == 410:
                    raise ExpiredError
                raise RefusedError(event["object"].get("code"), event["object"].get("message"), part)
            yield event
    finally:
        _abort(response)


def _abort(response: aiohttp.ClientResponse) -> None:
    """End a response in mid-stream. Closing would have TLS wait for a goodbye, from a server that may hang."""
    if response.connection is not None and response.connection.transport is not None:
        response.connection.transport.abort()
    response.close()


async def _request(part: Part, api: "client.ApiClient", **query: Any) -> aiohttp.ClientResponse:
    """A GET of the collection; its status is still to be looked at, and the body to be read."""
    from kubernetes.aio.client import CustomObjectsApi

    objects = CustomObjectsApi(api)
    what: dict[str, Any] = {
        "group": GROUP,
        "version": VERSION,
        "plural": part.resource.plural,
        "_request_timeout": float(RENEW_SECONDS + 15),
    }
    if part.namespace:
        get, what["namespace"] = objects.list_namespaced_custom_object_without_preload_content, part.namespace
    else:
        get = objects.list_cluster_custom_object_without_preload_content
    async with asyncio.timeout(ANSWER_SECONDS):
        response: aiohttp.ClientResponse = await get(**what, **query)
    return response


def _decoded(part: Part, body: dict[str, Any]) -> Found:
    created = body["metadata"].get("creationTimestamp") or "1970-01-01T00:00:00Z"
    return decode(part.resource, body, datetime.fromisoformat(created).timestamp())


def _sentence(error: Exception) -> str:
    if isinstance(error, RefusedError):
        return str(error)
    return f"{type(error).__name__}: {error}"
