"""Comparing controllers: who runs, on what, and that it does not matter where."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from brownout.simulate.bounds import bounds_of, gpus_by_tick, truth_of
from brownout.simulate.comparisons import comparisons, provenance_of
from brownout.simulate.controllers import CONTROLLERS
from brownout.simulate.controllers.hpa import Parameters
from brownout.simulate.results import to_json
from brownout.simulate.run import Prepared
from brownout.simulate.scenario import Scenario, ScenarioError
from brownout.simulate.tournament import Entrant, Heat, Results, compare, entrants, heat_of
from brownout.simulate.tuning import tune
from support.small_world import demand, small, written

SURGE = {"shape": "step", "base": 1.5, "peak": 14, "at": 60, "hold": 180}


def surge(folder: Path, **changes: object) -> Scenario:
    """Three minutes of nearly twice what the pool can serve."""
    return small(folder, **{"demand": demand(free=SURGE), "episodes": [{"start": 60, "end": 240}], **changes})


def plain(results: list[Results]) -> bytes:
    return msgspec.json.encode([(one.scenario.name, one.figures, one.besides) for one in results])


def test_results_are_the_same_for_any_number_of_processes(tmp_path: Path) -> None:
    scenarios = [surge(tmp_path), small(tmp_path, name="calm", seconds=120)]
    field = entrants(["ours", "hpa"])
    alone = compare(scenarios, field, [1, 2], jobs=1)
    assert [one.scenario.name for one in alone] == ["small", "calm"]
    assert plain(compare(scenarios, field, [1, 2], jobs=2)) == plain(alone)


def test_everybody_runs_on_every_seed_and_the_ideal_beside_them(tmp_path: Path) -> None:
    (found,) = compare([surge(tmp_path)], entrants(["ours", "hpa"]), [3, 5], jobs=1, keep=5)
    assert {name: sorted(by_seed) for name, by_seed in found.figures.items()} == {
        name: [3, 5] for name in ("o3", "ours", "hpa")
    }
    assert all(figures.unneeded_unavailable_minutes == 0 for figures in found.figures["o3"].values())
    assert {name: record.seed for name, record in found.records.items()} == {"o3": 5, "ours": 5, "hpa": 5}


def test_progress_counts_runs_up_to_their_number(tmp_path: Path) -> None:
    said: list[tuple[int, int]] = []
    compare([small(tmp_path, seconds=60)], entrants(["hpa"]), [1, 2, 3], jobs=1, progress=lambda *now: said.append(now))
    assert said == [(2, 6), (4, 6), (6, 6)]


def test_shedding_is_worth_more_than_an_hpa_alone_in_a_surge(tmp_path: Path) -> None:
    (found,) = compare([surge(tmp_path)], entrants(["ours", "hpa"]), [1], jobs=1)
    values = {name: by_seed[1].value for name, by_seed in found.figures.items()}
    assert values["ours"] > values["hpa"]


def test_what_a_controller_was_tuned_to_is_what_runs(tmp_path: Path) -> None:
    outcome = heat_of(
        Heat(
            surge(tmp_path),
            None,
            1,
            (
                Entrant(name="hpa", parameters=Parameters(target=0.9), label="lean"),
                Entrant(name="hpa", parameters=Parameters(target=0.3), label="generous"),
            ),
            full=False,
            keep=True,
        )
    )
    assert outcome.figures == {}
    assert outcome.records["generous"].desired.max() > outcome.records["lean"].desired.max()


def test_a_controller_that_is_not_known_is_answered_with_those_that_are() -> None:
    with pytest.raises(ScenarioError, match="no controller 'hpaa'; there are ours, hpa"):
        entrants(["hpaa"])


def test_what_cannot_be_run_is_said_before_anything_is(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"weights\.tiers: no weight for tier free"):
        compare([small(tmp_path, weights={"tiers": {"pro": 1}})], entrants(["hpa"]), [1], jobs=1)


def test_a_comparison_says_what_it_was_made_of(tmp_path: Path) -> None:
    (tmp_path / "trace.csv").write_text("t,rps\n0,2\n300,3\n")
    trace = {"file": "trace.csv", "secondsColumn": "t", "rateColumn": "rps"}
    scenario = small(tmp_path, demand=demand(free={"trace": trace}))
    (found,) = comparisons(compare([scenario], entrants(["ours", "hpa"]), [1, 2], jobs=1))
    assert found.provenance.scenario == "small"
    assert list(found.provenance.traces) == ["trace.csv"]
    assert found.bounds["o1"][1] >= found.bounds["o2"][1]
    assert {one.name: one.place is None for one in found.controllers} == {"ours": False, "hpa": False, "o3": True}
    assert b'"scenarioHash"' in to_json(found)


def test_the_hash_of_a_scenario_is_of_what_it_says_and_not_of_where_it_lies(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    first = provenance_of(small(tmp_path), None).scenario_hash
    assert provenance_of(small(other), None).scenario_hash == first
    assert provenance_of(small(other, seconds=301), None).scenario_hash != first
    cheaper = written(other).with_name("product.yaml")
    cheaper.write_text(cheaper.read_text().replace('"0.5"', '"0.4"'))
    assert provenance_of(small(tmp_path), None).scenario_hash == first


def test_tuning_takes_the_setting_of_the_highest_value(tmp_path: Path) -> None:
    scenario = surge(tmp_path, seconds=180)
    tuned = tune(["hpa", "ours"], [scenario], jobs=1)["hpa"]
    values = {}
    for choice, parameters in enumerate(CONTROLLERS["hpa"].grid):
        field = (Entrant(name="hpa", parameters=parameters),)
        values[choice] = np.mean(
            [heat_of(Heat(scenario, None, s, field, full=False)).values["hpa"] for s in range(1, 11)]
        )
    assert tuned.parameters == CONTROLLERS["hpa"].grid[tuned.choice]
    assert tuned.value == pytest.approx(values[tuned.choice])
    assert values[tuned.choice] >= max(values.values()) - 0.01


def test_oracles_know_the_pool_as_it_will_be(tmp_path: Path) -> None:
    events = [{"at": 100, "nodes": -1}, {"at": 202, "nodes": 2}]
    prepared = Prepared(small(tmp_path, pool={"nodes": 2, "gpusPerNode": 4}, events=events))
    gpus = gpus_by_tick(prepared)
    assert (gpus[:20] == 8).all()
    assert (gpus[20:41] == 4).all()
    assert (gpus[41:] == 12).all()


def test_oracles_know_costs_as_they_are_and_not_as_they_are_declared(tmp_path: Path) -> None:
    truth = truth_of(Prepared(small(tmp_path, image={"costFactor": 2})))
    assert truth.cost[:, :, 0].tolist() == [[2.0, 1.0, 0.0]] * 2
    assert truth.worth.tolist() == [[1.0, 0.5, 0.0], [10.0, 5.0, 0.0]]
    assert truth.start_replicas.tolist() == [4]


def test_bounds_name_the_cells_that_foresight_sheds(tmp_path: Path) -> None:
    calm, short = bounds_of(Prepared(small(tmp_path))), bounds_of(Prepared(surge(tmp_path)))
    assert calm.values["o2"] == pytest.approx(1.0)
    assert set(calm.sheds.values()) == {0}
    assert {str(key): count for key, count in short.sheds.items() if count} == {"image for free": 1}
    assert short.values["o2"] < 1.0
