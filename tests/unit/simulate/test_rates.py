"""Requests a second over time: generators, and traces from files."""

from pathlib import Path

import numpy as np
import pytest

from brownout.simulate.rates import missing_traces, rates, trace_files
from brownout.simulate.scenario import ScenarioError
from support.small_world import demand, small


def of(folder: Path, *, seconds: int = 300, traces: Path | None = None, **rate: object) -> list[float]:
    """The free users' rate in each second."""
    scenario = small(folder, seconds=seconds, demand=demand(free=rate))
    return [float(value) for value in rates(scenario, traces)[:, 1]]


def test_a_steady_rate_is_its_base(tmp_path: Path) -> None:
    assert of(tmp_path, base=3) == [3.0] * 300


def test_a_step_is_the_peak_while_it_holds(tmp_path: Path) -> None:
    found = of(tmp_path, shape="step", base=1, peak=5, at=100, hold=50)
    assert found == [1.0] * 100 + [5.0] * 50 + [1.0] * 150


def test_a_linear_ramp_rises_holds_and_falls(tmp_path: Path) -> None:
    found = of(tmp_path, shape="ramp", base=0, peak=10, at=100, rise=50, hold=20, fall=10)
    assert found[99] == 0
    assert found[125] == pytest.approx(5, abs=0.2)
    assert found[150:170] == [10.0] * 20
    assert found[175] == pytest.approx(5, abs=0.6)
    assert found[180:] == [0.0] * 120


def test_a_viral_ramp_starts_slowly_and_is_steepest_in_its_middle(tmp_path: Path) -> None:
    found = np.array(of(tmp_path, shape="ramp", curve="Viral", base=0, peak=10, at=100, rise=100, hold=100))
    steps = np.diff(found)
    assert (steps >= 0).all()
    assert found[110] < 0.5
    assert found[150] == pytest.approx(5, abs=0.2)
    assert 140 <= int(steps[:195].argmax()) <= 160


def test_a_sawtooth_goes_up_and_down_within_each_period(tmp_path: Path) -> None:
    found = of(tmp_path, shape="sawtooth", base=2, peak=12, period=100, at=100, hold=100)
    assert found[:100] == [2.0] * 100
    assert max(found) == found[149] == pytest.approx(12, abs=0.2)
    assert found[124] == pytest.approx(7, abs=0.2)
    assert found[200:] == [2.0] * 100


def test_a_square_wave_is_the_peak_for_half_of_each_period(tmp_path: Path) -> None:
    assert of(tmp_path, shape="square", base=1, peak=3, period=100) == ([3.0] * 50 + [1.0] * 50) * 3


def test_a_day_is_lowest_at_its_start_and_highest_half_a_day_later(tmp_path: Path) -> None:
    found = of(tmp_path, seconds=86400, shape="daily", base=1, peak=5)
    assert found[0] == pytest.approx(1, abs=1e-3)
    assert found[43200] == pytest.approx(5, abs=1e-3)
    assert found[21600] == pytest.approx(3, abs=1e-3)


def trace(folder: Path, text: str, **options: object) -> dict[str, object]:
    folder.mkdir(exist_ok=True)
    (folder / "trace.csv").write_text(text)
    return {"file": "trace.csv", "secondsColumn": "t", **options}


def test_a_trace_of_rates_is_read_between_its_rows_and_zero_after_them(tmp_path: Path) -> None:
    given = trace(tmp_path, "t,rps\n1000,2\n1100,4\n1200,0\n", rateColumn="rps", scale=3)
    found = of(tmp_path, trace=given)
    assert found[0] == pytest.approx(6, abs=0.1)
    assert found[50] == pytest.approx(9, abs=0.1)
    assert found[250] == 0


def test_a_trace_of_requests_is_counted_by_the_second_and_scaled_to_a_mean(tmp_path: Path) -> None:
    rows = "".join(f"{second + part / 4}\n" for second in range(0, 300, 2) for part in range(4))
    found = of(tmp_path, trace=trace(tmp_path, f"t\n{rows}", mean=7))
    assert np.mean(found) == pytest.approx(7)
    assert found[1] == 0 < found[0]


def test_a_trace_may_start_later_and_run_faster(tmp_path: Path) -> None:
    given = trace(tmp_path, "t,rps\n0,0\n600,600\n", rateColumn="rps", startSeconds=100, speed=2)
    found = of(tmp_path, trace=given)
    assert found[0] == pytest.approx(101)
    assert found[100] == pytest.approx(301)


def test_times_may_be_iso_dates(tmp_path: Path) -> None:
    given = trace(tmp_path, "t,rps\n2023-11-16 18:17:03.5,1\n2023-11-16 18:22:03.5000000,4\n", rateColumn="rps")
    assert of(tmp_path, trace=given)[149] == pytest.approx(2.5, abs=0.1)


def test_a_trace_is_found_in_the_folder_of_traces_too(tmp_path: Path) -> None:
    elsewhere = tmp_path / "traces"
    given = trace(elsewhere, "t,rps\n0,5\n900,5\n", rateColumn="rps")
    scenario = small(tmp_path, demand=demand(free={"trace": given}))
    assert missing_traces(scenario, None) == ("trace.csv",)
    assert missing_traces(scenario, elsewhere) == ()
    assert trace_files(scenario, elsewhere) == (elsewhere / "trace.csv",)
    assert rates(scenario, elsewhere)[0, 1] == 5
    with pytest.raises(ScenarioError, match=r"trace\.csv: no such file; name its folder with --traces"):
        rates(scenario, None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("t,rate\n0,1\n", "no column 'rps'; it has t, rate"),
        ("rps\n1\n", "no column 't'; it has rps"),
        ("t,rps\n0,1\n1,many\n", "line 3: could not convert string to float: 'many'; write numbers"),
        ("t,rps\nnoon,1\n", "line 2: Invalid isoformat string: 'noon'; write numbers, or ISO 8601 times"),
        ("t,rps\n", "no rows; a trace needs at least one"),
        ("t,rps\n300,1\n0,2\n", "trace.csv: line 3: time 0 after 300; write rows in ascending order"),
    ],
)
def test_a_trace_that_cannot_be_read_says_where_and_what_to_write(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ScenarioError) as error:
        of(tmp_path, trace=trace(tmp_path, text, rateColumn="rps"))
    assert "trace.csv" in str(error.value)
    assert said in str(error.value)
