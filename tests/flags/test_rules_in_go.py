"""Go's JsonLogic engine, which flagd and the Go provider in process evaluate with, finds everybody's audience as we do."""

import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from brownout.api.tier import Match
from brownout_localcluster.build import find_go
from flags.rules import TESTS, audience_of, contexts, expected_audiences, rule_of

SOURCES = Path(__file__).with_name("go_jsonlogic")
NO_CONTAINERS = {"NotIn", "OlderThan", "YoungerThan"}
"""Tests that are an error in Go of a list or an object (docs/evaluation.md)."""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The engine as a program, built from what go.sum names."""
    folder = tmp_path_factory.mktemp("go") / "jsonlogic"
    shutil.copytree(SOURCES, folder)
    built = subprocess.run(
        [find_go(), "build", "-o", "engine", "."], cwd=folder, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    return folder / "engine"


def evaluated(engine: Path, rule: dict[str, Any], users: list[dict[str, Any]]) -> list[str]:
    """What a rule comes to for each user; `error` where it is one."""
    added = {"$flagd": {"timestamp": int(time.time()), "flagKey": "brownout.audience"}}
    lines = "".join(json.dumps({"rule": rule, "data": user | added}) + "\n" for user in users)
    done = subprocess.run([engine], input=lines, capture_output=True, text=True, timeout=60, check=True)
    return [json.loads(line).get("result", "error") for line in done.stdout.splitlines()]


@pytest.mark.parametrize("key", ["a", "b.a"])
@pytest.mark.parametrize("match", TESTS, ids=lambda match: match.operator)
def test_go_finds_the_audience_that_we_find(engine: Path, match: Match, key: str) -> None:
    flag_set, users = audience_of(match, key), contexts()
    expected = expected_audiences(match, key, flag_set, users, no_containers=NO_CONTAINERS, error="error")
    found = evaluated(engine, rule_of(flag_set), users)
    wrong = [each for each in zip(users, expected, found, strict=True) if each[1] != each[2]]
    assert wrong == []
