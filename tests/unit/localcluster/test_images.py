"""An image stands for a command by its name, whatever its registry, tag and digest."""

import pytest

from brownout_localcluster.runner.images import UnknownImageError, default_images, entrypoint, repository


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("brownout/brownout:0.1.0", "brownout/brownout"),
        ("brownout/brownout", "brownout/brownout"),
        ("registry.example:5000/brownout/inference:latest", "brownout/inference"),
        ("localhost/brownout/inference@sha256:abc", "brownout/inference"),
        ("docker.example/library/python:3.12", "python"),
        ("python", "python"),
    ],
)
def test_the_repository_of_an_image(image: str, name: str) -> None:
    assert repository(image) == name


def test_our_own_images_stand_for_our_own_programs() -> None:
    assert entrypoint("brownout/brownout:9", default_images())[0].endswith("/brownout")
    assert entrypoint("brownout/inference:9", default_images())[0].endswith("/brownout-inference")


def test_an_unknown_image_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(UnknownImageError, match="'nginx:1'; it knows a, b"):
        entrypoint("nginx:1", {"b": ["x"], "a": ["y"]})
