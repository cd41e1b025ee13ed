"""The real models, in batches that change."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from brownout_inference.engine.image import ImageEngine
from brownout_inference.engine.interface import DeviceFullError, Engine, UnsuitableError
from brownout_inference.engine.text import PREFILL_TEXTS, TextEngine
from brownout_inference.models.catalogue import IMAGE_SHARES
from brownout_inference.models.characters import END, MOST_POSITIONS
from brownout_inference.models.digits import DigitDenoiser
from brownout_inference.work import Continuation, ImageWork, TextWork


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def images() -> ImageEngine:
    return ImageEngine()


@pytest.fixture(scope="module")
def texts() -> TextEngine:
    engine = TextEngine()
    engine.warm_up(8)
    return engine


def picture_of(
    digit: int,
    *,
    steps: int = 8,
    seed: int = 3,
    frames: int = 1,
    pictures: int = 1,
    model: str = "",
    side: int | None = None,
) -> ImageWork:
    return ImageWork(
        prompt=f"a {digit}",
        pictures=pictures,
        frames=frames,
        steps_per_frame=steps,
        model=model,
        side=side,
        seed=seed,
    )


def continuation_of(
    prompt: str, tokens: int = 24, *, stop: tuple[str, ...] = (), model: str = "", seed: int = 3
) -> TextWork:
    return TextWork(prompt=prompt, tokens=tokens, temperature=0.7, stop=stop, model=model, seed=seed)


def text_of_full_length(engine: TextEngine, tokens: int) -> tuple[int, str]:
    """A text that the model does not end by itself, and the seed that it comes of."""
    for seed in range(100):
        engine.join(1, continuation_of("The import statement", tokens, seed=seed))
        if not (result := run(engine, 1)).ended:
            return seed, result.text
    raise AssertionError("every text ends early")


def run(engine: Engine, key: int, *, beside: Sequence[int] = ()) -> Any:
    for _ in range(1000):
        report = engine.step([key, *beside])
        if key in report.finished:
            return report.finished[key]
    raise AssertionError("never finished")


def run_all(engine: Engine, keys: Sequence[int]) -> dict[int, Any]:
    results: dict[int, Any] = {}
    while len(results) < len(keys):
        results |= engine.step([key for key in keys if key not in results]).finished
    return results


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
    images.join(1, picture_of(0, pictures=8))
    images.join(2, picture_of(1, pictures=8))
    results = run_all(images, [1, 2])
    noughts, ones = (np.stack(results[key]) for key in (1, 2))
    assert noughts.shape == (8, 1, 28, 28)
    middle = slice(12, 16)
    hollow, stroke = (pictures[:, 0, middle, middle].mean() for pictures in (noughts, ones))
    assert hollow + 50 < stroke


def test_each_request_leaves_after_its_own_steps(images: ImageEngine) -> None:
    images.join(1, picture_of(4, steps=2))
    images.join(2, picture_of(4, steps=5))
    finished = [sorted(images.step(keys).finished) for keys in ([1, 2], [1, 2], [2], [2], [2])]
    assert finished == [[], [1], [], [], [2]]


def test_requests_of_every_model_and_size_share_a_step(images: ImageEngine) -> None:
    for key, (model, side) in enumerate(IMAGE_SHARES):
        images.join(key, picture_of(5, steps=2, model=model, side=side))
    keys = range(len(IMAGE_SHARES))
    assert not images.step(keys).finished
    finished = images.step(keys).finished
    assert [finished[key][0].shape[-1] for key in keys] == [side for _, side in IMAGE_SHARES]


def test_a_model_or_size_that_is_not_there_fails_alone(images: ImageEngine) -> None:
    with pytest.raises(ValueError, match="no model 'xl' for pictures of 28 pixels; there are full at 28, "):
        images.join(1, picture_of(4, model="xl"))
    with pytest.raises(ValueError, match="of 20 pixels"):
        images.join(1, picture_of(4, side=20))


def test_a_clip_has_its_frames_and_they_move_smoothly_round(images: ImageEngine) -> None:
    images.join(1, picture_of(8, frames=8, steps=4, pictures=2))
    clips = run(images, 1)
    assert [clip.shape for clip in clips] == [(8, 28, 28), (8, 28, 28)]
    others = [run_one(images, picture_of(8, seed=seed, steps=4))[0].astype(int) for seed in (11, 12, 13)]
    for clip in clips:
        frames = [frame.astype(int) for frame in clip]
        moves = [np.abs(after - before).mean() for before, after in zip(frames, frames[1:] + frames[:1], strict=True)]
        strangers = min(np.abs(frames[0] - other).mean() for other in others)
        assert min(moves) > 0
        assert max(moves) < strangers


def run_one(engine: Engine, work: ImageWork) -> Any:
    engine.join(99, work)
    return run(engine, 99)[0]


def test_a_clip_of_one_model_shares_its_step_with_a_picture(images: ImageEngine) -> None:
    images.join(1, picture_of(8, frames=2, steps=2))
    (clip,) = run(images, 1)
    images.join(2, picture_of(8, frames=2, steps=2))
    images.join(3, picture_of(1, steps=3))
    assert np.array_equal(run_all(images, [2, 3])[2][0], clip)


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


def test_rows_are_used_again(images: ImageEngine) -> None:
    for seed in range(50):
        images.join(1, picture_of(4, steps=1, seed=seed, pictures=3))
        run(images, 1)
    assert len(images._groups["full", 28].digit) <= 32


def broken(images: ImageEngine, monkeypatch: pytest.MonkeyPatch, error: BaseException | None) -> None:
    """Lets the network fail, or answer nothing that is a number for the first picture of a batch."""
    forward = DigitDenoiser.forward

    def fails(network: DigitDenoiser, *inputs: torch.Tensor) -> torch.Tensor:
        if error is not None:
            raise error
        answer = forward(network, *inputs)
        answer[0] = torch.nan
        return answer

    monkeypatch.setattr(DigitDenoiser, "forward", fails)


@pytest.mark.parametrize(
    ("error", "seen"),
    [(torch.OutOfMemoryError("CUDA out of memory"), DeviceFullError), (RuntimeError("shapes"), RuntimeError)],
)
def test_a_step_that_fails_changes_nothing(
    images: ImageEngine, monkeypatch: pytest.MonkeyPatch, error: Exception, seen: type[Exception]
) -> None:
    images.join(1, picture_of(7, frames=2, steps=2))
    (alone,) = run(images, 1)
    images.join(2, picture_of(7, frames=2, steps=2))
    images.join(3, picture_of(1, steps=3, model="lite"))
    for _ in range(3):
        with monkeypatch.context() as patch:
            broken(images, patch, error)
            with pytest.raises(seen):
                images.step([2, 3])
        images.step([2, 3])
    (again,) = run(images, 2)
    assert np.array_equal(alone, again)
    assert 3 not in images._requests  # its three steps are made, and no more


def test_a_picture_that_is_not_a_number_fails_alone(images: ImageEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    images.join(1, picture_of(7, pictures=2, steps=2))
    images.join(2, picture_of(7, steps=2))
    with monkeypatch.context() as patch:
        broken(images, patch, None)
        images.step([1, 2])
    report = images.step([1, 2])
    assert list(report.failed) == [1]
    assert isinstance(report.failed[1], ArithmeticError)
    assert report.finished[2][0].shape == (1, 28, 28)


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


def test_a_text_that_pauses_at_any_point_goes_on_as_if_nothing_had_been(texts: TextEngine) -> None:
    prompt = (
        "The import statement combines two operations; it searches for the named module, then it binds the results."
    )
    texts.join(1, continuation_of(prompt, tokens=30))
    alone = run(texts, 1)
    texts.join(2, continuation_of(prompt, tokens=30))
    texts.join(3, continuation_of("A class", tokens=200))
    for _ in range(40):  # every other step without it, the reading of its prompt too
        texts.step([3])
        if 2 in (report := texts.step([2, 3])).finished:
            break
    assert report.finished[2] == alone
    texts.leave(3)


def test_a_long_prompt_is_read_in_chunks_while_others_go_on(texts: TextEngine) -> None:
    texts.join(1, continuation_of("word " * 30))
    texts.join(2, continuation_of("A class"))
    assert list(texts.step([1, 2]).pieces) == [2]
    assert sorted(texts.step([1, 2]).pieces) == [1, 2]
    for key in (1, 2):
        texts.leave(key)


def test_few_prompts_are_read_in_a_step(texts: TextEngine) -> None:
    keys = range(PREFILL_TEXTS + 2)
    for key in keys:
        texts.join(key, continuation_of("A class"))
    assert len(texts.step(keys).pieces) == PREFILL_TEXTS
    assert len(texts.step(keys).pieces) == PREFILL_TEXTS + 2
    for key in keys:
        texts.leave(key)


def test_a_text_ends_before_its_stop_and_nothing_of_the_stop_is_handed_out(texts: TextEngine) -> None:
    seed, whole = text_of_full_length(texts, 60)
    stop = whole[20:25]
    texts.join(2, continuation_of("The import statement", tokens=60, stop=("\0", stop), seed=seed))
    pieces, result = "", None
    while result is None:
        report = texts.step([2])
        pieces += report.pieces.get(2, "")
        result = report.finished.get(2)
    assert result.text == whole[: whole.index(stop)] == pieces
    assert result.ended


def test_what_only_began_like_a_stop_is_handed_out_in_the_end(texts: TextEngine) -> None:
    seed, whole = text_of_full_length(texts, 12)
    texts.join(2, continuation_of("The import statement", tokens=12, stop=(whole[-4:] + "\0",), seed=seed))
    pieces = []
    for _ in range(12):
        report = texts.step([2])
        pieces.append(report.pieces.get(2, ""))
    assert "".join(pieces) == report.finished[2].text == whole
    assert pieces[-4:-1] == ["", "", ""]


def test_the_small_model_writes_too_and_beside_the_full_one(texts: TextEngine) -> None:
    texts.join(1, continuation_of("Objects", model="lite"))
    texts.join(2, continuation_of("Objects"))
    results = run_all(texts, [1, 2])
    assert results[1].text != results[2].text


def test_a_text_may_be_as_long_as_there_are_positions(texts: TextEngine) -> None:
    longest = MOST_POSITIONS - len("A class") - len(END) - 1
    with pytest.raises(UnsuitableError, match=r"max_completion_tokens is \d+; write \d+ at most"):
        texts.join(1, continuation_of("A class", tokens=longest + 1))
    texts.join(1, continuation_of("A class", tokens=longest))
    texts.leave(1)


def test_characters_outside_the_alphabet_do_no_harm(texts: TextEngine) -> None:
    texts.join(1, continuation_of("日本語 🎉", tokens=3))
    assert run(texts, 1).tokens <= 3


def test_no_more_texts_than_there_are_places(texts: TextEngine) -> None:
    engine = TextEngine()
    assert engine.warm_up(2) == 2
    for key in range(4):  # as many again may be paused
        engine.join(key, continuation_of("A class"))
    with pytest.raises(DeviceFullError, match="all 4 places of the key-value cache of 'full' are taken"):
        engine.join(4, continuation_of("A class"))
    assert engine.memory().kv_places == 4
    engine.leave(0)
    engine.join(4, continuation_of("A class"))


def test_a_step_of_texts_that_fails_changes_nothing(texts: TextEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    texts.join(1, continuation_of("Objects"))
    alone = run(texts, 1)
    texts.join(2, continuation_of("Objects"))
    result = None
    while result is None:
        with monkeypatch.context() as patch:
            patch.setattr(nn.LayerNorm, "forward", full_in_the_last_layer())
            with pytest.raises(DeviceFullError):
                texts.step([2])
        result = texts.step([2]).finished.get(2)
    assert result == alone


def full_in_the_last_layer() -> Any:
    forward, calls = nn.LayerNorm.forward, iter(range(100))

    def full(norm: nn.LayerNorm, hidden: torch.Tensor) -> torch.Tensor:
        if next(calls) == 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(norm, hidden)

    return full


def test_a_text_whose_likelihoods_are_no_numbers_fails_alone_and_leaves_nothing_behind(
    texts: TextEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts.join(1, continuation_of("Objects"))
    alone = run(texts, 1)
    for key in (1, 2):
        texts.join(key, continuation_of("Objects"))
    texts.step([1, 2])
    forward = nn.LayerNorm.forward

    def wrong(norm: nn.LayerNorm, hidden: torch.Tensor) -> torch.Tensor:
        normed = forward(norm, hidden)
        normed[0] = torch.nan
        return normed

    with monkeypatch.context() as patch:
        patch.setattr(nn.LayerNorm, "forward", wrong)
        report = texts.step([1, 2])
    assert list(report.failed) == [1]
    assert list(report.pieces) == [2]
    texts.join(3, continuation_of("Objects"))  # in the place that the first one had
    assert run(texts, 3) == alone
    texts.leave(2)


def test_a_model_refuses_work_that_is_not_its_own(images: ImageEngine) -> None:
    with pytest.raises(TypeError, match="TextWork"):
        images.join(1, continuation_of("7"))


def test_a_device_that_is_not_there_is_said() -> None:
    with pytest.raises((ValueError, RuntimeError), match="tpu"):
        ImageEngine(device="tpu")
