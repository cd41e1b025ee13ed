"""What `make check` says of dependencies without a network."""

import importlib.util
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
HASH = f"--hash=sha256:{'0' * 64}"


@pytest.fixture(scope="module")
def script() -> Any:
    spec = importlib.util.spec_from_file_location("dependencies", REPOSITORY / "scripts" / "dependencies.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_dependency_of_the_repository_is_pinned_hashed_and_of_a_known_licence(
    script: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script.main(list(script.LOCKS)) == 0, capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("aiohttp>=3", "is not pinned"),
        ("aiohttp @ git+ssh://somewhere/aiohttp", "comes from elsewhere"),
        ("--extra-index-url https://example.com/simple", "comes from elsewhere"),
        ("aiohttp==3.14.5", "has no hash"),
        ("aiohttp==3.14.5 \\\n    # via brownout", "has no hash"),
    ],
)
def test_what_is_not_pinned_by_its_content_is_named(script: Any, line: str, said: str) -> None:
    assert said in "\n".join(script.unpinned(f"kopf==1.45 \\\n    {HASH}\n{line}\n"))


def test_markers_extras_and_comments_are_no_fault(script: Any) -> None:
    lock = (
        f"# made by make lock\nuvicorn[standard]==0.40 ; python_version >= '3.11' \\\n    {HASH}\n    # via brownout\n"
    )
    assert list(script.unpinned(lock)) == []
    assert list(script.pins(lock)) == ["uvicorn"]


def test_a_dependency_that_was_not_locked_is_named(script: Any) -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    project["project"]["dependencies"].append("Not_Locked[extra]>=1; python_version > '3'")
    lock = (REPOSITORY / "requirements.txt").read_text()
    assert [*script.forgotten(project, lock)] == ["not-locked is named in pyproject.toml and not locked; run make lock"]


def test_a_package_of_npm_without_a_hash_is_named(script: Any) -> None:
    lock = json.dumps({"packages": {"": {}, "node_modules/a": {"integrity": "sha512-x"}, "node_modules/b": {}}})
    assert [*script.unverified(lock)] == ["node_modules/b has no hash"]


@pytest.mark.parametrize(
    "text", ["GPL-3.0-only", "GNU General Public License v3 (GPLv3)", "AGPL-3.0", "BUSL-1.1", "All rights reserved"]
)
def test_a_licence_that_binds_who_uses_us_is_refused(script: Any, text: str) -> None:
    assert script.REFUSED.search(text) or not script.ALLOWED.search(text)


@pytest.mark.parametrize("text", ["MIT", "Apache-2.0 OR BSD-2-Clause", "MPL-2.0", "Python Software Foundation License"])
def test_usual_licences_are_let_through(script: Any, text: str) -> None:
    assert script.ALLOWED.search(text)
    assert not script.REFUSED.search(text)
