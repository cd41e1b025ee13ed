"""The image model: a diffusion model of handwritten digits, conditioned on which digit is asked for.

It is small enough to make a step for a whole batch in about a millisecond of one CPU core, and still a real diffusion model:
fewer steps give visibly worse pictures, which is what makes a `lite` variant honest. It predicts v (Salimans and Ho, 2022, "Progressive
Distillation") on a cosine schedule, because that target stays well scaled even when only two steps are taken.
"""

import math

import torch
from torch import Tensor, nn

SIDE = 8
PIXELS = SIDE * SIDE
ANY_DIGIT = 10
"""The class of a prompt that names no digit; also what training uses in place of the class now and then."""

WIDTH = 128
BLOCKS = 3
FREQUENCIES = 16


class Block(nn.Module):
    """A residual layer that hears the time and the class."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.condition = nn.Linear(WIDTH, WIDTH)
        self.inner = nn.Linear(WIDTH, WIDTH)
        self.outer = nn.Linear(WIDTH, WIDTH)

    def forward(self, hidden: Tensor, condition: Tensor) -> Tensor:
        inner = self.inner(self.norm(hidden)) + self.condition(condition)
        outer: Tensor = self.outer(nn.functional.silu(inner))
        return hidden + outer


class DigitDenoiser(nn.Module):
    """Predicts v for a batch of noisy pictures, each with a time and a class of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.picture = nn.Linear(PIXELS, WIDTH)
        self.time = nn.Linear(2 * FREQUENCIES, WIDTH)
        self.digit = nn.Embedding(ANY_DIGIT + 1, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(BLOCKS))
        self.norm = nn.LayerNorm(WIDTH)
        self.answer = nn.Linear(WIDTH, PIXELS)

    def forward(self, noisy: Tensor, time: Tensor, digit: Tensor) -> Tensor:
        """`noisy` is (batch, 64); `time` (batch,) in 0..1, 1 being pure noise; `digit` (batch,) of classes. Returns (batch, 64)."""
        condition = nn.functional.silu(self.time(_waves(time)) + self.digit(digit))
        hidden = self.picture(noisy)
        for block in self.blocks:
            hidden = block(hidden, condition)
        answer: Tensor = self.answer(self.norm(hidden))
        return answer


def signal(time: Tensor) -> Tensor:
    """How much of the picture is left at `time` (cosine schedule)."""
    return torch.cos(time * (math.pi / 2))


def noise(time: Tensor) -> Tensor:
    """How much noise there is at `time`; the squares of signal and noise add to one."""
    return torch.sin(time * (math.pi / 2))


def denoise(noisy: Tensor, velocity: Tensor, time: Tensor, next_time: Tensor) -> tuple[Tensor, Tensor]:
    """One deterministic (DDIM) step from `time` to `next_time`.

    Returns the less noisy pictures and the clean ones that the model has in mind, both (batch, 64) in about -1..1.
    """
    now_signal, now_noise = signal(time)[:, None], noise(time)[:, None]
    clean = (now_signal * noisy - now_noise * velocity).clamp(-1, 1)
    grain = (noisy - now_signal * clean) / now_noise.clamp(min=1e-4)
    return signal(next_time)[:, None] * clean + noise(next_time)[:, None] * grain, clean


def _waves(time: Tensor) -> Tensor:
    frequencies = torch.exp(torch.linspace(0.0, math.log(200.0), FREQUENCIES, device=time.device))
    angles = time[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)
