"""The fence: no write leaves a process whose lease may have run out, and none stays under way for longer than it lasts.

It stands in the client, where every write passes, so that no part of the operator can forget it. A request that reads is let
through. One that writes is refused unless there is time left; what is left bounds it here and, by the parameter `timeout`, at the
API server too, which otherwise goes on with a request whose client has left (apiserver, filters WithRequestDeadline).

What no client can exclude is a process that is stopped between the look at its clock and the next instruction, for longer than a
lease lasts. Writes of replicas therefore carry the version of what they rest on, and the API server refuses them then.
"""

from collections.abc import Callable
from typing import Any

from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.client.exceptions import ApiException

from brownout.rest import NOT_SENT

READS = frozenset({"GET", "HEAD", "OPTIONS"})
Fence = Callable[[], float]
"""How many seconds a write that begins now may be under way; 0 where none may begin."""


class NotLeadingError(ApiException):  # type: ignore[misc]  # the client library has no types
    """A write that was not sent, because this process may not lead any more, or does not yet."""

    def __init__(self) -> None:
        super().__init__(status=NOT_SENT, reason="not sent: this operator does not lead, or may not any more")


class FencedClient(ApiClient):  # type: ignore[misc]  # the client library has no types
    """An ApiClient whose writes pass `fence`; without one it is an ApiClient. `on_refusal` is told of each that did not."""

    def __init__(self, configuration: Configuration) -> None:
        super().__init__(configuration)
        self.fence: Fence | None = None
        self.on_refusal: Callable[[], None] = lambda: None

    async def call_api(
        self, method: str, url: str, *rest: Any, _request_timeout: float | None = None, **others: Any
    ) -> Any:
        """Send a request. Raises NotLeadingError instead of sending a write that may not begin."""
        if self.fence is not None and method.upper() not in READS:
            left = self.fence()
            if left <= 0:
                self.on_refusal()
                raise NotLeadingError
            _request_timeout = left if _request_timeout is None else min(left, _request_timeout)
            url = f"{url}{'&' if '?' in url else '?'}timeout={_request_timeout:.3f}s"
        return await super().call_api(method, url, *rest, _request_timeout=_request_timeout, **others)
