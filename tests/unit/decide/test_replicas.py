"""Replicas: what each scaler wants, what the pool gives, which rule had the last word; nobody lowers on what is missing."""

from typing import Any

import pytest
from msgspec import structs

from brownout.api.reasons import Reason
from brownout.api.scaler import Behavior, ColdStart, ScalingPolicy, ScalingRules, Stale
from brownout.decide.memory import Memory
from brownout.decide.outcome import Plan, ScalePlan
from brownout.decide.snapshot import Policy, Pool, Snapshot
from support.build import FULL, GONE, NOW, TWO, cell, named, policy, pool, remembered, scaler, snapshot, tick, watch

AT_ONCE = Behavior(scale_down=ScalingRules(stabilization_window_seconds=0))
ALWAYS = {"pro": "Always"}


def asks(gpus: float, *, of: str = "image", at: float = NOW) -> Policy:
    """Demand of so many GPUs, in so many small requests that its noise is a hundredth of a GPU."""
    small = {"full": {of: 0.001}, "denied": {}}
    return policy(of, variants=small, tiers=ALWAYS, offered={"pro": gpus * 1000}, at=at)


def decide(gpus: float | None, *, pool_at: Pool | None = None, seconds: float = 4.0, **of: Any) -> ScalePlan:
    """The plan for a scaler after a few looks at the same demand."""

    def look(now: float) -> Snapshot:
        demand = () if gpus is None else (asks(gpus, at=now),)
        return snapshot(pool_at or pool(100), scaler(at=now, **of), *demand)

    return watch(look, seconds=seconds)[0][-1].scalers[named("image")]


# --- demand, minimum, maximum


ENCODED = {"full": {"video": 1.0, "encoder": 0.01}, "denied": {}}


@pytest.mark.parametrize(("asked", "ago", "left"), [(9.0, 1000, 1), (900.0, 1000, 11), (9.0, 100, 30)])
def test_a_workload_is_not_held_up_by_features_that_wait_for_another(asked: float, ago: float, left: int) -> None:
    """Videos do not fit on their GPUs, and may not for months. So many replicas of the encoder stay as all of them need, at the
    rate at which they were asked for before.
    """

    def look(now: float) -> Snapshot:
        return snapshot(
            pool(10),
            pool(40, name="others"),
            scaler("video", replicas=10, most=10, backlog=0.0, at=now),
            scaler("encoder", pool_name="others", replicas=30, most=40, backlog=0.0, behavior=AT_ONCE, at=now),
            policy(
                "video",
                variants=ENCODED,
                tiers=ALWAYS | {"free": "Auto"},
                offered={"pro": 9.0, "free/new-accounts": 0.0},
                at=now,
            ),
        )

    away = cell("video", tier="free", variants=ENCODED).shed(asked=asked, ago=ago)
    new = cell("video", tier="free/new-accounts", variants=ENCODED)
    plans, _ = watch(look, seconds=30, memory=remembered(away, new))

    assert plans[-1].scalers[named("encoder")].replicas == left


def test_replicas_follow_demand_at_the_planned_utilisation() -> None:
    found = decide(12.4, replicas=10)

    assert (found.replicas, found.rule, found.write) == (16, Reason.DEMAND, True)


def test_what_is_right_is_left_alone() -> None:
    found = decide(11.9, replicas=15)

    assert (found.replicas, found.rule, found.write) == (15, Reason.STEADY, False)


def test_min_replicas_holds_replicas_up_and_max_replicas_down() -> None:
    low, high = decide(0.5, replicas=9, least=4, behavior=AT_ONCE), decide(20.0, replicas=4, most=6)

    assert (low.replicas, low.rule) == (4, Reason.MIN_REPLICAS)
    assert (high.replicas, high.rule, high.limited_by) == (6, Reason.MAX_REPLICAS, "maxReplicas")


