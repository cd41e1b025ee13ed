"""The way from the operator to Prometheus, which a test can make slow, close with a 401, or tell another time on.

The Prometheus behind it is the real one. A wrong clock there shows in one place: the moment that each answer says it is of.
"""

import asyncio
import re

from aiohttp import web

from support.proxy import Proxy

OF_AN_INSTANT = re.compile(rb'"value":\[([0-9.]+),')
"""A sample of an instant query in the answer's JSON: the moment of evaluation in Unix seconds, then the value."""


class PrometheusProxy(Proxy):
    """`delay_seconds` are added to every query; `status`, where set, is all that anybody gets; `clock_ahead_seconds` is by
    how much Prometheus' clock is wrong; without `limits` it is one that does not know how to answer with fewer series."""

    def __init__(self, upstream: str) -> None:
        super().__init__(upstream)
        self.mend()

    def mend(self) -> None:
        """Nothing is amiss."""
        self.delay_seconds = 0.0
        self.status: int | None = None
        self.clock_ahead_seconds = 0.0
        self.limits = True

    async def handle(self, request: web.Request, body: bytes) -> web.StreamResponse:
        await asyncio.sleep(self.delay_seconds)
        if self.status is not None:
            return web.Response(status=self.status, text="a secret that nobody may quote")
        if not self.limits:
            body = re.sub(rb"&limit=\d+", b"", body)
        return await self.forward(request, body, change=self._of_another_time if self.clock_ahead_seconds else None)

    def _of_another_time(self, answer: bytes) -> bytes:
        def moved(match: re.Match[bytes]) -> bytes:
            return b'"value":[%.3f,' % (float(match[1]) + self.clock_ahead_seconds)

        return OF_AN_INSTANT.sub(moved, answer)
