"""How pages are answered: strict policies for what a browser may do with them, entity tags, and files of the package."""

import hashlib
from functools import cache
from importlib.resources import files

from aiohttp import web

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
    request: web.Request, content: bytes, content_type: str, headers: dict[str, str] | None = None
) -> web.Response:
    """Content with an entity tag, compressed where that is asked for; 304 where the browser has it."""
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    sent = {**HEADERS, "ETag": etag, "Cache-Control": "no-cache", **(headers or {})}
    if any(
        tag.strip().removeprefix("W/") in (etag, "*") for tag in request.headers.get("If-None-Match", "").split(",")
    ):
        return web.Response(status=304, headers=sent)
    response = web.Response(body=content, content_type=content_type, charset="utf-8", headers=sent)
    response.enable_compression()
    return response


@cache
def asset(name: str) -> bytes | None:
    """A file of `assets/`; None where there is none of that name."""
    entry = files(__package__).joinpath("assets").joinpath(name)
    return entry.read_bytes() if "/" not in name and entry.is_file() else None


async def send_asset(request: web.Request) -> web.Response:
    """The file that the address names."""
    name = request.match_info["asset"]
    content, kind = asset(name), TYPES.get(f".{name.rpartition('.')[2]}")
    if content is None or kind is None:
        raise web.HTTPNotFound(text=f"there is no {name}\n", headers=HEADERS)
    return page(request, content, kind)
