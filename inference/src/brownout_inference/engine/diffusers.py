"""Any text-to-picture pipeline of a folder in diffusers' layout, batched step by step.

Each request runs the pipeline's own loop, with a scheduler and a generator of its own, and stops where that loop calls the denoising network; a step makes
the calls of all who take part as one call and lets each loop go on to its next. So whatever a pipeline does (its timesteps, its guidance, its way to encode a prompt) is what it does
alone, for UNets and transformers alike, and requests of any number of steps share a batch. A step that fails leaves each loop where it waits, to be made
again. What was traded away: some 0.2 ms for each request and step, in which loops go on one after the other while the device is still computing.

Nothing is fetched: the folder must hold every part, and no code of it is run.
"""

import copy
import functools
import inspect
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch
from diffusers import DiffusionPipeline
from diffusers.utils import logging as diffusers_logging
from safetensors import SafetensorError
from torch import Tensor

from brownout_inference.engine.fitting import memory_of
from brownout_inference.engine.graphs import Graphs
from brownout_inference.engine.hardware import Hardware, device_full, find_hardware
from brownout_inference.engine.interface import DeviceFullError, Memory, Progress, StepReport, UnsuitableError
from brownout_inference.engine.load import EngineSpec, LoadError
from brownout_inference.engine.remember import remembering
from brownout_inference.engine.strand import Call, Done, Failed, Strand
from brownout_inference.engine.together import (
    Rows,
    fill_up,
    gather,
    join_answers,
    part,
    put_together,
    share_out,
    take_apart,
)
from brownout_inference.work import ImageWork, Picture, Work

DENOISERS = ("unet", "transformer", "transformer_2")
"""The parts of pipelines that are called once or twice in every step."""

VAE = "vae"

TEXT_ENCODER = "text_encoder"
"""How the names of the parts begin that read prompts."""

DECODE_AT_ONCE = 4
"""Pictures that are decoded in one go: at full size a picture in the making takes more memory there than anywhere else."""

NEEDED = ("prompt", "num_inference_steps", "generator", "output_type", "callback_on_step_end")
"""What a pipeline must take for its loop to be run here."""

ROWS = (1, 2, 3, 4, 6, 8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128)
"""Batches are filled up to one of these where there are CUDA graphs; with guidance a picture has two rows."""

SIDE_MULTIPLE = 8
"""A side that is asked for is rounded to so many latent pixels, so that there are few sizes; what is of one size shares a batch."""


