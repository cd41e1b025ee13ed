"""A comparison of controllers, and its JSON."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import pytest

from brownout.simulate.figures import Figures
from brownout.simulate.results import (
    Comparison,
    Provenance,
    from_json,
    means,
    provenance,
    rank,
    score_interval,
    summarise,
    to_json,
)

MADE_OF = Provenance(scenario="S2", scenario_hash="aa", traces={"chat.csv": "bb"}, machine="two cores", python="3.11.7")


def one(value: float = 0.5, **more: object) -> Figures:
    given: dict[str, object] = {
        "seconds_to_protect": (),
        "paid_breach_minutes": 0.0,
        "unneeded_unavailable_minutes": None,
        "reversals": None,
        "priority_inversion_minutes": 0.0,
        "seconds_to_restore": (),
        "wasted_gpu_hours": 0.0,
        "pods_created": 0,
        "changes_on_stale_data": 0,
        "direction_changes_after_restart": 0,
        "fairness": {},
        "api_writes": 0,
    }
    return Figures(value=value, **{**given, **more})  # type: ignore[arg-type]


def runs(**values: Sequence[float]) -> dict[str, dict[int, Figures]]:
    return {name: {11 + i: one(v) for i, v in enumerate(of_seeds)} for name, of_seeds in values.items()}


def bounds(*values: float) -> dict[str, dict[int, float]]:
    return {"O2": {11 + i: v for i, v in enumerate(values)}}


def compared(
    given: Mapping[str, Mapping[int, Figures]], programme: dict[str, dict[int, float]], **more: object
) -> Comparison:
    return summarise(given, MADE_OF, hpa="hpa", programme="O2", bounds=programme, **more)  # type: ignore[arg-type]


def test_a_comparison_scores_between_an_hpa_and_the_programme() -> None:
    found = compared(runs(ours=[0.8, 0.9], hpa=[0.5, 0.5]), bounds(0.9, 0.9))
    ours, hpa = found.controllers
    assert (ours.name, hpa.name) == ("ours", "hpa")
    assert ours.score is not None
    assert ours.score.mean == pytest.approx(0.875)
    assert (ours.score.low, ours.score.high) == pytest.approx((0.75, 1.0))
    assert hpa.score is not None
    assert hpa.score.mean == 0.0
    assert found.best == pytest.approx(0.9)
    assert not found.excluded


def test_a_controller_that_beats_the_programme_is_what_others_are_measured_by() -> None:
    found = compared(runs(ours=[0.8, 0.8], lucky=[1.0, 1.0], hpa=[0.5, 0.5]), bounds(0.9, 0.9))
    assert found.best == 1.0
    assert [c.score.mean if c.score else None for c in found.controllers] == pytest.approx([1.0, 0.6, 0.0])


def test_a_scenario_that_cannot_tell_them_apart_is_excluded_and_still_ranked() -> None:
    found = compared(runs(ours=[0.92], hpa=[0.9]), bounds(0.93))
    assert found.excluded
    assert [c.score for c in found.controllers] == [None, None]
    assert [c.place.rank for c in found.controllers if c.place] == [1, 2]


def test_oracles_have_a_score_and_no_place() -> None:
    found = compared(runs(O3=[0.9, 0.9], ours=[0.8, 0.8], hpa=[0.5, 0.5]), bounds(0.9, 0.9), oracles={"O3"})
    places = {c.name: c.place for c in found.controllers}
    assert places["O3"] is None
    assert places["ours"] is not None
    assert places["ours"].rank == 1


def test_controllers_must_have_run_on_the_same_seeds() -> None:
    with pytest.raises(ValueError, match=r"hpa has the seeds \[11\], ours has \[11, 12\]"):
        compared(runs(ours=[0.8, 0.9], hpa=[0.5]), bounds(0.9, 0.9))


def test_bounds_must_be_of_the_same_seeds() -> None:
    with pytest.raises(ValueError, match="O2 has the seeds"):
        compared(runs(ours=[0.8, 0.9], hpa=[0.5, 0.5]), bounds(0.9))


def test_a_comparison_without_an_hpa_names_what_there_is() -> None:
    with pytest.raises(ValueError, match="no hpa among the runs; found keda, ours"):
        compared(runs(ours=[0.8], keda=[0.7]), bounds(0.9))


def test_a_score_is_as_uncertain_as_its_seeds_and_no_more() -> None:
    # easy and hard seeds, on each of which we are half way between an HPA and the best
    hpa, best = [0.1, 0.5, 0.9, 0.3], [0.2, 0.7, 1.0, 0.6]
    ours = [(a + b) / 2 for a, b in zip(hpa, best, strict=True)]
    found = score_interval(ours, hpa=hpa, candidates=[best, ours])
    assert found is not None
    assert (found.mean, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))


def test_the_greatest_mean_is_first() -> None:
    places = rank({"a": [0.4, 0.6], "b": [0.9, 0.9], "c": [0.1, 0.1]})
    assert {name: place.rank for name, place in places.items()} == {"a": 2, "b": 1, "c": 3}
    assert places["b"].first_or_within
    assert not places["c"].first_or_within


def test_a_mean_within_the_interval_of_the_first_counts_as_first() -> None:
    first = [0.7, 0.8, 0.9, 0.8, 0.85, 0.75]
    places = rank({"first": first, "near": [0.79] * 6, "far": [0.6] * 6})
    assert [places[name].first_or_within for name in ("first", "near", "far")] == [True, True, False]


def test_equals_share_a_rank() -> None:
    places = rank({"a": [0.9, 0.9], "b": [0.9, 0.9], "c": [0.5, 0.5]})
    assert [places[name].rank for name in "abc"] == [1, 1, 3]
    assert places["b"].first_or_within


def test_being_behind_on_every_seed_shows_where_seeds_differ_more_than_controllers() -> None:
    place = rank({"first": [0.2, 0.5, 0.9], "second": [0.19, 0.49, 0.89]})["second"]
    assert place.first_or_within
    assert not place.behind_first.holds(0.0)


def test_nobody_has_no_places() -> None:
    assert rank({}) == {}


def test_figures_by_episode_have_a_mean_and_a_bound_of_the_worst() -> None:
    found = means([one(seconds_to_protect=(0.0, 30.0)), one(seconds_to_protect=(10.0, 10.0))])
    assert found["secondsToProtect"].mean == pytest.approx(12.5)
    assert found["secondsToProtectP95"].mean == pytest.approx(29.0)


def test_fairness_is_that_of_the_least_fair_tier() -> None:
    found = means([one(fairness={"free": 0.5, "pro": 1.0}), one(fairness={"free": 0.7, "pro": 0.6})])
    assert found["fairness"].mean == pytest.approx(0.55)


def test_a_figure_that_a_seed_lacks_has_no_mean() -> None:
    found = means([one(reversals=1.0), one()])
    assert "reversals" not in found
    assert "secondsToProtect" not in found
    assert found["value"].mean == 0.5


def test_a_comparison_survives_its_json() -> None:
    full = one(0.8, seconds_to_protect=(10.0,), seconds_to_restore=(5.0,), fairness={"pro": 1.0}, reversals=1.0)
    found = compared({"ours": {11: full}, "hpa": {11: one(0.5)}}, bounds(0.9))
    assert from_json(to_json(found)) == found


def test_its_json_has_names_as_manifests_have_them() -> None:
    found = json.loads(to_json(compared(runs(ours=[0.8], hpa=[0.5]), bounds(0.9))))
    assert found["provenance"]["scenarioHash"] == "aa"
    assert found["controllers"][0]["figures"]["11"]["paidBreachMinutes"] == 0.0
    assert found["controllers"][0]["place"]["firstOrWithin"] is True


def test_what_is_no_comparison_is_refused_with_the_place() -> None:
    with pytest.raises(msgspec.ValidationError, match=r"missing required field `provenance`"):
        from_json("{}")


def test_provenance_hashes_the_scenario_and_its_traces(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_bytes(b"name: s\n")
    (tmp_path / "chat.csv").write_bytes(b"t,rate\n")
    found = provenance("s", tmp_path / "s.yaml", traces=[tmp_path / "chat.csv"], machine="two cores")
    assert found.scenario_hash == hashlib.sha256(b"name: s\n").hexdigest()
    assert found.traces == {"chat.csv": hashlib.sha256(b"t,rate\n").hexdigest()}
    assert found.python.startswith("3.")
