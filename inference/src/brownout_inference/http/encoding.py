"""Pictures into files, of the size that was asked for."""

import io
import re
from collections.abc import Sequence

import numpy as np
from PIL import Image

from brownout_inference import refusal
from brownout_inference.http.png import grey_png
from brownout_inference.refusal import RefusedError
from brownout_inference.work import Picture

LEAST_SIDE, MOST_SIDE = 8, 1024
DEFAULT_SIZE = "256x256"
FRAME_MILLISECONDS = 150

Size = tuple[int, int]


def size_of(text: str | None) -> Size:
    """Width and height of "256x256"; None and "auto" leave it to us. Raises RefusedError (400)."""
    text = DEFAULT_SIZE if text is None or text == "auto" else text
    found = re.fullmatch(r"([0-9]{1,4})x([0-9]{1,4})", text)
    if found:
        width, height = int(found[1]), int(found[2])
        if LEAST_SIDE <= width <= MOST_SIDE and LEAST_SIDE <= height <= MOST_SIDE:
            return width, height
    detail = f"size is {text[:40]!r}; write WIDTHxHEIGHT, each from {LEAST_SIDE} to {MOST_SIDE}, such as 256x256"
    raise RefusedError(refusal.bad_request(detail, parameter="size"))


def still(picture: Picture, size: Size, *, kind: str, quality: int = 100) -> bytes:
    """One picture as `kind`: png, jpeg or webp; quality is 0..100, for the last two."""
    enlarged = _enlarged(picture, size)
    if kind == "png" and enlarged.mode == "L":
        return grey_png(np.asarray(enlarged))
    options = {"png": {"compress_level": 1}, "jpeg": {"quality": quality}, "webp": {"quality": quality}}[kind]
    file = io.BytesIO()
    enlarged.save(file, kind.upper(), **options)
    return file.getvalue()


def gif(frames: Picture | Sequence[Picture], size: Size) -> bytes:
    """The frames as an animated GIF that runs for ever."""
    file = io.BytesIO()
    first, *others = [_enlarged(frame, size) for frame in frames]
    first.save(file, "GIF", save_all=True, append_images=others, duration=FRAME_MILLISECONDS, loop=0)
    return file.getvalue()


def thumbnail(animation: bytes) -> bytes:
    """The first frame of a GIF, as WebP."""
    file = io.BytesIO()
    with Image.open(io.BytesIO(animation)) as clip:
        clip.convert("RGB").save(file, "WEBP")
    return file.getvalue()


def spritesheet(animation: bytes) -> bytes:
    """All frames of a GIF from left to right, as JPEG; smaller where there are many."""
    with Image.open(io.BytesIO(animation)) as clip:
        count = getattr(clip, "n_frames", 1)
        width = min(clip.width, 8192 // count)
        height = max(1, clip.height * width // clip.width)
        sheet = Image.new("RGB", (width * count, height))
        for place in range(count):
            clip.seek(place)
            sheet.paste(clip.convert("RGB").resize((width, height)), (place * width, 0))
    file = io.BytesIO()
    sheet.save(file, "JPEG", quality=90)
    return file.getvalue()


def _enlarged(picture: Picture, size: Size) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(picture)).resize(size, Image.Resampling.BICUBIC)
