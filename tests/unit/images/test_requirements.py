"""What the images are made of is what everybody tests with: parts of requirements.txt, hash by hash."""

import re
from pathlib import Path

import pytest

from support.examples import REPOSITORY

WHOLE = REPOSITORY / "requirements.txt"
PARTS = ("operator/requirements.txt", "inference/requirements.txt", "inference/requirements-cuda.txt")


def pins(path: Path) -> dict[str, set[str]]:
    """The hashes of each `name==version`; where a name has several versions by their markers, each is there."""
    found: dict[str, set[str]] = {}
    current = ""
    for line in path.read_text().splitlines():
        if pin := re.match(r"([a-z0-9.-]+==[^\s;]+)", line):
            current = pin[1]
            found[current] = set()
        elif digest := re.search(r"--hash=(\S+)", line):
            found[current].add(digest[1])
    return found


@pytest.mark.parametrize("part", PARTS)
def test_an_image_has_nothing_that_is_not_pinned_for_everybody(part: str) -> None:
    whole, own = pins(WHOLE), pins(REPOSITORY / part)
    assert own
    assert {name: hashes for name, hashes in own.items() if whole.get(name) != hashes} == {}


def test_the_image_for_cpus_leaves_torch_and_what_it_brings_to_debian() -> None:
    names = {name.partition("==")[0] for name in pins(REPOSITORY / "inference" / "requirements.txt")}
    assert "safetensors" in names
    assert not [name for name in names if name == "torch" or name.startswith(("nvidia-", "triton"))]


@pytest.mark.parametrize("part", [*PARTS, "scripts/image/requirements.txt"])
def test_every_package_of_an_image_has_a_hash(part: str) -> None:
    assert all(pins(REPOSITORY / part).values())
