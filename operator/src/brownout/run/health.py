"""Health and metrics over HTTP.

/livez is about the loop, not about what it sees: a Prometheus or an API server that is away is no reason to be restarted. It
fails only when no tick has ended, well or badly, for a long time. /readyz says whether the loop has begun to decide.
"""

from collections.abc import Callable

from aiohttp import web

STALLED_TICKS = 30
STALLED_SECONDS = 60.0


class Health:
    """What the endpoints say; the loop keeps it up to date."""

    def __init__(self, *, clock: Callable[[], float], tick_seconds: float, page: Callable[[], bytes]) -> None:
        self._clock = clock
        self._page = page
        self._stalled_after = max(STALLED_SECONDS, STALLED_TICKS * tick_seconds)
        self._alive_at = clock()
        self.waiting_for = "the first list of every kind"

    def alive(self) -> None:
        """A tick has ended, or there is nothing to do yet and that is as it should be."""
        self._alive_at = self._clock()

    def application(self) -> web.Application:
        """The endpoints."""
        app = web.Application()
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        return app

    async def _livez(self, _: web.Request) -> web.Response:
        age = max(0.0, self._clock() - self._alive_at)
        text = f"the last tick ended {age:.1f} s ago\n"
        return web.Response(text=text, status=200 if age <= self._stalled_after else 503)

    async def _readyz(self, _: web.Request) -> web.Response:
        if self.waiting_for:
            return web.Response(text=f"waiting for {self.waiting_for}\n", status=503)
        return web.Response(text="deciding\n")

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=self._page(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


async def serve(application: web.Application, *, host: str, port: int) -> web.AppRunner:
    """Listen. Raises OSError where the address cannot be had."""
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner
