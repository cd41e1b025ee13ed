"""The scenarios that come with Brownout, and how one is found by its name."""

from importlib.resources import files
from pathlib import Path

from brownout.simulate.scenario import Scenario, ScenarioError, read


def shipped() -> dict[str, Path]:
    """Files by the name of the file without its ending, such as s01-viral-ramp, in order."""
    return _scenarios("s*.yaml")


def traced() -> dict[str, Path]:
    """Those that need a public trace, which does not come along: by the name of the file, such as t01-azure-conversation."""
    return _scenarios("t*.yaml")


def _scenarios(pattern: str) -> dict[str, Path]:
    folder = Path(str(files("brownout.simulate").joinpath("scenarios")))
    return {path.stem: path for path in sorted(folder.glob(pattern))}


def find(name: str) -> list[Path]:
    """The files that a word names: a path, a shipped scenario's file, or its number, S9 being two. ScenarioError for none."""
    path = Path(name)
    if path.is_file():
        return [path]
    known = shipped() | traced()
    word = name.lower().removesuffix(".yaml")
    found = [file for stem, file in known.items() if word in (stem, *_numbers(stem))]
    if not found:
        raise ScenarioError(
            f"{name}: no such file, and no scenario that comes with Brownout: there are {', '.join(known)}"
        )
    return found


def _numbers(stem: str) -> tuple[str, ...]:
    """s09a is found by s09a, s9a, s09 and s9."""
    number = stem.split("-")[0]
    short = f"{number[0]}{number[1:].lstrip('0')}"
    return (number, short, number.rstrip("ab"), short.rstrip("ab"))


def load(names: list[str]) -> list[Scenario]:
    """The scenarios that words name, each once. ScenarioError where one cannot be used, or two have the same name."""
    paths = list(dict.fromkeys(path.resolve() for name in names for path in find(name)))
    found = [read(path) for path in paths]
    for index, scenario in enumerate(found):
        if scenario.name in {other.name for other in found[:index]}:
            raise ScenarioError(
                f"{paths[index]}: another scenario is named {scenario.name} too; give it a name of its own"
            )
    return found
