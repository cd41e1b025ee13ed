"""docs/simulation.md is true: its scenario runs as it is written, and its tables have every field with its default."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from brownout.cli.main import main
from brownout.simulate import scenario as fields
from brownout.simulate.bounds import FLUID, FORESIGHT, ON_THE_LADDER
from brownout.simulate.controllers import CONTROLLERS
from brownout.simulate.scenario import Part, read
from brownout.simulate.shipped import traced

TEXT = (Path(__file__).parents[3] / "docs" / "simulation.md").read_text()
FILE = re.compile(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", re.DOTALL)
SECTIONS: dict[str, type[Part]] = {
    "The file": fields.Scenario,
    "`pool`": fields.PoolSize,
    "`workloads.NAME`": fields.Simulated,
    "`demand[]`": fields.Stream,
    "`demand[].rate`": fields.Rate,
    "`demand[].rate.trace`": fields.Trace,
    "`users`": fields.Users,
    "`metrics`": fields.Metrics,
    "`events[]`": fields.Event,
    "`faults[]`": fields.Fault,
    "`weights`": fields.Weights,
    "`episodes[]`": fields.Episode,
}
IN_WORDS = {"startReplicas": "`minReplicas`"}
"""Where the default is another object's field."""


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """The files of the documentation, in a folder."""
    for name, text in FILE.findall(TEXT):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_the_scenario_of_the_documentation_runs_as_it_is_written(
    written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, page = written / "out.json", written / "report.html"
    words = [str(written / "evening.yaml"), "--seeds", "1", "--jobs", "1", "--json", str(out), "--html", str(page)]
    assert main(["simulate", *words]) == 0
    assert "evening, seed 1" in capsys.readouterr().out
    (found,) = json.loads(out.read_text())
    assert list(found["provenance"]["traces"]) == ["evening.csv"]
    values = {one["name"]: one["means"]["value"]["mean"] for one in found["controllers"]}
    assert 0.5 < values["hpa"] < values["ours"] <= 1.0
    assert "Free users come home." in page.read_text()


def test_its_trace_is_stretched_to_the_mean_that_it_says(written: Path) -> None:
    from brownout.simulate.rates import rates

    free = rates(read(written / "evening.yaml"))[:, 1]
    assert free.mean() == pytest.approx(3.0)
    assert free.argmax() == pytest.approx(1800, abs=1)


@pytest.mark.parametrize("section", SECTIONS)
def test_every_field_is_documented_with_its_default(section: str) -> None:
    expected = {field.encode_name: _default(field) for field in msgspec.structs.fields(SECTIONS[section])}
    assert _table(section) == expected


def test_no_part_of_a_scenario_is_left_out() -> None:
    parts = {
        one for one in vars(fields).values() if isinstance(one, type) and issubclass(one, Part) and one is not Part
    }
    assert parts == set(SECTIONS.values())


def test_every_controller_and_oracle_is_documented() -> None:
    section = TEXT[TEXT.index("## Controllers") : TEXT.index("## Public traces")]
    named = set(re.findall(r"`([a-z+0-9-]+)`", section))
    short = {name.removeprefix("hpa+people") for name in CONTROLLERS if name.startswith("hpa+people")}
    assert {name for name in CONTROLLERS if not name.startswith("hpa+people")} <= named
    assert short | {"hpa+people-15m"} <= named | {"-15m"}
    for bound in (FLUID, FORESIGHT, ON_THE_LADDER, "o3"):
        assert f"| {bound.upper()} |" in section


def test_the_scenarios_with_public_traces_are_documented_with_their_files() -> None:
    section = TEXT[TEXT.index("## Public traces") : TEXT.index("## Yesterday")]
    for path in traced().values():
        found = read(path)
        assert f"`{found.name.split('-')[0]}`" in section
        for file in {s.rate.trace.file for s in found.demand if s.rate.trace is not None}:
            assert f"`{file}`" in section
        assert "synthetic" in path.read_text()


def _table(section: str) -> dict[str, str]:
    """Field and default in the table under a heading."""
    start = TEXT.index(f"### {section}\n")
    body = TEXT[start : TEXT.index("\n#", start + 5)]
    rows = [line.split("|")[1:-1] for line in body.splitlines() if line.startswith("| `")]
    return {row[0].strip().strip("`"): row[2].strip() for row in rows}


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.encode_name in IN_WORDS:
        return IN_WORDS[field.encode_name]
    value: Any = field.default_factory() if field.default is msgspec.NODEFAULT and not field.required else field.default
    if value is msgspec.NODEFAULT:
        return "**required**"
    if value is None:
        return "none"
    if isinstance(value, Part):
        return "see below"
    if isinstance(value, float):
        return f"`{value:g}`"
    return f"`{value}`" if value and isinstance(value, str) else f"`{json.dumps(value)}`"
