"""The two models that come with the server, through the same interface: on a GPU where their engine uses it, else on the CPU; which one is said."""

import time

import torch

from brownout_inference.engine.load import EngineSpec, load_engine
from brownout_inference.work import ImageWork, TextWork
from gpu_figures.saturation import saturate
from gpu_figures.timing import attempt, note, report


def measure(tiny: bool) -> None:
    """Slot-steps a second at saturation, by batch size."""
    for model in ("image", "language"):
        attempt(model, lambda model=model: _measure(model, tiny), model=model)


def _measure(model: str, tiny: bool) -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    largest = 8 if tiny else 1024
    spec = EngineSpec(model=model, device=device, max_batch=largest, places=2 * largest)
    began = time.perf_counter()
    engine = load_engine(spec, lambda what, part: None)
    slots = engine.warm_up(largest)
    report("ready after", [time.perf_counter() - began], "s", model=model)
    report("slots that warm-up measured", [slots], "slots", model=model)
    note("runs on", f"{engine._hardware.device}, {engine._hardware.dtype}", model=model)

    def work(number: int) -> ImageWork | TextWork:
        if model == "image":
            return ImageWork(prompt="a seven", pictures=1, frames=1, steps_per_frame=8, seed=number)
        return TextWork(prompt="The import statement", tokens=64, temperature=0.7, seed=number)

    for batch in [1, 8] if tiny else [1, 64, 1024]:
        if batch > slots:
            continue
        found = []
        for _ in range(2):
            done = saturate(engine, work, slots=batch, seconds=0.3 if tiny else 0.7)
            found.append(done.slot_steps / done.seconds)
        report("slot-steps", found, "slot-steps/s", model=model, batch=batch)
