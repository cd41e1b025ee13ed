"""What may stand where the cursor is."""

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from brownout.cli.main import COMMANDS, parser

FILES, NO_FILES = ":0", ":4"

FILE_METAVARS = frozenset({"FILE", "DIR", "FILE|DIR"})
"""Values that name a place on disk."""

Given = Mapping[str, str]
"""Options that are written already, by their long name."""

Names = Callable[[str, Given, Sequence[str]], Iterable[str]]
"""The names that the cluster has for a metavar such as FEATURE or TIER, given options and positional words."""


class Candidate(NamedTuple):
    """A word, and what it is."""

    word: str
    help: str = ""

    def __str__(self) -> str:
        return f"{self.word}\t{self.help}" if self.help else self.word


def complete(words: Sequence[str], names: Names) -> list[str]:
    """The lines of the answer for these words, of which the last is the one at the cursor (empty where a new one begins)."""
    *before, current = words or [""]
    command = next((word for word in before if not word.startswith("-")), None)
    if command is None:
        found = [Candidate(one.name, one.help) for one in COMMANDS]
        return _lines(found, current, files=False)
    if command not in {one.name for one in COMMANDS}:
        return [NO_FILES]
    after = list(before[before.index(command) + 1 :])
    asked = _asked(_subparser(parser(command), command), after)
    return _lines(*_found(asked, current, names))


class _Asked(NamedTuple):
    """A parser, and what is written for it already."""

    parser: argparse.ArgumentParser
    given: dict[str, str]
    positional: list[str]
    open_option: argparse.Action | None


def _asked(of: argparse.ArgumentParser, words: list[str]) -> _Asked:
    options = {option: action for action in of._actions for option in action.option_strings}
    given: dict[str, str] = {}
    positional: list[str] = []
    waiting: argparse.Action | None = None
    for number, word in enumerate(words):
        if waiting is not None:
            given[_name(waiting)] = word
            waiting = None
        elif word.startswith("-") and word != "-":
            option, equals, value = word.partition("=")
            action = options.get(option)
            if action is not None and equals:
                given[_name(action)] = value
            elif action is not None and action.nargs is None:
                waiting = action
        else:
            inner = _inner(of)
            if inner is not None and word in inner.choices:
                return _asked(inner.choices[word], words[number + 1 :])
            positional.append(word)
    return _Asked(of, given, positional, waiting)


def _found(asked: _Asked, current: str, names: Names) -> tuple[list[Candidate], str, bool]:
    option, equals, _ = current.partition("=")
    if asked.open_option is None and equals and option.startswith("--"):
        action = next((a for a in asked.parser._actions if option in a.option_strings), None)
        found, files = _values(action, asked, names) if action else ([], False)
        return [Candidate(f"{option}={one.word}", one.help) for one in found], current, files
    if asked.open_option is not None:
        found, files = _values(asked.open_option, asked, names)
        return found, current, files
    if current.startswith("-"):
        return _options(asked.parser, current), current, False
    inner = _inner(asked.parser)
    if inner is not None:
        return [Candidate(word) for word in inner.choices], current, False
    action = _positional(asked)
    found, files = _values(action, asked, names) if action else ([], False)
    if action is not None and action.nargs == "+" and current.startswith("@"):
        files = True
    return found, current, files


def _values(action: argparse.Action, asked: _Asked, names: Names) -> tuple[list[Candidate], bool]:
    """What an option or positional takes, and whether it names a file."""
    if action.choices:
        return [Candidate(str(choice)) for choice in action.choices], False
    metavar = str(action.metavar or "")
    if metavar in FILE_METAVARS:
        return [], True
    return [Candidate(name) for name in names(metavar, asked.given, asked.positional)], False


def _positional(asked: _Asked) -> argparse.Action | None:
    """The positional that comes next. Of one that takes many and one after it, the last is meant: contexts are not guessed."""
    left = [action for action in asked.parser._actions if not action.option_strings]
    if left and left[0].nargs == "+":
        return left[-1] if asked.positional else left[0]
    return left[len(asked.positional)] if len(asked.positional) < len(left) else None


def _options(of: argparse.ArgumentParser, current: str) -> list[Candidate]:
    found = []
    for action in of._actions:
        words = [option for option in action.option_strings if option.startswith("--")] or action.option_strings
        if current == "-":
            words = list(action.option_strings)
        found += [Candidate(word, _sentence(action)) for word in words if action.help != argparse.SUPPRESS]
    return found


def _sentence(action: argparse.Action) -> str:
    return " ".join((action.help or "").replace("%%", "%").split())


def _lines(found: Iterable[Candidate], current: str, files: bool) -> list[str]:
    lines = [str(one) for one in found if one.word.startswith(current)]
    return [*lines, FILES if files else NO_FILES]


def _subparser(root: argparse.ArgumentParser, command: str) -> argparse.ArgumentParser:
    inner = _inner(root)
    assert inner is not None
    return inner.choices[command]


def _inner(of: argparse.ArgumentParser) -> "argparse._SubParsersAction[argparse.ArgumentParser] | None":
    return next((action for action in of._actions if isinstance(action, argparse._SubParsersAction)), None)


def _name(action: argparse.Action) -> str:
    return next((option for option in action.option_strings if option.startswith("--")), action.option_strings[0])
