"""The image models: diffusion models of handwritten digits, conditioned on which digit is asked for.

A step for four pictures is a few milliseconds of one CPU core, and they are real diffusion models for all that: fewer steps and a smaller network give
visibly worse pictures, which is what makes a `lite` variant honest. They predict v (Salimans and Ho, 2022, "Progressive Distillation for Fast Sampling of
Diffusion Models", arXiv:2202.00512) on a cosine schedule, because that target stays well scaled even when only two steps are taken.

There is one network for each model and all its picture sizes: convolutions on 2x2 patches, with one level below. The distilled model is told how wide each of its
steps is, so that one network takes four, two or one of them (as in Frans et al., 2024, "One Step Diffusion via Shortcut Models", arXiv:2410.12557).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from brownout_inference.models.catalogue import SIDES

ANY_DIGIT = 10
"""The class of a prompt that names no digit; also what training uses in place of the class now and then."""

PATCH = 2
FREQUENCIES = 16
CONDITION = 128
GROUPS = 8
MIDDLE_BLOCKS = 3


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What tells the networks apart: channels at the upper level (the lower has twice as many), and whether steps are wide by training."""

    channels: int
    distilled: bool = False


SHAPES: Mapping[str, Shape] = {
    "full": Shape(channels=32),
    "lite": Shape(channels=16),
    "distilled": Shape(channels=32, distilled=True),
}
"""The models by name, best first."""


class Block(nn.Module):
    """A residual block of two convolutions that hears the condition as a scale and a shift of its channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first_norm = nn.GroupNorm(GROUPS, channels)
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second_norm = nn.GroupNorm(GROUPS, channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, hidden: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        inner = self.first(nn.functional.silu(self.first_norm(hidden)))
        inner = torch.addcmul(shift, self.second_norm(inner), scale)
        outer: Tensor = self.second(nn.functional.silu(inner))
        return hidden + outer


class DigitDenoiser(nn.Module):
    """Predicts v for a batch of noisy pictures of one size, each with a time, a step width and a class of its own."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        upper, lower = shape.channels, 2 * shape.channels
        self.time = nn.Linear(2 * FREQUENCIES, CONDITION)
        self.width = nn.Linear(2 * FREQUENCIES, CONDITION)
        self.digit = nn.Embedding(ANY_DIGIT + 1, CONDITION)
        self.side = nn.Embedding(len(SIDES), CONDITION)
        self.scales = [upper, *[lower] * MIDDLE_BLOCKS, upper]
        self.condition = nn.Linear(CONDITION, 2 * sum(self.scales))
        self.patches = nn.Conv2d(PATCH**2, upper, 3, padding=1)
        self.before = Block(upper)
        self.down = nn.Conv2d(upper, lower, 3, stride=2, padding=1)
        self.middle = nn.ModuleList(Block(lower) for _ in range(MIDDLE_BLOCKS))
        self.up = nn.Conv2d(lower, upper, 1)
        self.after = Block(upper)
        self.norm = nn.GroupNorm(GROUPS, upper)
        self.answer = nn.Conv2d(upper, PATCH**2, 3, padding=1)
        nn.init.zeros_(self.width.weight)

    def forward(self, noisy: Tensor, time: Tensor, width: Tensor, digit: Tensor) -> Tensor:
        """`noisy` is (batch, side, side) in the network's type; `time` (batch,) in 0..1, 1 being pure noise; `digit` (batch,) of classes. Returns the shape of `noisy`.

        `width` (batch,) is how far below `time` the step ends for a distilled network, and 0 for the others, which know the direction at `time` alone.
        """
        side = self.side.weight[SIDES.index(noisy.shape[-1])]
        heard = self.time(_waves(time, noisy.dtype)) + self.width(_waves(width, noisy.dtype)) + self.digit(digit) + side
        scaled = self.condition(nn.functional.silu(heard))[:, :, None, None].split(
            [2 * scale for scale in self.scales], 1
        )
        (first, *inside, last) = [part.chunk(2, 1) for part in scaled]

        hidden = self.patches(nn.functional.pixel_unshuffle(noisy[:, None], PATCH))
        kept = self.before(hidden, *first)
        hidden = self.down(kept)
        for block, heard_here in zip(self.middle, inside, strict=True):
            hidden = block(hidden, *heard_here)
        hidden = kept + nn.functional.interpolate(self.up(hidden), size=kept.shape[-2:])
        hidden = self.after(hidden, *last)
        patches = self.answer(nn.functional.silu(self.norm(hidden)))
        return nn.functional.pixel_shuffle(patches, PATCH)[:, 0]


def signal(time: Tensor) -> Tensor:
    """How much of the picture is left at `time` (cosine schedule)."""
    return torch.cos(time * (math.pi / 2))


def noise(time: Tensor) -> Tensor:
    """How much noise there is at `time`; the squares of signal and noise add to one."""
    return torch.sin(time * (math.pi / 2))


def denoise(noisy: Tensor, velocity: Tensor, time: Tensor, next_time: Tensor) -> tuple[Tensor, Tensor]:
    """One deterministic (DDIM) step from `time` to `next_time`.

    Returns the less noisy pictures and the clean ones that the model has in mind, both (batch, side, side) in about -1..1.
    """
    now_signal, now_noise = signal(time)[:, None, None], noise(time)[:, None, None]
    clean = (now_signal * noisy - now_noise * velocity).clamp(-1, 1)
    grain = (noisy - now_signal * clean) / now_noise.clamp(min=1e-4)
    return signal(next_time)[:, None, None] * clean + noise(next_time)[:, None, None] * grain, clean


def sample(network: DigitDenoiser, start: Tensor, digit: Tensor, *, steps: int, distilled: bool) -> Tensor:
    """Pictures (batch, side, side) in -1..1 of the classes `digit`, made of the noise `start` in even steps."""
    noisy, clean = start, start
    for step in range(steps):
        now = torch.full((len(start),), 1 - step / steps, device=start.device)
        width = torch.full_like(now, 1 / steps if distilled else 0.0)
        noisy, clean = denoise(noisy, network(noisy, now, width, digit), now, now - 1 / steps)
    return clean


def _waves(time: Tensor, dtype: torch.dtype) -> Tensor:
    frequencies = torch.exp(torch.linspace(0.0, math.log(200.0), FREQUENCIES, device=time.device))
    angles = time[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1).to(dtype)
