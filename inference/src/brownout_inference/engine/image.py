"""The diffusion batch: every picture in it stands at a time of its own and has a step width of its own.

Pictures of one model and one size are advanced by one call of the network, so an eight-step and a two-step request share it. The frames of a clip follow each other in
the same place. Each is sampled from noise of its own that swings a little to and fro between two draws: sampling is deterministic, near noises give near
pictures (Song et al., 2021, "Denoising Diffusion Implicit Models", arXiv:2010.02502, section 5.3), and the last frame leads back to the first.

Where each picture stands is kept in tensors on the device, and written only when all of a step has been computed: a step that fails has changed nothing.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from brownout_inference.engine.fitting import how_many_fit, memory_of
from brownout_inference.engine.graphs import Graphs
from brownout_inference.engine.hardware import Hardware, device_full, find_hardware
from brownout_inference.engine.interface import Memory, StepReport
from brownout_inference.models.catalogue import IMAGE_MODELS, IMAGE_SHARES, SIDES
from brownout_inference.models.digits import SHAPES, DigitDenoiser, denoise
from brownout_inference.models.prompts import digit_in
from brownout_inference.models.weights import digits_path, load_into
from brownout_inference.work import ImageWork, Picture, Work

SWING = 0.6
"""How far a clip's noise turns to either side, in radians; at a quarter turn it would be noise of no likeness."""

LEAST_ROWS = 8

GRAPH_ROWS = (8, 16, 32, 64, 128, 256, 512, 1024)
"""Where there are CUDA graphs, a batch is filled up to one of these by repeating its last picture."""


@dataclass(eq=False)
class _Request:
    work: ImageWork
    group: "_Group"
    rows: list[int]
    draws: Tensor
    """The noise that it begins with and, for a clip, the one that it swings towards: (1 or 2, pictures, side, side)."""
    step: int = 0
    frames: list[Tensor] = field(default_factory=list)

    def start_of(self, frame: int) -> Tensor:
        if len(self.draws) == 1 or frame == 0:
            return self.draws[0]
        turn = SWING * math.sin(2 * math.pi * frame / self.work.frames)
        return math.cos(turn) * self.draws[0] + math.sin(turn) * self.draws[1]


class ImageEngine:
    """Generates digits. A result is a list of pictures. `device` and `dtype` are those of `find_hardware`."""

    def __init__(self, device: str = "cpu", dtype: str = "auto") -> None:
        self._hardware = find_hardware(device, dtype)
        self._graphs = Graphs(self._hardware.device)
        self._groups = {
            (model, side): _Group(network, side, SHAPES[model].distilled, self._hardware, self._graphs)
            for model, network in self._networks().items()
            for side in SIDES
        }
        self._requests: dict[int, _Request] = {}

    def warm_up(self, most: int) -> int:
        for model, side in self._groups:
            self._try(1, model, side)
        return how_many_fit(self._hardware, most, lambda count: self._try(count, IMAGE_MODELS[0], SIDES[0]))

    def memory(self) -> Memory:
        return memory_of(self._hardware)

    @torch.inference_mode()
    def join(self, key: int, work: Work) -> None:
        if not isinstance(work, ImageWork):
            raise TypeError(f"the image model cannot do {type(work).__name__}")
        model, side = work.model or IMAGE_MODELS[0], work.side or SIDES[0]
        if (model, side) not in self._groups:
            known = ", ".join(f"{model} at {side}" for model, side in IMAGE_SHARES)
            raise ValueError(f"no model {model!r} for pictures of {side} pixels; there are {known}")
        group = self._groups[model, side]
        random = torch.Generator()
        if work.seed is None:
            random.seed()
        else:
            random.manual_seed(work.seed)
        drawn = torch.randn(2 if work.frames > 1 else 1, work.pictures, side, side, generator=random)
        with device_full():
            draws = drawn.to(self._hardware.device)
            rows = group.take(draws[0], digit_in(work.prompt), work.steps_per_frame)
        self._requests[key] = _Request(work, group, rows, draws)

    def leave(self, key: int) -> None:
        if request := self._requests.pop(key, None):
            request.group.give_back(request.rows)

    @torch.inference_mode()
    def step(self, keys: Sequence[int]) -> StepReport:
        by_group: dict[_Group, list[tuple[int, _Request]]] = {}
        for key in keys:
            request = self._requests[key]
            by_group.setdefault(request.group, []).append((key, request))
        with device_full():
            advances = [_Advance(group, members) for group, members in by_group.items()]

        finished: dict[int, list[Picture]] = {}
        failed: dict[int, Exception] = {}
        for advance in advances:
            advance.write(finished, failed)
        for key in (*finished, *failed):
            self.leave(key)
        return StepReport(finished=finished, failed=failed)

    def _networks(self) -> dict[str, DigitDenoiser]:
        return {
            model: load_into(DigitDenoiser(shape), digits_path(model)).to(self._hardware.device, self._hardware.dtype)
            for model, shape in SHAPES.items()
        }

    def _try(self, count: int, model: str, side: int) -> None:
        work = ImageWork(prompt="", pictures=count, frames=1, steps_per_frame=1, model=model, side=side)
        try:
            self.join(-1, work)
            self.step([-1])
        finally:
            self.leave(-1)


