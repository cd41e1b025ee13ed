"""The demo's policies in a closed world: a viral ramp on images, an outage, a restart, pods that never become ready, noise."""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import pytest
from msgspec import structs

from brownout.api.reasons import Condition, Reason
from brownout.decide.cells import FIRST
from brownout.decide.outcome import CellKey, Level, Plan
from support.build import cell_key, named
from support.world import Objects, World, load

POLICIES = tuple((Path(__file__).parents[3] / "demo" / "policies").glob("*.yaml"))
GPUS = 12
CALM, RAMP, PEAK, DECLINE = 60.0, 60.0, 80.0, 40.0

IMAGE, VIDEO, CHAT = "image-generation", "video-generation", "chat"
USUAL: Mapping[tuple[str, str, str], float] = {
    (CHAT, "pro", ""): 1.0,
    (CHAT, "plus", ""): 2.0,
    (CHAT, "free", ""): 3.0,
    (CHAT, "free", "new-accounts"): 1.0,
    (IMAGE, "pro", ""): 0.2,
    (IMAGE, "plus", ""): 0.3,
    (IMAGE, "free", ""): 0.6,
    (IMAGE, "free", "new-accounts"): 0.4,
    (VIDEO, "pro", ""): 0.05,
    (VIDEO, "plus", ""): 0.1,
    (VIDEO, "free", ""): 0.25,
    (VIDEO, "free", "new-accounts"): 0.2,
}
"""Requests a second in calm: two GPUs of images, two of videos, one of chat."""


def viral(now: float, *, times: float = 20.0) -> Mapping[tuple[str, str, str], float]:
    """A minute of calm, a minute's ramp to so many times the free users' images, the peak, the way back."""
    up = min(1.0, max(0.0, (now - CALM) / RAMP))
    down = min(1.0, max(0.0, (now - CALM - RAMP - PEAK) / DECLINE))
    factor = 1.0 + (times - 1.0) * min(up, 1.0 - down)
    return {who: rate * factor if who[:2] == (IMAGE, "free") else rate for who, rate in USUAL.items()}


def demo() -> Objects:
    return load(*POLICIES)


@cache
def surge(window: float = 2.0, seed: int | None = None) -> World:
    """Ten minutes of it."""
    return World(demo(), viral, GPUS, window=window, seed=seed).run(600)


def levels(world: World, feature: str, who: str) -> list[Level]:
    return [level_of(plan, cell_key(feature, who)) for plan in world.plans]


def level_of(plan: Plan, key: CellKey) -> Level:
    return next(c.level for c in plan.policies[key.policy].cells if c.key == key)


def first(found: list[bool]) -> int:
    """The index of the first that is true; beyond the end if none is."""
    return found.index(True) if True in found else len(found)


def went_down(world: World, feature: str, who: str) -> int:
    return first([level != FIRST for level in levels(world, feature, who)])


def reversals(world: World, key: CellKey) -> list[float]:
    """The moments at which a cell changed direction."""
    found, direction = [], 0
    for before, after in zip(world.plans, world.plans[1:], strict=False):
        here, there = level_of(before, key).depth, level_of(after, key).depth
        turn = (there > here) - (there < here)
        if turn and direction and turn != direction:
            found.append(after.at)
        direction = turn or direction
    return found


WORLDS = pytest.mark.parametrize(
    ("window", "seed"), [(2.0, None), (30.0, None), (30.0, 1)], ids=["exact", "lagging", "noisy"]
)


# --- the viral ramp


@WORLDS
def test_replicas_grow_until_the_gpus_are_gone_and_never_beyond(window: float, seed: int | None) -> None:
    used = [sum(replicas.values()) for replicas in surge(window, seed).replicas]

    assert max(used) == GPUS


