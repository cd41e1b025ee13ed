"""`/v1/chat/completions`, at once or as a stream of server-sent events.

The last message is the user's and is what is answered. What was said before it is handed to the model as turns: one with a chat template sees them as it was taught, one that only continues text
sees a paragraph of each.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal
from uuid import uuid4

import msgspec
from aiohttp import web

from brownout_inference import refusal
from brownout_inference.features import Api, Feature, TextAsk
from brownout_inference.http.bodies import read_body, refuse_unsupported
from brownout_inference.http.context import SERVING, Serving, caller_of_request, served_headers
from brownout_inference.refusal import RefusedError
from brownout_inference.ticket import Ticket
from brownout_inference.work import ChatTurn, Continuation

Tokens = Annotated[int, msgspec.Meta(ge=1)]
Stop = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
DEFAULT_TEMPERATURE = 0.7

MOST_MESSAGES, MOST_PARTS = 1000, 1000
"""A chat template is rendered message by message while the batch waits."""


class Part(msgspec.Struct, forbid_unknown_fields=True):
    """A part of a message; only text is read. The members after it are those of parts of other types, which are refused by their type."""

    type: str
    text: str = ""

    file: Any = None
    image_url: Any = None
    input_audio: Any = None
    prompt_cache_breakpoint: Any = None
    refusal: Any = None


class Message(msgspec.Struct, forbid_unknown_fields=True):
    """One turn. OpenAI's clients send an answer back with all the members that it came with, which here say nothing; `tool_call_id` has no effect."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | Annotated[list[Part], msgspec.Meta(max_length=MOST_PARTS)] | None = None

    tool_call_id: Any = None

    annotations: Any = None
    audio: Any = None
    function_call: Any = None
    name: Any = None
    refusal: Any = None
    tool_calls: Any = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


class StreamOptions(msgspec.Struct, forbid_unknown_fields=True):
    """`include_usage` asks for a last chunk with the tokens that were used; `include_obfuscation` changes no text and has no effect."""

    include_usage: bool = False
    include_obfuscation: bool = False


class ChatBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """OpenAI's request. The members after `stop` have no effect here; those of HARMLESS may say nothing but what is done anyway."""

    messages: Annotated[list[Message], msgspec.Meta(min_length=1, max_length=MOST_MESSAGES)]
    model: str | None = None
    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    seed: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    stop: Stop | Annotated[list[Stop], msgspec.Meta(max_length=4)] | None = None

    metadata: Any = None
    parallel_tool_calls: Any = None
    prediction: Any = None
    prompt_cache_key: Any = None
    prompt_cache_options: Any = None
    prompt_cache_retention: Any = None
    safety_identifier: Any = None
    service_tier: Any = None
    user: Any = None

    audio: Any = None
    frequency_penalty: Any = None
    function_call: Any = None
    functions: Any = None
    logit_bias: Any = None
    logprobs: Any = None
    modalities: Any = None
    moderation: Any = None
    n: Any = None
    presence_penalty: Any = None
    reasoning_effort: Any = None
    response_format: Any = None
    store: Any = None
    tool_choice: Any = None
    tools: Any = None
    top_logprobs: Any = None
    top_p: Any = None
    verbosity: Any = None
    web_search_options: Any = None


HARMLESS: dict[str, tuple[Any, ...]] = {
    "audio": (),
    "frequency_penalty": (0,),
    "function_call": ("none", "auto"),
    "functions": ([],),
    "logit_bias": ({},),
    "logprobs": (False,),
    "modalities": (["text"],),
    "moderation": (),
    "n": (1,),
    "presence_penalty": (0,),
    "reasoning_effort": ("none",),
    "response_format": ({"type": "text"},),
    "store": (False,),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "top_logprobs": (0,),
    "top_p": (1,),
    "verbosity": ("medium",),
    "web_search_options": (),
}
"""What is not supported, with the values of it that say what is done anyway."""

HARMLESS_IN_MESSAGES: dict[str, tuple[Any, ...]] = {
    "annotations": ([],),
    "audio": (),
    "function_call": (),
    "name": (),
    "refusal": (),
    "tool_calls": ([],),
}
"""The same of a message."""


