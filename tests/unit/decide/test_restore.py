"""The restore gate: a cell comes back only if what it would bring fits, and the last one shed comes back first."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from brownout.api.policy import Restore
from brownout.api.reasons import Reason
from brownout.decide.cells import FIRST
from brownout.decide.evidence import Missing
from brownout.decide.memory import Memory, PoolMemory, ScalerMemory
from brownout.decide.outcome import CellPlan, Level, Plan
from brownout.decide.restore import gpus_to_be_full, may_be_full
from brownout.decide.snapshot import Policy, Pool, Scaler, Snapshot
from support.build import (
    FULL,
    GONE,
    NOW,
    TWO,
    CellAt,
    Variants,
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
    words,
)

NEW, REST, PLUS = cell(tier="free/new-accounts"), cell(tier="free"), cell(tier="plus", lowest="lite")
QUIET = {"pro": 1.0}
FOR_FREE = {"pro": "Always", "free": "Auto"}


def after(
    *cells: CellAt,
    scaler_at: Scaler | None = None,
    policy_at: Policy | None = None,
    pool_at: Pool | None = None,
    scalers: dict[str, ScalerMemory] | None = None,
    now: float = NOW,
) -> tuple[Plan, Memory]:
    """The plan for ten ready replicas that carry one GPU of load, with these cells taken down before."""
    seen = snapshot(pool_at or pool(10), scaler_at or scaler(replicas=10, least=10), policy_at or policy(offered=QUIET))
    return tick(seen, remembered(*cells, scalers=scalers), now=now)


def free(*cells: CellAt, **more: Any) -> CellPlan:
    return cell_of(after(*cells, **more)[0], "image", "free")


def refused(found: CellPlan, before: CellAt) -> bool:
    return found.level == before.level


# --- the gate


@settings(deadline=None, derandomize=True)
@given(
    flow=st.floats(0.01, 1e4),
    dearest=st.floats(0, 1e12),
    drain_seconds=st.integers(1, 3600),
    restore_percent=st.integers(10, 97),
)
def test_the_gpus_that_may_be_so_full_are_the_fewest(
    flow: float, dearest: float, drain_seconds: int, restore_percent: int
) -> None:
    """In one step, whatever is written for a request; counted up, a tick took minutes for one of months."""
    sizes: dict[str, Any] = {"dearest": dearest, "drain_seconds": drain_seconds, "restore_percent": restore_percent}

    fewest = gpus_to_be_full(flow, **sizes)

    assert may_be_full(fewest, **sizes) == pytest.approx(flow)
    assert may_be_full(fewest * 0.99, **sizes) < flow


def test_a_cell_comes_back_when_everything_allows_it() -> None:
    assert words(free(REST.shed(asked=2.0))) == "lite 50 %"


def test_what_cannot_be_seen_is_not_restored() -> None:
    shed = REST.shed(asked=0.1)

    assert refused(free(shed, policy_at=policy(offered=GONE)), shed)
    assert refused(free(shed, policy_at=policy(offered=QUIET | {"free": 0.1}, at=NOW - 61)), shed)
    assert refused(free(shed, scaler_at=scaler(replicas=10, backlog=GONE)), shed)


def test_that_nobody_asks_for_a_feature_is_seen_where_any_series_of_it_is_there() -> None:
    """What was remembered has faded meanwhile. A server that exports a 0 for each of its features lets them come back; the tier
    that it is counted for need not be one of the policy's.
    """
    shed = REST.shed(asked=2.0, ago=4000)

    assert words(free(shed, policy_at=policy(offered={"unknown": 0.0}))) == "lite 50 %"
    assert refused(free(shed, policy_at=policy(offered=Missing("the query returns nothing"))), shed)


def test_a_cell_of_a_workload_that_cannot_be_read_is_not_restored() -> None:
    """Its scaler is not in use for the moment; that nothing is known of it is no reason to load it."""
    shed = REST.shed(asked=2.0)
    away = scaler(workload=Missing("Deployment image cannot be read"))
    unreadable = snapshot(pool(10), policy(offered=QUIET), unreadable=[invalid("InferenceScaler", "image")])

    assert refused(free(shed, scaler_at=away), shed)
    assert refused(cell_of(tick(unreadable, remembered(shed))[0], "image", "free"), shed)


def test_a_cell_of_a_scaler_that_was_deleted_does_not_come_back_unmeasured() -> None:
    """Its workload is there still, and as full as it was; who wants it back takes the scaler out of the costs."""
    gone, shed = snapshot(pool(10), policy(offered=QUIET)), REST.shed(asked=2.0)
    found = cell_of(tick(gone, remembered(shed))[0], "image", "free")
    free_of_costs = snapshot(pool(10), policy(variants={"full": {}, "lite": {}, "denied": {}}, offered=QUIET))

    assert refused(found, shed)
    assert found.refusal == (
        "what cannot be seen is not restored: InferenceScaler image is not in use; the policy's Ready condition says why"
    )
    assert words(cell_of(tick(free_of_costs, remembered(shed))[0], "image", "free")) == "lite 50 %"


def test_nothing_comes_back_while_the_pools_gpus_cannot_be_read() -> None:
    shed = REST.shed(asked=0.1)

    assert refused(free(shed, pool_at=pool(64, nodes=GONE)), shed)


def test_nothing_is_added_to_what_is_full() -> None:
    shed = REST.shed(asked=0.1)
    busy = policy(offered={"pro": 9.99}, tiers={"pro": "Always", "free": "Auto"})
    hot = ScalerMemory(saturated=True, saturated_since=NOW - 10, excess=3.0)

    assert refused(
        free(shed, policy_at=busy, scaler_at=scaler(replicas=10, most=10, backlog=200.0), scalers={"image": hot}), shed
    )


@pytest.mark.parametrize(("order", "level"), [("FIFO", "denied"), ("Tiered", "lite 50 %")])
def test_nothing_is_added_to_a_queue_in_which_everybody_waits(order: str, level: str) -> None:
    """Five GPUs of load on ten, and forty GPU-seconds wait: in a queue without tiers all wait 4 s of the 5 that they may."""
    there = scaler(replicas=10, most=10, backlog=40.0, order=order)
    shed = REST.shed(asked=2.0)

    found = free(shed, scaler_at=there, policy_at=policy(offered={"pro": 5.0}), scalers={"image": FULL})

    assert words(found) == level
    assert order == "Tiered" or found.refused_by is Reason.STILL_SATURATED


def test_only_its_own_workloads_have_to_be_calm() -> None:
    seen = snapshot(
        pool(20),
        scaler(replicas=10, least=10),
        scaler("video", replicas=10, most=10, backlog=900.0),
        policy(offered=QUIET),
        policy("video", variants={"full": {"video": 1.0}, "denied": {}}, offered={"pro": 20.0}),
    )

    decided, _ = tick(seen, remembered(REST.shed(asked=2.0), scalers={"video": FULL}))

    assert words(cell_of(decided, "image", "free")) == "lite 50 %"


SNUG = policy(offered={"pro": 7.6})
"""With it a cell that asks for one GPU fits, and less than a quarter is free."""


@pytest.mark.parametrize(("ago", "back"), [(119.0, False), (120.0, True)])
def test_a_cell_that_was_just_shed_stays_for_restore_after_seconds(ago: float, back: bool) -> None:
    shed = REST.shed(asked=0.1, ago=ago)

    assert refused(free(shed, policy_at=SNUG), shed) is not back


@pytest.mark.parametrize(("ago", "back"), [(29.0, False), (30.0, True)])
def test_where_a_quarter_is_free_and_nothing_waits_more_was_taken_than_needed(ago: float, back: bool) -> None:
    """What empties a queue is taken beside what is too much, and is to spare once the queue is gone."""
    shed = REST.shed(asked=5.0, ago=ago)

    assert refused(free(shed), shed) is not back


def test_while_a_queue_waits_nobody_knows_whether_more_was_taken_than_needed() -> None:
    shed = REST.shed(asked=0.1, ago=100)

    found = free(shed, scaler_at=scaler(replicas=10, least=10, backlog=30.0))

    assert found.expected_return == NOW - 100 + 120


def test_what_was_shed_again_and_again_is_not_given_back_early() -> None:
    shed = REST.shed(asked=9.0, ago=100, dwell=240.0)

    assert free(shed).expected_return == NOW - 100 + 240


def test_a_doubled_dwell_lasts_longer() -> None:
    shed = REST.shed(asked=1.0, ago=300, dwell=480.0)

    found = free(shed, policy_at=SNUG)

    assert refused(found, shed)
    assert found.expected_return == NOW - 300 + 480
    assert not refused(free(REST.shed(asked=1.0, ago=300, dwell=240.0), policy_at=SNUG), shed)


def test_a_dwell_that_grew_by_swings_has_no_say_where_all_of_it_leaves_a_quarter_free() -> None:
    roomy = REST.shed(asked=1.0, ago=300, dwell=480.0)

    assert not refused(free(roomy, policy_at=policy(offered={"pro": 6.0})), roomy)
    early = REST.shed(asked=1.0, ago=20, dwell=480.0)
    assert free(early, policy_at=policy(offered={"pro": 6.0})).expected_return == NOW - 20 + 30


@pytest.mark.parametrize(("capacity", "waits"), [(9.0, 30.0), (9.2, 480.0), (0.0, 480.0)])
def test_where_a_tenth_more_is_ready_than_at_the_shed_its_return_is_no_swing(capacity: float, waits: float) -> None:
    """GPUs have come since: what was taken for want of them comes back as soon as the last step's effect is seen."""
    then = REST.shed(asked=1.0, ago=29, dwell=480.0)
    grown = structs.replace(then, memory=structs.replace(then.memory, shed_capacity=capacity))

    found = free(grown, policy_at=SNUG)

    assert (found.refused_by, found.expected_return) == (Reason.DWELL, NOW - 29 + waits)


