"""Pictures: a pipeline of Stable Diffusion 1.5's size with random weights, by the engine, by a bare loop over the network, and by the pipeline itself."""

import random
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from tokenizers import pre_tokenizers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from brownout_inference.engine.diffusers import DECODE_AT_ONCE, DiffusersEngine
from brownout_inference.engine.hardware import Hardware, find_hardware
from brownout_inference.engine.interface import DeviceFullError
from brownout_inference.work import ImageWork
from gpu_figures.saturation import saturate
from gpu_figures.timing import attempt, note, report, seconds_each

STEPS = 20

MEMORY_PART = 0.25
"""The part of the device's memory in which it is tried how much fits."""


def pipeline(tiny: bool, hardware: Hardware) -> Any:
    """The parts as their configurations say (runwayml/stable-diffusion-v1-5's, from diffusers' documentation), made where they run."""
    characters = pre_tokenizers.ByteLevel.alphabet()
    words = [*characters, *(f"{character}</w>" for character in characters), "<|startoftext|>", "<|endoftext|>"]
    tokenizer = CLIPTokenizer(vocab={word: number for number, word in enumerate(words)}, merges=[])
    tokenizer.model_max_length = 77
    wide = 32 if tiny else 768
    text = CLIPTextConfig(
        vocab_size=len(words),
        bos_token_id=len(words) - 2,
        eos_token_id=len(words) - 1,
        hidden_size=wide,
        intermediate_size=4 * wide,
        num_attention_heads=4 if tiny else 12,
        num_hidden_layers=2 if tiny else 12,
    )
    blocks = (8, 16) if tiny else (320, 640, 1280, 1280)
    torch.manual_seed(0)
    with torch.device(hardware.device):
        torch.set_default_dtype(hardware.dtype)
        unet = UNet2DConditionModel(
            sample_size=16 if tiny else 64,
            block_out_channels=blocks,
            down_block_types=("CrossAttnDownBlock2D",) * (len(blocks) - 1) + ("DownBlock2D",),
            up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * (len(blocks) - 1),
            norm_num_groups=4 if tiny else 32,
            cross_attention_dim=wide,
            attention_head_dim=4 if tiny else 8,
        )
        vae = AutoencoderKL(
            block_out_channels=[8, 16] if tiny else [128, 256, 512, 512],
            norm_num_groups=4 if tiny else 32,
            down_block_types=["DownEncoderBlock2D"] * (2 if tiny else 4),
            up_block_types=["UpDecoderBlock2D"] * (2 if tiny else 4),
            layers_per_block=2,
        )
        encoder = CLIPTextModel(text)
        torch.set_default_dtype(torch.float32)
    made = StableDiffusionPipeline(
        vae=vae,
        text_encoder=encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=DDIMScheduler(clip_sample=False, set_alpha_to_one=False, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    made.set_progress_bar_config(disable=True)
    if hardware.is_gpu:
        unet.to(memory_format=torch.channels_last)
        vae.to(memory_format=torch.channels_last)
    return made.to(hardware.device)


def measure(tiny: bool) -> None:
    """Steps by batch size, saturation beside the bare loop, and the pipeline's own throughput."""
    hardware = find_hardware()
    made = pipeline(tiny, hardware)
    note(
        "model",
        f"{sum(each.numel() for each in made.unet.parameters()) / 1e6:.0f} M parameters of the UNet, {hardware}",
    )
    batches = [1, 2] if tiny else [1, 4, 8, 16, 32]
    calls = 2 if tiny else 5
    bare: dict[int, float] = {}
    engines = {way: DiffusersEngine(made, hardware, graphs=way == "graphs") for way in ("eager", "graphs")}
    for batch in batches:
        for way, engine in engines.items():
            if way == "graphs" or batch == batches[len(batches) // 2]:
                attempt("engine's step", lambda e=engine, b=batch, w=way: _steps(e, b, w, calls), way=way, batch=batch)
        bare[batch] = attempt("bare loop", lambda b=batch: _bare(engines["graphs"], b, calls), batch=batch) or 0.0
    best = max(bare, key=lambda batch: bare[batch])
    decoding = {
        batch: attempt("decoding", lambda b=batch: _decoding(made, hardware, b, calls), batch=batch)
        for batch in (1, 2, DECODE_AT_ONCE, 2 * DECODE_AT_ONCE)
    }
    decode_seconds = min(filter(None, decoding.values()), default=0.0)
    attempt("saturation", lambda: _saturation(engines["graphs"], best, bare[best], decode_seconds, tiny), batch=best)
    attempt("the pipeline itself", lambda: _itself(made, min(best, 8), tiny), batch=min(best, 8))


def _work(number: int, *, steps: int, pictures: int = 1) -> ImageWork:
    return ImageWork(prompt=f"picture {number}", pictures=pictures, frames=1, steps_per_frame=steps, seed=number)


def _steps(engine: DiffusersEngine, batch: int, way: str, calls: int) -> None:
    keys = list(range(batch))
    for key in keys:
        engine.join(key, _work(key, steps=200))
    try:
        each = seconds_each(lambda: engine.step(keys), calls=calls, repeats=3)
    finally:
        for key in keys:
            engine.leave(key)
    report("engine's step", [one * 1e3 for one in each], "ms", way=way, batch=batch)
    report("engine's picture-steps", [batch / one for one in each], "picture-steps/s", way=way, batch=batch)


def _inputs(engine: DiffusersEngine, batch: int) -> tuple[Any, ...]:
    unet, hardware = engine._pipeline.unet, engine._hardware
    side, wide = unet.config.sample_size, unet.config.cross_attention_dim
    make = {"device": hardware.device, "dtype": hardware.dtype}
    return (
        torch.randn(2 * batch, 4, side, side, **make),
        torch.full((2 * batch,), 500, device=hardware.device),
        torch.randn(2 * batch, 77, wide, **make),
    )


def _bare(engine: DiffusersEngine, batch: int, calls: int) -> float:
    """The network alone, two rows for each picture, by a graph: no scheduler, no guidance, nobody joins, nothing is decoded."""

    def once(*inputs: Any) -> Any:
        return engine._pipeline.unet(*inputs, return_dict=False)[0]

    inputs = _inputs(engine, batch)
    with torch.no_grad():
        each = seconds_each(lambda: engine._graphs.run(("bare", batch), once, inputs), calls=calls, repeats=3)
    report("bare loop's step", [one * 1e3 for one in each], "ms", batch=batch)
    return report("bare loop's picture-steps", [batch / one for one in each], "picture-steps/s", batch=batch)


def _decoding(made: Any, hardware: Hardware, batch: int, calls: int) -> float:
    """Seconds for each picture."""
    side = made.unet.config.sample_size
    latents = torch.randn(batch, 4, side, side, device=hardware.device, dtype=hardware.dtype)
    with torch.no_grad():
        each = seconds_each(lambda: made.vae.decode(latents, return_dict=False), calls=calls, repeats=2)
    return report("decoding", [one * 1e3 / batch for one in each], "ms/picture", batch=batch) / 1e3


def _saturation(engine: DiffusersEngine, batch: int, bare: float, decode_seconds: float, tiny: bool) -> None:
    """Requests of one or two pictures and of 14 to 26 steps, which join whenever there is room.

    Held against a bare loop that makes the steps and decodes the pictures, by the times that each of these took alone. The engine encodes prompts too.
    """
    engine.warm_up(batch)
    middle = 3 if tiny else STEPS
    whole = 1 / (middle / bare + decode_seconds)
    report("bare loop's pictures, steps and decoding", [whole], "pictures/s", batch=batch)
    steps, finished = [], []
    for repeat in range(2):
        draw = random.Random(repeat)

        def work(number: int, draw: random.Random = draw) -> ImageWork:
            steps = draw.randint(middle * 7 // 10, middle * 13 // 10)
            return _work(number, steps=steps, pictures=draw.choice([1, 1, 1, 2]))

        done = saturate(engine, work, slots=batch, seconds=1.0 if tiny else 9.0)
        steps.append(done.slot_steps / done.seconds)
        finished.append(sum(len(result) for result in done.results) / done.seconds)
    report("saturated engine's picture-steps", steps, "picture-steps/s", batch=batch)
    report("saturated engine's pictures finished, the first later", finished, "pictures/s", batch=batch)
    report("of the bare loop of steps", [one / bare for one in steps], "share", batch=batch)
    report("of the bare loop of steps and decoding", [one / middle / whole for one in steps], "share", batch=batch)


def _itself(made: Any, batch: int, tiny: bool) -> None:
    steps = 3 if tiny else STEPS

    def once() -> None:
        made("picture", num_inference_steps=steps, num_images_per_prompt=batch, output_type="np")

    each = seconds_each(once, calls=1, repeats=1)
    report("the pipeline's own pictures", [batch / one for one in each], "pictures/s", batch=batch)


def measure_memory(tiny: bool) -> None:
    """What warm-up says fits, and where memory really ends; then a step too large, and the smaller one that goes on."""
    hardware = find_hardware(memory_share=0.9 * MEMORY_PART)
    if hardware.is_gpu:  # where all of a large GPU's memory is filled, each try takes ten seconds
        torch.cuda.set_per_process_memory_fraction(MEMORY_PART)
        note("memory is limited to", f"{MEMORY_PART} of the device")
    engine = DiffusersEngine(pipeline(tiny, hardware), hardware, graphs=False)
    most = 4 if tiny else 512
    slots = engine.warm_up(most)
    report("slots that warm-up measured", [slots], "slots", asked=most)
    fits = slots
    if hardware.is_gpu:
        pictures = slots
        while pictures < 4 * slots:
            pictures += max(1, slots // 10)
            try:
                engine._peak(pictures)
                fits = pictures
            except DeviceFullError as error:
                note("too large", f"{pictures} pictures: DeviceFullError: {str(error)[:120]}")
                break
    report("slots at which memory really ends", [fits], "slots")
    report("measured of these", [slots / fits], "share")
    for key in range(2):
        engine.join(key, _work(key, steps=2, pictures=max(1, slots // 4)))
    finished = 0
    while finished < 2:
        finished += len(engine.step([key for key in range(2) if key in engine._strands]).finished)
    note("afterwards", "requests were finished")