@WORLDS
def test_video_goes_from_new_accounts_before_other_free_users(window: float, seed: int | None) -> None:
    world = surge(window, seed)

    new, rest = went_down(world, VIDEO, "free/new-accounts"), went_down(world, VIDEO, "free")

    assert new < len(world.plans)
    assert new <= rest
    for before, after in zip(world.plans, world.plans[1:], strict=False):
        key = cell_key(VIDEO, "free")
        if level_of(after, key).depth > level_of(before, key).depth:
            assert level_of(after, cell_key(VIDEO, "free/new-accounts")) == Level(1)


@WORLDS
def test_images_are_degraded_before_they_are_denied(window: float, seed: int | None) -> None:
    """Nobody has no image while somebody of the tier still has the best one."""
    world = surge(window, seed)

    for plan in world.plans[: first([plan.at >= CALM + RAMP + PEAK for plan in world.plans])]:
        new, rest = level_of(plan, cell_key(IMAGE, "free/new-accounts")), level_of(plan, cell_key(IMAGE, "free"))
        if new.depth > Level(1).depth or rest.depth > Level(1).depth:
            assert new.depth >= Level(1).depth
            assert rest.depth >= Level(1).depth


@WORLDS
def test_chat_and_pro_are_never_touched(window: float, seed: int | None) -> None:
    for plan in surge(window, seed).plans:
        for policy in plan.policies.values():
            for cell in policy.cells:
                if policy.key.name == CHAT or cell.key.audience.tier == "pro":
                    assert cell.level == FIRST


@WORLDS
def test_plus_keeps_an_image_whatever_happens(window: float, seed: int | None) -> None:
    assert max(level.depth for level in levels(surge(window, seed), IMAGE, "plus")) <= Level(1).depth


@WORLDS
def test_who_pays_hardly_waits(window: float, seed: int | None) -> None:
    """Queues are served in the order of tiers; seconds of work before a paying user's."""
    for waits in surge(window, seed).waits[5:]:
        for who in (f"{IMAGE}:pro", f"{IMAGE}:plus", f"{CHAT}:pro", f"{VIDEO}:pro"):
            assert waits.get(who, 0.0) < 4.0


@WORLDS
def test_everything_is_back_in_the_end(window: float, seed: int | None) -> None:
    last = surge(window, seed).plans[-1]

    assert all(cell.level == FIRST for policy in last.policies.values() for cell in policy.cells)
    assert not any(scaler.saturated for scaler in last.scalers.values())


@WORLDS
def test_features_come_back_in_reverse_order(window: float, seed: int | None) -> None:
    """When the load falls, the rest of the free users have their images back no later than new accounts."""
    world = surge(window, seed)
    after = [plan for plan in world.plans if plan.at > CALM + RAMP + PEAK]

    def whole_from(feature: str, who: str) -> int:
        down = [level_of(plan, cell_key(feature, who)) != FIRST for plan in after]
        return len(down) - first(down[::-1])

    assert whole_from(IMAGE, "free") <= whole_from(IMAGE, "free/new-accounts")
    assert whole_from(IMAGE, "plus") <= whole_from(IMAGE, "free")


@WORLDS
def test_replicas_go_only_after_own_features_are_back_or_to_another_workload(window: float, seed: int | None) -> None:
    world = surge(window, seed)
    own = {"image": IMAGE, "video": VIDEO, "chat": CHAT}
    lowered = 0

    for before, plan in zip(world.plans, world.plans[1:], strict=False):
        for key, scaler in plan.scalers.items():
            if scaler.write and scaler.replicas < scaler.current:
                cells = before.policies[named(own[key.name])].cells
                assert scaler.rule is Reason.RECLAIMED or all(cell.level == FIRST for cell in cells)
                lowered += 1

    assert lowered > 0


@WORLDS
def test_flips_stay_within_the_hourly_budget(window: float, seed: int | None) -> None:
    world = surge(window, seed)

    for policy in world.plans[-1].policies.values():
        for cell in policy.cells:
            assert len(reversals(world, cell.key)) <= 8 + 1


