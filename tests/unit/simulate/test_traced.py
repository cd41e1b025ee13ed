"""The scenarios that need a public trace: run with it, and left out with a word where it is not there."""

from argparse import Namespace
from pathlib import Path

import pytest

from brownout.cli.simulate import _scenarios
from brownout.simulate.rates import rates
from brownout.simulate.run import Prepared
from brownout.simulate.scenario import Scenario, ScenarioError, read
from brownout.simulate.shipped import find, shipped, traced


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    """Files with the public traces' names and columns, of a few made-up rows."""
    hour = "".join(f"2023-11-16 18:{second // 60:02}:{second % 60:02}.5,10,20\n" for second in range(0, 3480, 4))
    (tmp_path / "azure_llm_2023_conv.csv").write_text(f"TIMESTAMP,ContextTokens,GeneratedTokens\n{hour}")
    day = "".join(f"{second},{5 + second / 20000},2.0\n" for second in range(0, 86401, 600))
    (tmp_path / "servegen_image.csv").write_text(f"seconds,requests_per_second,mean_cv\n{day}")
    return tmp_path


def all_of_them(traces: Path | None) -> list[Scenario]:
    return _scenarios(Namespace(scenario=["all"], traces=traces))


def test_all_leaves_out_what_has_no_trace_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(all_of_them(None)) == len(shipped())
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "brownout simulate: left out T1-azure-conversation: no azure_llm_2023_conv.csv; name its folder with --traces",
        "brownout simulate: left out T2-servegen-image: no servegen_image.csv; name its folder with --traces",
    ]


def test_all_has_them_where_their_traces_are(traces: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(all_of_them(traces)) == len(shipped()) + len(traced())
    assert capsys.readouterr().err == ""


def test_they_are_found_by_their_number() -> None:
    assert [path.stem for path in (*find("T1"), *find("t02"))] == list(traced())


def test_one_that_is_asked_for_needs_its_trace() -> None:
    with pytest.raises(
        ScenarioError, match=r"trace azure_llm_2023_conv.csv: no such file; name its folder with --traces"
    ):
        rates(read(traced()["t01-azure-conversation"]))


@pytest.mark.parametrize(
    ("name", "feature", "mean"), [("t01-azure-conversation", "chat", 40.0), ("t02-servegen-image", "image", 13.0)]
)
def test_their_rates_are_scaled_to_the_pool(traces: Path, name: str, feature: str, mean: float) -> None:
    scenario = read(traced()[name])
    own = [s.feature == feature for s in scenario.demand]
    assert rates(scenario, traces)[:, own].sum(axis=1).mean() == pytest.approx(mean)


@pytest.mark.parametrize("path", traced().values(), ids=traced().keys())
def test_their_pods_fit_the_pool_at_the_start(path: Path, traces: Path) -> None:
    scenario = read(path)
    prepared = Prepared(scenario, traces)
    starts = [scenario.workloads[name].start_replicas or 0 for name in prepared.layout.workloads]
    assert (prepared.layout.gpus * starts).sum() <= scenario.pool.nodes * scenario.pool.gpus_per_node
