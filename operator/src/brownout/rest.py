"""One request to the API server by its path: for what the client library has no method, or would decode what nobody reads."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from kubernetes.aio.client import ApiClient

JSON = {"Accept": "application/json"}
JSON_BOTH_WAYS = JSON | {"Content-Type": "application/json"}
"""Headers of a request without a body, and of one with a body."""

NOT_SENT = 0
"""Stands for the HTTP status of a write that was not sent, because this operator does not lead, or may not any more."""


class Response(NamedTuple):
    """What the API server answered, whatever its status."""

    status: int
    reason: str
    content: bytes

    @property
    def document(self) -> dict[str, Any]:
        """The object that came, a Status where it was refused; empty where what came is none."""
        try:
            decoded = msgspec.json.decode(self.content)
        except msgspec.DecodeError:
            return {}
        return decoded if isinstance(decoded, dict) else {}


async def send(
    client: ApiClient,
    verb: str,
    path: str,
    *,
    timeout_seconds: float,
    query: Sequence[tuple[str, str]] = (),
    headers: Mapping[str, str] = JSON,
    body: Any = None,
) -> Response:
    """Send a request and read its answer to the end. Raises what the client raises where there is none."""
    method, url, sent_headers, sent, form = await client.param_serialize(
        verb,
        path,
        query_params=list(query),
        header_params=dict(headers),
        body=body,
        auth_settings=["BearerToken"],
    )
    response = await client.call_api(method, url, sent_headers, sent, form, _request_timeout=timeout_seconds)
    return Response(int(response.status), str(response.reason), await response.read())