def test_calm_decides_nothing_once_replicas_are_right() -> None:
    """No write where nothing happens: not of replicas, and not of features."""
    world = World(demo(), lambda now: USUAL, GPUS).run(1200)

    assert [note.message for plan in world.plans[60:] for note in plan.notes] == []


# --- what goes wrong meanwhile


def test_a_metrics_outage_in_mid_surge_changes_nothing() -> None:
    begins, ends = CALM + RAMP + 20, CALM + RAMP + PEAK + DECLINE + 60
    world = World(demo(), viral, GPUS, blind=lambda now: begins <= now < ends).run(600)

    dark = [plan for plan in world.plans if begins <= plan.at < ends]
    assert not [note for plan in dark for note in plan.notes]
    for plan in dark:
        for scaler in plan.scalers.values():
            held = next(v for v in scaler.verdicts if v.type is Condition.METRICS_AVAILABLE)
            assert (scaler.replicas, held.status) == (scaler.current, False)
    assert any(cell.level != FIRST for policy in dark[-1].policies.values() for cell in policy.cells)
    assert all(cell.level == FIRST for policy in world.plans[-1].policies.values() for cell in policy.cells)


def test_an_outage_before_the_surge_protects_nobody_and_takes_nothing() -> None:
    """What nobody can see cannot be decided; as soon as it can, it is."""
    world = World(demo(), viral, GPUS, blind=lambda now: now < CALM + RAMP + 30).run(CALM + RAMP + 60)

    dark = [plan for plan in world.plans if plan.at < CALM + RAMP + 30]
    assert not [note for plan in dark for note in plan.notes]
    assert went_down(world, IMAGE, "free/new-accounts") <= len(dark) + 5


@pytest.mark.parametrize("at", [70.0, 76.0, 84.0, 100.0, 118.0, 124.0, 150.0, 204.0, 216.0, 240.0, 256.0, 290.0])
def test_a_restart_in_mid_surge_reverses_nothing(at: float) -> None:
    world = World(demo(), viral, GPUS, window=30.0).run(at)
    before, replicas = world.plans[-1], dict(world.replicas[-1])
    direction = {key: memory.direction for key, memory in world.memory.cells.items()}

    world.restart()
    after = world.step()

    for policy in after.policies.values():
        for cell in policy.cells:
            was = level_of(before, cell.key)
            assert cell.previous == was
            if cell.level.depth < was.depth:
                assert direction[cell.key] == "Restore" or after.at >= CALM + RAMP + PEAK
    for key, scaler in after.scalers.items():
        assert scaler.replicas >= replicas[key.name] or scaler.rule is Reason.RECLAIMED


def test_restarts_again_and_again_tell_the_same_story() -> None:
    world = World(demo(), viral, GPUS)
    while world.now < 700:
        world.step()
        if int(world.now) % 14 == 0:
            world.restart()

    assert went_down(world, IMAGE, "free/new-accounts") < first([plan.at > CALM + RAMP for plan in world.plans])
    assert all(cell.level == FIRST for policy in world.plans[-1].policies.values() for cell in policy.cells)
    versions = [plan.policies[named(IMAGE)].version for plan in world.plans]
    assert versions == sorted(versions)
    for policy in world.plans[-1].policies.values():
        for cell in policy.cells:
            assert len(reversals(world, cell.key)) <= 8 + 1


def test_a_pod_that_never_becomes_ready_is_made_good_and_its_workload_says_so() -> None:
    """Two of the image workload's first pods hang; after two minutes others are there in their stead."""
    busy = {who: rate * 6 if who[0] == IMAGE else rate for who, rate in USUAL.items()}
    world = World(demo(), lambda now: busy, 30, stuck=lambda name: name in ("image-3", "image-4"))

    world.run(100)
    waiting = world.plans[-1].scalers[named("image")]
    world.run(200)
    made_good = world.plans[-1].scalers[named("image")]

    assert waiting.coming == 2
    assert (made_good.ready, made_good.coming) == (8, 0)  # what 7.2 GPUs of load need
    assert made_good.demanded == 8 + 2
    verdict = next(v for v in made_good.verdicts if v.type is Condition.READY)
    assert (verdict.status, verdict.reason) == (False, Reason.PODS_NOT_READY)
    assert all(cell.level == FIRST for policy in world.plans[-1].policies.values() for cell in policy.cells)
    assert world.plans[-1].scalers[named("video")].verdicts[0].status


