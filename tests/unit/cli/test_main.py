"""The command itself."""

import subprocess
import sys

import pytest

from brownout.cli.main import COMMANDS, Command, command_first, main, parser


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")  # a narrow terminal breaks its lines
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    for command in COMMANDS:
        assert f"{command.name} " in printed
        assert command.help.split(":")[0] in printed


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_of_the_table_has_its_parser(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command.name, "--help"])
    assert ended.value.code == 0
    assert "usage: brownout" in capsys.readouterr().out


def test_no_command_and_an_unknown_one_are_usage_errors(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["frobnicate"]):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 2
    assert "frobnicate" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (["-n", "chat", "status", "--watch"], ["status", "-n", "chat", "--watch"]),
        (["--kubeconfig=f", "why", "image", "free"], ["why", "--kubeconfig=f", "image", "free"]),
        (["why", "status", "flags"], ["why", "status", "flags"]),
        (["frobnicate", "status"], ["frobnicate", "status"]),
        (["-n", "chat"], ["-n", "chat"]),
        (["--help", "status"], ["--help", "status"]),
        ([], []),
    ],
)
def test_a_commands_options_may_come_before_it(written: list[str], read: list[str]) -> None:
    assert command_first(written) == read


def test_an_option_before_the_command_is_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--kubeconfig", "/nowhere/config", "status"]) == 1
    assert "--kubeconfig: /nowhere/config: no such file" in capsys.readouterr().err


def test_help_imports_none_of_the_commands() -> None:
    program = (
        "import sys; from brownout.cli.main import parser; parser(None); "
        "heavy = {'kopf', 'grpc', 'aiohttp', 'kubernetes', 'brownout.cli.validate'} & set(sys.modules); "
        "sys.exit(', '.join(heavy) or None)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_named_command_alone_gets_its_options() -> None:
    assert parser("validate").parse_args(["validate", "-f", "here"]).filename == ["here"]
