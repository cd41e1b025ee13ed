"""Scenario files: what they take from others, and what is said of one that cannot be used."""

from pathlib import Path

import pytest
import yaml

from brownout.simulate.run import Prepared
from brownout.simulate.scenario import ScenarioError, read
from brownout.simulate.shipped import find, load, shipped
from support.small_world import MANIFESTS, WORLD, small, written


def over(folder: Path, **fields: object) -> Path:
    """A file that changes these fields of the small scenario beside it."""
    written(folder)
    file = folder / "other.yaml"
    file.write_text(yaml.safe_dump({"base": "small.yaml", "name": "other", **fields}))
    return file


def test_a_scenario_takes_from_its_base_what_it_does_not_say(tmp_path: Path) -> None:
    found = read(over(tmp_path, seconds=600, workloads={"image": {"batch": 2}}))
    assert (found.name, found.seconds) == ("other", 600)
    assert (found.workloads["image"].batch, found.workloads["image"].start_replicas) == (2, 4)
    assert len(found.demand) == 2


def test_a_stream_of_the_same_cell_replaces_that_of_the_base_and_a_named_one_is_added(tmp_path: Path) -> None:
    streams = [
        {"feature": "image", "tier": "free", "rate": {"base": 9}},
        {"feature": "image", "tier": "free", "name": "script", "users": 1, "rate": {"base": 7}},
    ]
    found = read(over(tmp_path, demand=streams))
    assert [(s.tier, s.name, s.rate.base) for s in found.demand] == [
        ("pro", "", 0.5),
        ("free", "", 9),
        ("free", "script", 7),
    ]


def test_a_base_that_leads_back_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="leads back to itself"):
        read(over(tmp_path, base="other.yaml"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"second": 5}, ": unknown field second; write seconds; known are name, summary, manifests, namespace, seconds"),
        ({"seconds": 0}, ": seconds: found 0; Expected `float` > 0.0"),
        ({"seconds": "40m"}, ": seconds: found '40m'; write a number of seconds, such as 2400"),
        ({"seconds": "long"}, ": seconds: found 'long'; write a number of seconds, such as 60"),
        ({"paying": None}, ": paying: found nothing; Expected `array`, got `null`"),
        ({"workloads": {"image": {"objectivSeconds": 5}}}, ": workloads.image: unknown field objectivSeconds; write objectiveSeconds; known are"),
        ({"workloads": {"image": {"batch": 4}}}, ": workloads.image: objectiveSeconds is missing; write it"),
        ({"workloads": ["image"]}, ": workloads: Expected `object`, got `array`"),
        ({"demand": [{"feature": "image", "tier": "pro", "rate": {"peak": "9"}}]}, ": demand[0].rate.peak: found '9'; Expected `float`, got `str`"),
        ({"events": [{"at": "1.5h", "nodes": -1}]}, ": events[0].at: found '1.5h'; write a number of seconds, such as 5400"),
        ({"users": {"zzz": 1}}, ": users: unknown field zzz; leave it out; known are retryShare"),
    ],
)  # fmt: skip
def test_a_field_that_is_wrong_is_named(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(yaml.safe_dump({**WORLD, **changes}))
    with pytest.raises(ScenarioError) as error:
        read(file)
    assert str(file) in str(error.value)
    assert said in str(error.value)


def test_a_file_that_is_not_there_or_no_mapping_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="cannot be read"):
        read(tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(ScenarioError, match="found list; write a mapping"):
        read(tmp_path / "list.yaml")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"demand": [{"feature": "image", "tier": "gold", "rate": {}}]}, "no cell"),
        ({"workloads": {"image": WORLD["workloads"]["image"], "chat": {"objectiveSeconds": 5}}}, "no InferenceScaler chat; found image"),
        ({"workloads": {}}, "nothing is said of image; write at least image: {objectiveSeconds: 10}"),
        ({"manifests": "elsewhere"}, "no such file or folder"),
        ({"paying": ["gold"]}, "scenario small: paying: no UserTier gold; found free, pro"),
        ({"weights": {"tiers": {"pro": 10, "fre": 1}}}, "scenario small: weights.tiers: no UserTier fre; found free, pro"),
    ],
)  # fmt: skip
def test_a_scenario_that_does_not_fit_its_manifests_says_what_there_is(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    file = tmp_path / "wrong.yaml"
    (tmp_path / "product.yaml").write_text(MANIFESTS)
    file.write_text(yaml.safe_dump({**WORLD, **changes}))
    with pytest.raises(ScenarioError) as error:
        Prepared(read(file))
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("kind: GPUPool", "kind: Deployment", "a scenario has one GPUPool; found none"),
        ("poolRef: {name: pool}", "poolRef: {name: lake}", "lake"),
        ("gpusPerReplica: 1", "gpusPerReplica: many", "gpusPerReplica"),
        ("spec: {priority: 10}", "spec: {priority: [", "is not YAML"),
    ],
)
def test_manifests_that_cannot_be_used_are_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in MANIFESTS
    scenario = small(tmp_path, manifests=MANIFESTS.replace(old, new))
    with pytest.raises(ScenarioError) as error:
        Prepared(scenario)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("poolRef: {name: pool}", "poolRef: {name: lake}"),
        ("gpusPerReplica: 1", "gpusPerReplica: many"),
        ("spec: {priority: 10}", "spec: {priority: ["),
    ],
)
def test_whose_manifests_cannot_be_used_is_told_to_validate_them(tmp_path: Path, old: str, new: str) -> None:
    scenario = small(tmp_path, manifests=MANIFESTS.replace(old, new))
    with pytest.raises(ScenarioError) as error:
        Prepared(scenario)
    assert str(error.value).endswith(f"; run brownout validate -f {tmp_path / 'product.yaml'}")


def test_every_scenario_that_comes_along_can_be_prepared() -> None:
    assert len(shipped()) >= 13
    for scenario in load(list(shipped())):
        prepared = Prepared(scenario)
        assert prepared.rates.shape == (round(scenario.seconds), len(scenario.demand))


def test_a_scenario_that_comes_along_is_found_by_its_name_its_number_and_its_file() -> None:
    first = shipped()["s01-viral-ramp"]
    assert find("s01-viral-ramp") == find("S1") == find("s01") == find(str(first)) == [first]
    assert [path.stem for path in find("S9")] == ["s09a-costs-understated", "s09b-costs-overstated"]
    assert len(find("s9a")) == 1


def test_a_name_that_is_not_known_is_answered_with_those_that_are() -> None:
    with pytest.raises(
        ScenarioError, match="no such file, and no scenario that comes with Brownout: there are s01-viral-ramp"
    ):
        find("s99")


def test_two_scenarios_of_one_name_are_refused(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(ScenarioError, match="another scenario is named small too"):
        load([str(written(tmp_path)), str(written(other))])