def test_between_two_parts_step_seconds_pass() -> None:
    part = REST.shed("lite", 50, asked=0.1)
    stepping = structs.replace(part, memory=structs.replace(part.memory, direction="Restore", last_step_at=NOW - 20))

    found = free(stepping)

    assert refused(found, stepping)
    assert found.expected_return == NOW + 10


def test_an_oscillating_load_may_not_buy_flips_without_end() -> None:
    often, seldom = REST.shed(asked=0.1, reversals=4), REST.shed(asked=0.1, reversals=3)

    found = free(often)

    assert refused(found, often)
    assert found.expected_return == pytest.approx(NOW - 1000 - 3 + 3600)
    assert not refused(free(seldom), seldom)


def test_the_budget_is_for_an_hour() -> None:
    long_ago = REST.shed(asked=0.1, reversals=4, ago=3700)

    assert not refused(free(long_ago), long_ago)


def test_going_on_restoring_is_no_reversal() -> None:
    half = REST.shed("full", 50, asked=0.1, reversals=9)
    going = structs.replace(half, memory=structs.replace(half.memory, direction="Restore"))

    assert not refused(free(going), going)


def test_a_workload_without_a_replica_restores_nobody() -> None:
    shed = REST.shed(asked=0.0)

    found = free(shed, scaler_at=scaler(replicas=2, ready=0), policy_at=policy(offered={"pro": 0.0}))

    assert refused(found, shed)
    assert found.expected_return is not None