async def complete_chat(request: web.Request) -> web.StreamResponse:
    """Answers the last message."""
    serving = request.app[SERVING]
    feature = serving.feature(Api.CHAT)
    caller = await caller_of_request(request)
    body = await read_body(request, ChatBody)
    ask = _ask(body, feature)
    head = {
        "id": f"chatcmpl-{uuid4().hex}",
        "object": "chat.completion.chunk" if body.stream else "chat.completion",
        "created": int(time.time()),
        "model": serving.model(body.model),
        "system_fingerprint": serving.fingerprint,
    }
    ticket = await serving.admission.admit(feature, ask, caller, stream=bool(body.stream))
    if body.stream:
        with_usage = body.stream_options is not None and body.stream_options.include_usage
        return await _stream(request, serving, ticket, head, with_usage=with_usage)
    result: Continuation = await serving.admission.result(ticket)
    message = {"role": "assistant", "content": result.text.rstrip("\n"), "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(result)}
    answer = {**head, "choices": [choice], "usage": _usage(result)}
    return web.json_response(answer, headers=served_headers(ticket))


def _ask(body: ChatBody, feature: Feature) -> TextAsk:
    """Raises RefusedError (400)."""
    refuse_unsupported(body, HARMLESS)
    if body.stream_options is not None and not body.stream:
        raise RefusedError(refusal.bad_request("stream_options needs stream: true.", parameter="stream_options"))
    for place, message in enumerate(body.messages):
        refuse_unsupported(message, HARMLESS_IN_MESSAGES, place=f"messages[{place}].")
        for number, part in enumerate(message.content if isinstance(message.content, list) else ()):
            if part.type != "text":
                where = f"messages[{place}].content[{number}].type"
                detail = f"{where} is {part.type[:40]!r}; only text is understood here."
                raise RefusedError(refusal.bad_request(detail, parameter=where))
    for name, tokens in (("max_completion_tokens", body.max_completion_tokens), ("max_tokens", body.max_tokens)):
        if tokens is not None and tokens > feature.most_tokens:
            detail = f"{name} is {tokens}; write {feature.most_tokens} at most."
            raise RefusedError(refusal.bad_request(detail, parameter=name))
    *earlier, last = body.messages
    if last.role != "user":
        where = f"messages[{len(earlier)}].role"
        detail = (
            f"{where} is {last.role!r}; the last message is the one that is answered, so end with one of the user's."
        )
        raise RefusedError(refusal.bad_request(detail, parameter=where))
    if not last.text.strip():
        raise RefusedError(refusal.bad_request("The last message has no text.", parameter="messages"))
    return TextAsk(
        prompt=last.text,
        max_tokens=body.max_completion_tokens or body.max_tokens,
        temperature=DEFAULT_TEMPERATURE if body.temperature is None else body.temperature,
        seed=body.seed,
        earlier=tuple(ChatTurn(message.role, message.text) for message in earlier if message.text),
        stop=(body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ()),
    )


async def _stream(
    request: web.Request, serving: Serving, ticket: Ticket, head: dict[str, Any], *, with_usage: bool
) -> web.StreamResponse:
    """Nothing is sent before the first piece, so that a request which is cancelled in the queue still gets a proper refusal.

    Whoever reads slowly holds up nobody: the batch goes on, and what it made meanwhile comes in one chunk.
    """
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache", **served_headers(ticket)}
    )

    async def send(delta: dict[str, str], finish_reason: str | None = None) -> None:
        if not response.prepared:
            await response.prepare(request)
            await send({"role": "assistant", "content": ""})
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        await response.write(_event({**head, "choices": [choice], **({"usage": None} if with_usage else {})}))

    finished = asyncio.create_task(serving.admission.result(ticket))
    try:
        async for text in _texts(ticket):
            await send({"content": text})
        result: Continuation = await finished
        if not ticket.delivered and (text := result.text.rstrip("\n")):  # of an engine that hands on no pieces
            await send({"content": text})
        await send({}, _finish(result))
        if with_usage:
            await response.write(_event({**head, "choices": [], "usage": _usage(result)}))
    except RefusedError as refused:
        if not response.prepared:
            raise
        await response.write(_event({"error": refused.refusal.body()["error"]}))  # too late for a status
    finally:
        finished.cancel()
    await response.write(b"data: [DONE]\n\n")
    await response.write_eof()
    return response


async def _texts(ticket: Ticket) -> AsyncIterator[str]:
    """The text as it is made: each time, all that has come. Newlines are held back until something follows, for an answer ends without them."""
    assert ticket.pieces is not None
    text, ended = "", False
    while not ended:
        pieces = [await ticket.pieces.get()]
        while not ticket.pieces.empty():
            pieces.append(ticket.pieces.get_nowait())
        ended = pieces[-1] is None
        text += "".join(filter(None, pieces))
        if ready := text.rstrip("\n"):
            yield ready
            text = text[len(ready) :]


def _usage(result: Continuation) -> dict[str, int]:
    return {
        "prompt_tokens": result.prompt_tokens,
        "completion_tokens": result.tokens,
        "total_tokens": result.prompt_tokens + result.tokens,
    }


def _finish(result: Continuation) -> str:
    return "stop" if result.ended else "length"


def _event(content: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(content).encode() + b"\n\n"
