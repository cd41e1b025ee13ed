"""Cells and the ladder: who may lose what, in which order, and what it would save."""

import pytest

from brownout.decide.cells import FIRST, Cell, build_cells, clamp, ladder, lower, raised, taken
from brownout.decide.links import link
from brownout.decide.outcome import Level
from brownout.decide.snapshot import Policy, StoredTier
from support.build import (
    TIERS,
    TWO,
    cell,
    invalid,
    named,
    policy,
    pool,
    scaler,
    snapshot,
    tier,
)

VIDEO = {"full": {"video": 8.0}, "denied": {}}
IMAGE = named("image")


def cells_of(*policies: Policy, tiers: tuple[StoredTier, ...] = TIERS) -> dict[str, Cell]:
    seen = snapshot(pool(), scaler("image"), scaler("video"), *policies, tiers=tiers)
    return {str(key): found for key, found in build_cells(link(seen)).items()}


def test_a_cell_is_a_feature_for_a_tier_and_a_cohort() -> None:
    assert set(cells_of(policy())) == {
        "image for pro",
        "image for plus",
        "image for free/new-accounts",
        "image for free",
    }


def test_the_ladder_takes_the_cheapest_tier_first_cohorts_before_the_rest_and_qualities_before_denials() -> None:
    images = policy("image", shed_order=20, tiers={"pro": "Always", "plus": "lite", "free": "Auto"})
    videos = policy("video", variants=VIDEO, shed_order=10, tiers={"pro": "Always", "plus": "Auto", "free": "Auto"})

    assert [str(rung) for rung in ladder(cells_of(images, videos).values())] == [
        "video for free/new-accounts: full -> denied",
        "video for free: full -> denied",
        "image for free/new-accounts: full -> lite",
        "image for free: full -> lite",
        "image for free/new-accounts: lite -> denied",
        "image for free: lite -> denied",
        "video for plus: full -> denied",
        "image for plus: full -> lite",
    ]


def test_between_features_of_one_shed_order_the_variant_step_comes_first_and_the_name_last() -> None:
    both = cells_of(policy("b", tiers={"free": "Auto"}), policy("a", tiers={"free": "Auto"}), tiers=(tier("free", 10),))

    assert [str(rung) for rung in ladder(both.values())] == [
        "a for free: full -> lite",
        "b for free: full -> lite",
        "a for free: lite -> denied",
        "b for free: lite -> denied",
    ]


def test_always_and_never_have_no_rung() -> None:
    assert ladder(cells_of(policy(tiers={"pro": "Always", "free": "Never"})).values()) == []


def test_nothing_is_below_lowest() -> None:
    plus = cells_of(policy(tiers={"plus": "lite"}))["image for plus"]

    assert [rung.step for rung in ladder([plus])] == [0]
    assert plus.floor == Level(1)


def test_where_lowest_is_the_first_variant_there_is_nothing_to_take() -> None:
    plus = cells_of(policy(variants=TWO, tiers={"plus": "full"}))["image for plus"]

    assert ladder([plus]) == []
    assert plus.floor == FIRST


def test_a_tier_that_is_not_listed_or_does_not_exist_has_no_cell() -> None:
    assert set(cells_of(policy(tiers={"pro": "Auto", "gold": "Auto"}))) == {"image for pro"}


def test_a_level_in_words() -> None:
    free = cell(tier="free").cell

    assert free.name(Level(1)) == "lite"
    assert free.name(Level(1, 40)) == "lite for 40 %, denied for the rest"
    assert cell(tier="free@ana").cell.name(Level(1, 40)) == "lite for 40 % of the time, denied for the rest"


@pytest.mark.parametrize(
    ("level", "cost"), [(Level(0), 1.0), (Level(0, 20), 0.4), (Level(1, 40), 0.1), (Level(2), 0.0), (Level(2, 50), 0.0)]
)
def test_a_split_costs_the_mean_of_both_its_variants(level: Level, cost: float) -> None:
    assert cell().cell.cost(level, IMAGE) == pytest.approx(cost)


@pytest.mark.parametrize(
    ("level", "cost"), [(Level(0), 1.0), (Level(0, 20), 0.4), (Level(1), 0.25), (Level(1, 40), 0.25), (Level(2), 0.0)]
)
def test_users_on_the_denial_are_not_among_the_requests_that_are_let_through(level: Level, cost: float) -> None:
    assert cell().cell.admitted_cost(level, IMAGE) == pytest.approx(cost)


def test_a_scaler_that_a_variant_does_not_name_costs_nothing() -> None:
    assert cell().cell.cost(FIRST, named("video")) == 0.0


def test_a_step_up_loads_only_the_scalers_that_carry_more_then() -> None:
    two = cell(variants={"full": {"xl": 12.0}, "lite": {"small": 2.0}, "denied": {}}).cell

    assert two.loads(Level(2)) == {named("small")}
    assert two.loads(Level(1)) == two.loads(Level(0, 50)) == {named("xl")}
    assert two.loads(FIRST) == set()


def test_taking_and_giving_back_in_parts() -> None:
    assert lower(FIRST, by_percent=30) == Level(0, 70)
    assert lower(Level(0, 70), by_percent=70) == Level(1)
    assert raised(Level(1), by_percent=30) == Level(0, 30)
    assert raised(Level(0, 30), by_percent=90) == FIRST
    assert raised(Level(2), by_percent=100) == Level(1)
    assert raised(FIRST, by_percent=50) == FIRST


def test_a_rung_is_taken_in_part_as_soon_as_anybody_lost_its_variant() -> None:
    first, second = ladder([cell().cell])

    assert not taken(first, FIRST)
    assert taken(first, Level(0, 99))
    assert not taken(second, Level(1))
    assert taken(second, Level(1, 5))


def test_a_remembered_level_is_bounded_by_what_the_policy_allows_now() -> None:
    assert clamp(Level(2), cell(tier="plus", lowest="lite").cell) == Level(1)
    assert clamp(Level(1, 50), cell(tier="plus", lowest="lite").cell) == Level(1)
    assert clamp(Level(1), cell(tier="pro", always=True).cell) == FIRST
    assert clamp(Level(1), cell(tier="pro", never=True).cell) == FIRST
    assert clamp(Level(1), cell(mode="Advise").cell) == FIRST
    assert clamp(Level(1, 400), cell().cell) == Level(1)
    assert clamp(Level(1, -3), cell().cell) == Level(1, 1)


def test_a_scaler_of_which_nothing_is_known_is_named_as_unknown() -> None:
    two = {"full": {"image": 1.0, "video": 1.0, "nowhere": 1.0}, "denied": {}}
    seen = snapshot(pool(), scaler("image"), policy(variants=two), unreadable=[invalid("InferenceScaler", "video")])

    free = build_cells(link(seen))[cell(tier="free").key]

    assert free.scalers == {named("image")}
    assert free.unknown == {named("video"), named("nowhere")}


def test_costs_of_one_variant_may_be_on_several_scalers() -> None:
    free = cells_of(policy(variants={"full": {"image": 1.0, "video": 3.0}, "denied": {}}))["image for free"]

    assert (free.cost(FIRST, named("image")), free.cost(FIRST, named("video"))) == (1.0, 3.0)