# --- what fits


def test_what_comes_back_fits_below_restore_percent() -> None:
    """Ten are ready, 90 % of them is nine, and eight are in use: a quarter of 1444 requests a second fits, at 0.0025 each."""
    small = {"full": {"image": 0.01}, "lite": {"image": 0.0025}, "denied": {}}
    busy = policy(variants=small, offered={"pro": 800.0}, tiers={"pro": "Always", "free": "Auto"})

    assert words(free(REST.shed(asked=2000.0), policy_at=busy)) == "lite 25 %"
    assert words(free(REST.shed(asked=2000.0), policy_at=busy, pool_at=pool(10, restore_percent=97))) == "lite 45 %"


def test_few_large_requests_come_in_bunches_and_need_more_room() -> None:
    """Of requests of one GPU-second each 0.8 GPUs' worth is free for one standard deviation of those that come in 15 s."""
    busy = policy(offered={"pro": 8.0}, tiers={"pro": "Always", "free": "Auto"})

    assert words(free(REST.shed(asked=20.0), policy_at=busy)) == "lite 25 %"
    assert words(free(REST.shed(asked=20.0), policy_at=busy, pool_at=pool(10, restore_percent=97))) == "lite 30 %"


def test_a_learned_cost_counts() -> None:
    """Pro users and those on lite take 5.3 GPUs then, 1.2 stay free for bunches: 35 % of 9.8 fit."""
    cheap, dear = REST.shed("lite", asked=9.0), ScalerMemory(cost_factor=2.0)

    assert words(free(cheap)) == "full 50 %"
    assert words(free(cheap, scalers={"image": dear})) == "full 35 %"