def test_a_workload_below_its_minimum_is_raised_whatever_is_known_of_it() -> None:
    known, blind = decide(0.1, replicas=1, least=3), decide(None, replicas=1, least=3, backlog=GONE)

    assert (known.replicas, known.rule) == (3, Reason.MIN_REPLICAS)
    assert (blind.replicas, blind.rule) == (3, Reason.MIN_REPLICAS)


def test_a_scaler_at_nothing_starts_when_somebody_asks() -> None:
    found = decide(0.2, replicas=0, least=0)

    assert (found.replicas, found.write) == (1, True)


def test_a_scaler_that_nobody_asks_goes_to_nothing_where_it_may() -> None:
    assert decide(0.0, replicas=2, least=0, behavior=AT_ONCE).replicas == 0


# --- down


def test_replicas_stay_until_own_features_are_back() -> None:
    denied, whole = cell(tier="free").shed(asked=0.0, ago=10), cell(tier="free/new-accounts")

    def look(now: float) -> Snapshot:
        return snapshot(pool(20), scaler(replicas=9, behavior=AT_ONCE), policy(offered={"pro": 1.0}))

    found = watch(look, seconds=4, memory=remembered(denied, whole))[0][-1].scalers[named("image")]

    assert (found.replicas, found.rule) == (9, Reason.OWN_CELLS_SHED)
    assert found.message == "replicas stay until its own features are back: image for free has denied"


def test_what_somebody_paused_does_not_hold_replicas_up() -> None:
    denied = cell(tier="free").shed(asked=0.0, ago=10)

    def look(now: float) -> Snapshot:
        return snapshot(pool(20), scaler(replicas=9, behavior=AT_ONCE), policy(mode="Paused", offered={"pro": 1.0}))

    assert watch(look, seconds=4, memory=remembered(denied))[0][-1].scalers[named("image")].replicas == 2


def test_features_of_other_workloads_do_not_hold_replicas_up() -> None:
    """Pool-wide this would dead-lock: two workloads waiting for each other's GPUs."""
    video = {"full": {"video": 1.0}, "denied": {}}
    denied = cell("video", tier="free", variants=video).shed(asked=5.0, ago=10)

    def look(now: float) -> Snapshot:
        return snapshot(
            pool(20),
            scaler(replicas=9, behavior=AT_ONCE),
            scaler("video", replicas=2),
            asks(1.0),
            policy("video", variants=video, offered={"pro": 1.0}),
        )

    assert watch(look, seconds=4, memory=remembered(denied))[0][-1].scalers[named("image")].replicas == 2


def test_replicas_go_down_only_after_the_stabilization_window() -> None:
    early, late = decide(1.9, replicas=10, seconds=298), decide(1.9, replicas=10, seconds=302)

    assert (early.replicas, early.rule) == (10, Reason.STABILIZATION)
    assert (late.replicas, late.rule) == (3, Reason.DEMAND)


def test_replicas_go_down_to_the_most_that_the_window_needed() -> None:
    def look(now: float) -> Snapshot:
        return snapshot(pool(20), scaler(replicas=10, at=now), asks(3.9 if now < NOW + 200 else 1.9, at=now))

    found = watch(look, seconds=320)[0][-1].scalers[named("image")]

    assert (found.replicas, found.rule) == (5, Reason.STABILIZATION)
    assert found.message == "3 would do; 5 were needed within the stabilization window"


def test_behavior_limits_how_fast_replicas_go_down() -> None:
    slowly = ScalingRules(
        stabilization_window_seconds=0, policies=(ScalingPolicy(type="Pods", value=2, period_seconds=60),)
    )

    found = decide(1.9, replicas=10, behavior=Behavior(scale_down=slowly))

    assert (found.replicas, found.rule) == (8, Reason.BEHAVIOR)
    assert found.message == "3 would do; behavior.scaleDown allows 2 fewer now"


def test_behavior_limits_how_fast_replicas_go_up() -> None:
    found = decide(50.0, replicas=2)

    assert (found.replicas, found.rule) == (6, Reason.BEHAVIOR)
    assert found.message.endswith("behavior.scaleUp allows 6 now")


