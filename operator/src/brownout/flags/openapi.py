"""The description of the HTTP side (OpenAPI 3.1), which the server publishes of itself."""

from importlib import metadata, resources
from typing import Any

import msgspec
import yaml
from aiohttp import web

from brownout.flags.settings import Settings

PATH = "/openapi.json"


def document(public_url: str = "") -> dict[str, Any]:
    """The description; `public_url` is where clients reach the server, if that is not where they got it."""
    described: dict[str, Any] = yaml.safe_load(resources.files(__package__).joinpath("openapi.yaml").read_text())
    described["info"]["version"] = metadata.version("brownout")
    described["servers"] = [{"url": public_url or "/"}]
    return described


def openapi(settings: Settings) -> list[web.RouteDef]:
    """The route of the description."""
    content = msgspec.json.encode(document(settings.public_url.rstrip("/")))

    async def describe(request: web.Request) -> web.Response:
        return web.Response(body=content, content_type="application/json")

    return [web.get(PATH, describe)]