def test_steps_get_as_small_as_five_percent_where_only_that_fits() -> None:
    tight = policy(offered={"pro": 8.1}, tiers={"pro": "Always", "free": "Auto"})

    assert words(free(REST.shed("lite", asked=4.0), policy_at=tight)) == "full 5 %"


def test_what_does_not_fit_at_all_waits_with_its_numbers() -> None:
    tight = policy(offered={"pro": 8.2}, tiers={"pro": "Always", "free": "Auto"})
    shed = REST.shed("lite", asked=4.0)

    found = free(shed, policy_at=tight)

    assert refused(found, shed)
    assert (found.refused_by, found.refusal) == (
        Reason.DOES_NOT_FIT,
        "5 % more of it would bring image to 9.0 of 10 ready GPUs, beyond 90 %",
    )


def test_a_backlog_takes_its_share_of_the_room() -> None:
    shed = REST.shed(asked=40.0)

    assert words(free(shed, scaler_at=scaler(replicas=10, least=10, backlog=10.0))) == "lite 50 %"
    assert words(free(shed, scaler_at=scaler(replicas=10, least=10, backlog=100.0))) == "lite 25 %"


def test_a_cell_that_was_never_measured_comes_back_by_its_least_step() -> None:
    assert words(free(REST.shed())) == "lite 5 %"


def test_a_step_is_at_most_step_percent() -> None:
    small = policy(offered=QUIET, restore=Restore(step_percent=20))
    whole = policy(offered=QUIET, restore=Restore(step_percent=100))

    assert words(free(REST.shed(asked=0.1), policy_at=small)) == "lite 20 %"
    assert words(free(REST.shed(asked=0.1), policy_at=whole)) == "lite"
    assert words(free(REST.shed("lite", asked=0.1), policy_at=whole)) == "full"


@pytest.mark.parametrize(("step_percent", "back"), [(9, "full 5 %"), (12, "full 10 %"), (14, "full 10 %")])
def test_a_step_percent_that_is_no_multiple_of_five_leaves_out_no_smaller_step(step_percent: int, back: str) -> None:
    """Where only less fits it comes back by less, and is not denied for ever."""
    asked = 8.0 if step_percent == 9 else 4.5
    full = policy(variants=TWO, offered={"pro": 8.5}, tiers=FOR_FREE, restore=Restore(step_percent=step_percent))
    shed = cell(tier="free", variants=TWO).shed(asked=asked, ago=200)

    assert words(free(shed, policy_at=full), TWO) == back


