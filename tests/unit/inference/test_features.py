"""From a prompt and a flag's value to work, and its cost."""

from dataclasses import replace

import pytest

from brownout_inference.features import BUILT_IN, ImageAsk, TextAsk
from brownout_inference.models.catalogue import IMAGE_SHARES, TEXT_SHARES
from brownout_inference.models.prompts import digit_in
from brownout_inference.work import ImageWork, declared_gpu_seconds

IMAGES, VIDEOS, CHAT = (BUILT_IN[name] for name in ("image-generation", "video-generation", "chat"))


@pytest.mark.parametrize(
    ("prompt", "digit"),
    [("7", 7), ("a seven", 7), ("Three, in ink", 3), ("a cat", 10), ("2024", 10), ("two or 9", 9), ("someone", 10)],
)
def test_a_prompt_names_a_digit_or_leaves_it_open(prompt: str, digit: int) -> None:
    assert digit_in(prompt) == digit


def image(**value: object) -> int:
    return ImageAsk(prompt="7", pictures=1, seed=None).work(IMAGES, value).steps


def test_the_flag_says_how_many_steps() -> None:
    assert image(steps=2) == 2
    assert image(steps=2.0) == 2  # as it comes through a protobuf Struct


@pytest.mark.parametrize("steps", [0, -1, 1000, "2", True, 2.5, None])
def test_steps_that_make_no_sense_leave_those_of_the_feature(steps: object) -> None:
    assert image(steps=steps) == IMAGES.steps


def picture(**value: object) -> ImageWork:
    return ImageAsk(prompt="7", pictures=2, seed=None).work(IMAGES, value)


def test_the_flag_says_which_model_and_which_size() -> None:
    assert (picture(model="lite", side=14).model, picture(model="lite", side=14.0).side) == ("lite", 14)
    assert (
        TextAsk(prompt="a", max_tokens=None, temperature=1.0, seed=None).work(CHAT, {"model": "lite"}).model == "lite"
    )


@pytest.mark.parametrize(
    "value", [{}, {"model": "xl"}, {"model": 7}, {"model": None}, {"side": 20}, {"side": "14"}, {"side": True}]
)
def test_a_model_or_size_that_is_not_there_leaves_the_best(value: dict[str, object]) -> None:
    assert (picture(**value).model, picture(**value).side, picture(**value).slots) == ("", None, 2)


def test_an_engine_of_ones_own_is_handed_what_the_flag_says() -> None:
    own = replace(IMAGES, shipped=False)
    work = ImageAsk(prompt="a cat", pictures=1, seed=None).work(own, {"model": "xl", "side": 512})
    assert (work.model, work.side, work.share) == ("xl", 512, 1)
    assert ImageAsk(prompt="a cat", pictures=1, seed=None).work(own, {}).side is None


def test_a_smaller_model_or_picture_takes_less_of_a_slot() -> None:
    assert picture(model="lite").slots == 2 * IMAGE_SHARES["lite", 28]
    assert picture(side=14).slots == 2 * IMAGE_SHARES["full", 14]
    text = TextAsk(prompt="a", max_tokens=8, temperature=1.0, seed=None).work(CHAT, {"model": "lite"})
    costs = [
        declared_gpu_seconds(work, step_seconds=0.1, max_batch=4)
        for work in (text, TextAsk(prompt="a", max_tokens=8, temperature=1.0, seed=None).work(CHAT, {}))
    ]
    assert costs[0] == pytest.approx(TEXT_SHARES["lite"] * costs[1])


def test_a_clip_costs_its_frames() -> None:
    ask = ImageAsk(prompt="7", pictures=1, seed=None)
    assert ask.work(VIDEOS, {"frames": 6, "steps": 3}).steps == 18


def test_frames_mean_nothing_to_a_picture() -> None:
    assert ImageAsk(prompt="7", pictures=1, seed=None).work(IMAGES, {"frames": 6, "steps": 3}).steps == 3


def chat(max_tokens: int | None, **value: object) -> int:
    return TextAsk(prompt="hello", max_tokens=max_tokens, temperature=1.0, seed=None).work(CHAT, value).tokens


def test_an_answer_is_as_long_as_asked_and_no_longer_than_the_flag_allows() -> None:
    assert chat(None) == CHAT.max_tokens
    assert chat(200) == 200
    assert chat(200, maxTokens=32) == 32
    assert chat(None, maxTokens=32) == 32


def test_the_declared_cost_is_the_share_of_full_batches() -> None:
    work = ImageAsk(prompt="7", pictures=2, seed=None).work(IMAGES, {"steps": 8})
    assert declared_gpu_seconds(work, step_seconds=0.25, max_batch=4) == pytest.approx(2 * 8 * 0.25 / 4)


def test_fewer_steps_cost_less_in_proportion() -> None:
    full, lite = ({"steps": 8}, {"steps": 2})
    ask = ImageAsk(prompt="7", pictures=1, seed=None)
    costs = [declared_gpu_seconds(ask.work(IMAGES, value), step_seconds=0.1, max_batch=4) for value in (full, lite)]
    assert costs[0] == pytest.approx(4 * costs[1])
