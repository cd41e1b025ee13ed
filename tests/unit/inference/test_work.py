"""Whether an engine's answer is one to the work that it was given."""

from typing import Any

import numpy as np
import pytest

from brownout_inference.work import Continuation, ImageWork, TextWork, unfit

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