class _Group:
    """The pictures of one model at one size: a row for each in tensors that grow when they must."""

    def __init__(self, network: DigitDenoiser, side: int, distilled: bool, hardware: Hardware, graphs: Graphs) -> None:
        self._network, self._distilled, self._hardware, self._graphs = network, distilled, hardware, graphs
        self.noisy = torch.empty(0, side, side, device=hardware.device)
        self.digit = torch.empty(0, dtype=torch.long, device=hardware.device)
        self.step = torch.empty(0, device=hardware.device)
        self.steps = torch.empty(0, device=hardware.device)
        self._free: list[int] = []

    def take(self, noisy: Tensor, digit: int, steps: int) -> list[int]:
        """Rows for new pictures of one request; torch.OutOfMemoryError where there is no room for more."""
        if len(self._free) < len(noisy):
            self._grow(len(self.digit) + len(noisy) - len(self._free))
        rows, self._free = self._free[: len(noisy)], self._free[len(noisy) :]
        at = self.index(rows)
        self.noisy[at], self.digit[at], self.step[at], self.steps[at] = noisy, digit, 0.0, float(steps)
        return rows

    def give_back(self, rows: list[int]) -> None:
        self._free = sorted((*self._free, *rows))

    def index(self, rows: list[int]) -> Tensor:
        return torch.tensor(rows, device=self._hardware.device)

    def ahead(self, rows: list[int]) -> tuple[Tensor, Tensor]:
        """What these pictures are after one step, and the clean ones that the network has in mind."""
        count = next((size for size in GRAPH_ROWS if size >= len(rows)), 0) if self._graphs.enabled else 0
        at = self.index(rows + rows[-1:] * (count - len(rows)))
        inputs = [each[at] for each in self._tensors()]
        if not count:
            return self._compute(*inputs)
        noisy, clean = self._graphs.run((self, count), self._compute, inputs)
        return noisy[: len(rows)].clone(), clean[: len(rows)].clone()

    def _compute(self, noisy: Tensor, digit: Tensor, step: Tensor, steps: Tensor) -> tuple[Tensor, Tensor]:
        now, then = 1 - step / steps, 1 - (step + 1) / steps
        width = now - then if self._distilled else torch.zeros_like(now)
        velocity = self._network(noisy.to(self._hardware.dtype), now, width, digit)
        return denoise(noisy, velocity.float(), now, then)

    def _grow(self, least: int) -> None:
        size, had = max(2 * len(self.digit), least, LEAST_ROWS), len(self.digit)
        grown = [torch.zeros(size, *old.shape[1:], dtype=old.dtype, device=old.device) for old in self._tensors()]
        for new, old in zip(grown, self._tensors(), strict=True):
            new[:had] = old
        self.noisy, self.digit, self.step, self.steps = grown
        self._free += range(had, size)

    def _tensors(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.noisy, self.digit, self.step, self.steps


class _Advance:
    """One step of some requests of a group, computed when it is made and written afterwards."""

    def __init__(self, group: _Group, members: Sequence[tuple[int, _Request]]) -> None:
        self._group, self._members = group, members
        rows = [row for _, request in members for row in request.rows]
        self._rows = group.index(rows)
        self._noisy, clean = group.ahead(rows)
        self._next_step = group.step[self._rows] + 1
        self._finite = clean.isfinite().flatten(1).all(1).tolist()
        self._places = list(_places(members))
        ending = [
            (place, request)
            for place, (_, request) in zip(self._places, members, strict=True)
            if request.step + 1 == request.work.steps_per_frame
        ]
        self._frames: dict[_Request, Tensor] = {}
        if ending:
            pixels = ((torch.cat([clean[place] for place, _ in ending]) + 1) * 127.5).round().to(torch.uint8).cpu()
            frames = torch.split(pixels, [len(request.rows) for _, request in ending])
            self._frames = dict(zip((request for _, request in ending), frames, strict=True))
        for place, request in ending:
            if len(request.frames) + 1 < request.work.frames:
                self._noisy[place], self._next_step[place] = request.start_of(len(request.frames) + 1), 0.0

    def write(self, finished: dict[int, list[Picture]], failed: dict[int, Exception]) -> None:
        """Makes it so, and adds who is done to `finished` or `failed`."""
        self._group.noisy[self._rows] = self._noisy
        self._group.step[self._rows] = self._next_step
        for place, (key, request) in zip(self._places, self._members, strict=True):
            request.step += 1
            if not all(self._finite[place]):
                failed[key] = ArithmeticError("the picture is not a number")
            elif (frame := self._frames.get(request)) is not None:
                request.step = 0
                request.frames.append(frame)
                if len(request.frames) == request.work.frames:
                    finished[key] = list(torch.stack(request.frames, dim=1).numpy())


def _places(members: Iterable[tuple[int, _Request]]) -> Iterable[slice]:
    begin = 0
    for _, request in members:
        yield slice(begin, begin + len(request.rows))
        begin += len(request.rows)