def test_the_last_part_ends_at_all_of_them() -> None:
    found, memory = after(REST.shed("full", 70, asked=0.1))

    assert cell_of(found, "image", "free").level == FIRST
    assert cell_of(found, "image", "free").reason is Reason.SERVED
    assert memory.cells[REST.key].direction == "Restore"


def test_what_was_asked_for_counts_for_a_while_after_a_cell_is_whole() -> None:
    """Its rate still tells of the users who were denied; the cells after it would be let in on what is not free."""
    _, memory = after(REST.shed("full", 70, asked=4.0))
    seen = snapshot(pool(10), scaler(replicas=10, least=10), policy(offered=QUIET | {"free": 0.0}))

    soon, memory = tick(seen, memory, now=NOW + 20)
    later, _ = tick(seen, memory, now=NOW + 46)

    offered = [plan.scalers[named("image")].flow.offered for plan in (soon, later)]
    assert offered == [pytest.approx(1.0 + 4.0 * (1 - 1000 / 3600) * (1 - 20 / 3600)), 1.0]


def test_a_policy_of_two_variants_comes_back_in_parts() -> None:
    two = policy(variants=TWO, offered=QUIET, tiers={"pro": "Always", "free": "Auto"})
    shed = cell(tier="free", variants=TWO).shed(asked=1.0)

    assert words(free(shed, policy_at=two), TWO) == "full 50 %"


# --- in which order


def test_the_last_one_shed_comes_back_first() -> None:
    """Half a GPU is left: those who pay more have it, and what nobody asks for fits beside it."""
    tight = policy(offered={"pro": 8.5, "plus": 1.0})
    decided, _ = after(PLUS.shed("lite", asked=1.0), REST.shed(asked=0.01), policy_at=tight)

    assert words(cell_of(decided, "image", "plus")) == "full 30 %"
    assert words(cell_of(decided, "image", "free")) == "lite 50 %"


def test_who_is_refused_makes_those_before_it_on_the_ladder_wait() -> None:
    dwelling = PLUS.shed("lite", asked=0.01, ago=10)
    decided, _ = after(dwelling, REST.shed(asked=0.01), NEW.shed(asked=0.01))

    for who in ("plus", "free", "free/new-accounts"):
        assert words(cell_of(decided, "image", who)) == {"plus": "lite"}.get(who, "denied")


def test_several_cells_come_back_in_one_tick_while_each_fits() -> None:
    decided, _ = after(REST.shed(asked=1.0), NEW.shed(asked=1.0))

    assert words(cell_of(decided, "image", "free")) == "lite 50 %"
    assert words(cell_of(decided, "image", "free/new-accounts")) == "lite 50 %"


def test_what_comes_back_in_a_tick_counts_for_those_after_it() -> None:
    """Both ask for 1.44 requests a second, and have 0.72 GPUs as they are."""
    tight = policy(offered={"pro": 7.5}, tiers={"pro": "Always", "free": "Auto"})

    decided, _ = after(REST.shed("lite", asked=2.0), NEW.shed("lite", asked=2.0), policy_at=tight)

    assert words(cell_of(decided, "image", "free")) == "full 50 %"  # 0.54 GPUs of 0.78
    assert words(cell_of(decided, "image", "free/new-accounts")) == "full 20 %"  # 0.22


VIDEO = {"full": {"video": 1.0}, "denied": {}}
ON_IMAGE = {"full": {"image": 1.0}, "denied": {}}


def video_after(image: CellAt, *, variants: Variants = VIDEO, load: float = 1.0) -> str:
    """What free users have of video, which was taken before images were, and which fits on the workload that carries it."""
    seen = snapshot(
        pool(20),
        scaler(replicas=10, least=10),
        scaler("video", replicas=10, least=10),
        policy(offered={"pro": load}),
        policy("video", variants=variants, offered={"pro": 1.0}),
    )
    whole = (NEW.at("full"), REST.at("full"))
    video = cell("video", tier="free", variants=variants).shed(asked=1.0)
    decided, _ = tick(seen, remembered(image, *whole, video))
    return words(cell_of(decided, "video", "free"), variants)


