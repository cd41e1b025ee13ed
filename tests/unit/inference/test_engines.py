"""The real models, in batches that change."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from brownout_inference.engine.image import ImageEngine
from brownout_inference.engine.interface import Engine
from brownout_inference.engine.text import TextEngine
from brownout_inference.work import Continuation, ImageWork, Picture, TextWork


@pytest.fixture(scope="module")
def images() -> ImageEngine:
    return ImageEngine()


@pytest.fixture(scope="module")
def texts() -> TextEngine:
    return TextEngine()


def picture_of(digit: int, *, steps: int = 8, seed: int = 3, frames: int = 1, pictures: int = 1) -> ImageWork:
    return ImageWork(prompt=f"a {digit}", pictures=pictures, frames=frames, steps_per_frame=steps, seed=seed)


def continuation_of(prompt: str, tokens: int = 24) -> TextWork:
    return TextWork(prompt=prompt, tokens=tokens, temperature=0.7, seed=3)


def run(engine: Engine, key: int, *, beside: Sequence[int] = ()) -> Any:
    for _ in range(1000):
        report = engine.step([key, *beside])
        if key in report.finished:
            return report.finished[key]
    raise AssertionError("never finished")


def test_a_picture_is_the_same_whoever_else_is_in_the_batch(images: ImageEngine) -> None:
    images.join(1, picture_of(7))
    (alone,) = run(images, 1)
    images.join(2, picture_of(3, steps=60, seed=9))
    images.step([2])
    images.join(3, picture_of(7))
    (among_others,) = run(images, 3, beside=[2])
    assert np.abs(alone.astype(int) - among_others.astype(int)).max() <= 1
    images.leave(2)


def test_different_digits_make_different_pictures(images: ImageEngine) -> None:
    images.join(1, picture_of(0))
    images.join(2, picture_of(1))
    zero: Picture
    ((zero,), (one,)) = run_both(images, 1, 2)
    assert zero.shape == (1, 8, 8)
    middle = slice(3, 5)
    assert zero[0, middle, middle].mean() < one[0, middle, middle].mean()  # a nought is hollow, a stroke is not


def run_both(engine: Engine, first: int, second: int) -> tuple[Any, Any]:
    results: dict[int, Any] = {}
    while len(results) < 2:
        results |= engine.step([key for key in (first, second) if key not in results]).finished
    return results[first], results[second]


def test_each_request_leaves_after_its_own_steps(images: ImageEngine) -> None:
    images.join(1, picture_of(4, steps=2))
    images.join(2, picture_of(4, steps=5))
    finished = [sorted(images.step(keys).finished) for keys in ([1, 2], [1, 2], [2], [2], [2])]
    assert finished == [[], [1], [], [], [2]]


def test_a_clip_has_its_frames_and_they_move(images: ImageEngine) -> None:
    images.join(1, picture_of(8, frames=4, steps=3, pictures=2))
    clips = run(images, 1)
    assert [clip.shape for clip in clips] == [(4, 8, 8), (4, 8, 8)]
    assert not np.array_equal(clips[0][0], clips[0][3])


def test_a_request_that_leaves_is_never_finished(images: ImageEngine) -> None:
    images.join(1, picture_of(4, steps=2))
    images.step([1])
    images.leave(1)
    assert not images.step([]).finished
    with pytest.raises(KeyError):
        images.step([1])


def test_who_is_left_out_of_a_step_goes_on_later_as_if_nothing_had_been(images: ImageEngine) -> None:
    images.join(1, picture_of(7))
    (alone,) = run(images, 1)
    images.join(2, picture_of(7))
    images.step([2])
    images.join(3, picture_of(3))
    run(images, 3)
    (paused,) = run(images, 2)
    assert np.array_equal(alone, paused)


def test_a_text_is_the_same_whoever_else_is_in_the_batch(texts: TextEngine) -> None:
    texts.join(1, continuation_of("The import statement"))
    alone: Continuation = run(texts, 1)
    texts.join(2, continuation_of("A class", tokens=60))
    texts.step([2])
    texts.join(3, continuation_of("The import statement"))
    assert run(texts, 3, beside=[2]) == alone
    texts.leave(2)


def test_the_pieces_of_a_text_are_the_text(texts: TextEngine) -> None:
    texts.join(1, continuation_of("Objects"))
    pieces, result = [], None
    while result is None:
        report = texts.step([1])
        pieces.append(report.pieces[1])
        result = report.finished.get(1)
    assert "".join(pieces) == result.text
    assert result.tokens == len(pieces)


def test_characters_outside_the_alphabet_do_no_harm(texts: TextEngine) -> None:
    texts.join(1, continuation_of("日本語 🎉", tokens=3))
    assert run(texts, 1).tokens <= 3


def test_a_model_refuses_work_that_is_not_its_own(images: ImageEngine) -> None:
    with pytest.raises(TypeError, match="TextWork"):
        images.join(1, continuation_of("7"))
