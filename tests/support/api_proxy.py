"""The way from the operator to the API server, which a test can make slow or silent, and on which it can kill the operator.

The API server behind it is the real one: what it is asked, and what it answers, is passed on unchanged.
"""

import asyncio
import base64
import json
import ssl
import time
from collections.abc import Callable
from typing import Literal, NamedTuple

from aiohttp import web

from brownout_localcluster import LocalCluster
from support.proxy import Proxy

When = Literal["before", "after"]


REFUSED = {"kind": "Status", "apiVersion": "v1", "status": "Failure"}
REFUSALS = {
    403: REFUSED | {"reason": "Forbidden", "message": "no right to it", "code": 403},
    429: REFUSED
    | {
        "reason": "TooManyRequests",
        "message": "Too many requests, please try again later.",
        "details": {"retryAfterSeconds": 1},
        "code": 429,
    },
}
"""As the API server says them. Its own flow control lets a request through whenever none is under way, and so refuses only some."""


class Write(NamedTuple):
    """A request that changes something."""

    method: str
    path: str

    @property
    def what(self) -> str:
        """What it changes, for people: the last parts of the path, without the names of objects of one test."""
        parts = self.path.split("?")[0].split("/")
        return f"{self.method} {'/'.join(parts[-3:])}"


class ApiProxy(Proxy):
    """`delay_seconds` are added to every request; with `too_many_requests` every one is refused, else those that `refuses`
    says, with `refused_with`; `refused` are when that was (monotonic seconds), `writes` all that have been passed on.
    """

    def __init__(self, cluster: LocalCluster) -> None:
        of_cluster = json.loads(cluster.kubeconfig.read_text())["clusters"][0]["cluster"]
        authority = base64.b64decode(of_cluster["certificate-authority-data"]).decode()
        super().__init__(of_cluster["server"], trust=ssl.create_default_context(cadata=authority))
        self.delay_seconds = 0.0
        self.too_many_requests = False
        self.refuses: Callable[[web.Request], bool] = lambda _: False
        self.refused_with: Literal[403, 429] = 429
        self.refused: list[float] = []
        self._silent: set[int] = set()
        self.writes: list[Write] = []
        self._fatal: tuple[int, When, Callable[[], None]] | None = None

    def kill_at(self, write: int, when: When, kill: Callable[[], None]) -> None:
        """Call `kill` right before or right after the API server gets the n-th write from now on (from 1)."""
        self._fatal = (len(self.writes) + write, when, kill)

    def spare(self) -> None:
        """Kill nobody any more."""
        self._fatal = None

    def drop_watches(self) -> int:
        """Break every watch. Returns how many there were."""
        return self.cut(is_watch)

    def silence_watches(self) -> int:
        """From now on pass nothing on to the watches that are open, and leave them open. Returns how many there are."""
        self._silent = {id(request) for request in self.under_way(is_watch)}
        return len(self._silent)

    async def handle(self, request: web.Request, body: bytes) -> web.StreamResponse:
        await asyncio.sleep(self.delay_seconds)
        if self.too_many_requests or self.refuses(request):
            self.refused.append(time.monotonic())
            status = 429 if self.too_many_requests else self.refused_with
            headers = {"Retry-After": "1"} if status == 429 else {}
            return web.json_response(REFUSALS[status], status=status, headers=headers)
        if request.method == "GET":
            return await self.forward(request, body)
        self.writes.append(Write(request.method, request.raw_path))
        if self._fatal is None or len(self.writes) != self._fatal[0]:
            return await self.forward(request, body)
        _, when, kill = self._fatal
        if when == "before":
            kill()
            return web.Response(status=503)  # nobody is there to hear it
        return await self.forward(request, body, change=lambda answer: _and(kill, answer))

    async def before_passing(self, request: web.Request) -> None:
        if id(request) in self._silent:
            await asyncio.Event().wait()  # for ever


def is_watch(request: web.Request) -> bool:
    """Whether a request is a watch."""
    return request.query.get("watch") == "true"


def is_check(request: web.Request) -> bool:
    """Whether a request asks which objects of a kind there are, and for nothing of what is in them."""
    return request.method == "GET" and "PartialObjectMetadataList" in request.headers.get("Accept", "")


def decides(request: web.Request) -> bool:
    """Whether a request writes what users are served: the status of a policy."""
    return request.method == "PATCH" and "/featurepolicies/" in request.path and request.path.endswith("/status")


def _and(act: Callable[[], None], answer: bytes) -> bytes:
    act()
    return answer
