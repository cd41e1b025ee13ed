"""Pictures as the stock OpenAI client sees them, and errors as the classes that it knows."""

import asyncio
import base64
import io
import time
from typing import Any

import openai
import pytest
from PIL import Image

from inference.flag_source import NOTICE, FlagSource
from inference.server_process import Client


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
async def test_pictures_come_in_the_format_that_was_asked_for(image: Client, kind: Any) -> None:
    async with image.openai() as ai:
        answer = await ai.images.generate(model="image", prompt="a seven", n=2, size="64x64", output_format=kind)
    assert answer.data is not None
    files = [Image.open(io.BytesIO(base64.b64decode(each.b64_json or ""))) for each in answer.data]
    assert [(file.format, file.size) for file in files] == [(kind.upper(), (64, 64))] * 2
    assert (answer.output_format, answer.size) == (kind, "64x64")
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (2, 2 * 8)  # two words, eight steps for each


@pytest.mark.parametrize(
    ("more", "parameter"),
    [
        ({"response_format": "url"}, "response_format"),
        ({"background": "transparent"}, "background"),
        ({"quality": "high"}, "quality"),
        ({"style": "vivid"}, "style"),
        ({"output_format": "gif"}, "output_format"),
        ({"extra_body": {"steps": 5}}, "steps"),
        ({"extra_body": {"stream": True}}, "stream"),
    ],
)
async def test_what_is_not_supported_is_refused_by_its_name(
    image: Client, more: dict[str, Any], parameter: str
) -> None:
    async with image.openai() as ai:
        with pytest.raises(openai.BadRequestError) as caught:
            await ai.images.generate(prompt="a seven", **more)
    assert caught.value.param == parameter


async def test_a_denial_for_capacity_is_a_server_error_that_says_when_to_come_back(
    image: Client, source: FlagSource
) -> None:
    await image.use(source, free="denied_capacity")
    async with image.openai() as ai:
        with pytest.raises(openai.InternalServerError, match=NOTICE) as caught:
            await ai.images.generate(prompt="a seven")
    assert (caught.value.status_code, caught.value.code) == (503, "denied_capacity")
    assert caught.value.response.headers["retry-after-ms"] == "17000"
    assert (caught.value.request_id or "").startswith("req_")


async def test_a_denial_by_the_plan_is_a_permission_denied(image: Client, source: FlagSource) -> None:
    await image.use(source, free="denied_plan")
    async with image.openai(retries=2) as ai:
        with pytest.raises(openai.PermissionDeniedError) as caught:
            await ai.images.generate(prompt="a seven")
    assert caught.value.code == "denied_plan"


async def test_a_client_that_is_turned_away_by_a_full_queue_waits_as_it_is_told_and_is_served(
    image: Client, source: FlagSource
) -> None:
    await image.use(source, free="slow")  # 24 steps of 0.05 s
    crowd = image.asking(2)
    await image.until_metric("brownout_inference_running", 2)
    crowd += image.asking(8)
    await image.until_metric("brownout_inference_queue_length", 8, tier="free")
    async with image.openai() as ai:
        with pytest.raises(openai.RateLimitError) as caught:
            await ai.images.generate(prompt="a seven")
    assert caught.value.code == "queue_full"
    wait_seconds = int(caught.value.response.headers["retry-after-ms"]) / 1000
    began = time.monotonic()
    async with image.openai(retries=3) as ai:
        await ai.images.generate(prompt="a seven")
    assert time.monotonic() - began >= 0.8 * wait_seconds
    await asyncio.gather(*crowd)


async def test_what_is_not_there_is_not_found_and_a_method_that_is_not_says_which_are(image: Client) -> None:
    async with image.openai() as ai:
        with pytest.raises(openai.NotFoundError) as caught:
            await ai.embeddings.create(model="image", input="a seven")
        assert (caught.value.type, caught.value.code) == ("invalid_request_error", "not_found")
    async with image.session.get(image.url + "/v1/images/generations") as response:
        assert (response.status, response.headers["Allow"]) == (405, "POST")
        assert response.content_type == "application/problem+json"
        assert (await response.json(content_type=None))["error"]["code"] == "method_not_allowed"
