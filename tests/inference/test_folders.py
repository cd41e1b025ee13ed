"""Servers of models in folders, by one command."""

import base64
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from PIL import Image

from inference.flag_source import FlagSource
from inference.server_process import Client, ServerProcess
from inference.tiny_models import language_folder, picture_folder


@asynccontextmanager
async def serving(folder: Path, session: aiohttp.ClientSession, *arguments: str) -> AsyncIterator[Client]:
    source = FlagSource()
    source.start()
    server = ServerProcess(
        folder / "log", "--model", str(folder), "--device", "cpu", *arguments, flags_port=source.port
    )
    try:
        client = Client(server, session)
        await client.until_ready()
        yield client
    finally:
        server.close()
        source.stop()


async def test_a_folder_of_transformers_answers_chats(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    language_folder(tmp_path, "llama", chat=True)
    async with serving(tmp_path, session, "--features", "chat", "--max-tokens", "80") as client:
        body = {"messages": [{"role": "user", "content": "the import"}], "max_tokens": 8, "temperature": 0}
        first, second = [await client.post("/v1/chat/completions", body) for _ in range(2)]
        assert first.status == 200
        assert first.body["choices"] == second.body["choices"]
        assert 1 <= first.body["usage"]["completion_tokens"] <= 8
        turns = [{"role": "system", "content": "be kind"}, {"role": "assistant", "content": "well"}, *body["messages"]]
        after_turns = await client.post("/v1/chat/completions", {**body, "messages": turns})
        assert after_turns.body["usage"]["prompt_tokens"] > first.body["usage"]["prompt_tokens"]
        too_long = await client.post("/v1/chat/completions", {**body, "max_tokens": 79})
        assert too_long.status == 400
        assert "room for 80 together" in too_long.body["error"]["message"]
        longer_than_all = await client.post("/v1/chat/completions", {**body, "max_tokens": 81})
        assert longer_than_all.status == 400
        assert longer_than_all.body["error"]["message"] == "max_tokens is 81; write 80 at most."


@pytest.mark.parametrize(("asked", "size"), [({"size": "48x40"}, (48, 40)), ({"size": "auto"}, (32, 32))])
async def test_a_folder_of_diffusers_makes_pictures_of_its_own_size_or_as_large_as_is_asked_for(
    asked: dict[str, str], size: tuple[int, int], tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    picture_folder(tmp_path, "stable-diffusion-ddim")
    async with serving(tmp_path, session, "--features", "image-generation") as client:
        answer = await client.image("pro", **asked, seed=1)
        assert answer.status == 200
        picture = Image.open(io.BytesIO(base64.b64decode(answer.body["data"][0]["b64_json"])))
        assert (picture.mode, picture.size) == ("RGB", size)