class DiffusersEngine:
    """Makes pictures. A result is a list of pictures of one frame, in colour."""

    def __init__(self, pipeline: Any, hardware: Hardware, *, graphs: bool = True) -> None:
        """Raises ValueError for a pipeline that is not one from text to pictures."""
        self._pipeline = pipeline
        self._hardware = hardware
        self._graphs = Graphs(hardware.device, enabled=graphs)
        self._takes = inspect.signature(pipeline.__call__).parameters
        if lacking := [name for name in NEEDED if name not in self._takes]:
            raise ValueError(f"{type(pipeline).__name__} does not take {', '.join(lacking)}, so it is not served")
        self._denoisers = [name for name in DENOISERS if getattr(pipeline, name, None) is not None]
        if not self._denoisers or getattr(pipeline, VAE, None) is None:
            raise ValueError(f"{type(pipeline).__name__} has no {' or '.join(DENOISERS)}, or no {VAE}")
        pipeline.set_progress_bar_config(disable=True)
        for name, component in pipeline.components.items():
            if name.startswith(TEXT_ENCODER) and isinstance(component, torch.nn.Module):
                component.forward = remembering(component.forward)
        self._strands: dict[int, Strand] = {}

    # What the interface asks

    def warm_up(self, most: int) -> int:
        """Makes pictures until it is known how many fit, by the memory that few and more take and then by trying."""
        slots = self._fitting(most)
        if self._graphs.enabled:
            for pictures in reversed(_sizes_up_to(slots)):
                self._peak(pictures)
        return slots

    def _fitting(self, most: int) -> int:
        few, more = min(DECODE_AT_ONCE, most), min(2 * DECODE_AT_ONCE, most)
        free = self._hardware.free_bytes()
        if free is None or more == few:
            return self._try(most)
        try:
            at_few, at_more = self._peak(few), self._peak(more)
        except DeviceFullError:
            return self._try(more)
        slots = more
        for _ in range(3):  # the more pictures it is measured with, the better is known what each takes
            each = max((at_more - at_few) / (more - few), at_few / 64, 1.0)
            likely = max(1, min(most, few + int((free - at_few) / each)))
            if likely <= slots * 1.05:
                return self._try(likely)
            slots = self._try(likely)
            if slots < likely or slots == most:
                return slots
            more, at_more = slots, self._peak(slots)
        return slots

    def _try(self, slots: int) -> int:
        """As many as fit, at most so many."""
        while True:
            try:
                self._peak(slots)
                return slots
            except DeviceFullError:
                self._graphs.forget()
                if slots == 1:
                    raise
                slots -= -(-slots // 8)

    def memory(self) -> Memory:
        return memory_of(self._hardware)

    def join(self, key: int, work: Work) -> None:
        if not isinstance(work, ImageWork):
            raise TypeError(f"a pipeline of pictures cannot do {type(work).__name__}")
        if work.frames > 1:
            raise UnsuitableError(f"this model makes pictures, no clips of {work.frames} frames; ask for a picture")
        strand = Strand(lambda strand: self._make(strand, work))
        if isinstance(strand.state, Failed):
            error = strand.state.error
            with device_full():  # its traceback would keep what was made alive
                raise error.with_traceback(None) if isinstance(error, torch.OutOfMemoryError) else error
        self._strands[key] = strand

    def leave(self, key: int) -> None:
        if strand := self._strands.pop(key, None):
            strand.end()

    @torch.no_grad()
    def step(self, keys: Sequence[int]) -> StepReport:
        strands = [self._strands[key] for key in keys]
        goals = {strand: strand.steps + 1 for strand in strands}
        with device_full():
            while waiting := [strand for strand in strands if _is_before(strand, goals[strand], self._denoisers)]:
                self._advance(waiting)
            self._hardware.settle()
        return self._report(keys)

    # The parts of a step

    def _make(self, strand: Strand, work: ImageWork) -> list[Picture]:
        pipeline = copy.copy(self._pipeline)
        # Not by assignment, which would register them as parts of the pipeline; each loop's numbers stand in a pipeline of its own.
        pipeline.__dict__["scheduler"] = _with_times_on_the_cpu(copy.deepcopy(self._pipeline.scheduler))
        for name in self._denoisers:
            pipeline.__dict__[name] = _Asks(getattr(self._pipeline, name), name, "__call__", strand)
        pipeline.__dict__[VAE] = _Asks(self._pipeline.vae, VAE, "decode", strand)

        order = getattr(pipeline.scheduler, "order", 1)  # of some schedulers a step is two calls of the network

        def made_a_step(_pipeline: Any, call: int, _time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            strand.steps += (call + 1) % order == 0
            return tensors

        random = torch.Generator()
        random.seed() if work.seed is None else random.manual_seed(work.seed)
        given: dict[str, Any] = {
            "prompt": work.prompt,
            "num_inference_steps": work.steps_per_frame,
            "generator": random,
            "output_type": "pt",  # rounded on the device, a quarter of the bytes is copied
            "callback_on_step_end": made_a_step,
        }
        if "num_images_per_prompt" in self._takes:
            given["num_images_per_prompt"] = work.pictures
        elif work.pictures > 1:
            given["prompt"] = [work.prompt] * work.pictures
        if work.side is not None and "height" in self._takes:
            given["height"] = given["width"] = self._side(work.side)
        images = pipeline(**given).images
        if isinstance(images, Tensor):
            images = images.permute(0, 2, 3, 1).float()
            return [image[None] for image in (images * 255).round().to(torch.uint8).contiguous().cpu().numpy()]
        return [(image[None] * 255).round().astype(np.uint8) for image in images]

    def _advance(self, strands: Sequence[Strand]) -> None:
        """Makes what these wait for, what goes together in one call, and lets them go on."""
        together: dict[Any, list[tuple[Strand, Rows]]] = {}
        for strand in strands:
            assert isinstance(strand.state, Call)
            rows = take_apart(strand.state)
            together.setdefault(rows.key, []).append((strand, rows))
        for members in together.values():
            calls = [rows for _, rows in members]
            answer = self._call(calls)
            for (strand, _), own in zip(members, share_out(answer, calls), strict=True):
                strand.answer(own)

    def _call(self, calls: Sequence[Rows]) -> Any:
        call = calls[0].call
        function = getattr(getattr(self._pipeline, call.model), call.method)
        leaves, rows = gather(calls), sum(each.rows for each in calls)
        structure = calls[0].structure
        if call.model == VAE:
            return self._decode(function, leaves, rows, structure)
        if self._graphs.enabled:
            wanted = next((size for size in ROWS if size >= rows), rows)
            leaves = fill_up(leaves, rows, wanted) if wanted > rows else leaves
            return self._by_graph((calls[0].key, wanted), function, leaves, structure)
        args, kwargs = put_together(leaves, structure)
        return function(*args, **kwargs)

    def _by_graph(self, key: Any, function: Callable[..., Any], leaves: Sequence[Any], structure: Any) -> Any:
        places = [place for place, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]

        def run(*tensors: Tensor) -> Any:
            mine = list(leaves)
            for place, tensor in zip(places, tensors, strict=True):
                mine[place] = tensor
            args, kwargs = put_together(mine, structure)
            return function(*args, **kwargs)

        tensors = [leaves[place].to(self._hardware.device) for place in places]
        return self._graphs.run(key, run, tensors)

    def _decode(self, function: Callable[..., Any], leaves: Sequence[Any], rows: int, structure: Any) -> Any:
        def some(at_once: int) -> Any:
            answers = []
            for start in range(0, rows, at_once):
                args, kwargs = put_together(part(leaves, rows, start, min(rows, start + at_once)), structure)
                answers.append(function(*args, **kwargs))
            return join_answers(answers)

        try:
            with device_full():
                return some(DECODE_AT_ONCE)
        except DeviceFullError:
            return some(1)

    def _report(self, keys: Iterable[int]) -> StepReport:
        states = {key: self._strands[key].state for key in keys}
        finished = {key: state.result for key, state in states.items() if isinstance(state, Done)}
        failed = {key: state.error for key, state in states.items() if isinstance(state, Failed)}
        for key in (*finished, *failed):
            del self._strands[key]
        return StepReport(finished=finished, failed=failed)

    def _peak(self, pictures: int) -> int:
        """Bytes that so many pictures take at the most, above what is always taken; 0 where that cannot be known."""
        if self._hardware.is_gpu:
            self._hardware.free_bytes()
            torch.cuda.synchronize()
            before = torch.cuda.memory_allocated()
            torch.cuda.reset_peak_memory_stats()
        self.join(-1, ImageWork(prompt="", pictures=pictures, frames=1, steps_per_frame=2))
        try:
            while not (report := self.step([-1])).finished:
                if report.failed:
                    raise report.failed[-1]
        finally:
            self.leave(-1)
        return torch.cuda.max_memory_reserved() - before if self._hardware.is_gpu else 0

    def _side(self, side: int) -> int:
        multiple = SIDE_MULTIPLE * getattr(self._pipeline, "vae_scale_factor", 8)
        return max(1, round(side / multiple)) * multiple


class _Asks:
    """Stands in a pipeline in place of a model: whoever calls it waits for the batch. All else is the model's."""

    def __init__(self, model: Any, name: str, method: str, strand: Strand) -> None:
        self._model = model
        self._name = name
        self._method = method
        self._strand = strand

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._method == "__call__":
            return self._strand.ask(Call(self._name, self._method, args, kwargs))
        return self._model(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name == self._method:
            return lambda *args, **kwargs: self._strand.ask(Call(self._name, name, args, kwargs))
        return getattr(self._model, name)


def load(spec: EngineSpec, progress: Progress) -> DiffusersEngine:
    """The engine of a folder. Raises LoadError."""
    folder = spec.model
    try:
        hardware = find_hardware(spec.device, spec.dtype, memory_share=spec.memory_share)
        progress("weights", 0.5)
        diffusers_logging.set_verbosity_error()  # it would write what users ask for into the log, where a prompt is too long
        pipeline = DiffusionPipeline.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=hardware.dtype, trust_remote_code=False
        )
        progress("device", 0.9)
        return DiffusersEngine(pipeline.to(hardware.device), hardware)
    except (OSError, ValueError, KeyError, ImportError, SafetensorError, AttributeError, TypeError) as error:
        there = ", ".join(sorted(path.name for path in Path(folder).iterdir()))
        needed = "model_index.json of a text-to-picture pipeline and a folder for each of its parts, weights as *.safetensors"
        raise LoadError(f"--model {folder}: {error}\nIt holds {there}; needed are {needed}") from error


def _with_times_on_the_cpu(scheduler: Any) -> Any:
    """A scheduler looks its time up in tables; where the time lies on a GPU each look waits until the GPU has done all it was given."""
    set_timesteps = scheduler.set_timesteps

    @functools.wraps(set_timesteps)
    def on_the_cpu(*args: Any, device: Any = None, **more: Any) -> None:
        set_timesteps(*args, device="cpu", **more)

    scheduler.set_timesteps = on_the_cpu
    return scheduler


def _sizes_up_to(slots: int) -> list[int]:
    """One number of pictures for each size of batch, with guidance or without."""
    return sorted({min(slots, max(1, rows // 2)) for rows in ROWS if rows <= 2 * slots})


def _is_before(strand: Strand, goal: int, denoisers: Sequence[str]) -> bool:
    """Whether a strand has yet to make its step: it waits for a picture to be decoded, or for its network and has not come as far."""
    return isinstance(strand.state, Call) and (strand.steps < goal or strand.state.model not in denoisers)
