"""`/v1/chat/completions`, at once or as a stream of server-sent events.

The model continues text and knows nothing of turns: it is given the end of the last message, and its paragraph is the answer.
"""

import asyncio
import json
import time
from typing import Annotated, Any

import msgspec
from aiohttp import web

from brownout_inference import refusal
from brownout_inference.features import MAX_TOKENS, Api, TextAsk
from brownout_inference.http.context import SERVING, Serving, caller_of_request, read_body, served_headers
from brownout_inference.refusal import RefusedError
from brownout_inference.ticket import Ticket
from brownout_inference.work import Continuation

Tokens = Annotated[int, msgspec.Meta(ge=1, le=MAX_TOKENS)]


class Part(msgspec.Struct):
    """A part of a message; only text is read."""

    type: str
    text: str = ""


class Message(msgspec.Struct):
    """One turn."""

    role: str
    content: str | list[Part] | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content if part.type == "text")
        return self.content or ""


class ChatBody(msgspec.Struct, kw_only=True):
    """The part of OpenAI's request that is understood; other members are ignored."""

    messages: Annotated[list[Message], msgspec.Meta(min_length=1)]
    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] = 0.7
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None = None
    stream: bool = False


async def complete_chat(request: web.Request) -> web.StreamResponse:
    """Answers with a continuation of the last message."""
    serving = request.app[SERVING]
    feature = serving.feature(Api.CHAT)
    body = await read_body(request, ChatBody)
    prompt = body.messages[-1].text
    if not prompt.strip():
        raise RefusedError(refusal.bad_request("The last message has no text.", parameter="messages"))
    ask = TextAsk(
        prompt=prompt,
        max_tokens=body.max_completion_tokens or body.max_tokens,
        temperature=body.temperature,
        seed=body.seed,
    )
    ticket = await serving.admission.admit(feature, ask, await caller_of_request(request), stream=body.stream)
    if body.stream:
        return await _stream(request, serving, ticket)
    result: Continuation = await serving.admission.result(ticket)
    answer = {
        **_head(serving, ticket, "chat.completion"),
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": result.text.rstrip("\n")},
                "finish_reason": _finish(result),
            }
        ],
        "usage": {
            "prompt_tokens": result.prompt_tokens,
            "completion_tokens": result.tokens,
            "total_tokens": result.prompt_tokens + result.tokens,
        },
    }
    return web.json_response(answer, headers=served_headers(ticket))


async def _stream(request: web.Request, serving: Serving, ticket: Ticket) -> web.StreamResponse:
    """Nothing is sent before the first piece, so that a request which is cancelled in the queue still gets a proper refusal."""
    assert ticket.pieces is not None
    head = _head(serving, ticket, "chat.completion.chunk")
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache", **served_headers(ticket)}
    )
    finished = asyncio.create_task(serving.admission.result(ticket))
    try:
        while (piece := await ticket.pieces.get()) is not None:
            if not response.prepared:
                await response.prepare(request)
            await response.write(_event({**head, "choices": [_delta({"content": piece})]}))
        result: Continuation = await finished
    except RefusedError as refused:
        if not response.prepared:
            raise
        last = {"error": refused.refusal.body()["error"]}  # too late for a status
    else:
        last = {**head, "choices": [_delta({}, _finish(result))]}
    finally:
        finished.cancel()
    await response.write(_event(last))
    await response.write(b"data: [DONE]\n\n")
    await response.write_eof()
    return response


def _head(serving: Serving, ticket: Ticket, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{ticket.number}",
        "object": kind,
        "created": int(time.time()),
        "model": serving.settings.workload,
    }


def _delta(delta: dict[str, str], finish_reason: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": finish_reason}


def _finish(result: Continuation) -> str:
    return "stop" if result.ended else "length"


def _event(content: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(content).encode() + b"\n\n"