@pytest.mark.parametrize(
    ("image", "load"),
    [(PLUS.shed("lite", asked=1.0), 1.0), (PLUS.shed("lite", ago=10, asked=0.1), 1.0), (PLUS.shed("lite", asked=5.0), 8.9)],
    ids=["it comes back", "it was just taken", "it does not fit"],
)  # fmt: skip
def test_what_was_taken_later_makes_no_feature_of_another_workload_wait(image: CellAt, load: float) -> None:
    assert video_after(image, load=load) == "full 50 %"


def test_what_was_just_taken_makes_features_of_its_own_workload_wait() -> None:
    assert video_after(PLUS.shed("lite", ago=10, asked=0.1), variants=ON_IMAGE) == "denied"
    assert video_after(PLUS.shed("lite", asked=0.1), variants=ON_IMAGE) == "full 50 %"


def test_a_cell_that_waits_for_a_person_makes_nobody_wait() -> None:
    """A scaler that it names leads nowhere: what others had before was denied to them until somebody mended that."""
    dear = {"full": {"image": 1.0, "thumbnails": 0.01}, "denied": {}}
    seen = snapshot(
        pool(20),
        scaler(replicas=10, least=10),
        scaler("thumbnails", workload=Missing("Deployment thumbnails does not exist")),
        policy(variants=dear, tiers={"pro": "Always", "plus": "Auto"}, offered=QUIET),
        policy("video", variants=ON_IMAGE, tiers=FOR_FREE, offered=QUIET),
    )
    plus = cell(tier="plus", variants=dear).shed(asked=1.0)
    video = cell("video", tier="free", variants=ON_IMAGE).shed(asked=1.0)

    decided, _ = tick(seen, remembered(plus, video))

    assert words(cell_of(decided, "image", "plus"), dear) == "denied"
    assert words(cell_of(decided, "video", "free"), ON_IMAGE) == "full 50 %"


def test_a_cell_that_is_whole_again_makes_nobody_wait() -> None:
    assert video_after(PLUS.shed("full", percent=60, asked=0.1), variants=ON_IMAGE) == "full 50 %"


SPLIT = {"full": {"xl": 4.0}, "lite": {"small": 1.0}, "denied": {}}


def split_world(*, small_load: float = 1.0, small_queue: float = 0.0) -> Snapshot:
    return snapshot(
        pool(20),
        scaler("xl", replicas=10, least=10, most=10),
        scaler("small", replicas=2, least=2, most=2, backlog=small_queue),
        policy(variants=SPLIT, offered={"free": small_load}),
    )


def test_only_the_workload_that_a_step_up_would_load_has_to_be_calm() -> None:
    """Users on lite overload the small workload, and the great one has room: giving back relieves the small one."""
    lite = cell(tier="free", variants=SPLIT).shed("lite", asked=2.2)
    stepped = {pool().stored.key: PoolMemory(last_shed_at=NOW - 5)}
    memory = structs.replace(remembered(lite, scalers={"small": FULL}), pools=stepped)

    decided, _ = tick(split_world(small_load=2.2, small_queue=90.0), memory)

    assert decided.scalers[named("small")].saturated
    assert words(cell_of(decided, "image", "free"), SPLIT) == "full 50 %"


def test_a_refused_step_makes_others_wait_only_where_both_would_load() -> None:
    plus = cell(tier="plus", lowest="lite", variants=SPLIT).shed("lite", asked=0.1, ago=10)
    denied = cell(tier="free", variants=SPLIT).shed(asked=0.1)

    decided, _ = tick(split_world(), remembered(plus, denied))

    assert words(cell_of(decided, "image", "plus"), SPLIT) == "lite"
    assert words(cell_of(decided, "image", "free"), SPLIT) == "lite 50 %"


