"""What of the memory outlives a change of the objects: an edited policy, an object that cannot be read for a while."""

import pytest
from msgspec import structs

from brownout.api.policy import Cost, Variant
from brownout.api.reasons import Reason
from brownout.decide.carry import moved
from brownout.decide.cells import FIRST
from brownout.decide.evidence import Missing
from brownout.decide.memory import Memory, PoolMemory, ScalerMemory
from brownout.decide.outcome import Level
from brownout.decide.snapshot import Policy
from support.build import (
    GONE,
    NOW,
    TIERS,
    TWO,
    cell,
    cell_of,
    invalid,
    named,
    policy,
    pool,
    remembered,
    scaler,
    snapshot,
    tick,
    words,
)

REST, NEW = cell(tier="free"), cell(tier="free/new-accounts")
DENIED = remembered(REST.shed(asked=99.0, ago=10), NEW.shed(asked=99.0, ago=10))
QUIET = {"pro": 1.0}


def medium(of: Policy) -> Policy:
    """The policy with one more variant in the middle."""
    variants = of.stored.spec.variants
    spec = structs.replace(of.stored.spec, variants=(variants[0], Variant(name="medium"), *variants[1:]))
    return structs.replace(of, stored=structs.replace(of.stored, spec=spec))


@pytest.mark.parametrize(
    ("level", "names", "found"),
    [
        (Level(2), ("full", "medium", "lite", "denied"), Level(3)),
        (Level(1, 40), ("full", "medium", "lite", "denied"), Level(2, 40)),
        (Level(0), ("full", "lite", "denied"), Level(0)),
        (Level(1), ("full", "denied"), Level(1)),
        (Level(1, 40), ("lite", "denied"), Level(0, 40)),
        (Level(0), ("best", "lite", "denied"), Level(0)),
        (Level(0, 40), ("best", "lite", "denied"), Level(2)),
        (Level(7), ("full", "denied"), Level(1)),
        (Level(1, 40), ("full", "lite"), Level(1)),
    ],
    ids=[
        "one more",
        "a split",
        "first",
        "gone",
        "first is gone",
        "renamed",
        "renamed and split",
        "beyond",
        "now the last",
    ],
)
def test_a_level_is_found_again_by_the_name_of_its_variant(level: Level, names: tuple[str, ...], found: Level) -> None:
    assert moved(level, ("full", "lite", "denied"), names) == found


def test_an_edit_of_the_variants_in_a_surge_gives_nothing_back() -> None:
    there = (pool(), scaler(replicas=4))
    _, memory = tick(snapshot(*there, policy(offered=QUIET)), DENIED)

    decided, after = tick(snapshot(*there, medium(policy(offered=QUIET))), memory, now=NOW + 2)

    found = cell_of(decided, "image", "free")
    assert found.variant_name == "denied"
    assert not found.changed
    assert decided.policies[named("image")].version == 1
    assert after.variants[named("image")] == ("full", "medium", "lite", "denied")


def better(of: Policy, **costs: str) -> Policy:
    """The policy with these variants, and GPU-seconds for a request of each, before its `lite` and its `denied`."""
    better = tuple(
        Variant(name=name, costs=(Cost(scaler="image", gpu_seconds_per_request=cost),)) for name, cost in costs.items()
    )
    spec = structs.replace(of.stored.spec, variants=(*better, *of.stored.spec.variants[1:]))
    return structs.replace(of, stored=structs.replace(of.stored, spec=spec))


def test_a_new_name_for_the_best_variant_takes_it_from_nobody() -> None:
    there = (pool(), scaler(replicas=4))
    _, memory = tick(snapshot(*there, policy(offered=QUIET)))

    decided, _ = tick(snapshot(*there, better(policy(offered=QUIET), best="1")), memory, now=NOW + 2)

    found = cell_of(decided, "image", "free")
    assert (found.level, found.variant_name, found.changed) == (FIRST, "best", False)


def test_a_better_variant_that_is_added_is_given_as_it_fits_and_said_to_be_missing() -> None:
    there = (pool(), scaler(replicas=4, backlog=GONE))
    _, memory = tick(snapshot(*there, policy(offered=QUIET)))

    decided, after = tick(snapshot(*there, better(policy(offered=QUIET), best="2", full="1")), memory, now=NOW + 2)

    found = cell_of(decided, "image", "free")
    assert (found.variant_name, found.reason, found.refused_by) == ("full", Reason.RESTORING, Reason.STALE_EVIDENCE)
    assert after.cells[REST.key].reason is Reason.RESTORING


def test_a_tier_that_is_made_always_has_everything_back_at_once() -> None:
    decided, memory = tick(
        snapshot(pool(), scaler(replicas=4), policy(tiers={"free": "Always"}, offered=QUIET)), DENIED
    )

    found = cell_of(decided, "image", "free")
    assert (found.level, found.reason, found.since) == (FIRST, Reason.SERVED, NOW)
    assert memory.cells[REST.key].shed_rate is None


def test_a_raised_lowest_gives_back_what_it_says() -> None:
    decided, _ = tick(snapshot(pool(), scaler(replicas=4), policy(tiers={"free": "lite"}, offered=QUIET)), DENIED)

    assert words(cell_of(decided, "image", "free")) == "lite"
    assert cell_of(decided, "image", "free").reason is Reason.CAPACITY


