"""Bodies as they come in."""

import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from brownout_inference.http import bodies
from brownout_inference.http.bodies import read_body
from brownout_inference.http.chat import ChatBody
from support.web_app import on_loopback


@asynccontextmanager
async def reader() -> AsyncIterator[str]:
    """A server that answers with the length of the first message."""

    async def handle(request: web.Request) -> web.Response:
        return web.json_response(len((await read_body(request, ChatBody)).messages[0].text))

    app = web.Application()
    app.add_routes([web.post("/", handle)])
    async with on_loopback(app) as url:
        yield f"{url}/"


@pytest.mark.parametrize(("length", "beside"), [(100, False), (100_000, True)])
async def test_nobody_waits_for_a_large_body_to_be_decoded(
    monkeypatch: pytest.MonkeyPatch, length: int, beside: bool
) -> None:
    body = json.dumps({"messages": [{"role": "user", "content": "a" * length}]})
    decode, threads = bodies.decoded, list[int]()

    def watched(body: bytes, shape: type[Any]) -> Any:
        threads.append(threading.get_ident())
        return decode(body, shape)

    monkeypatch.setattr(bodies, "decoded", watched)
    async with (
        reader() as url,
        aiohttp.ClientSession() as session,
        session.post(url, data=body) as answer,
    ):
        assert await answer.json() == length
    assert (threads != [threading.get_ident()]) == beside