def test_the_scale_up_window_of_a_behavior_is_kept() -> None:
    patient = Behavior(scale_up=ScalingRules(stabilization_window_seconds=60))

    def look(now: float) -> Snapshot:
        return snapshot(
            pool(100), scaler(replicas=4, behavior=patient, at=now), asks(3.1 if now < NOW + 10 else 5.5, at=now)
        )

    plans = [plan.scalers[named("image")] for plan in watch(look, seconds=80)[0]]

    assert {(p.replicas, p.rule) for p in plans[5:34]} == {(4, Reason.STABILIZATION)}
    assert plans[-1].replicas == 7


def test_fewer_replicas_have_to_carry_what_is_there() -> None:
    found = decide(3.9, replicas=10, ready=3, behavior=AT_ONCE)

    assert (found.replicas, found.rule) == (10, Reason.SURVIVORS_CANNOT_CARRY)


# --- what is missing


@pytest.mark.parametrize("missing", [{"backlog": GONE}, {"load": GONE}, {"busy": GONE}, {"objective": GONE}])
def test_a_missing_metric_never_lowers_replicas(missing: dict[str, Any]) -> None:
    found = decide(1.0, pool_at=None, seconds=4.0, replicas=9, behavior=AT_ONCE, **missing)

    assert (found.replicas, found.rule) == (9, Reason.HELD)
    assert "nothing is lowered while evidence is missing" in found.message


def test_the_other_metrics_may_raise_while_one_is_missing() -> None:
    assert decide(20.0, replicas=9, backlog=GONE).replicas > 9


def test_missing_demand_of_one_policy_lowers_nothing() -> None:
    def look(now: float) -> Snapshot:
        blind = policy("video", tiers=ALWAYS, offered=GONE)
        return snapshot(pool(20), scaler(replicas=9, behavior=AT_ONCE), asks(1.0), blind)

    assert watch(look, seconds=4)[0][-1].scalers[named("image")].replicas == 9


def test_stale_demand_lowers_nothing() -> None:
    """The last answer is 90 s old, and would say that nobody asks."""

    def look(now: float) -> Snapshot:
        return snapshot(pool(20), scaler(replicas=9, behavior=AT_ONCE, at=now), asks(9.0, at=now - 90))

    assert watch(look, seconds=10)[0][-1].scalers[named("image")].replicas == 9


def test_nothing_known_at_all_changes_nothing() -> None:
    found = decide(None, replicas=9, backlog=GONE, behavior=AT_ONCE)

    assert (found.replicas, found.rule, found.write) == (9, Reason.HELD, False)
    assert found.message == f"replicas stay as they are: metric backlog: {GONE.message}"


def test_a_scaler_that_is_told_nothing_says_so() -> None:
    found = decide(None, replicas=2)

    assert (found.replicas, found.rule) == (2, Reason.HELD)
    assert "spec.metrics is empty, and no policy's costs name this scaler" in found.message


SAFE = Stale(fallback_after_seconds=120, fallback_replicas=6)


def test_after_a_long_while_without_any_metric_replicas_rise_to_what_is_safe() -> None:
    before = decide(None, replicas=4, backlog=GONE, stale=SAFE, seconds=118)
    after = decide(None, replicas=4, backlog=GONE, stale=SAFE, seconds=120)

    assert (before.replicas, before.rule) == (4, Reason.HELD)
    assert (after.replicas, after.rule) == (6, Reason.FALLBACK)
    assert "nothing is known for 120 s" in after.message


def test_the_fallback_only_ever_raises() -> None:
    found = decide(None, replicas=9, backlog=GONE, stale=SAFE, seconds=300)

    assert (found.replicas, found.rule) == (9, Reason.HELD)


def test_the_wait_for_the_fallback_starts_anew_once_something_was_known() -> None:
    def look(now: float) -> Snapshot:
        known = 3.0 if now == NOW + 100 else GONE
        return snapshot(pool(20), scaler(replicas=4, backlog=known, stale=SAFE, at=now))

    assert watch(look, seconds=200)[0][-1].scalers[named("image")].rule is Reason.HELD


