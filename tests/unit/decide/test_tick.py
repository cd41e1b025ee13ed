"""One tick: the same snapshot, memory and moment give the same plan; what is not known changes nothing."""

import pytest
from msgspec import structs

from brownout.api.reasons import Reason
from brownout.decide.cells import FIRST
from brownout.decide.evidence import Missing
from brownout.decide.memory import Memory
from brownout.decide.outcome import Level
from brownout.decide.snapshot import Snapshot
from support.build import (
    FULL,
    GONE,
    NOW,
    TWO,
    cell,
    cell_of,
    invalid,
    named,
    override,
    policy,
    pool,
    remembered,
    scaler,
    snapshot,
    tick,
    watch,
    words,
)

REST = cell(tier="free")
KINDS = ("GPUPool", "InferenceScaler", "UserTier", "FeaturePolicy", "FeatureOverride", "Node", "Pod")


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_snapshot_of_a_kind_changes_nothing(kind: str) -> None:
    """All objects of a kind vanished at once, or it was never listed: that is Missing, and not empty."""
    memory = remembered(REST.shed(asked=1.0), scalers={"image": FULL})

    decided, after = tick(snapshot(unseen=(kind,)), memory)

    assert (decided.scalers, decided.policies, decided.pools, decided.notes) == ({}, {}, {}, ())
    assert after == memory


def test_nothing_at_all_is_a_plan_of_nothing() -> None:
    decided, memory = tick(snapshot(tiers=()))

    assert (decided.scalers, decided.policies, decided.pools) == ({}, {}, {})
    assert memory.at == NOW


def busy() -> Snapshot:
    two = {"full": {"image": 1.0, "video": 0.5}, "lite": {"video": 0.25}, "denied": {}}
    return snapshot(
        pool(12),
        scaler("image", replicas=6, priority=90, backlog=40.0),
        scaler("video", replicas=6, priority=10),
        policy("image", variants=two, offered={"pro": 2.0, "plus": 2.0, "free": 6.0, "free/new-accounts": 3.0}),
        policy("video", variants={"full": {"video": 2.0}, "denied": {}}, offered={"free": 1.0, "plus": 0.5}),
        override("b", of="video", cells=["plus"], variant="full"),
        override("a", of="video", cells=["free"], variant="full"),
    )


def test_the_same_snapshot_memory_and_moment_give_the_same_plan() -> None:
    memory = remembered(REST.shed("lite", asked=6.0), scalers={"image": FULL})

    assert tick(busy(), memory) == tick(busy(), memory)


def test_the_order_in_which_objects_are_known_changes_nothing() -> None:
    memory = remembered(REST.shed("lite", asked=6.0), scalers={"image": FULL})
    seen = busy()

    def reverse(of: Snapshot) -> Snapshot:
        turned = {
            name: dict(reversed(getattr(of, name).items()))
            for name in ("pools", "scalers", "tiers", "policies", "overrides")
        }
        return structs.replace(of, **turned)

    assert tick(reverse(seen), memory) == tick(seen, memory)


def test_a_second_look_at_the_same_moment_decides_nothing_new() -> None:
    _, memory = tick(busy(), remembered(scalers={"image": FULL}))

    decided, again = tick(busy(), memory)

    assert not any(c.changed for p in decided.policies.values() for c in p.cells)
    assert {key: c.level for key, c in again.cells.items()} == {key: c.level for key, c in memory.cells.items()}


@pytest.mark.parametrize("jump", [-86400.0, -5.0, 0.0])
def test_a_clock_that_jumps_back_undoes_nothing(jump: float) -> None:
    seen = snapshot(pool(10), scaler(replicas=10, most=10), policy(offered={"pro": 4.0, "free": 10.0}))
    _, memory = tick(seen, remembered(scalers={"image": FULL}))

    decided, _ = tick(seen, memory, now=NOW + jump)

    assert not any(c.level.depth < c.previous.depth for c in decided.policies[named("image")].cells)
    assert decided.scalers[named("image")].replicas == 10


