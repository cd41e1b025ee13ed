"""The README says what there is: fields of the configuration file, and environment variables."""

import re
from pathlib import Path

import msgspec

from brownout_inference.main import parser
from brownout_inference.settings import ConfigFile, FeatureEntry

README = (Path(__file__).parents[3] / "inference" / "README.md").read_text()
VARIABLE = re.compile(r"\b[A-Z]{3,}(?:_[A-Z]+)+\b|\bPORT\b")


def help_of_serve() -> str:
    (commands,) = [action.choices for action in parser()._actions if action.dest == "command"]
    assert isinstance(commands, dict)
    return str(commands["serve"].format_help())


def test_every_environment_variable_of_the_help_is_in_the_readmes_list() -> None:
    options = {name.removeprefix("--").upper().replace("-", "_") for name in re.findall(r"--[a-z-]+", help_of_serve())}
    shown = re.sub(r"(?<=--)[a-z-]+ [A-Z_]+", "", help_of_serve())  # --flags-host FLAGS_HOST
    in_help = set(VARIABLE.findall(shown)) - (options - set(re.findall(r"\[([A-Z_]+)\]", shown)))
    _, _, listed = README.partition("environment variables that\nare read:")
    in_readme = set(re.findall(r"`([A-Z_]+)`", listed.partition("\n\n")[0]))
    assert in_readme == in_help - {"FLAGS_HOST"}


def test_every_field_of_a_configuration_file_is_in_the_readmes_table() -> None:
    _, _, section = README.partition("## A configuration file")
    section = section.partition("\n## ")[0]
    words = set(re.findall(r"`(?:features\.NAME\.)?([A-Za-z]+)`", section))
    fields = {field.encode_name for kind in (ConfigFile, FeatureEntry) for field in msgspec.structs.fields(kind)}
    assert fields <= words