def test_while_something_is_missing_a_lower_maximum_is_followed_to_itself_and_no_further() -> None:
    found = decide(1.0, replicas=12, most=10, backlog=GONE, behavior=AT_ONCE)

    assert (found.replicas, found.rule) == (10, Reason.MAX_REPLICAS)


def test_a_pool_whose_gpus_cannot_be_read_holds_everybody() -> None:
    up = decide(20.0, replicas=4, pool_at=pool(64, nodes=GONE))
    down = decide(1.0, replicas=9, pool_at=pool(64, quotas=GONE), behavior=AT_ONCE)

    assert (up.replicas, up.rule) == (4, Reason.HELD)
    assert (down.replicas, down.rule) == (9, Reason.HELD)
    assert "the pool's GPUs cannot be read" in up.message


# --- modes


def test_paused_stays_as_it_is_and_keeps_its_gpus() -> None:
    found = decide(20.0, replicas=4, mode="Paused")

    assert (found.replicas, found.rule, found.write) == (4, Reason.PAUSED, False)


def test_advise_says_what_it_would_write_and_writes_nothing() -> None:
    found = decide(12.4, replicas=12, mode="Advise")

    assert (found.replicas, found.rule, found.write) == (16, Reason.ADVISE, False)
    assert found.message.startswith("mode: Advise; would write 16 replicas: ")


def test_advice_to_go_down_keeps_the_windows() -> None:
    early = decide(1.9, replicas=10, mode="Advise", seconds=100)
    late = decide(1.9, replicas=10, mode="Advise", seconds=302)

    assert (early.replicas, late.replicas) == (10, 3)


# --- pods that never become ready

HOPELESS = ColdStart(expected_seconds=60, give_up_after_seconds=900)


def test_a_pod_that_never_becomes_ready_is_made_good() -> None:
    found = decide(3.9, replicas=6, dead=1, cold_start=HOPELESS)

    assert found.replicas == 6
    assert "1 that did not become ready in 900 s are made good" in found.message


def test_where_most_do_not_become_ready_not_ever_more_are_asked_for() -> None:
    """A broken image would otherwise take a pool a few replicas every quarter of an hour."""
    some, none = (
        decide(12.4, replicas=15, dead=12, cold_start=HOPELESS),
        decide(3.9, replicas=5, dead=5, cold_start=HOPELESS),
    )

    assert some.demanded == 16 + 3
    assert none.demanded == 5 + 1


# --- when GPUs are short


def two(
    *,
    image: float,
    video: float,
    image_has: int,
    video_has: int,
    seconds: float,
) -> list[Plan]:
    """Images come before videos, and nobody may lose a feature."""

    def look(now: float) -> Snapshot:
        return snapshot(
            pool(8),
            scaler("image", replicas=image_has, priority=90, at=now),
            scaler("video", replicas=video_has, priority=10, at=now),
            asks(image, at=now),
            asks(video, of="video", at=now),
        )

    return watch(look, seconds=seconds)[0]


def of(plans: list[Plan], name: str) -> list[ScalePlan]:
    return [plan.scalers[named(name)] for plan in plans]


def test_the_pool_gives_what_it_has_and_says_what_it_lacks() -> None:
    found = decide(12.4, replicas=6, pool_at=pool(8))

    assert (found.replicas, found.rule, found.limited_by) == (8, Reason.POOL_EXHAUSTED, "spec.capacity.gpus")
    assert found.demanded == 16
    assert found.message.endswith("16 replicas; the pool's 8 GPUs (spec.capacity.gpus) leave 8")


def test_a_quota_is_named_where_it_is_what_limits() -> None:
    found = decide(12.4, replicas=3, pool_at=pool(64, quotas={"media": 5}))

    assert (found.replicas, found.limited_by) == (5, "quotas")
    assert "the pool's 5 GPUs (quotas)" in found.message


