"""The diffusion batch: every picture in it stands at a time of its own and has a step width of its own.

Pictures of one model and one size are advanced by one call of the network, so an eight-step and a two-step request share it. The frames of a clip follow each other in
the same place. Each is sampled from noise of its own that swings a little to and fro between two draws: sampling is deterministic, near noises give near
pictures (Song et al., 2021, "Denoising Diffusion Implicit Models", arXiv:2010.02502, section 5.3), and the last frame leads back to the first.

Each picture is a row of a tensor on the device, written only when all of a step has been computed: a step that fails has changed nothing. At what time it stands is known without asking the
device. On a CPU the small operations around the network are most of what a step of few pictures takes longer than a plain loop's, so there are few of them.
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

    @property
    def now(self) -> float:
        """The time at which its pictures stand, 1 being pure noise."""
        return 1 - self.step / self.work.steps_per_frame

    @property
    def then(self) -> float:
        """The time after the next step."""
        return 1 - (self.step + 1) / self.work.steps_per_frame

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
            rows = group.take(draws[0], digit_in(work.prompt))
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
            self._hardware.settle()

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
        self._free: list[int] = []

    def take(self, noisy: Tensor, digit: int) -> list[int]:
        """Rows for new pictures of one request; torch.OutOfMemoryError where there is no room for more."""
        if len(self._free) < len(noisy):
            self._grow(len(self.digit) + len(noisy) - len(self._free))
        rows, self._free = self._free[: len(noisy)], self._free[len(noisy) :]
        at = self.index(rows)
        self.noisy[at], self.digit[at] = noisy, digit
        return rows

    def give_back(self, rows: list[int]) -> None:
        self._free = sorted((*self._free, *rows))

    def index(self, rows: list[int]) -> Tensor | slice:
        """What picks these rows of a tensor; without a copy where they lie together."""
        first, after = rows[0], rows[0] + len(rows)
        if rows == list(range(first, after)):
            return slice(first, after)
        return torch.tensor(rows, device=self._hardware.device)

    def ahead(self, rows: list[int], times: list[tuple[float, float]]) -> tuple[Tensor, Tensor]:
        """What these pictures are after one step from a time to the next, and the clean ones that the network has in mind."""
        count = next((size for size in GRAPH_ROWS if size >= len(rows)), 0) if self._graphs.enabled else 0
        more = max(0, count - len(rows))
        at = self.index(rows + rows[-1:] * more)
        nows, thens = zip(*times, *times[-1:] * more, strict=True)
        inputs = [self.noisy[at], self.digit[at], self._hardware.upload(torch.tensor((nows, thens)))]
        if not count:
            return self._compute(*inputs)
        noisy, clean = self._graphs.run((self, count), self._compute, inputs)
        return noisy[: len(rows)].clone(), clean[: len(rows)].clone()

    def _compute(self, noisy: Tensor, digit: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
        now, then = times.unbind()
        width = now - then if self._distilled else torch.zeros_like(now)
        velocity = self._network(noisy.to(self._hardware.dtype), now, width, digit)
        return denoise(noisy, velocity.float(), now, then)

    def _grow(self, least: int) -> None:
        size, had = max(2 * len(self.digit), least, LEAST_ROWS), len(self.digit)
        noisy, digit = (
            torch.zeros(size, *old.shape[1:], dtype=old.dtype, device=old.device) for old in (self.noisy, self.digit)
        )
        noisy[:had], digit[:had] = self.noisy, self.digit
        self.noisy, self.digit = noisy, digit
        self._free += range(had, size)


class _Advance:
    """One step of some requests of a group, computed when it is made and written afterwards."""

    def __init__(self, group: _Group, members: Sequence[tuple[int, _Request]]) -> None:
        members = sorted(members, key=lambda member: member[1].rows)  # then they often lie together
        self._group, self._members = group, members
        rows = [row for _, request in members for row in request.rows]
        times = [(request.now, request.then) for _, request in members for _ in request.rows]
        self._at = group.index(rows)
        self._noisy, clean = group.ahead(rows, times)
        ending = [
            (place, request)
            for place, (_, request) in zip(_places(members), members, strict=True)
            if request.step + 1 == request.work.steps_per_frame
        ]
        self._frames: dict[_Request, Tensor | None] = {}
        if ending:
            self._frames = _frames(clean, ending)
        for place, request in ending:
            if len(request.frames) + 1 < request.work.frames:
                self._noisy[place] = request.start_of(len(request.frames) + 1)

    def write(self, finished: dict[int, list[Picture]], failed: dict[int, Exception]) -> None:
        """Makes it so, and adds who is done to `finished` or `failed`."""
        self._group.noisy[self._at] = self._noisy
        for key, request in self._members:
            request.step += 1
            if request not in self._frames:
                continue
            if (frame := self._frames[request]) is None:
                failed[key] = ArithmeticError("the picture is not a number")
                continue
            request.step = 0
            request.frames.append(frame)
            if len(request.frames) == request.work.frames:
                finished[key] = list(torch.stack(request.frames, dim=1).numpy())


def _frames(clean: Tensor, ending: Sequence[tuple[slice, _Request]]) -> dict[_Request, Tensor | None]:
    """The pixels of those that end a frame; None where they are no numbers, as everything is that was computed from something that is none."""
    ended = torch.cat([clean[place] for place, _ in ending])
    counts = [len(request.rows) for _, request in ending]
    finite = torch.split(ended.isfinite().flatten(1).all(1).cpu(), counts)
    pixels = torch.split(((ended + 1) * 127.5).round().to(torch.uint8).cpu(), counts)
    return {
        request: picture if all(each) else None
        for (_, request), picture, each in zip(ending, pixels, finite, strict=True)
    }


def _places(members: Iterable[tuple[int, _Request]]) -> Iterable[slice]:
    begin = 0
    for _, request in members:
        yield slice(begin, begin + len(request.rows))
        begin += len(request.rows)
