"""`brownout simulate`."""

import json
from pathlib import Path

import pytest

from brownout.cli.main import main
from brownout.cli.past import UsageError
from brownout.cli.simulate import NEEDED, numbers
from support.small_world import demand, written


def simulate(*words: str) -> int:
    return main(["simulate", *words])


def test_a_scenario_of_ones_own_with_a_trace_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    traces = tmp_path / "traces"
    traces.mkdir()
    (traces / "mine.csv").write_text("".join(["at,rate\n", *(f"{at},{1 + at / 30}\n" for at in range(0, 301, 10))]))
    trace = {"file": "mine.csv", "secondsColumn": "at", "rateColumn": "rate"}
    file = written(tmp_path, demand=demand(free={"trace": trace}))
    out = tmp_path / "out.json"
    assert simulate(str(file), "--seeds", "1-2", "--traces", str(traces), "--jobs", "1", "--json", str(out)) == 0
    printed = capsys.readouterr().out
    assert "small, 2 seeds" in printed
    assert all(name in printed for name in ("brownout", "HPA", "told the truth (O3)", "bound O2"))
    (found,) = json.loads(out.read_text())
    assert found["seeds"] == [1, 2]
    assert list(found["provenance"]["traces"]) == ["mine.csv"]
    assert {one["name"] for one in found["controllers"]} == {"ours", "hpa", "o3"}


def test_json_on_standard_output_is_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--seeds", "1", "--jobs", "1", "--json", "-", "--controllers", "hpa+quotas")
    assert simulate(str(written(tmp_path, seconds=60)), *words) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert {one["name"] for one in found["controllers"]} == {"hpa+quotas", "hpa", "o3"}


def test_a_report_is_written_with_plots(tmp_path: Path) -> None:
    html = tmp_path / "report.html"
    assert simulate(str(written(tmp_path, seconds=120)), "--seeds", "1", "--jobs", "1", "--html", str(html)) == 0
    text = html.read_text()
    assert "small" in text
    assert "<svg" in text


def test_the_list_names_scenarios_and_controllers(capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate("--list") == 0
    printed = capsys.readouterr().out
    assert "s01-viral-ramp" in printed
    assert "hpa+thresholds" in printed


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "no scenario; name a file"),
        (("nowhere.yaml",), "nowhere.yaml: no such file"),
        (("S1", "--controllers", "magic"), "no controller 'magic'"),
        (("S1", "--seeds", "5-1"), "--seeds: found '5-1'"),
        (("S1", "--jobs", "0"), "--jobs: found 0"),
    ],
)
def test_what_cannot_be_run_is_one_line_and_exit_code_2(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert simulate(*words) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert printed.err.startswith("brownout simulate: ")
    assert said in printed.err


def test_a_scenario_that_is_wrong_names_its_file_and_field(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate(str(written(tmp_path, seconds=-1)), "--jobs", "1") == 2
    assert "small.yaml: seconds: found -1; Expected `float` > 0.0" in capsys.readouterr().err


def test_a_missing_trace_says_how_to_name_its_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = {"file": "mine.csv", "secondsColumn": "at", "rateColumn": "rate"}
    assert simulate(str(written(tmp_path, demand=demand(free={"trace": trace}))), "--jobs", "1") == 2
    assert "trace mine.csv: no such file; name its folder with --traces" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_to_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--seeds", "1", "--jobs", "1", "--json", str(tmp_path / "none" / "out.json"))
    assert simulate(str(written(tmp_path, seconds=60)), *words) == 2
    assert "No such file or directory" in capsys.readouterr().err


def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("brownout.cli.simulate.NEEDED", (*NEEDED, "a_module_that_nobody_has"))
    assert simulate("S1") == 2
    assert "pip install 'brownout[simulate]'" in capsys.readouterr().err


def test_seeds_are_numbers_and_spans() -> None:
    assert numbers("3") == [3]
    assert numbers("1-3, 7,2") == [1, 2, 3, 7]
    for text in ("", "a", "1-", "-1", "1--2", "2-1"):
        with pytest.raises(UsageError):
            numbers(text)
