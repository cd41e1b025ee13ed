"""What stands at `/`: what this server serves, and where. A page for who asks with a browser, JSON for everybody else.

On a public listener the namespaces are not listed: strangers need the address of theirs, and nobody else's.
"""

from collections.abc import Sequence

import msgspec
from aiohttp import hdrs, web

from brownout.flags.board import Board
from brownout.flags.ofrep import BULK
from brownout.flags.openapi import PATH as OPENAPI
from brownout.flags.pages import answers
from brownout.flags.pages.content import Content
from brownout.flags.pages.markup import Markup, join, tag
from brownout.flags.settings import Settings

ANY = "{namespace}"
"""Stands for a namespace where none is named."""


class Product(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Addresses of one namespace. `ofrep` is the base URL for OFREP's providers; `status` is absent where there is no page."""

    namespace: str
    ofrep: str
    flags: str
    status: str | None = None


class Front(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is served where. flagd's sync protocol has a port of its own, and the namespace as its selector."""

    service: str
    namespaces: tuple[Product, ...]
    openapi: str
    readiness: str
    flagd_sync_port: int


def described(settings: Settings, namespaces: Sequence[str]) -> Front:
    """What is served where, with the address that clients reach the server by where that is known."""
    base = settings.public_url.rstrip("/")
    named = [*namespaces] if settings.callers.trust_context and namespaces else [ANY]
    return Front(
        service="brownout flags",
        namespaces=tuple(
            Product(
                namespace=name,
                ofrep=f"{base}/{name}/",
                flags=f"{base}/{name}{BULK}",
                status=f"{base}/{name}/status" if settings.status_page else None,
            )
            for name in named
        ),
        openapi=base + OPENAPI,
        readiness=f"{base}/readyz",
        flagd_sync_port=settings.grpc_port,
    )


def page(front: Front) -> str:
    """The same for a person."""
    title = "Feature flags, served by Brownout"
    head = tag("head", tag("meta", charset="utf-8"), tag("title", title))
    body = tag(
        "body",
        tag("h1", title),
        *(_product(one) for one in front.namespaces),
        tag(
            "p",
            tag("a", "Description of everything", href=_near(front.openapi)),
            " (OpenAPI); ",
            tag("a", "readiness", href=_near(front.readiness)),
            f"; flagd's sync protocol on port {front.flagd_sync_port}.",
        ),
    )
    return "<!doctype html>" + tag("html", head, body, lang="en")


def _product(one: Product) -> Markup:
    status = None
    if one.status is not None:
        link = one.status if one.namespace == ANY else tag("a", one.status, href=_near(one.status))
        status = tag("li", "Status page, what is limited for whom: ", link)
    lines = (
        status,
        tag("li", "Base URL for OpenFeature's OFREP providers: ", tag("code", one.ofrep)),
        tag("li", "Every flag for one user: ", tag("code", f"POST {one.flags}"), ', with {"context": {...}}'),
    )
    return tag("section", tag("h2", one.namespace), tag("ul", join(*lines)))


def _near(address: str) -> str:
    """As a link from this page: relative where it is a path, so that it holds behind a gateway's prefix."""
    return address.removeprefix("/")


def front(settings: Settings, board: Board) -> list[web.RouteDef]:
    """The route of `/`."""

    async def show(request: web.Request) -> web.Response:
        found = described(settings, board.namespaces())
        if "text/html" in request.headers.get(hdrs.ACCEPT, ""):
            content = Content(page(found).encode(), "text/html")
        else:
            content = Content(msgspec.json.encode(found), "application/json")
        return answers.page(request, content, vary="Accept")

    return [web.get("/", show)]