def test_what_a_scaler_holds_above_its_plan_goes_to_a_short_one_after_sixty_seconds() -> None:
    """And not after the stabilization window of 300 s."""
    plans = two(image=3.9, video=1.5, image_has=2, video_has=6, seconds=60)

    assert {p.replicas for p in of(plans[:-1], "video")} == {6}
    assert (of(plans, "video")[-1].replicas, of(plans, "video")[-1].rule) == (3, Reason.RECLAIMED)
    assert (of(plans, "image")[-1].replicas, of(plans, "image")[-1].obtainable) == (2, 5)
    assert of(plans, "video")[-1].message == "3 replicas go to image, which is short of its share"
    assert {(p.goes_to, p.keeps) for p in of(plans, "video")} == {(named("image"), 3)}
    assert {p.goes_to for p in of(plans, "image")} == {None}


def test_what_is_let_go_of_is_anothers_once_it_is_seen_to_be_free() -> None:
    """A write may fail; both would hold it then, and one of them in vain."""
    memory, has, seen_at = Memory(), {"image": 2, "video": 6}, []
    for second in range(0, 90, 10):
        now = NOW + second
        there = [scaler(name, replicas=has[name], priority=90 if name == "image" else 10, at=now) for name in has]
        decided, memory = tick(
            snapshot(pool(8), *there, asks(3.9, at=now), asks(1.5, of="video", at=now)), memory, now=now
        )
        has = {key.name: found.replicas for key, found in decided.scalers.items()}
        seen_at.append((second, has["image"], has["video"], decided.scalers[named("image")].rule))

    assert seen_at[5:8] == [
        (50, 2, 6, Reason.POOL_EXHAUSTED),
        (60, 2, 3, Reason.WAITS),
        (70, 5, 3, Reason.DEMAND),
    ]


def test_a_deficit_that_passes_reclaims_nothing() -> None:
    def look(now: float) -> Snapshot:
        demand = 4.0 if (now - NOW) % 60 < 50 else 1.0
        return snapshot(
            pool(8),
            scaler("image", replicas=2, priority=90, at=now),
            scaler("video", replicas=6, priority=10, at=now),
            asks(demand, at=now),
            asks(0.5, of="video", at=now),
        )

    assert {p.replicas for p in of(watch(look, seconds=200)[0], "video")} == {6}


def test_who_is_only_planned_for_headroom_takes_nothing_from_anothers_demand() -> None:
    plans = two(image=4.0, video=3.0, image_has=4, video_has=4, seconds=80)

    assert {p.replicas for p in of(plans, "video")} == {4}


@pytest.mark.parametrize(("tier", "seconds"), [("pro", 0.0), ("free", 60.0)])
def test_who_is_saturated_takes_its_share_from_a_lesser_one(tier: str, seconds: float) -> None:
    """Users of a tier above the lowest do not wait for reclaim.afterSeconds."""
    free = {"full": {"video": 0.001}, "denied": {}}

    def look(now: float) -> Snapshot:
        return snapshot(
            pool(8),
            scaler("image", replicas=4, priority=90, at=now),
            scaler("video", replicas=4, priority=10, at=now),
            policy(variants=TWO, tiers={tier: "Always"}, offered={tier: 6.0}, at=now),
            policy("video", variants=free, offered={"free": 3000.0}, at=now),
        )

    plans = of(watch(look, seconds=seconds, memory=Memory(scalers={named("image"): FULL}))[0], "video")
    assert {p.replicas for p in plans[:-1]} <= {4}
    assert (plans[-1].replicas, plans[-1].rule) == (1, Reason.RECLAIMED)


