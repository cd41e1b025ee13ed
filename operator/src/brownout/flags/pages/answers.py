"""How pages are answered: strict policies for what a browser may do with them, entity tags, and files of the package."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from aiohttp import web

from brownout.flags.pages.content import Content, accepts_gzip, matches

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing from elsewhere, nothing inline, in nobody's frame."""

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".html": "text/html"}


def page(
    request: web.Request, content: Content, headers: dict[str, str] | None = None, *, vary: str = ""
) -> web.Response:
    """Content with an entity tag, compressed where that is asked for; 304 where the browser has it.

    vary: the headers besides Accept-Encoding by which another content would have been chosen.
    """
    body, etag, gzipped = content.form(gzipped=accepts_gzip(request.headers.get("Accept-Encoding", "")))
    sent = {
        **HEADERS,
        "ETag": etag,
        "Cache-Control": "no-cache",
        "Vary": f"{vary}, Accept-Encoding" if vary else "Accept-Encoding",
        **(headers or {}),
    }
    if matches(request.headers.get("If-None-Match", ""), etag):
        return web.Response(status=304, headers=sent)
    if gzipped:
        sent["Content-Encoding"] = "gzip"
    return web.Response(body=body, content_type=content.type, charset="utf-8", headers=sent)


@cache
def assets() -> Mapping[str, Content]:
    """The files of `assets/` by name: all of them, so that a name that is none costs nothing."""
    return {
        entry.name: Content(entry.read_bytes(), kind)
        for entry in files(__package__).joinpath("assets").iterdir()
        if (kind := TYPES.get(f".{entry.name.rpartition('.')[2]}")) is not None
    }


async def send_asset(request: web.Request) -> web.Response:
    """The file that the address names."""
    content = assets().get(request.match_info["asset"])
    if content is None:
        raise web.HTTPNotFound(text="there is no such file\n", headers=HEADERS)
    return page(request, content)