def test_a_policy_that_cannot_be_read_for_a_while_comes_back_as_it_was() -> None:
    there = (pool(), scaler(replicas=4))
    _, away = tick(snapshot(*there, unreadable=[invalid("FeaturePolicy", "image")]), DENIED)

    decided, _ = tick(snapshot(*there, policy(offered=QUIET)), away, now=NOW + 2)

    assert words(cell_of(decided, "image", "free")) == "denied"
    assert cell_of(decided, "image", "free").reason is Reason.CAPACITY


def test_a_tier_that_cannot_be_read_for_a_while_comes_back_as_it_was() -> None:
    there = (pool(), scaler(replicas=4), policy(offered=QUIET))
    without = [tier for tier in TIERS if tier.key.name != "free"]
    _, away = tick(snapshot(*there, tiers=without, unreadable=[invalid("UserTier", "free")]), DENIED)

    decided, _ = tick(snapshot(*there), away, now=NOW + 2)

    assert words(cell_of(decided, "image", "free")) == "denied"


def test_a_policy_that_comes_back_with_fewer_variants_finds_its_cells_again_once_their_tier_can_be_read() -> None:
    """A level counts variants: without their names it would be one of variants that are no more, and end every tick."""
    there, hidden = (pool(), scaler(replicas=4)), [invalid("UserTier", "free")]
    without = [tier for tier in TIERS if tier.key.name != "free"]
    _, memory = tick(snapshot(*there, policy(offered=QUIET)), DENIED)
    _, memory = tick(snapshot(*there, tiers=without, unreadable=hidden), memory, now=NOW + 2)
    _, memory = tick(snapshot(*there, policy(variants=TWO), tiers=without, unreadable=hidden), memory, now=NOW + 4)

    decided, _ = tick(snapshot(*there, policy(variants=TWO, offered=QUIET)), memory, now=NOW + 6)

    assert cell_of(decided, "image", "free").variant_name == "denied"


@pytest.mark.parametrize("kind", ["FeaturePolicy", "UserTier"])
def test_what_cannot_be_read_still_asks_for_something(kind: str) -> None:
    """Replicas that an unreadable policy's users need are not lowered because nothing is known of them."""
    name = "image" if kind == "FeaturePolicy" else "free"
    video = policy(
        "video", variants={"full": {"image": 1.0}, "denied": {}}, tiers={"pro": "Always"}, offered={"pro": 1.0}
    )
    known = remembered(REST)
    policies = (video,) if kind == "FeaturePolicy" else (video, policy(offered=QUIET))
    tiers = [tier for tier in TIERS if tier.key.name != name]

    seen = snapshot(pool(), scaler(replicas=7), *policies, tiers=tiers, unreadable=[invalid(kind, name)])
    plans, memory = [], known
    for second in range(0, 400, 50):
        decided, memory = tick(seen, memory, now=NOW + second)
        plans.append(decided.scalers[named("image")])

    assert {plan.replicas for plan in plans} == {7}
    assert f"{kind} media/{name}: spec: it cannot be read" in plans[0].message


def test_a_policy_that_was_never_read_holds_nobody() -> None:
    """Its own condition says what is wrong; other objects go on."""
    seen = snapshot(pool(), scaler(replicas=4), policy(offered=QUIET), unreadable=[invalid("FeaturePolicy", "broken")])

    decided, _ = tick(seen, DENIED)

    assert not decided.scalers[named("image")].message.startswith("nothing is lowered")


def test_a_scaler_whose_workload_cannot_be_read_for_a_while_remembers_what_it_learned() -> None:
    learned = ScalerMemory(cost_factor=1.7, saturated=True, saturated_since=NOW - 9, closed_until=NOW + 500)
    for away in (
        snapshot(pool(), scaler(workload=Missing("later")), policy(offered=QUIET)),
        snapshot(pool(), policy(offered=QUIET), unreadable=[invalid("InferenceScaler", "image")]),
    ):
        _, memory = tick(away, remembered(REST, scalers={"image": learned}))

        assert memory.scalers[named("image")] == learned


def test_a_scaler_that_is_deleted_is_forgotten() -> None:
    _, memory = tick(
        snapshot(pool(), policy(offered=QUIET)), remembered(REST, scalers={"image": ScalerMemory(cost_factor=2.0)})
    )

    assert memory.scalers == {}


def test_a_pool_that_cannot_be_read_for_a_while_remembers_its_last_step() -> None:
    before = Memory(at=NOW - 2, pools={pool().stored.key: PoolMemory(last_shed_at=NOW - 5, last_rung="a rung")})

    _, memory = tick(snapshot(scaler(), unreadable=[invalid("GPUPool", "gpus")]), before)

    assert memory.pools == before.pools


def test_a_deleted_policy_is_forgotten() -> None:
    _, memory = tick(snapshot(pool(), scaler()), DENIED)

    assert memory.cells == {}
    assert memory.versions == {}


def test_missing_demand_is_not_a_reason_to_forget() -> None:
    _, memory = tick(snapshot(pool(), scaler(replicas=4), policy(offered=GONE)), DENIED)

    assert memory.cells[REST.key].level == DENIED.cells[REST.key].level
