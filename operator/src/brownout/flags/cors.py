"""Which web pages may read answers: the cross-origin headers that browsers ask for (Fetch standard, CORS protocol).

Without origins there is nothing here to pay for. Credentials in the sense of the standard (cookies) play no part: who calls is said by
a header, which the page has to have.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from aiohttp import hdrs, web

ANY = "*"
ORIGIN = re.compile(r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")

METHODS = "GET, POST, OPTIONS"
REQUEST_HEADERS = "Authorization, Content-Type, If-None-Match, Last-Event-ID, X-API-Key"
EXPOSED = "ETag"
MAX_AGE_SECONDS = 7200
"""How long a browser may remember a preflight; Chromium takes no more than two hours."""


def checked(origins: Iterable[str]) -> tuple[str, ...]:
    """The origins as given. Raises ValueError for one that no browser would ever send."""
    found = tuple(origins)
    for origin in found:
        if origin != ANY and not ORIGIN.fullmatch(origin):
            raise ValueError(f"origin {origin!r}: write SCHEME://HOST or SCHEME://HOST:PORT without a path, or {ANY}")
    return found


class Cors:
    """The headers for these origins."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._origins = frozenset(checked(origins))
        self._lines = {origin: _encoded(self.headers(origin)) for origin in self._origins}
        self._others = _encoded(self.headers(None))
        self._paths: frozenset[str] = frozenset()

    def headers(self, origin: str | None) -> dict[str, str]:
        """What a response to a page of an origin, or to nobody's page, has to say."""
        if not self._origins:
            return {}
        if ANY in self._origins:
            return {hdrs.ACCESS_CONTROL_ALLOW_ORIGIN: ANY, hdrs.ACCESS_CONTROL_EXPOSE_HEADERS: EXPOSED}
        if origin is None or origin not in self._origins:
            return {hdrs.VARY: hdrs.ORIGIN}
        return {
            hdrs.VARY: hdrs.ORIGIN,
            hdrs.ACCESS_CONTROL_ALLOW_ORIGIN: origin,
            hdrs.ACCESS_CONTROL_EXPOSE_HEADERS: EXPOSED,
        }

    def lines(self, request: web.BaseRequest) -> bytes:
        """The same for a request, as lines of a response's head."""
        if not self._origins:
            return b""
        return self._lines.get(request.headers.get(hdrs.ORIGIN, ""), self._others)

    def attach(self, app: web.Application, paths: Iterable[str]) -> None:
        """Answer preflights on these paths, and let pages of the origins read their answers, no others'. Nothing without origins."""
        if not self._origins:
            return
        self._paths = frozenset(paths)
        app.on_response_prepare.append(self._allow)
        for path in sorted(self._paths):
            app.router.add_route(hdrs.METH_OPTIONS, path, _preflight)

    async def _allow(self, request: web.Request, response: web.StreamResponse) -> None:
        resource = request.match_info.route.resource
        if resource is None or resource.canonical not in self._paths:
            return
        for name, value in self.headers(request.headers.get(hdrs.ORIGIN)).items():
            if name == hdrs.VARY:
                response.headers.add(name, value)
            else:
                response.headers[name] = value


def _encoded(headers: Mapping[str, str]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()


async def _preflight(request: web.Request) -> web.Response:
    return web.Response(
        status=204,
        headers={
            hdrs.ACCESS_CONTROL_ALLOW_METHODS: METHODS,
            hdrs.ACCESS_CONTROL_ALLOW_HEADERS: REQUEST_HEADERS,
            hdrs.ACCESS_CONTROL_MAX_AGE: str(MAX_AGE_SECONDS),
        },
    )
