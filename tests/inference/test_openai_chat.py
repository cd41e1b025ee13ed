"""Chat as the stock OpenAI client sees it."""

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest

from inference.server_process import Client, ServerProcess

ASK: dict[str, Any] = {"messages": [{"role": "user", "content": "The import statement"}], "max_tokens": 40, "seed": 5}
MODEL = "chat-small"


async def test_an_answer_has_all_its_members(language: Client) -> None:
    async with language.openai() as ai:
        answer = await ai.chat.completions.create(model=MODEL, **ASK)
    (choice,) = answer.choices
    assert (answer.object, answer.model, choice.index) == ("chat.completion", MODEL, 0)
    assert answer.id.startswith("chatcmpl-")
    assert (answer.system_fingerprint or "").startswith("fp_")
    assert (choice.message.role, choice.message.refusal, choice.logprobs) == ("assistant", None, None)
    assert choice.finish_reason in ("stop", "length")
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert 1 <= answer.usage.completion_tokens <= 40


async def test_a_stream_begins_with_the_role_and_ends_with_the_usage(language: Client) -> None:
    async with language.openai() as ai:
        at_once = await ai.chat.completions.create(model=MODEL, **ASK)
        stream = await ai.chat.completions.create(
            model=MODEL, stream=True, stream_options={"include_usage": True}, **ASK
        )
        chunks = [chunk async for chunk in stream]
    first, *middle, finish, usage = chunks
    assert (first.choices[0].delta.role, first.choices[0].delta.content) == ("assistant", "")
    text = "".join(chunk.choices[0].delta.content or "" for chunk in middle)
    assert text == at_once.choices[0].message.content
    assert [chunk.choices[0].finish_reason for chunk in middle] == [None] * len(middle)
    assert finish.choices[0].finish_reason == at_once.choices[0].finish_reason
    assert (usage.choices, usage.usage) == ([], at_once.usage)
    assert {chunk.usage for chunk in chunks[:-1]} == {None}
    assert len({chunk.id for chunk in chunks}) == 1
    assert {chunk.system_fingerprint for chunk in chunks} == {at_once.system_fingerprint}


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_ends_before_a_stop_text(language: Client, stream: bool) -> None:
    async with language.openai() as ai:
        whole = (await ai.chat.completions.create(model=MODEL, **ASK)).choices[0].message.content or ""
        stop = whole[5:8]
        asked = {**ASK, "model": MODEL, "stop": ["never seen!", stop]}
        if stream:
            chunks = [chunk async for chunk in await ai.chat.completions.create(stream=True, **asked)]
            text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
            finish = chunks[-1].choices[0].finish_reason
        else:
            (choice,) = (await ai.chat.completions.create(**asked)).choices
            text, finish = choice.message.content or "", choice.finish_reason
    assert text == whole[: whole.index(stop)].rstrip("\n")
    assert finish == "stop"


async def test_what_was_said_before_is_read_too(language: Client) -> None:
    said = [{"role": "user", "content": "The import statement"}, {"role": "assistant", "content": "loads modules."}]
    read = []
    async with language.openai() as ai:
        for earlier in ([], said):
            messages: Any = [*earlier, {"role": "user", "content": "Objects"}]
            answer = await ai.chat.completions.create(model=MODEL, messages=messages, max_tokens=2)
            assert answer.usage is not None
            read.append(answer.usage.prompt_tokens)
    ends = len("\n\n")
    assert read[1] - read[0] == sum(len(turn["content"]) + ends for turn in said)


async def test_max_completion_tokens_bounds_the_answer(language: Client) -> None:
    async with language.openai() as ai:
        answer = await ai.chat.completions.create(
            model=MODEL, messages=ASK["messages"], max_completion_tokens=3, seed=5
        )
    assert answer.usage is not None
    assert (answer.choices[0].finish_reason, answer.usage.completion_tokens) == ("length", 3)


