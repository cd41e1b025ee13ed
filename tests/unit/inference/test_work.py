"""Whether an engine's answer is one to the work that it was given."""

from typing import Any

import numpy as np
import pytest

from brownout_inference.work import (
    ChatTurn,
    Continuation,
    ImageWork,
    TextWork,
    declared_gpu_seconds,
    likely_steps,
    unfit,
)
from inference.builders import work

PICTURES = ImageWork(prompt="7", pictures=2, frames=1, steps_per_frame=1)
TEXT = TextWork(prompt="7", tokens=1, temperature=1.0)
PICTURE = np.zeros((1, 8, 8), np.uint8)


def test_as_many_pictures_of_as_many_frames_are_an_answer() -> None:
    assert unfit(PICTURES, [PICTURE, PICTURE]) == ""
    assert unfit(PICTURES, [np.zeros((1, 8, 8, 3), np.uint8)] * 2) == ""
    assert unfit(TEXT, Continuation(text="", ended=True, prompt_tokens=1, tokens=1)) == ""


@pytest.mark.parametrize(
    ("result", "why"),
    [
        ([PICTURE], "2 pictures are a list of as many, not 1"),
        ("7", "2 pictures are a list of as many, not str"),
        ([PICTURE, PICTURE[0]], r"uint8 array .*, not uint8 \(8, 8\)"),
        ([PICTURE, PICTURE.astype(float)], r"not float64 \(1, 8, 8\)"),
        ([PICTURE, None], "not NoneType"),
        ([PICTURE, np.zeros((2, 8, 8), np.uint8)], "1 frames has as many, not 2"),
    ],
)
def test_anything_else_is_named(result: Any, why: str) -> None:
    import re

    assert re.search(why, unfit(PICTURES, result))


def test_a_text_is_a_continuation() -> None:
    assert unfit(TEXT, "7") == "a text is a Continuation, not str"


def test_a_long_prompt_costs_what_the_whole_device_needs_to_read_it() -> None:
    short, long = (TextWork(prompt="a" * length, tokens=64, temperature=1.0) for length in (0, 4 * 4096))
    costs = [declared_gpu_seconds(work, step_seconds=0.1, max_batch=64) for work in (short, long)]
    assert costs == pytest.approx([0.1, 0.1 + 0.4])
    said = TextWork(prompt="", tokens=64, temperature=1.0, earlier=(ChatTurn("user", "a" * 4096),))
    assert declared_gpu_seconds(said, step_seconds=0.1, max_batch=64) == pytest.approx(0.2)


def test_a_text_is_likely_to_take_what_texts_take_of_late_and_a_picture_what_it_declares() -> None:
    text = TextWork(prompt="7", tokens=100, temperature=1.0)
    assert [likely_steps(text, made_share=share) for share in (0, 0.5, 1)] == [1, 50, 100]
    assert likely_steps(work(steps=8), made_share=0) == 8