def test_what_is_shed_in_a_tick_is_not_restored_in_it() -> None:
    found, memory = after(
        REST.shed("lite", ago=1000, asked=1.0),
        policy_at=policy(offered={"pro": 8.0, "free": 4.0, "free/new-accounts": 4.0}),
        scaler_at=scaler(replicas=10, most=10, backlog=300.0),
        scalers={"image": FULL},
    )

    assert cell_of(found, "image", "free").level.depth >= Level(1).depth
    assert memory.cells[NEW.key].direction == "Shed"


# --- what is remembered


def test_a_short_lull_does_not_let_a_cell_back_while_its_mean_is_still_high() -> None:
    lull = structs.replace(REST.shed("lite", asked=0.0).memory, mean_rate=60.0)
    seen = structs.replace(REST.shed("lite", asked=0.0), memory=lull)

    found = free(seen, policy_at=policy(offered={"pro": 1.0, "free": 0.5}))

    assert words(found) == "full 15 %"  # 58 requests a second at 0.75 GPUs more: 15 % fit on ten, 50 % do not


def test_a_cell_that_is_not_measured_any_more_comes_back_by_what_is_remembered_of_it() -> None:
    """Its series has gone: the last mean that was seen would stand for ever, and keep it out for as long."""
    gone = REST.shed("lite", asked=10.0, ago=3500)
    gone = structs.replace(gone, memory=structs.replace(gone.memory, rate=60.0, mean_rate=60.0))

    assert words(free(gone, policy_at=policy(offered={"pro": 1.0}))) == "full 50 %"


def test_nobody_stays_denied_for_ever_beside_free_gpus() -> None:
    """0.6 GPUs of load would be planned on one replica; of requests that large 0.45 of it are to stay free for bunches."""
    large = {"full": {"image": 3.0}, "denied": {}}
    denied = cell(tier="free", variants=large).shed(asked=0.2)
    memory, replicas, free = remembered(denied), 1, denied.level
    most = 1
    for i in range(200):
        now = NOW + 4 * i
        seen = snapshot(
            pool(8),
            scaler(replicas=replicas, at=now),
            policy(variants=large, tiers={"free": "Auto"}, offered={"free": 0.2}, at=now),
        )
        decided, memory = tick(seen, memory, now=now)
        replicas, free = decided.scalers[named("image")].replicas, cell_of(decided, "image", "free").level
        most = max(most, replicas)

    assert (free, most) == (FIRST, 2)


def test_replicas_for_a_return_are_planned_only_while_something_is_not_back() -> None:
    large = {"full": {"image": 3.0}, "denied": {}}
    seen = snapshot(pool(8), scaler(), policy(variants=large, tiers={"free": "Auto"}, offered={"free": 0.2}))

    shed, whole = (tick(seen, remembered(c))[0].scalers[named("image")] for c in (
        cell(tier="free", variants=large).shed(asked=0.2), cell(tier="free", variants=large),
    ))  # fmt: skip

    assert (shed.demanded, whole.demanded) == (2, 1)
    assert shed.message.endswith("2 replicas are needed for all of it to come back")


def test_what_a_person_has_overridden_does_not_move() -> None:
    shed = REST.shed(asked=0.1)
    seen = snapshot(pool(10), scaler(replicas=10), policy(offered=QUIET), override(variant="full", cells=["free"]))

    decided, memory = tick(seen, remembered(shed))

    assert memory.cells[REST.key].level == shed.level
    assert cell_of(decided, "image", "free").overridden_to == "full"


def test_a_paused_policys_cells_stay_as_they_are() -> None:
    shed = REST.shed(asked=0.1)

    assert refused(free(shed, policy_at=policy(mode="Paused", offered=QUIET)), shed)
