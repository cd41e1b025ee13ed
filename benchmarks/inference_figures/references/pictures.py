"""The same model behind every reference: a plain torch loop over the steps of a batch, and a PNG for each picture."""

import base64
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[3] / "inference/src"))

from brownout_inference.models.catalogue import SIDES
from brownout_inference.models.digits import SHAPES, DigitDenoiser, sample
from brownout_inference.models.prompts import digit_in
from brownout_inference.models.weights import digits_path, load_into

STEPS = 8
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))


class Pictures:
    """Makes a batch of pictures, all steps of it, and returns their PNGs."""

    def __init__(self) -> None:
        self._network = load_into(DigitDenoiser(SHAPES["full"]), digits_path("full"))

    @torch.inference_mode()
    def __call__(self, prompts: Sequence[str]) -> list[bytes]:
        digits = torch.tensor([digit_in(prompt) for prompt in prompts])
        start = torch.randn(len(prompts), SIDES[0], SIDES[0])
        clean = sample(self._network, start, digits, steps=STEPS, distilled=False)
        pixels = ((clean + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).numpy()
        return [_png(picture) for picture in pixels]


def _png(picture: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).resize((256, 256), Image.Resampling.BICUBIC).save(file, "PNG", compress_level=1)
    return file.getvalue()


def answer(picture: bytes) -> dict[str, Any]:
    """The body of an answer, in the shape of OpenAI's."""
    return {"data": [{"b64_json": base64.b64encode(picture).decode()}]}
