"""Reading any path of the API server, with what it refuses as one sentence."""

from typing import Any

import aiohttp
import msgspec
from kubernetes.aio.client import ApiClient

from brownout.rest import JSON_BOTH_WAYS, send

TIMEOUT_SECONDS = 10.0
PAGE = 500
MOST_OBJECTS = 20_000


class RefusedError(Exception):
    """What could not be had, and why. `status`: the HTTP status; 0 where there was no answer."""

    def __init__(self, sentence: str, *, status: int = 0) -> None:
        super().__init__(sentence)
        self.status = status


class Api:
    """The API server as the caller sees it."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    async def text(self, path: str, *, most_bytes: int = 0, **query: str) -> str:
        """A page; with `most_bytes` no more of it than that. Raises RefusedError."""
        return (await self._call("GET", path, query, most_bytes=most_bytes)).decode(errors="replace")

    async def get(self, path: str, **query: str) -> Any:
        """An object. Raises RefusedError."""
        return _json(await self._call("GET", path, query), path)

    async def post(self, path: str, body: Any) -> Any:
        """The answer to a question that is an object, such as a review of access. Raises RefusedError."""
        return _json(await self._call("POST", path, {}, body=body), path)

    async def list(self, path: str, **query: str) -> list[dict[str, Any]]:
        """All objects at a path, with their kind, which lists leave out. Raises RefusedError."""
        found: list[dict[str, Any]] = []
        onwards = ""
        while True:
            page = await self.get(path, limit=str(PAGE), **query, **({"continue": onwards} if onwards else {}))
            of = {"apiVersion": page.get("apiVersion", ""), "kind": str(page.get("kind", "")).removesuffix("List")}
            found += [of | item for item in page.get("items") or ()]
            onwards = (page.get("metadata") or {}).get("continue", "")
            if not onwards or len(found) >= MOST_OBJECTS:
                return found

    async def _call(
        self, verb: str, path: str, query: dict[str, str], *, body: Any = None, most_bytes: int = 0
    ) -> bytes:
        try:
            response = await send(
                self._client,
                verb,
                path,
                query=list(query.items()),
                headers=JSON_BOTH_WAYS | ({"Accept": "*/*"} if most_bytes else {}),
                body=body,
                timeout_seconds=TIMEOUT_SECONDS,
            )
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise RefusedError(f"{path}: no answer ({type(error).__name__})") from None
        if response.status not in (200, 201):
            raise RefusedError(
                f"{path}: {_said(response.content) or f'HTTP {response.status}'}", status=response.status
            )
        return response.content[-most_bytes:] if most_bytes else response.content


def _json(answer: bytes, path: str) -> Any:
    try:
        return msgspec.json.decode(answer)
    except msgspec.DecodeError:
        raise RefusedError(f"{path}: the answer is not JSON") from None


def _said(answer: bytes) -> str:
    try:
        return str(msgspec.json.decode(answer).get("message", ""))
    except (msgspec.DecodeError, AttributeError):
        return answer[:200].decode(errors="replace").strip()