@pytest.mark.parametrize(
    ("more", "parameter"),
    [
        ({"n": 2}, "n"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"logprobs": True}, "logprobs"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"top_p": 0.5}, "top_p"),
        ({"presence_penalty": 1}, "presence_penalty"),
        ({"reasoning_effort": "high"}, "reasoning_effort"),
        ({"verbosity": "low"}, "verbosity"),
        ({"stream": True, "extra_body": {"stream_options": {"include_prices": True}}}, "stream_options.include_prices"),
        ({"messages": [{"role": "user", "content": "a", "name": "ana"}]}, "messages[0].name"),
        ({"messages": [{"role": "user", "content": "a", "weight": 1}]}, "messages[0].weight"),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}, "messages[1].role"),
        ({"logit_bias": {"5": 1}}, "logit_bias"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"stop": ""}, "stop"),
        ({"temperature": 3}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 513}, "max_tokens"),
        ({"max_completion_tokens": 513}, "max_completion_tokens"),
        ({"extra_body": {"top_k": 4}}, "top_k"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "wizard", "content": "a"}]}, "messages[0].role"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}]},
            "messages[0].content[0].type",
        ),
    ],
)
async def test_what_is_not_supported_is_refused_by_its_name(
    language: Client, more: dict[str, Any], parameter: str
) -> None:
    async with language.openai() as ai:
        with pytest.raises(openai.BadRequestError) as caught:
            await ai.chat.completions.create(**{**ASK, "model": MODEL, **more})
    assert caught.value.param == parameter
    assert caught.value.type == "invalid_request_error"


async def test_parameters_that_say_what_is_done_anyway_are_taken(language: Client) -> None:
    harmless: dict[str, Any] = {
        "n": 1,
        "tools": [],
        "tool_choice": "auto",
        "logprobs": False,
        "response_format": {"type": "text"},
        "top_p": 1,
        "presence_penalty": 0,
        "frequency_penalty": 0.0,
        "reasoning_effort": "none",
        "verbosity": "medium",
        "user": "ana",
        "metadata": {"a": "b"},
        "temperature": None,
        "seed": -1,
    }
    async with language.openai() as ai:
        answer = await ai.chat.completions.create(**{**ASK, "model": MODEL, "max_tokens": 2, **harmless})
    assert answer.choices[0].finish_reason == "length"


async def test_an_answer_is_sent_back_as_it_came(language: Client) -> None:
    async with language.openai() as ai:
        first = await ai.chat.completions.create(model=MODEL, **ASK)
        messages: Any = [*ASK["messages"], first.choices[0].message, {"role": "user", "content": "Objects"}]
        answer = await ai.chat.completions.create(model=MODEL, messages=messages, max_tokens=2)
    assert answer.choices[0].finish_reason == "length"


async def test_a_model_that_is_not_here_is_not_found(language: Client) -> None:
    async with language.openai() as ai:
        with pytest.raises(openai.NotFoundError) as caught:
            await ai.chat.completions.create(**{**ASK, "model": "gpt-5"})
        assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
        (listed,) = [model async for model in ai.models.list()]
        assert (await ai.models.retrieve(listed.id)).id == listed.id == MODEL
        with pytest.raises(openai.NotFoundError):
            await ai.models.retrieve("org/gpt-5")


async def test_a_client_that_leaves_a_stream_frees_its_place(language: Client) -> None:
    async with language.openai() as ai:
        for _ in range(4):  # the batch has two places
            stream = await ai.chat.completions.create(model=MODEL, stream=True, **{**ASK, "max_tokens": 400, "seed": 1})
            await anext(aiter(stream))
            await stream.close()
        async with asyncio.timeout(5):
            await ai.chat.completions.create(**{**ASK, "model": MODEL, "max_tokens": 2})


async def test_a_client_that_does_not_read_its_stream_holds_up_nobody(language: Client) -> None:
    completed = await language.metric("brownout_feature_completed_total")
    body = json.dumps({**ASK, "max_tokens": 60, "stream": True})
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        deaf.connect(("127.0.0.1", language.server.port))
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: here\r\nContent-Length: {len(body)}\r\n\r\n"
        deaf.sendall((head + body).encode())
        await language.until_metric("brownout_inference_running", 1)
        async with language.openai() as ai:
            await ai.chat.completions.create(**{**ASK, "model": MODEL, "max_tokens": 2})
        await language.until_metric("brownout_feature_completed_total", completed + 2)


async def test_an_error_after_the_first_chunk_reaches_the_client_as_an_error(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    words = ["--workload", MODEL, "--model", "language", "--features", "chat", "--grace-seconds", "0.2"]
    server = ServerProcess(tmp_path / "short.log", *words, flags_port=1)
    try:
        client = Client(server, session)
        await client.until_ready()
        async with client.openai() as ai:
            stream = await ai.chat.completions.create(model=MODEL, stream=True, **{**ASK, "max_tokens": 400, "seed": 1})
            chunks = aiter(stream)
            await anext(chunks)
            server.terminate()
            with pytest.raises(openai.APIError) as caught:
                async for _ in chunks:
                    pass
        assert (caught.value.code, caught.value.type) == ("interrupted", "server_error")
        assert await asyncio.to_thread(server.process.wait, 10) == 0
    finally:
        server.close()
