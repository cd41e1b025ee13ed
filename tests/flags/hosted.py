"""The HTTP side of the flag server in a thread of the test, so that a test can put any set on the board.

Everything but the watches is the real thing: the application, its sockets, and what goes over them.
"""

import asyncio
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import msgspec

from brownout.api.override import FEATURE_OVERRIDE
from brownout.api.policy import FEATURE_POLICY
from brownout.api.tier import USER_TIER
from brownout.flags.audience import Tier
from brownout.flags.board import Board
from brownout.flags.cells import Override, Policy
from brownout.flags.http import application, serve_http
from brownout.flags.metrics import Heard, Metrics
from brownout.flags.pages.site import StatusPages
from brownout.flags.render import FlagSet, render
from brownout.flags.service import Service
from brownout.flags.settings import Settings
from flags.builders import NAMESPACE, TIERS
from flags.process import Asked


class HostedServer(Asked):
    """A running application and its board. The port is a free one at first and stays the same through restarts."""

    def __init__(self, settings: Settings) -> None:
        self.http_port = 0
        self.settings = settings
        self.board = Board()
        self.heard_from = Heard()
        self.pages = StatusPages(self.board, self.heard_from, namespaces=())
        self._loop = asyncio.new_event_loop()
        self._stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Serve what is on the board."""
        ready: Future[int] = Future()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve(ready)), daemon=True)
        self._thread.start()
        self.http_port = ready.result(timeout=10)

    def end(self) -> None:
        """Stop gracefully; what is on the board stays."""
        assert self._stop is not None
        assert self._thread is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(timeout=20)
        assert not self._thread.is_alive()

    def close(self) -> None:
        if self._thread is not None and self._thread.is_alive():
            self.end()
        self._loop.close()

    async def _serve(self, ready: "Future[int]") -> None:
        self._stop = asyncio.Event()
        metrics = Metrics()
        service = Service(
            board=self.board,
            metrics=metrics,
            namespaces=(),
            snapshot_dir=None,
            empty_believed_after=600.0,
            heard_from=self.heard_from,
        )
        settings = msgspec.structs.replace(self.settings, http_port=self.http_port)
        try:
            app = application(settings, self.board, metrics, service, self.pages)
            async with serve_http(settings, app, registry=metrics.registry) as port:
                ready.set_result(port)
                await self._stop.wait()
        except BaseException as error:
            if not ready.done():
                ready.set_exception(error)
            raise

    def publish(
        self,
        *policies: Policy,
        tiers: Iterable[Tier] = TIERS,
        overrides: Iterable[Override] = (),
        namespace: str = NAMESPACE,
    ) -> FlagSet:
        """Put the set of these objects on the board, and return it once it is served."""
        tiers, overrides = tuple(tiers), tuple(overrides)
        flag_set = render(namespace, policies=policies, tiers=tiers, overrides=overrides, now=time.time())

        def put() -> None:
            objects = {FEATURE_POLICY.plural: policies, USER_TIER.plural: tiers, FEATURE_OVERRIDE.plural: overrides}
            self.pages.believe(namespace, objects)
            self.board.publish(flag_set)
            self.board.completed()

        if self._thread is not None and self._thread.is_alive():
            done: Future[None] = Future()
            self._loop.call_soon_threadsafe(lambda: done.set_result(put()))
            done.result(timeout=10)
        else:
            put()
        return flag_set


@contextmanager
def hosted(*policies: Policy, **settings: Any) -> Iterator[HostedServer]:
    """A server of these policies for a while; `settings` are Settings' fields."""
    server = HostedServer(Settings(**settings))
    try:
        server.publish(*policies)
        server.start()
        yield server
    finally:
        server.close()
