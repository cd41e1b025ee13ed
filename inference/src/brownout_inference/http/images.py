"""`/v1/images/generations`: pictures in the answer, as base64."""

import asyncio
import time
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web

from brownout_inference.features import Api, ImageAsk
from brownout_inference.http.bodies import read_body, refuse_unsupported
from brownout_inference.http.context import SERVING, caller_of_request, served_headers
from brownout_inference.http.encoding import size_of, still
from brownout_inference.work import ImageWork, Picture

Prompt = Annotated[str, msgspec.Meta(min_length=1, max_length=4000)]
Seed = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


QUICK_PIXELS = 256 * 256
"""So few become a file in half a millisecond, as long as the event loop takes for the rest of a request. In a thread it would be longer: that waits for its turn of the interpreter each time
after the compression, which runs without."""


class ImageBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """OpenAI's request; `seed` is an addition. The members after it have no effect here; those of HARMLESS may say nothing but what is done anyway."""

    prompt: Prompt
    model: str | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=10)] | None = 1
    size: str | None = None
    output_format: Literal["png", "jpeg", "webp"] | None = "png"
    output_compression: Annotated[int, msgspec.Meta(ge=0, le=100)] | None = None
    seed: Seed | None = None

    moderation: Any = None
    safety_identifier: Any = None
    user: Any = None

    background: Any = None
    partial_images: Any = None
    quality: Any = None
    response_format: Any = None
    stream: Any = None
    style: Any = None


HARMLESS: dict[str, tuple[Any, ...]] = {
    "background": ("auto", "opaque"),
    "partial_images": (0,),
    "quality": ("auto", "standard"),
    "response_format": ("b64_json",),
    "stream": (False,),
    "style": (),
}
"""What is not supported, with the values of it that say what is done anyway."""


async def generate_images(request: web.Request) -> web.Response:
    """Answers with the pictures."""
    serving = request.app[SERVING]
    feature = serving.feature(Api.IMAGES)
    caller = await caller_of_request(request)
    body = await read_body(request, ImageBody)
    refuse_unsupported(body, HARMLESS)
    serving.model(body.model)
    asked = None if body.size in (None, "auto") and not feature.shipped else size_of(body.size)
    kind = body.output_format or "png"
    quality = 100 if body.output_compression is None else body.output_compression
    ask = ImageAsk(prompt=body.prompt, pictures=body.n or 1, seed=body.seed)
    ticket = await serving.admission.admit(feature, ask, caller)
    pictures: list[Picture] = await serving.admission.result(ticket)

    height, width = pictures[0].shape[1:3]
    size = asked or (width, height)

    def encode() -> list[bytes]:
        return [still(each[0], size, kind=kind, quality=quality) for each in pictures]

    is_quick = kind == "png" and len(pictures) * size[0] * size[1] <= QUICK_PIXELS
    files = encode() if is_quick else await asyncio.to_thread(encode)
    answer = {
        "created": int(time.time()),
        "background": "opaque",
        "output_format": kind,
        "size": f"{size[0]}x{size[1]}",
        "data": [{"b64_json": file} for file in files],
        "usage": _usage(body.prompt, ticket.work),
    }
    encoded = msgspec.json.encode(answer)  # bytes become base64
    return web.Response(body=encoded, content_type="application/json", charset="utf-8", headers=served_headers(ticket))


def _usage(prompt: str, work: Any) -> dict[str, Any]:
    """There are no tokens here: words of the prompt go in, and steps of single pictures come out, which is what a request costs."""
    assert isinstance(work, ImageWork)
    words, steps = len(prompt.split()), work.pictures * work.steps
    return {
        "input_tokens": words,
        "input_tokens_details": {"text_tokens": words, "image_tokens": 0},
        "output_tokens": steps,
        "output_tokens_details": {"text_tokens": 0, "image_tokens": steps},
        "total_tokens": words + steps,
    }
