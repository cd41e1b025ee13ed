"""Tiny pipelines in diffusers' layout, held against their own output."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline

from brownout_inference.engine.diffusers import DiffusersEngine, load
from brownout_inference.engine.interface import DeviceFullError, UnsuitableError
from brownout_inference.engine.load import EngineSpec, LoadError
from brownout_inference.work import ImageWork, Picture, TextWork
from inference.builders import finished
from inference.tiny_models import PIPELINES, picture_folder

# diffusers' schedulers hand torch tensors to NumPy in a way that NumPy will not take much longer.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def picture(prompt: str = "a seven", *, steps: int = 3, pictures: int = 1, seed: int = 3, **more: Any) -> ImageWork:
    given: dict[str, Any] = {"side": 32} | more
    return ImageWork(prompt=prompt, pictures=pictures, frames=1, steps_per_frame=steps, seed=seed, **given)


WORKS = {
    1: picture(),
    2: picture("eight", steps=5, pictures=2, seed=4),
    3: picture("the lake in winter", steps=4, seed=5),
}


def engine_of(folder: Path) -> DiffusersEngine:
    engine = load(EngineSpec(model=str(folder), device="cpu"), lambda what, part: None)
    assert engine.warm_up(4) == 4
    return engine


def run(engine: DiffusersEngine, keys: Sequence[int], *, most: int = 20) -> dict[int, list[Picture]]:
    return finished(engine, keys, most=most)


@pytest.fixture(scope="module", params=list(PIPELINES))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return picture_folder(tmp_path_factory.mktemp("pipeline"), request.param)


@pytest.fixture(scope="module")
def engine(folder: Path) -> DiffusersEngine:
    return engine_of(folder)


@pytest.fixture(scope="module")
def stable(tmp_path_factory: pytest.TempPathFactory) -> DiffusersEngine:
    return engine_of(picture_folder(tmp_path_factory.mktemp("stable"), "stable-diffusion-dpm-solver"))


def made_by_itself(folder: Path, work: ImageWork) -> list[Picture]:
    """What the pipeline makes of it, called as its users call it."""
    pipeline = DiffusionPipeline.from_pretrained(folder, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    images = pipeline(
        work.prompt,
        num_inference_steps=work.steps_per_frame,
        num_images_per_prompt=work.pictures,
        height=work.side,
        width=work.side,
        generator=torch.Generator().manual_seed(work.seed or 0),
    ).images
    return [np.asarray(image)[None] for image in images]


def assert_alike(found: Sequence[Picture], expected: Sequence[Picture]) -> None:
    assert [each.shape for each in found] == [each.shape for each in expected]
    for one, other in zip(found, expected, strict=True):
        assert np.abs(one.astype(int) - other.astype(int)).max() <= 1
        assert other.std() > 1


def test_pictures_are_those_of_the_pipeline_alone_and_among_others(engine: DiffusersEngine, folder: Path) -> None:
    engine.join(1, WORKS[1])
    assert_alike(run(engine, [1])[1], made_by_itself(folder, WORKS[1]))
    for key, work in WORKS.items():
        engine.join(key, work)
    results = run(engine, [1, 2, 3])
    for key, work in WORKS.items():
        assert_alike(results[key], made_by_itself(folder, work))


def test_a_request_makes_as_many_steps_as_it_was_given(engine: DiffusersEngine) -> None:
    engine.join(1, picture(steps=2))
    engine.join(2, picture(steps=4))
    finished = [sorted(engine.step(keys).finished) for keys in ([1, 2], [1, 2], [2], [2])]
    assert finished == [[], [1], [], [2]]


def test_who_pauses_goes_on_as_if_nothing_had_been(stable: DiffusersEngine) -> None:
    for key, work in WORKS.items():
        stable.join(key, work)
    together = run(stable, [1, 2, 3])
    for key, work in WORKS.items():
        stable.join(key, work)
    stable.step([1, 2])
    stable.step([3])
    stable.step([2, 3])
    paused = run(stable, [2]) | run(stable, [3, 1])
    for key in WORKS:
        assert_alike(paused[key], together[key])


def test_what_goes_together_is_one_call_of_the_network(stable: DiffusersEngine, monkeypatch: Any) -> None:
    calls = []
    unet = stable._pipeline.unet
    real = unet.forward
    monkeypatch.setattr(unet, "forward", lambda *args, **more: calls.append(args[0].shape[0]) or real(*args, **more))
    for key, work in WORKS.items():
        stable.join(key, work)
    run(stable, [1, 2, 3])
    assert calls == [8, 8, 8, 6, 4]  # with guidance a picture has two rows


def test_pictures_of_other_sizes_share_no_call_but_a_step(stable: DiffusersEngine) -> None:
    stable.join(1, picture(side=16))
    stable.join(2, picture(side=30))
    results = run(stable, [1, 2])
    assert [results[key][0].shape for key in (1, 2)] == [(1, 16, 16, 3), (1, 32, 32, 3)]


def test_a_step_that_runs_out_of_memory_can_be_made_again(stable: DiffusersEngine, monkeypatch: Any) -> None:
    stable.join(1, WORKS[1])
    expected = run(stable, [1])[1]
    stable.join(1, WORKS[1])
    stable.step([1])
    with monkeypatch.context() as full:
        full.setattr(stable._pipeline.unet, "forward", _out_of_memory)
        with pytest.raises(DeviceFullError, match="no memory"):
            stable.step([1])
    stable.step([1])
    with monkeypatch.context() as full:
        full.setattr(stable._pipeline.vae, "decode", _out_of_memory)
        with pytest.raises(DeviceFullError, match="no memory"):
            stable.step([1])
    assert_alike(run(stable, [1])[1], expected)


def test_a_request_for_which_there_is_no_memory_at_its_beginning_is_not_there(
    stable: DiffusersEngine, monkeypatch: Any
) -> None:
    with monkeypatch.context() as full:
        full.setattr(stable._pipeline.text_encoder, "forward", _out_of_memory)
        with pytest.raises(DeviceFullError, match="no memory"):
            stable.join(1, WORKS[1])
    with pytest.raises(KeyError):
        stable.step([1])


def _out_of_memory(*_: Any, **__: Any) -> None:
    raise torch.OutOfMemoryError("no memory. Tried to allocate")


def test_many_pictures_are_decoded_a_few_at_a_time(stable: DiffusersEngine, monkeypatch: Any) -> None:
    sizes = []
    vae = stable._pipeline.vae
    real = vae.decode
    monkeypatch.setattr(vae, "decode", lambda each, **more: sizes.append(each.shape[0]) or real(each, **more))
    stable.join(1, picture(pictures=3))
    stable.join(2, picture(pictures=3))
    run(stable, [1, 2])
    assert sizes == [4, 2]


@pytest.mark.parametrize(
    ("free", "each", "most", "fitting"),
    [(100.0, 1.0, 512, 90), (100.0, 1.0, 50, 50), (100.0, 30.0, 512, 3), (9.0, 1.0, 6, 2), (12.0, 20.0, 4, 0)],
)
def test_warming_up_measures_how_many_pictures_fit(
    stable: DiffusersEngine, monkeypatch: Any, free: float, each: float, most: int, fitting: int
) -> None:
    def peak(pictures: int) -> float:
        decoding = 2.5 * min(pictures, 4)  # takes most of a small batch's memory, and none of what a larger one adds
        if pictures * each + decoding > free:
            raise DeviceFullError("no memory")
        return pictures * each + decoding

    class Gpu:
        def free_bytes(self) -> float:
            return free

    monkeypatch.setattr(stable, "_peak", peak)
    monkeypatch.setattr(stable, "_hardware", Gpu())
    if fitting:
        assert fitting * 0.85 <= stable.warm_up(most) <= fitting
    else:
        with pytest.raises(DeviceFullError):
            stable.warm_up(most)


def test_a_request_that_leaves_is_gone_with_its_thread(stable: DiffusersEngine) -> None:
    stable.join(1, picture())
    strand = stable._strands[1]
    stable.leave(1)
    assert not strand.is_waiting
    with pytest.raises(KeyError):
        stable.step([1])
    stable.leave(1)


def test_what_a_pipeline_cannot_do_fails_alone(stable: DiffusersEngine) -> None:
    with pytest.raises(UnsuitableError, match="no clips of 2 frames"):
        stable.join(1, ImageWork(prompt="a", pictures=1, frames=2, steps_per_frame=1))
    with pytest.raises(TypeError, match="TextWork"):
        stable.join(1, TextWork(prompt="a", tokens=1, temperature=1.0))


def test_a_folder_that_lacks_a_part_says_what_it_holds_and_what_is_needed(tmp_path: Path) -> None:
    folder = picture_folder(tmp_path, "stable-diffusion-ddim")
    for file in (folder / "vae").iterdir():
        file.unlink()
    with pytest.raises(LoadError, match=r"(?s)vae.*It holds .*unet.*needed are"):
        load(EngineSpec(model=str(folder), device="cpu"), lambda what, part: None)
