"""Pictures as files that any reader of PNG shows as they are."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from brownout_inference.http.encoding import still
from brownout_inference.http.png import grey_png
from brownout_inference.work import Picture


@given(arrays.arrays(np.uint8, arrays.array_shapes(min_dims=2, max_dims=2, max_side=40), elements=st.integers(0, 255)))
def test_a_picture_comes_back_as_it_was(pixels: Picture) -> None:
    with Image.open(io.BytesIO(grey_png(pixels))) as read:
        read.load()  # looks at the checksums, too
        assert (read.format, read.mode) == ("PNG", "L")
        assert np.array_equal(np.asarray(read), pixels)


@pytest.mark.parametrize(("shape", "mode"), [((28, 28), "L"), ((28, 28, 3), "RGB")])
def test_grey_pictures_and_those_in_colour_are_made_of_the_size_that_was_asked_for(
    shape: tuple[int, ...], mode: str
) -> None:
    picture = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    with Image.open(io.BytesIO(still(picture, (256, 128), kind="png"))) as read:
        assert (read.size, read.mode) == ((256, 128), mode)
