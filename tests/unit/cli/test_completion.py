"""Completion: what may stand at the cursor, and that a real bash gets it."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from brownout.cli.completing.candidates import FILES, NO_FILES, complete
from brownout.cli.completion import SCRIPTS
from brownout.cli.main import COMMANDS, main

ASKED: list[tuple[str, Mapping[str, str], Sequence[str]]] = []


def names(metavar: str, given: Mapping[str, str], positional: Sequence[str]) -> list[str]:
    ASKED.append((metavar, given, positional))
    return [f"{metavar.lower()}-a", f"{metavar.lower()}-b"]


def words(*typed: str) -> list[str]:
    """The candidates without what they are; the directive last."""
    return [line.partition("\t")[0] for line in complete(typed, names)]


def test_commands_are_offered_with_what_they_do() -> None:
    assert words("") == [*(command.name for command in COMMANDS), NO_FILES]
    assert complete(["wh"], names) == ["why\tsay which gate gives a user what they have, on what evidence", NO_FILES]


def test_options_are_offered_where_a_dash_is_written() -> None:
    assert words("override", "--ti") == ["--tier", NO_FILES]
    assert {"-n", "--namespace", "-A", "-w"} <= set(words("status", "-"))


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        (("status", "-o", ""), ["json", "yaml", "wide", "name", NO_FILES]),
        (("status", "--output=j"), ["--output=json", NO_FILES]),
        (("completion", ""), ["bash", "zsh", "fish", NO_FILES]),
        (("flags", ""), ["serve", NO_FILES]),
        (("flags", "serve", "--log-level", "w"), ["warning", NO_FILES]),
        (("validate", "-f", ""), [FILES]),
        (("why", "@con"), [FILES]),
        (("frobnicate", ""), [NO_FILES]),
    ],
)
def test_choices_and_files_are_offered_where_they_are_meant(typed: tuple[str, ...], found: list[str]) -> None:
    assert words(*typed) == found


@pytest.mark.parametrize(
    ("typed", "metavar", "given", "positional"),
    [
        (("override", ""), "FEATURE", {}, []),
        (("override", "images", "--tier", ""), "TIER", {}, ["images"]),
        (("override", "images", "-n", "media", "--variant", ""), "VARIANT", {"--namespace": "media"}, ["images"]),
        (("why", "plan=free", ""), "FEATURE", {}, ["plan=free"]),
        (("explain", "policy", ""), "NAME", {}, ["policy"]),
        (("status", "-n", ""), "NS", {}, []),
    ],
)
def test_names_are_asked_of_the_cluster(
    typed: tuple[str, ...], metavar: str, given: dict[str, str], positional: list[str]
) -> None:
    assert words(*typed) == [f"{metavar.lower()}-a", f"{metavar.lower()}-b", NO_FILES]
    assert ASKED[-1] == (metavar, given, positional)


def test_a_cluster_that_is_not_there_leaves_the_prompt_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    assert main(["__complete", "override", ""]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == NO_FILES


@pytest.mark.parametrize("shell", SCRIPTS)
def test_every_shell_has_its_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    assert "brownout __complete" in capsys.readouterr().out


def test_a_real_bash_completes_with_the_script(tmp_path: Path) -> None:
    command = tmp_path / "brownout"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m brownout.cli.main "$@"\n')
    command.chmod(0o755)
    program = f"""
        PATH={tmp_path}:$PATH
        source <(brownout completion bash)
        COMP_WORDS=(brownout status -o w) COMP_CWORD=3
        _brownout
        echo "${{COMPREPLY[@]}}"
    """
    ran = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "wide\n", ran.stderr
