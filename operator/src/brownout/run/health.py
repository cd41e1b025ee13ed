"""Health and metrics over HTTP: what the probes ask, answered in JSON with a sentence that says what is wrong.

/livez asks whether a restart would help: it fails only when nothing has ended for a long time, no tick, well or badly, and where
none is due no attempt to begin. A Prometheus or an API server that is away is no reason to be restarted. /readyz asks whether the
operator does its work: it fails while something is lacking at the start, and when no tick has ended *well* for a while. A standby
is ready: it watches, and could lead at once. (So are standbys of controller-runtime and cert-manager; a rolling update would
otherwise wait for ever for a new pod that cannot lead before the old one goes.)
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Any

from aiohttp import web

UNREADY_TICKS, UNREADY_SECONDS = 15, 30.0
"""No tick has ended well for so long: not ready. A tick waits for the API server and Prometheus, seconds for each."""
STALLED_TICKS, STALLED_SECONDS = 30, 60.0
"""Nothing has ended at all for so long: not alive. Also the grace at the start."""


class State(StrEnum):
    """What the operator is doing."""

    STARTING = "starting"
    STANDBY = "standby"
    DECIDING = "deciding"


class Health:
    """What the endpoints say; whoever does something keeps it up to date."""

    def __init__(self, *, clock: Callable[[], float], tick_seconds: float, page: Callable[[], bytes]) -> None:
        self._clock = clock
        self._page = page
        self._unready_after = max(UNREADY_SECONDS, UNREADY_TICKS * tick_seconds)
        self._stalled_after = max(STALLED_SECONDS, STALLED_TICKS * tick_seconds)
        self._alive_at = self._good_at = clock()
        self._failed_ticks = 0
        self.state = State.STARTING
        self.waiting_for = "the first list of every kind"
        self.left_out = ""
        """What is to be done about namespaces that are not acted in."""
        self.leader: Callable[[], str] | None = None
        """Who leads, where that is elected."""

    def alive(self) -> None:
        """Something has ended that was due while no tick is, and that is as it should be."""
        self._alive_at = self._clock()

    def stands_by(self, obstacle: str) -> None:
        """Somebody else leads, and we are warm; or, in words, what keeps us from leading even if nobody did."""
        self.alive()
        self.state, self.waiting_for = State.STANDBY, obstacle

    def decides(self) -> None:
        """Ticks are due from now on."""
        self.alive()
        self.waiting_for = "" if self.state is State.STANDBY else "the first tick"
        self.state, self._good_at = State.DECIDING, self._clock()

    def ticked(self, *, well: bool) -> None:
        """A tick has ended, well or badly."""
        self.alive()
        if well:
            self._good_at, self._failed_ticks, self.waiting_for = self._alive_at, 0, ""
        else:
            self._failed_ticks += 1

    def application(self) -> web.Application:
        """The endpoints."""
        app = web.Application()
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        return app

    async def _livez(self, _: web.Request) -> web.Response:
        age = max(0.0, self._clock() - self._alive_at)
        what = "tick ended" if self.state is State.DECIDING else "attempt to begin ended"
        return self._answer("live", age, self._stalled_after, f"the last {what} {age:.1f} s ago")

    async def _readyz(self, _: web.Request) -> web.Response:
        failed = f"; the last {self._failed_ticks} failed, and the log says why" if self._failed_ticks else ""
        if self.waiting_for:
            return self._answer(
                "ready", 0.0, self._unready_after, f"waiting for {self.waiting_for}{failed}", well=False
            )
        if self.state is State.STANDBY:
            age = max(0.0, self._clock() - self._alive_at)
            return self._answer("ready", age, self._unready_after, f"standing by, asked for the lease {age:.1f} s ago")
        age = max(0.0, self._clock() - self._good_at)
        return self._answer("ready", age, self._unready_after, f"deciding, the last good tick {age:.1f} s ago{failed}")

    def _answer(self, name: str, age: float, allowed: float, message: str, *, well: bool = True) -> web.Response:
        well = well and age <= allowed
        if name == "ready" and self.left_out:
            message += f"; {self.left_out}"
        if age > allowed:
            message += f"; no more than {allowed:g} s are allowed"
        body: dict[str, Any] = {
            name: well,
            "state": str(self.state),
            "message": message,
            "ageSeconds": round(age, 1),
            "allowedSeconds": allowed,
            "failedTicks": self._failed_ticks,
        }
        if self.leader is not None:
            body["leader"] = self.leader()
        return web.json_response(body, status=200 if well else 503)

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=self._page(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


async def serve(application: web.Application, *, host: str, port: int) -> web.AppRunner:
    """Listen. Raises OSError where the address cannot be had."""
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner
