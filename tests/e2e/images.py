"""The images of the tests, all from this repository's Dockerfiles, each tagged by its content: what has changed is started anew."""

import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from brownout_localcluster.binaries import find_binaries
from e2e.commands import CommandError, run
from e2e.settings import ROOT

BUILD_SECONDS = 1500.0
PROMETHEUS = "brownout/e2e-prometheus"
FIRST_WITH_IMAGES = "docs/e2e.md"


@dataclass(frozen=True, slots=True)
class Images:
    """References of images, or of one component's."""

    brownout: str
    inference: str
    prometheus: str = ""

    @property
    def tag(self) -> str:
        """The operator's and flag server's, for the chart."""
        return self.brownout.rpartition(":")[2]


def build(say: Callable[[str], None]) -> Images:
    """Builds this checkout's images; seconds where nothing has changed. They take scripts/images' environment variables."""
    say("building the images (some minutes the first time)")
    brownout, inference = (_built(component, ROOT) for component in ("operator", "inference"))
    return Images(brownout, inference, _prometheus(say))


def build_revision(revision: str, folder: Path, say: Callable[[str], None]) -> str:
    """The operator's image with the sources of another revision; this one's Dockerfile and pinned packages."""
    say(f"building the image of {revision}")
    extract(revision, folder, "pyproject.toml", "README.md", "LICENSE", "operator/src", "inference/src")
    return _built("operator", folder)


def previous_revision() -> str:
    """The last release; while there is none, the revision whose images first ran on kind. Raises CommandError in a clone without history."""
    released = run("git", "-C", str(ROOT), "describe", "--tags", "--abbrev=0", "HEAD^", check=False).strip()
    first = ("log", "--diff-filter=A", "--format=%H", "-1", "--", FIRST_WITH_IMAGES)
    if revision := released or run("git", "-C", str(ROOT), *first).strip():
        return revision
    raise CommandError(
        f"no tag, and no revision that added {FIRST_WITH_IMAGES}: fetch the history, or name one in E2E_PREVIOUS"
    )


def extract(revision: str, folder: Path, *paths: str) -> None:
    """Files of another revision. Raises CommandError where this clone has no such revision."""
    archive = folder / "revision.tar"
    folder.mkdir(parents=True, exist_ok=True)
    run("git", "-C", str(ROOT), "archive", "--output", str(archive), revision, *paths)
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")


def _built(component: str, sources: Path) -> str:
    environment = dict(os.environ) | {"IMAGES": component, "TAG": "e2e", "SOURCES": str(sources)}
    printed = run(str(ROOT / "scripts" / "images"), environment=environment, seconds=BUILD_SECONDS)
    name, identity, _ = printed.split()
    return _tagged(name, identity)


def _prometheus(say: Callable[[str], None]) -> str:
    binary = find_binaries(say=say)["prometheus"]
    base = os.environ.get("BASE_IMAGE", "")
    with tempfile.TemporaryDirectory() as folder:
        context = Path(folder)
        shutil.copy2(binary, context / "prometheus")
        shutil.copy2(Path(__file__).parent / "prometheus" / "Dockerfile", context)
        arguments = ("--build-arg", f"BASE_IMAGE={base}") if base else ()
        run("docker", "build", "--quiet", "--tag", f"{PROMETHEUS}:e2e", *arguments, str(context), seconds=BUILD_SECONDS)
    identity = run("docker", "image", "inspect", "--format", "{{.Id}}", f"{PROMETHEUS}:e2e").strip()
    return _tagged(f"{PROMETHEUS}:e2e", identity)


def _tagged(name: str, identity: str) -> str:
    reference = f"{name.rpartition(':')[0]}:e2e-{identity.removeprefix('sha256:')[:12]}"
    run("docker", "tag", name, reference)
    return reference
