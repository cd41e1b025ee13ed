"""The diffusion batch: every picture in it stands at a time of its own and has a step width of its own.

One call of the network serves them all, so an eight-step and a two-step request share a batch. Frames of a clip follow each other in the same
place: each later one starts from the frame before with noise added half-way back, which moves the picture without losing it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from brownout_inference.engine.interface import Memory, StepReport
from brownout_inference.models.digits import PIXELS, SIDE, DigitDenoiser, denoise, noise, signal
from brownout_inference.models.prompts import digit_in
from brownout_inference.models.weights import DIGITS, load_into
from brownout_inference.work import ImageWork, Picture, Work

FRAME_NOISE = 0.55
"""The time, in 0..1, to which a clip's frame is taken back to become the next one."""


@dataclass(eq=False)
class _Request:
    work: ImageWork
    random: torch.Generator
    noisy: Tensor
    times: Sequence[float]
    step: int = 0
    frames: list[Tensor] = field(default_factory=list)


class ImageEngine:
    """Generates digits. A result is a list of pictures."""

    def __init__(self) -> None:
        self._network = load_into(DigitDenoiser(), DIGITS)
        self._requests: dict[int, _Request] = {}

    def warm_up(self, most: int) -> int:
        self.join(-1, ImageWork(prompt="", pictures=most, frames=1, steps_per_frame=1))
        self.step([-1])
        return most

    def memory(self) -> Memory:
        return Memory()

    def join(self, key: int, work: Work) -> None:
        if not isinstance(work, ImageWork):
            raise TypeError(f"the image model cannot do {type(work).__name__}")
        random = torch.Generator()
        if work.seed is None:
            random.seed()
        else:
            random.manual_seed(work.seed)
        start = torch.randn(work.pictures, PIXELS, generator=random)
        self._requests[key] = _Request(work, random, start, _times(1.0, work.steps_per_frame))

    def leave(self, key: int) -> None:
        self._requests.pop(key, None)

    @torch.inference_mode()
    def step(self, keys: Sequence[int]) -> StepReport:
        requests = [(key, self._requests[key]) for key in keys]
        if not requests:
            return StepReport()
        counts = [request.work.pictures for _, request in requests]
        repeats = torch.tensor(counts)
        noisy = torch.cat([request.noisy for _, request in requests])
        now = torch.tensor([request.times[request.step] for _, request in requests]).repeat_interleave(repeats)
        then = torch.tensor([request.times[request.step + 1] for _, request in requests]).repeat_interleave(repeats)
        digit = torch.tensor([digit_in(request.work.prompt) for _, request in requests]).repeat_interleave(repeats)
        noisier, clean = denoise(noisy, self._network(noisy, now, digit), now, then)

        finished = {}
        parts = zip(requests, torch.split(noisier, counts), torch.split(clean, counts), strict=True)
        for (key, request), next_noisy, next_clean in parts:
            _advance(request, next_noisy, next_clean)
            if len(request.frames) == request.work.frames:
                finished[key] = _pictures(request.frames)
                del self._requests[key]
        return StepReport(finished=finished)


def _times(start: float, steps: int) -> list[float]:
    return [start * (steps - step) / steps for step in range(steps + 1)]


def _advance(request: _Request, noisy: Tensor, clean: Tensor) -> None:
    request.noisy, request.step = noisy, request.step + 1
    if request.step < request.work.steps_per_frame:
        return
    request.frames.append(clean)
    back = torch.tensor([FRAME_NOISE])
    grain = torch.randn(clean.shape, generator=request.random)
    request.noisy = signal(back) * clean + noise(back) * grain
    request.times, request.step = _times(FRAME_NOISE, request.work.steps_per_frame), 0


def _pictures(frames: Sequence[Tensor]) -> list[Picture]:
    stacked = torch.stack(list(frames), dim=1)
    pixels = ((stacked + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return list(pixels.view(*pixels.shape[:2], SIDE, SIDE).numpy())