def test_a_clock_that_starts_at_zero_counts_as_any_other() -> None:
    """Seconds are never taken for absent because they are 0."""

    def plans(start: float) -> list[tuple[int, Reason]]:
        memory, found = Memory(), []
        for i in range(40):
            now = start + 2.0 * i
            seen = snapshot(
                pool(8),
                scaler("image", replicas=2, priority=90, at=now),
                scaler("video", replicas=6, priority=10, at=now),
                policy("image", variants=TWO, tiers={"pro": "Always"}, offered={"pro": 3.0}, at=now),
                policy(
                    "video",
                    variants={"full": {"video": 1.0}, "denied": {}},
                    tiers={"pro": "Always"},
                    offered={"pro": 0.5},
                    at=now,
                ),
            )
            decided, memory = tick(seen, memory, now=now)
            found += [(p.replicas, p.rule) for p in decided.scalers.values()]
        return found

    assert plans(0.0) == plans(NOW)


def test_scalers_of_one_pool_and_of_another_do_not_share_gpus() -> None:
    seen = snapshot(
        pool(4, name="a"),
        pool(9, name="b"),
        scaler("image", replicas=2, pool_name="a"),
        scaler("video", replicas=2, pool_name="b"),
        policy("image", variants=TWO, offered={"pro": 50.0}),
        policy("video", variants={"full": {"video": 1.0}, "denied": {}}, offered={"pro": 50.0}),
    )

    decided, _ = tick(seen)

    assert decided.scalers[named("image")].replicas == 4
    assert decided.scalers[named("video")].obtainable == 9


def test_one_broken_object_leaves_the_others_unaffected() -> None:
    broken = snapshot(
        pool(10),
        scaler("image", replicas=10, most=10),
        scaler("video", workload=Missing("no Deployment 'video'")),
        scaler("nowhere", pool_name="nowhere"),
        policy("image", offered={"pro": 4.0, "free": 10.0}),
        policy("video", variants={"full": {"video": 1.0, "lost": 1.0}, "denied": {}}, offered=GONE),
        unreadable=[invalid("FeaturePolicy", "other"), invalid("UserTier", "gold"), invalid("GPUPool", "more")],
    )

    decided, _ = tick(broken, remembered(scalers={"image": FULL}))

    assert words(cell_of(decided, "image", "free")) == "full 50 %"
    assert decided.scalers[named("video")].rule is Reason.NOT_FOUND


def test_saturation_takes_what_is_too_much_and_its_end_gives_back_in_parts() -> None:
    """Users ask for twice what there is for two minutes, and then for little."""

    def look(now: float) -> Snapshot:
        free = 16.0 if now < NOW + 120 else 1.0
        return snapshot(
            pool(10), scaler(replicas=10, most=10, at=now), policy(offered={"pro": 4.0, "free": free}, at=now)
        )

    plans, _ = watch(look, seconds=5000)

    steps = [
        (plan.at - NOW, words(cell_of(plan, "image", "free")))
        for plan in plans
        if cell_of(plan, "image", "free").changed
    ]
    assert steps == [(4.0, "full 20 %"), (120.0, "full 55 %"), (150.0, "full")]
    assert not any(
        c.changed for plan in plans for c in plan.policies[named("image")].cells if c.key.audience.tier == "pro"
    )


def test_a_workload_that_may_go_to_nothing_comes_back_when_it_is_asked_for() -> None:
    """While none is ready its users are told so; they are let in again once one is."""
    replicas, ready_at, memory = 0, float("inf"), Memory()
    levels = []
    for i in range(900):
        now = NOW + 2.0 * i
        if replicas and ready_at == float("inf"):
            ready_at = now + 60
        there = scaler(replicas=replicas, ready=replicas if now >= ready_at else 0, least=0, at=now)
        asked = 0.0 if now < NOW + 20 else 0.3
        decided, memory = tick(snapshot(pool(4), there, policy(offered={"free": asked}, at=now)), memory, now=now)
        replicas = max(replicas, decided.scalers[named("image")].replicas)
        levels.append(cell_of(decided, "image", "free").level)

    assert Level(2) in levels
    assert levels[-1] == FIRST
    assert replicas == 1


def test_demand_metrics_that_vanish_in_a_surge_change_nothing() -> None:
    seen = snapshot(pool(10), scaler(replicas=10, backlog=50.0), policy(offered={"pro": 4.0, "free": 10.0}))
    _, memory = tick(seen, remembered(scalers={"image": FULL}))
    before = {key: c.level for key, c in memory.cells.items()}

    for second in range(2, 3000, 100):
        blind = snapshot(pool(10), scaler(replicas=10, backlog=GONE), policy(offered=GONE))
        decided, memory = tick(blind, memory, now=NOW + second)
        assert {key: c.level for key, c in memory.cells.items()} == before
        assert decided.scalers[named("image")].replicas == 10
        assert decided.scalers[named("image")].saturated
