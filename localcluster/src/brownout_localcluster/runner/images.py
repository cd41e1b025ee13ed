"""Which command an image stands for.

There is no container runtime, so an image is only a name: the caller says which command each stands for.
"""

import sys
from collections.abc import Mapping
from pathlib import Path


class UnknownImageError(Exception):
    """No command is known for an image; the message names those that are known."""


def default_images() -> dict[str, list[str]]:
    """The images that stand for programs of this project: those of the environment that we run in."""
    programs = Path(sys.executable).parent
    return {
        "brownout/brownout": [str(programs / "brownout")],
        "brownout/inference": [str(programs / "brownout-inference")],
    }


def repository(image: str) -> str:
    """The part of an image reference that names it: no host, tag or digest. `docker.example/a/b:1@sha256:x` is `a/b`."""
    name = image.partition("@")[0]
    head, slash, last = name.rpartition("/")
    name = f"{head}{slash}{last.partition(':')[0]}"
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        name = rest
    return name.removeprefix("library/")


def entrypoint(image: str, known: Mapping[str, list[str]]) -> list[str]:
    """The command that `image` stands for. Raises UnknownImageError."""
    command = known.get(repository(image))
    if command is None:
        raise UnknownImageError(
            f"the local cluster has no command for image {image!r}; it knows {', '.join(sorted(known))}. "
            "Give it one: LocalCluster(images={...}) or `brownout-localcluster up --image NAME=COMMAND`"
        )
    return list(command)
