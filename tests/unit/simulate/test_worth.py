"""What a served request is worth."""

import pytest

from brownout.simulate.scenario import ScenarioError, Weights
from brownout.simulate.worth import quality, weight
from support.build import cell
from support.record_builder import scenario

VIDEO = cell("video", tier="free").cell


def test_qualities_that_are_not_given_lie_evenly_between_the_first_variant_and_the_denial() -> None:
    assert [quality(scenario(), VIDEO, i) for i in range(3)] == [1.0, 0.5, 0.0]


def test_a_given_quality_counts_and_the_others_keep_their_place() -> None:
    given = scenario(weights=Weights(tiers={"free": 1.0}, qualities={"video": {"lite": 0.8}}))
    assert [quality(given, VIDEO, i) for i in range(3)] == [1.0, 0.8, 0.0]


def test_a_quality_of_another_feature_says_nothing() -> None:
    given = scenario(weights=Weights(tiers={"free": 1.0}, qualities={"image": {"lite": 0.8}}))
    assert quality(given, VIDEO, 1) == 0.5


def test_the_only_variant_of_a_feature_is_whole() -> None:
    only = cell("video", variants={"full": {"image": 1.0}}, always=True).cell
    assert quality(scenario(), only, 0) == 1.0


def test_a_request_is_worth_its_tier_times_its_feature() -> None:
    given = scenario(weights=Weights(tiers={"free": 2.0}, features={"video": 1.5}))
    assert weight(given, VIDEO) == 3.0


def test_a_feature_without_a_value_is_worth_one() -> None:
    assert weight(scenario(weights=Weights(tiers={"free": 2.0}, features={"image": 7.0})), VIDEO) == 2.0


def test_a_tier_without_a_weight_is_named_with_what_to_write() -> None:
    with pytest.raises(ScenarioError, match=r"no weight for tier free; write `free: 1.0`"):
        weight(scenario(weights=Weights(tiers={"pro": 2.0})), VIDEO)
