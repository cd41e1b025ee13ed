"""`brownout`, also usable as `kubectl brownout`: one table of commands, each in a module of its own.

A command's module is imported only when it is asked for, so that `brownout --help` and `brownout validate` do not pay for
kopf, gRPC and aiohttp. A module has `register(subparsers)`: it adds its parser under the command's name, with the table's
sentence as `help`, and sets `run`, a function from the parsed arguments to the exit code.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from brownout.cli.failure import CommandError

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


class Command(NamedTuple):
    """A command, and the module that has it."""

    name: str
    module: str
    help: str


COMMANDS: tuple[Command, ...] = (
    Command("status", "brownout.cli.status", "say what is taken from whom, and why; --watch stays"),
    Command("why", "brownout.cli.why", "say which gate gives a user what they have, on what evidence"),
    Command("explain", "brownout.cli.explain", "say which rule decided, on what numbers, and what it waits for"),
    Command("override", "brownout.cli.override", "put a person's word above the loop for a while, or end it"),
    Command("drill", "brownout.cli.drill", "take a rung for two minutes, and measure what it saves"),
    Command("validate", "brownout.cli.validate", "check manifests offline, more strictly than the API server does"),
    Command("plan", "brownout.cli.plan", "say what files would change now, if they were applied"),
    Command("simulate", "brownout.cli.simulate", "run manifests in virtual time, beside other controllers"),
    Command("diagnose", "brownout.cli.diagnose", "gather what helps to find out what is wrong, without secrets"),
    Command("completion", "brownout.cli.completion", "print a script that completes commands in your shell"),
    Command("operator", "brownout.cli.operator", "decide, scale and shed: the control loop"),
    Command("flags", "brownout.cli.flags", "serve the flags: OFREP, flagd sync, pages"),
)
"""Every command, in the order in which help lists them. A new command is a line here and its module."""


def program() -> str:
    """What the command is called here: as a plugin kubectl runs us under another name."""
    return "kubectl brownout" if os.path.basename(sys.argv[0]).startswith("kubectl-") else "brownout"  # noqa: PTH119


def parser(name: str | None) -> argparse.ArgumentParser:
    """The whole parser, with the options of the named command alone; of the others only the name and its sentence."""
    root = argparse.ArgumentParser(
        prog=program(),
        description="Takes features from the tiers that can best do without them when the GPUs run out, and gives them back.",
        epilog=f"`{program()} COMMAND --help` tells what a command does, its options and its exit codes.",
        formatter_class=_Help,
    )
    root.add_argument("--version", action=_Version, nargs=0, help="print the version and end")
    subparsers = root.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        if command.name == name:
            importlib.import_module(command.module).register(subparsers)
        else:
            subparsers.add_parser(command.name, help=command.help)
    return root


class _Help(argparse.HelpFormatter):
    """Leaves room for the longest command: argparse forgets that commands are indented."""

    def add_argument(self, action: argparse.Action) -> None:
        super().add_argument(action)
        if isinstance(action, argparse._SubParsersAction):
            self._action_max_length += self._indent_increment


class _Version(argparse.Action):
    """As argparse's own, but what knows the version is imported only when it is asked for: it takes as long as all the rest."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import version

        print(f"brownout {version('brownout')}")
        parser.exit()


def command_first(words: list[str]) -> list[str]:
    """The words with the command in front: as with kubectl, its options may come before it. What the program itself knows stays."""
    if not words or not words[0].startswith("-") or words[0] in ("-h", "--help", "--version"):
        return words
    names = {command.name for command in COMMANDS}
    place = next((place for place, word in enumerate(words) if word in names), 0)
    return [words[place], *words[:place], *words[place + 1 :]]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns its exit code: 0 done, 1 could not be done or found something, 2 could not be understood."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["__complete"]:  # as kubectl and the scripts of `completion` ask
        from brownout.cli.completion import complete

        return complete(words[1:])
    words = command_first(words)
    arguments = parser(next(iter(words), None)).parse_args(words)
    run: Callable[[argparse.Namespace], int] = arguments.run
    try:
        return run(arguments)
    except CommandError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read it has seen enough; Python's own flush at the end must not complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


if __name__ == "__main__":
    sys.exit(main())
