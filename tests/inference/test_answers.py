"""What a real server answers: OpenAI's shapes, pictures that can be read, and errors that say what to write instead."""

import base64
import io
import json
from typing import Any

import pytest
from PIL import Image

from inference.server_process import Client

HELLO = {"messages": [{"role": "user", "content": "The import statement"}], "max_tokens": 12, "seed": 5}


async def test_pictures_come_as_png_of_the_size_that_was_asked_for(image: Client) -> None:
    answer = await image.image("pro", n=2, size="64x48", seed=1)
    assert answer.status == 200
    pictures = [Image.open(io.BytesIO(base64.b64decode(each["b64_json"]))) for each in answer.body["data"]]
    assert [(picture.format, picture.size) for picture in pictures] == [("PNG", (64, 48))] * 2


async def test_the_same_seed_makes_the_same_picture(image: Client) -> None:
    first, second = [(await image.image("pro", seed=4)).body["data"] for _ in range(2)]
    assert first == second


@pytest.mark.parametrize(
    ("body", "parameter"),
    [
        ({}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": "7", "n": 0}, "n"),
        ({"prompt": "7", "n": 3}, "n"),  # the batch has two places
        ({"prompt": "7", "size": "big"}, "size"),
        ({"prompt": "7", "size": "9999x9999"}, "size"),
        ({"prompt": "7", "response_format": "url"}, "response_format"),
    ],
)
async def test_a_bad_request_names_the_field_and_is_no_demand(
    image: Client, body: dict[str, Any], parameter: str
) -> None:
    offered = await image.metric("brownout_feature_offered_total")
    answer = await image.post("/v1/images/generations", body)
    assert answer.status == 400
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    error = answer.body["error"]
    assert error["type"] == "invalid_request_error"
    assert parameter in f"{error['param']} {error['message']}"
    assert await image.metric("brownout_feature_offered_total") == offered


async def test_a_malformed_header_is_named(image: Client) -> None:
    answer = await image.image("free", headers={"X-Brownout-Account-Created-At": "yesterday"})
    assert answer.status == 400
    assert answer.body["error"]["param"] == "X-Brownout-Account-Created-At"


async def test_a_body_that_is_not_json_is_refused(image: Client) -> None:
    async with image.session.post(image.url + "/v1/images/generations", data=b"{") as response:
        assert response.status == 400
        assert "not JSON" in (await response.json(content_type=None))["detail"]


async def test_an_endpoint_that_is_not_served_here_says_what_is(image: Client) -> None:
    answer = await image.post("/v1/chat/completions", HELLO)
    assert answer.status == 404
    assert "images" in answer.body["detail"]


async def test_the_list_of_models_names_the_workload(image: Client) -> None:
    async with image.session.get(image.url + "/v1/models") as response:
        (model,) = (await response.json())["data"]
    assert (model["id"], model["features"]) == ("image", ["image-generation"])


async def test_a_chat_is_answered(language: Client) -> None:
    answer = await language.post("/v1/chat/completions", HELLO)
    assert answer.status == 200
    (choice,) = answer.body["choices"]
    assert choice["message"]["role"] == "assistant"
    assert 1 <= answer.body["usage"]["completion_tokens"] <= 12
    assert answer.body["model"] == "chat-small"


async def test_a_streamed_chat_says_the_same_in_pieces(language: Client) -> None:
    at_once = await language.post("/v1/chat/completions", HELLO)
    async with language.session.post(
        language.url + "/v1/chat/completions", json={**HELLO, "stream": True}, headers={"X-Brownout-Plan": "free"}
    ) as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        lines = [line.removeprefix("data: ") for line in (await response.text()).splitlines() if line]
    assert lines.pop() == "[DONE]"
    chunks = [json.loads(line)["choices"][0] for line in lines]
    text = "".join(chunk["delta"].get("content", "") for chunk in chunks)
    assert text.rstrip("\n") == at_once.body["choices"][0]["message"]["content"]
    assert chunks[-1]["finish_reason"] == at_once.body["choices"][0]["finish_reason"]
    assert len(chunks) > 2


async def test_a_denied_stream_is_an_ordinary_refusal(language: Client, denied_chat: None) -> None:
    answer = await language.post("/v1/chat/completions", {**HELLO, "stream": True})
    assert answer.status == 503
    assert answer.body["reason"] == "denied_capacity"
