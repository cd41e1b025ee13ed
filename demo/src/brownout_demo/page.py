"""The same view as a page on localhost. Nothing is loaded from elsewhere, and nothing can be changed from it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

HTML = Path(__file__).with_name("page.html")
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
FILES = {
    "/": ("page.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
}


@asynccontextmanager
async def serve(state: Callable[[], dict[str, Any]]) -> AsyncIterator[str]:
    """Serves the page on a free port of 127.0.0.1; yields its URL."""

    async def file(request: web.Request) -> web.Response:
        name, kind = FILES[request.path]
        return web.Response(text=HTML.with_name(name).read_text(), content_type=kind, headers=HEADERS)

    async def now(_: web.Request) -> web.Response:
        return web.json_response(state(), headers=HEADERS)

    app = web.Application()
    app.add_routes([*(web.get(path, file) for path in FILES), web.get("/state.json", now)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}/"
    finally:
        await runner.cleanup()