def test_a_broken_image_does_not_eat_the_pool() -> None:
    """No new pod of the image workload becomes ready any more; the others keep what they need."""

    def stuck(name: str) -> bool:
        return name.startswith("image-") and int(name.removeprefix("image-")) > 2

    world = World(demo(), viral, GPUS, stuck=stuck).run(1500)

    assert {plan.scalers[named("chat")].ready for plan in world.plans[20:]} <= {2, 3}
    assert all(level == FIRST for level in levels(world, CHAT, "free"))
    late = [replicas["image"] for replicas in world.replicas[400:]]
    assert max(late) <= 2 + 2 * 2


# --- for as long as you like


def periodic(period: float, *, high: float) -> Callable[[float], Mapping[tuple[str, str, str], float]]:
    def offered(now: float) -> Mapping[tuple[str, str, str], float]:
        factor = high if now % period < period / 2 else 1.0
        return {who: rate * factor if who[:2] == (IMAGE, "free") else rate for who, rate in USUAL.items()}

    return offered


@pytest.mark.parametrize("period", [60.0, 240.0, 900.0])
def test_a_load_that_comes_and_goes_buys_no_flips_without_end(period: float) -> None:
    world = World(demo(), periodic(period, high=25.0), GPUS, tick=10.0, window=30.0).run(2 * 3600)

    for policy in world.plans[-1].policies.values():
        for cell in policy.cells:
            turns = reversals(world, cell.key)
            for i, at in enumerate(turns):
                assert sum(1 for other in turns[i:] if other - at < 3600) <= 8 + 1


def fixed(objects: Objects, replicas: Mapping[str, int]) -> Objects:
    """The same scalers, each with a number of replicas that nobody changes."""
    scalers = {
        key: structs.replace(
            stored, spec=structs.replace(stored.spec, min_replicas=replicas[key.name], max_replicas=replicas[key.name])
        )
        for key, stored in objects["InferenceScaler"].items()
    }
    return {**objects, "InferenceScaler": scalers}


@pytest.mark.parametrize(("utilisation", "seed"), [(0.6, 1), (0.65, 2), (0.7, 3)])
def test_noise_alone_takes_nothing_from_anybody_at_60_to_70_percent(utilisation: float, seed: int) -> None:
    """An hour of requests as Poisson says: 27 chats, 9 images and 1.3 videos a second, of 0.15, 0.8 and 3.2 GPU-seconds."""
    replicas = {"chat": 2, "image": 5, "video": 4}
    cost = {CHAT: 0.15, IMAGE: 0.8, VIDEO: 3.2}
    workload = {CHAT: "chat", IMAGE: "image", VIDEO: "video"}
    share = {("pro", ""): 0.1, ("plus", ""): 0.2, ("free", "new-accounts"): 0.3, ("free", ""): 0.4}
    steady = {
        (feature, *who): part * utilisation * replicas[workload[feature]] / cost[feature]
        for feature in cost
        for who, part in share.items()
    }

    world = World(fixed(demo(), replicas), lambda now: steady, GPUS, seed=seed, window=30.0, tick=4.0).run(3600)

    settled = [plan for plan in world.plans if plan.at > 60]
    assert [note.message for plan in settled for note in plan.notes if note.kind == "FeaturePolicy"] == []
    for memory in world.memory.scalers.values():
        assert memory.cost_factor == pytest.approx(1.0, abs=0.1)
