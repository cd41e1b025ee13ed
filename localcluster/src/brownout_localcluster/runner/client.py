"""The few calls of the Kubernetes API that the runner makes.

The Kubernetes client libraries cost the runner 100 MB and a second of its start; it needs five verbs on five kinds.
"""

import asyncio
import json
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp

from brownout_localcluster.errors import ApiError

Manifest = dict[str, Any]
log = logging.getLogger(__name__)

# A watch event is one line; a pod with large annotations can be longer than aiohttp's default buffer.
_LINE_BYTES = 8 * 2**20


class ApiClient:
    """A connection to the API server as its administrator."""

    def __init__(self, server: str, certificates: Path) -> None:
        context = ssl.create_default_context(cafile=str(certificates / "ca.crt"))
        context.load_cert_chain(certificates / "admin.crt", certificates / "admin.key")
        self._server = server
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context, limit=32), read_bufsize=_LINE_BYTES
        )

    async def close(self) -> None:
        """Closes the connections."""
        await self._session.close()

    async def is_ready(self) -> bool:
        """Whether the API server says that it is ready."""
        timeout = aiohttp.ClientTimeout(total=2)
        async with self._session.get(f"{self._server}/readyz", timeout=timeout) as answer:
            return answer.status == 200

    async def get(self, path: str) -> Manifest:
        """Reads one object or list. Raises ApiError, aiohttp.ClientError or TimeoutError."""
        return await self._call("GET", path)

    async def post(self, path: str, body: Manifest) -> Manifest:
        """Creates an object, or calls a subresource such as `token`."""
        return await self._call("POST", path, body)

    async def patch_status(self, path: str, status: Manifest) -> Manifest:
        """Merges `status` into that of the object at `path`; conditions are merged by type."""
        return await self._call("PATCH", f"{path}/status", {"status": status}, "application/strategic-merge-patch+json")

    async def delete_now(self, path: str, uid: str) -> None:
        """Removes the object without grace, if it is still the one with this uid."""
        await self._call("DELETE", path, {"gracePeriodSeconds": 0, "preconditions": {"uid": uid}})

    async def watch(self, path: str, version: str) -> AsyncIterator[Manifest]:
        """Yields the events of a list path after `version`, until the server ends the watch."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=120)
        parameters = {"watch": "1", "resourceVersion": version, "allowWatchBookmarks": "true", "timeoutSeconds": "100"}
        async with self._session.get(self._server + path, params=parameters, timeout=timeout) as answer:
            if answer.status != 200:
                raise ApiError(answer.status, await answer.text())
            async for line in answer.content:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise ApiError(event["object"].get("code", 500), event["object"].get("message", ""))
                yield event

    async def _call(
        self, verb: str, path: str, body: Manifest | None = None, content_type: str = "application/json"
    ) -> Manifest:
        async with self._session.request(
            verb,
            self._server + path,
            data=None if body is None else json.dumps(body),
            headers={"Content-Type": content_type},
            timeout=aiohttp.ClientTimeout(total=10),
        ) as answer:
            text = await answer.text()
            if answer.status >= 400:
                try:
                    message = json.loads(text).get("message", text)
                except ValueError:
                    message = text
                raise ApiError(answer.status, message)
            return dict(json.loads(text))


class Mirror:
    """Follows all objects of a list path. `objects` is what is known, by (namespace, name).

    `on_change(type, object)` is called for each change, with ADDED, MODIFIED or DELETED; what vanished while a watch was
    broken is reported as DELETED.
    """

    def __init__(self, client: ApiClient, path: str, on_change: Callable[[str, Manifest], None]) -> None:
        self._client = client
        self._path = path
        self._on_change = on_change
        self.objects: dict[tuple[str, str], Manifest] = {}
        self.listed = asyncio.Event()

    async def follow(self) -> None:
        """Follows for ever; an API server that is away is asked again twice a second."""
        while True:
            try:
                version = await self._list()
                while True:
                    async for event in self._client.watch(self._path, version):
                        version = event["object"]["metadata"]["resourceVersion"]
                        if event["type"] != "BOOKMARK":
                            self._apply(event["type"], event["object"])
            except (ApiError, aiohttp.ClientError, TimeoutError, ConnectionError, ValueError) as error:
                log.info("watch of %s broke: %r", self._path, error)
                await asyncio.sleep(0.5)

    async def _list(self) -> str:
        answer = await self._client.get(self._path)
        seen = {_key(item): item for item in answer["items"]}
        for key in self.objects.keys() - seen.keys():
            self._apply("DELETED", self.objects[key])
        for key, item in seen.items():
            known = self.objects.get(key)
            if known is None or known["metadata"]["uid"] != item["metadata"]["uid"]:
                if known is not None:
                    self._apply("DELETED", known)
                self._apply("ADDED", item)
            elif known["metadata"]["resourceVersion"] != item["metadata"]["resourceVersion"]:
                self._apply("MODIFIED", item)
        self.listed.set()
        return str(answer["metadata"]["resourceVersion"])

    def _apply(self, change: str, item: Manifest) -> None:
        if change == "DELETED":
            self.objects.pop(_key(item), None)
        else:
            self.objects[_key(item)] = item
        self._on_change(change, item)


def _key(item: Manifest) -> tuple[str, str]:
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]