def won(seconds: float, *, image: float, video: float) -> int:
    """What images hold `seconds` after they won GPUs from videos of the same priority, where both are asked for so much since."""

    def before(now: float) -> Snapshot:
        return snapshot(
            pool(8),
            scaler("image", replicas=2, at=now),
            scaler("video", replicas=6, at=now),
            asks(4.5, at=now),
            asks(0.5, of="video", at=now),
        )

    _, memory = watch(before, seconds=60)
    assert memory.scalers[named("image")].closed_until == NOW + 60 + 600

    has = {"image": 6, "video": 2}
    for second in range(4, int(seconds) + 1, 4):
        now = NOW + 60 + second
        there = [scaler(name, replicas=replicas, at=now) for name, replicas in has.items()]
        seen = snapshot(pool(8), *there, asks(image, at=now), asks(video, of="video", at=now))
        decided, memory = tick(seen, memory, now=now)
        has = {key.name: found.replicas for key, found in decided.scalers.items()}
    return has["image"]


def test_who_won_is_not_taken_from_for_hold_seconds() -> None:
    """Both could use all of the pool. No two scalers trade GPUs back and forth: each trade costs a cold start."""
    assert won(596, image=7.0, video=7.0) == 6
    assert won(700, image=7.0, video=7.0) == 4


def test_what_a_winner_has_no_users_for_goes_back_to_who_is_short() -> None:
    """Hysteresis is for equals; what idles is nobody's, and the stabilization window of 300 s is for its owner alone."""
    assert won(56, image=0.5, video=4.0) == 6
    assert won(100, image=0.5, video=4.0) == 3


def test_a_scaler_of_which_something_is_missing_is_not_taken_from() -> None:
    """Nobody lowers on what is missing, and a reclaim lowers."""

    def look(now: float) -> Snapshot:
        return snapshot(
            pool(8),
            scaler("image", replicas=2, priority=90, at=now),
            scaler("video", replicas=6, priority=10, backlog=GONE, at=now),
            asks(6.0, at=now),
            asks(0.5, of="video", at=now),
        )

    memory = Memory(scalers={named("image"): FULL})
    assert {p.replicas for p in of(watch(look, seconds=120, memory=memory)[0], "video")} == {6}


def test_paused_and_advised_scalers_are_not_taken_from() -> None:
    for mode in ("Paused", "Advise"):

        def look(now: float, mode: str = mode) -> Snapshot:
            return snapshot(
                pool(8),
                scaler("image", replicas=2, priority=90, at=now),
                scaler("video", replicas=6, priority=10, mode=mode, at=now),
                asks(6.0, at=now),
                asks(0.5, of="video", at=now),
            )

        plans = of(watch(look, seconds=120)[0], "video")
        assert not any(p.write for p in plans)


def test_pods_that_are_coming_count_so_that_one_deficit_is_not_answered_twice() -> None:
    def look(now: float) -> Snapshot:
        return snapshot(
            pool(8),
            scaler("image", replicas=6, ready=2, priority=90, at=now),
            scaler("video", replicas=2, priority=10, at=now),
            asks(4.0, at=now),
            asks(1.2, of="video", at=now),
        )

    plans = watch(look, seconds=120)[0]
    assert {p.replicas for p in of(plans, "image")} == {6}
    assert {p.replicas for p in of(plans, "video")} == {2}


def test_a_pool_that_shrinks_takes_nothing_away() -> None:
    found = decide(12.4, replicas=15, pool_at=pool(8))

    assert (found.replicas, found.rule) == (15, Reason.POOL_EXHAUSTED)


def test_the_last_five_decisions_are_remembered_with_their_reasons() -> None:
    memory = Memory()
    for i in range(7):
        now = NOW + 20 * i
        seen = snapshot(pool(100), scaler(replicas=4 + 2 * i, at=now), asks(0.8 * (6 + 2 * i) - 0.1, at=now))
        _, memory = tick(seen, memory, now=now)

    decisions = memory.scalers[named("image")].decisions
    assert len(decisions) == 5
    assert (decisions[-1].at, decisions[-1].from_replicas, decisions[-1].to_replicas) == (NOW + 120, 16, 18)
    assert structs.asdict(decisions[-1])["rule"] is Reason.DEMAND
