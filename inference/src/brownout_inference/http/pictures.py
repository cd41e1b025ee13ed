"""`/v1/images/generations` and `/v1/videos`: both are the image model, the second with several frames.

A video is answered when it is done. OpenAI's API makes a job of it; that, and fetching its content later, is not there yet.
"""

import asyncio
import base64
import io
import re
import time
from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from aiohttp import web
from PIL import Image

from brownout_inference import refusal
from brownout_inference.features import Api, ImageAsk
from brownout_inference.http.context import SERVING, caller_of_request, read_body, served_headers
from brownout_inference.refusal import RefusedError
from brownout_inference.work import Picture

LEAST_SIDE, MOST_SIDE = 8, 1024
FRAME_MILLISECONDS = 150

Prompt = Annotated[str, msgspec.Meta(min_length=1, max_length=4000)]


class ImageBody(msgspec.Struct, kw_only=True):
    """The part of OpenAI's request that is understood; other members are ignored. `seed` is an addition."""

    prompt: Prompt
    n: Annotated[int, msgspec.Meta(ge=1, le=10)] = 1
    size: str = "256x256"
    response_format: Literal["b64_json"] = "b64_json"
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None = None


class VideoBody(msgspec.Struct, kw_only=True):
    """As for images, without a number of them."""

    prompt: Prompt
    size: str = "256x256"
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None = None


async def generate_images(request: web.Request) -> web.Response:
    """Answers with PNGs."""
    serving = request.app[SERVING]
    feature = serving.feature(Api.IMAGES)
    body = await read_body(request, ImageBody)
    size = size_of(body.size)
    ask = ImageAsk(prompt=body.prompt, pictures=body.n, seed=body.seed)
    ticket = await serving.admission.admit(feature, ask, await caller_of_request(request))
    pictures: list[Picture] = await serving.admission.result(ticket)
    files = await asyncio.to_thread(lambda: [png(picture[0], size) for picture in pictures])
    data = [{"b64_json": base64.b64encode(file).decode()} for file in files]
    answer = {"created": int(time.time()), "size": body.size, "output_format": "png", "data": data}
    return web.json_response(answer, headers=served_headers(ticket))


async def generate_video(request: web.Request) -> web.Response:
    """Answers with a GIF."""
    serving = request.app[SERVING]
    feature = serving.feature(Api.VIDEOS)
    body = await read_body(request, VideoBody)
    size = size_of(body.size)
    ask = ImageAsk(prompt=body.prompt, pictures=1, seed=body.seed)
    ticket = await serving.admission.admit(feature, ask, await caller_of_request(request))
    (frames,) = await serving.admission.result(ticket)
    file = await asyncio.to_thread(gif, frames, size)
    answer = {
        "id": f"video_{ticket.number}",
        "object": "video",
        "model": serving.settings.workload,
        "status": "completed",
        "progress": 100,
        "created_at": int(time.time()),
        "size": body.size,
        "seconds": f"{len(frames) * FRAME_MILLISECONDS / 1000:g}",
        "content_type": "image/gif",
        "b64_json": base64.b64encode(file).decode(),
    }
    return web.json_response(answer, headers=served_headers(ticket))


def size_of(text: str) -> tuple[int, int]:
    """Width and height of "256x256". Raises RefusedError (400)."""
    found = re.fullmatch(r"([0-9]{1,4})x([0-9]{1,4})", text)
    if found:
        width, height = int(found[1]), int(found[2])
        if LEAST_SIDE <= width <= MOST_SIDE and LEAST_SIDE <= height <= MOST_SIDE:
            return width, height
    detail = f"size is {text[:40]!r}; write WIDTHxHEIGHT, each from {LEAST_SIDE} to {MOST_SIDE}, such as 256x256"
    raise RefusedError(refusal.bad_request(detail, parameter="size"))


def png(picture: Picture, size: tuple[int, int]) -> bytes:
    """One picture as a PNG of that size."""
    file = io.BytesIO()
    _enlarged(picture, size).save(file, "PNG", compress_level=1)
    return file.getvalue()


def gif(frames: Sequence[Picture], size: tuple[int, int]) -> bytes:
    """The frames as an animated GIF that runs for ever."""
    file = io.BytesIO()
    first, *others = [_enlarged(frame, size) for frame in frames]
    first.save(file, "GIF", save_all=True, append_images=others, duration=FRAME_MILLISECONDS, loop=0)
    return file.getvalue()


def _enlarged(picture: Picture, size: tuple[int, int]) -> Image.Image:
    return Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC)
