"""docs/migrating.md and docs/cli.md are true: manifests are valid, fields exist on both sides, and no command is left out."""

import re
from pathlib import Path

import pytest

from brownout.api.generate import definition
from brownout.api.resources import BY_KIND
from brownout.cli.main import COMMANDS, main
from brownout.observe.engine_packs import PACKS
from support.examples import REPOSITORY

MIGRATING = (REPOSITORY / "docs" / "migrating.md").read_text()
CLI = (REPOSITORY / "docs" / "cli.md").read_text()
VALID = re.findall(r"<!-- valid -->\n```yaml\n(.*?)```", MIGRATING, re.DOTALL)


@pytest.mark.parametrize("text", VALID, ids=["hpa", "keda"])
def test_what_an_autoscaler_becomes_is_valid(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "it.yaml").write_text(text)
    code = main(["validate", "-f", str(tmp_path)])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    assert "2 objects: 0 errors" in printed.out


def rows(heading: str) -> list[list[str]]:
    table = MIGRATING.split(f"## {heading}")[1].split("\n## ")[0]
    return [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")][1:]


@pytest.mark.parametrize(
    "heading", ["HorizontalPodAutoscaler (autoscaling/v2), field by field", "KEDA's ScaledObject, field by field"]
)
def test_every_counterpart_is_a_field_that_there_is(heading: str) -> None:
    schema = definition(BY_KIND["InferenceScaler"])["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    named = [name for row in rows(heading) for name in re.findall(r"`([a-zA-Z.\[\]]+)(?::[^`]*)?`", row[1])]
    assert len(named) > 15
    for name in named:
        if name.startswith("prometheus.") or name in (
            "headers",
            "url",
            "bearer",
            "username",
            "password",
            "ca.crt",
            "kubectl",
        ):
            continue  # of the pool, or of its Secret
        inside = schema["properties"]["spec"]
        if name[0].isupper() or name == "value":  # a condition, or a part of a target
            continue
        first, *others = name.replace("[]", "").split(".")
        metric = inside["properties"]["metrics"]["items"]["properties"]
        inside = inside["properties"].get(first) or metric.get(first)
        assert inside, f"docs/migrating.md names {name}, which is no field"
        for part in others:
            inside = inside.get("items", inside)
            assert part in inside["properties"], f"docs/migrating.md names {name}, which is no field"
            inside = inside["properties"][part]


def test_every_command_is_in_the_table_of_the_documentation() -> None:
    for command in COMMANDS:
        assert re.search(rf"^\|.*`{command.name}(?: serve)?`", CLI, re.MULTILINE), command.name


def test_every_pack_has_a_sample() -> None:
    samples = {file.stem for file in (REPOSITORY / "charts" / "brownout" / "examples" / "engines").glob("*.yaml")}
    assert samples == PACKS.keys() - {"brownout"}


def test_every_signal_of_every_pack_is_in_the_table() -> None:
    table = {pack.strip("`"): set(re.findall(r"`([\w-]+)`", words)) for pack, words in rows("Engine packs")}
    assert table == {pack: set(signals) for pack, signals in PACKS.items()}
