"""Down the ladder: just enough, from the cheap end, and only what relieves what is short."""

from collections.abc import Mapping

import pytest

from brownout.api.policy import Restore
from brownout.api.pool import ReclaimSettings
from brownout.api.reasons import Reason
from brownout.decide.cells import FIRST, ladder
from brownout.decide.memory import Memory
from brownout.decide.outcome import Level
from brownout.decide.shed import Shortage, Taken, shed
from brownout.decide.snapshot import Policy, Snapshot
from support.build import (
    FULL,
    GONE,
    NOW,
    TWO,
    CellAt,
    cell,
    cell_of,
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

NEW, REST = cell(tier="free/new-accounts"), cell(tier="free")
SPLIT = {"full": {"xl": 1.0}, "lite": {"small": 0.25}, "denied": {}}
NEW_SPLIT, REST_SPLIT = cell(tier="free/new-accounts", variants=SPLIT), cell(tier="free", variants=SPLIT)


def short(excess: float | None, name: str = "image") -> Shortage:
    return Shortage(scaler=named(name), excess=excess, reason=Reason.CAPACITY, message=f"{name} is full")


def take(
    *cells: CellAt,
    shortages: tuple[Shortage, ...],
    rate: float | Mapping[str, float] = 10.0,
    room: Mapping[str, float] | None = None,
    factor: float = 1.0,
) -> dict[str, Level]:
    rates = {c.key: rate if isinstance(rate, float) else rate[str(c.key.audience)] for c in cells}
    steps: list[Taken] = shed(
        ladder(c.cell for c in cells),
        shortages,
        levels={c.key: c.level for c in cells},
        rates=rates,
        factors={named("image"): factor},
        room={named(name): left for name, left in (room or {}).items()},
    )
    return {str(step.cell.key): step.level for step in steps}


# --- how much is taken


def test_the_last_rung_is_taken_in_part() -> None:
    """10 requests a second each; a rung to lite saves 7.5 GPUs."""
    assert take(NEW, REST, shortages=(short(9.0),)) == {
        "image for free/new-accounts": Level(1),
        "image for free": Level(0, 80),
    }


def test_a_part_is_a_whole_multiple_of_five_percent_and_never_too_little() -> None:
    assert take(NEW, shortages=(short(0.01),)) == {"image for free/new-accounts": Level(0, 95)}
    assert take(NEW, shortages=(short(7.4),)) == {"image for free/new-accounts": Level(1)}


def test_as_many_rungs_as_are_needed_go_at_once() -> None:
    assert take(NEW, REST, shortages=(short(17.5),)) == {
        "image for free/new-accounts": Level(2),
        "image for free": Level(1),
    }


def test_all_that_may_go_goes_where_it_is_not_enough() -> None:
    plus, pro = cell(tier="plus", lowest="lite"), cell(tier="pro", always=True)

    assert take(NEW, REST, plus, pro, shortages=(short(1000.0),)) == {
        "image for free/new-accounts": Level(2),
        "image for free": Level(2),
        "image for plus": Level(1),
    }


def test_what_is_split_already_goes_on_from_there() -> None:
    assert take(REST.at("full", 40), shortages=(short(1.5),)) == {"image for free": Level(0, 20)}
    assert take(REST.at("full", 40), shortages=(short(3.5),)) == {"image for free": Level(1, 80)}


def test_a_learned_cost_counts() -> None:
    assert take(NEW, shortages=(short(7.5),), factor=2.0) == {"image for free/new-accounts": Level(0, 50)}


def test_nothing_is_taken_for_no_excess() -> None:
    assert take(NEW, REST, shortages=(short(0.0),)) == {}


def test_a_cell_that_nobody_asks_for_is_left_alone() -> None:
    assert take(NEW, REST, shortages=(short(3.0),), rate={"free/new-accounts": 0.0, "free": 10.0}) == {
        "image for free": Level(0, 60)
    }


def test_only_what_relieves_the_short_scaler_is_taken() -> None:
    video = cell("video", tier="free/new-accounts", variants={"full": {"video": 8.0}, "denied": {}}, shed_order=1)

    assert set(take(video, NEW, shortages=(short(3.0),))) == {"image for free/new-accounts"}


def test_without_a_known_flow_one_rung_is_one_step() -> None:
    assert take(NEW, REST, shortages=(short(None),), rate=0.0) == {"image for free/new-accounts": Level(1)}


def test_a_step_for_want_of_evidence_is_taken_only_from_what_the_scaler_carries() -> None:
    video = cell("video", tier="free/new-accounts", variants={"full": {"video": 8.0}, "denied": {}}, shed_order=1)

    assert set(take(video, NEW, shortages=(short(None),))) == {"image for free/new-accounts"}


def test_a_step_is_not_taken_from_one_whose_present_variant_the_scaler_does_not_carry() -> None:
    assert take(NEW_SPLIT, shortages=(short(None, "small"),)) == {}


def test_a_step_that_relieves_a_second_workload_of_unknown_flow_is_one_step_all_the_same() -> None:
    both = cell(tier="free", variants={"full": {"image": 1.0, "text": 0.5}, "denied": {}})

    assert take(both, NEW, shortages=(short(None),)) == {"image for free/new-accounts": Level(1)}
    assert take(both, shortages=(short(None),)) == {"image for free": Level(1)}


# --- costs on two scalers


def test_a_lesser_variant_may_be_carried_by_another_workload_that_has_room() -> None:
    assert take(NEW_SPLIT, REST_SPLIT, shortages=(short(20.0, "xl"),), room={"small": 10.0}) == {
        "image for free/new-accounts": Level(1),
        "image for free": Level(1),
    }


def test_what_another_workload_has_no_room_for_is_denied() -> None:
    assert take(NEW_SPLIT, REST_SPLIT, shortages=(short(20.0, "xl"),), room={"small": 3.5}) == {
        "image for free/new-accounts": Level(1, 40),
        "image for free": Level(1),
    }


def test_the_words_say_which_workload_could_not_take_over_what_another_let_go_of() -> None:
    steps = shed(
        ladder([NEW_SPLIT.cell]),
        [short(10.0, "xl")],
        levels={NEW_SPLIT.key: FIRST},
        rates={NEW_SPLIT.key: 10.0},
        factors={},
        room={named("small"): 0.0},
    )

    assert [(step.level, step.message) for step in steps] == [
        (Level(2), "small takes over more of xl than it has room for; xl is full")
    ]


def test_a_variant_that_loads_two_workloads_goes_for_the_needier_one() -> None:
    both = cell(tier="free", variants={"full": {"image": 1.0, "text": 0.5}, "denied": {}})

    assert take(both, shortages=(short(2.0), short(4.0, "text"))) == {"image for free": Level(0, 20)}


# --- in a tick


def overload(*, ready: int = 10, demand: Mapping[str, float] | None = None, **more: object) -> tuple[Snapshot, Memory]:
    """Ten GPUs, saturated by 14 of them in demand."""
    offered = demand or {"pro": 4.0, "plus": 4.0, "free": 4.0, "free/new-accounts": 2.0}
    there = scaler(replicas=ready, most=ready, **more)  # type: ignore[arg-type]
    return snapshot(pool(ready), there, policy(offered=offered)), remembered(scalers={"image": FULL})


def test_admitted_flow_comes_to_97_percent_of_ready() -> None:
    """Many small requests, of which there are as many as are counted."""
    small = {"full": {"image": 0.001}, "lite": {"image": 0.00025}, "denied": {}}
    offered = {"pro": 4000.0, "plus": 4000.0, "free": 4000.0, "free/new-accounts": 2000.0}
    seen = snapshot(pool(10), scaler(replicas=10, most=10), policy(variants=small, offered=offered))

    decided, after = tick(seen, remembered(scalers={"image": FULL}))

    assert words(cell_of(decided, "image", "free/new-accounts")) == "lite"
    assert words(cell_of(decided, "image", "free")) == "full 5 %"
    again, _ = tick(seen, after, now=NOW + 2)
    flow = again.scalers[named("image")].flow.admitted
    assert flow is not None
    assert 9.5 < flow <= 9.7


def test_what_may_be_noise_of_few_large_requests_is_taken_from_nobody() -> None:
    """14 a second of one GPU-second each are give or take 0.7 over half a minute: 3.6 GPUs are too much, and not 4.3."""
    seen, memory = overload()

    decided, _ = tick(seen, memory)

    assert words(cell_of(decided, "image", "free/new-accounts")) == "lite"
    assert words(cell_of(decided, "image", "free")) == "full 25 %"


def test_a_surge_that_comes_after_a_part_was_shed_for_noise_is_no_crowd_of_users_who_try_again() -> None:
    """A tenth was denied 20 s ago, at 2 a second. Of 20 a second 18 are let through: what is left to take is taken, and no more."""
    noise = cell(tier="free", variants=TWO).shed("full", 90, asked=2.0, ago=20)
    others = (cell(tier=who, variants=TWO) for who in ("pro", "free/new-accounts"))
    demand = policy(
        variants=TWO,
        tiers={"pro": "Always", "free": "Auto"},
        offered={"pro": 2.0, "free": 20.0},
        admitted={"pro": 2.0, "free": 18.0},
    )

    decided, _ = tick(
        snapshot(pool(10), scaler(replicas=10, most=10), demand),
        remembered(noise, *others, scalers={"image": FULL}),
    )

    assert decided.scalers[named("image")].flow.offered == 20.0
    assert FIRST.depth < cell_of(decided, "image", "free").level.depth < Level(1).depth


def test_ready_replicas_alone_count_and_not_those_that_are_coming() -> None:
    seen, memory = overload()
    coming = scaler(replicas=14, ready=10)
    seen = snapshot(pool(14), coming, next(iter(seen.policies.values())))

    decided, _ = tick(seen, memory)

    assert words(cell_of(decided, "image", "free")) == "full 25 %"


def test_a_deep_queue_takes_more_than_the_flow_alone() -> None:
    """130 GPU-seconds wait: what goes is 4.8 GPUs instead of 3.6, and takes its part of the queue with it."""
    seen, memory = overload(backlog=130.0)

    decided, _ = tick(seen, memory)

    assert words(cell_of(decided, "image", "free/new-accounts")) == "lite 20 %"
    assert words(cell_of(decided, "image", "free")) == "lite"


def test_where_the_queue_knows_no_tiers_it_is_emptied_within_its_objective() -> None:
    """Those who pay wait in it behind all others; a minute would be too long."""

    def free_has(order: str) -> list[str]:
        decided, _ = tick(*overload(backlog=20.0, order=order))
        return [words(cell_of(decided, "image", who)) for who in ("free/new-accounts", "free", "plus")]

    assert free_has("Tiered") == ["lite", "full 25 %", "full"]
    assert free_has("FIFO") == ["lite 20 %", "lite", "full"]


def test_a_missed_objective_takes_what_brings_the_flow_below_where_objectives_count() -> None:
    """9.6 GPUs of load on ten: the flow alone has no excess, and the users wait all the same."""
    small = {"full": {"image": 0.01}, "lite": {"image": 0.0025}, "denied": {}}
    demand = policy(variants=small, offered={"free": 800.0, "free/new-accounts": 160.0})
    seen = snapshot(pool(10), scaler(replicas=10, most=10, objective=1.6), demand)

    decided, after = tick(seen, remembered(scalers={"image": FULL}))

    new = cell_of(decided, "image", "free/new-accounts")
    assert words(new) == "full 50 %"
    assert "an objective is at 160 % of its target" in new.message
    assert not tick(seen, after, now=NOW + 2)[0].scalers[named("image")].saturated


def test_a_queue_without_any_demand_metric_takes_one_rung_at_a_time() -> None:
    seen = snapshot(pool(10), scaler(replicas=10, backlog=900.0), policy(offered=GONE))
    memory = remembered(scalers={"image": FULL})

    decided, after = tick(seen, memory)
    later, _ = tick(seen, after, now=NOW + 10)

    assert [words(cell_of(decided, "image", who)) for who in ("free/new-accounts", "free")] == ["lite", "full"]
    assert [words(cell_of(later, "image", who)) for who in ("free/new-accounts", "free")] == ["lite", "lite"]


def test_between_two_steps_of_a_workload_step_seconds_pass() -> None:
    seen, _ = overload()
    stepped = remembered(NEW, REST.shed("full", 90, ago=9), scalers={"image": FULL})

    waits, after = tick(seen, stepped)
    steps, _ = tick(seen, after, now=NOW + 1)

    assert words(cell_of(waits, "image", "free/new-accounts")) == "full"
    assert words(cell_of(steps, "image", "free/new-accounts")) == "lite"


def test_a_step_of_one_workload_makes_no_other_wait() -> None:
    seen, _ = overload()
    video = cell("video", tier="free", variants={"full": {"video": 1.0}, "denied": {}}).shed("full", 50, ago=1)
    beside = snapshot(
        pool(20),
        *seen.scalers.values(),
        *seen.policies.values(),
        scaler("video", replicas=10, most=10),
        policy("video", variants={"full": {"video": 1.0}, "denied": {}}, offered={"free": 30.0}),
    )

    decided, _ = tick(beside, remembered(NEW, REST, video, scalers={"image": FULL, "video": FULL}))

    assert words(cell_of(decided, "image", "free/new-accounts")) == "lite"
    assert not cell_of(decided, "video", "free").changed


SMALL = {"full": {"image": 0.01}, "denied": {}}
PAYING = {"pro": "Auto", "plus": "Auto", "free": "Auto"}


@pytest.mark.parametrize("order", ["Tiered", "FIFO"])
def test_a_tier_above_the_lowest_pays_only_for_what_it_and_those_above_have_too_much(order: str) -> None:
    """9.9 GPUs of paying users on ten, give or take 0.1, and a GPU of free ones, which is not enough to bring it to 9.7."""
    demand = policy(variants=SMALL, tiers=PAYING, offered={"pro": 500.0, "plus": 490.0, "free": 100.0})
    there = scaler(replicas=10, most=10, order=order)

    decided, _ = tick(snapshot(pool(10), there, demand), remembered(scalers={"image": FULL}))

    assert words(cell_of(decided, "image", "free"), SMALL) == "denied"
    assert words(cell_of(decided, "image", "plus"), SMALL) == "full 95 %"
    assert words(cell_of(decided, "image", "pro"), SMALL) == "full"


def test_a_burst_of_those_who_are_served_first_is_waited_for_and_what_lasts_beyond_the_objective_is_not() -> None:
    def plus_has(backlog: float) -> str:
        demand = policy(variants=SMALL, tiers=PAYING, offered={"plus": 960.0, "free": 100.0})
        there = scaler(replicas=10, most=10, backlog=backlog)
        decided, _ = tick(snapshot(pool(10), there, demand), remembered(scalers={"image": FULL}))
        assert words(cell_of(decided, "image", "free"), SMALL) == "denied"
        return words(cell_of(decided, "image", "plus"), SMALL)

    assert plus_has(50.0) == "full"
    assert plus_has(200.0) != "full"


def test_few_large_requests_of_a_lesser_tier_do_not_let_a_better_one_pay_in_its_stead() -> None:
    """By their lower bound, 9.9 GPUs, they and the better tier are too much by less than the better tier alone."""
    large = {"full": {"image": 200.0}, "denied": {}}
    seen = snapshot(
        pool(10),
        scaler(replicas=10, most=10),
        policy(variants=SMALL, tiers=PAYING, offered={"pro": 1000.0}),
        policy("film", variants=large, tiers=PAYING, offered={"plus": 0.005, "free": 0.005}),
    )

    films = [cell("film", tier=tier, variants=large).asking(0.005) for tier in ("plus", "free")]

    decided, _ = tick(seen, remembered(*films, scalers={"image": FULL}))

    assert [words(cell_of(decided, "film", who), large) for who in ("free", "plus")] == ["denied", "full 50 %"]
    assert words(cell_of(decided, "image", "pro"), SMALL) == "full"


def test_a_paused_policy_loses_nothing() -> None:
    seen, memory = overload()
    paused = policy(mode="Paused", offered={"free": 14.0})

    decided, _ = tick(snapshot(pool(10), scaler(replicas=10, most=10), paused), memory)

    assert words(cell_of(decided, "image", "free")) == "full"
    assert seen.policies


def test_what_a_person_has_overridden_is_not_taken() -> None:
    seen, memory = overload()
    held = snapshot(
        *seen.pools.values(),
        *seen.scalers.values(),
        *seen.policies.values(),
        override(variant="full", cells=["free/new-accounts"]),
    )

    decided, _ = tick(held, memory)

    assert words(cell_of(decided, "image", "free/new-accounts")) == "full"
    assert words(cell_of(decided, "image", "free")) == "lite 35 %"


def test_nothing_is_taken_where_the_pools_gpus_cannot_be_read() -> None:
    seen, memory = overload()
    blind = snapshot(pool(64, nodes=GONE), *seen.scalers.values(), *seen.policies.values())

    decided, _ = tick(blind, memory)

    assert words(cell_of(decided, "image", "free/new-accounts")) == "full"


def test_a_shed_remembers_what_was_asked_for_and_when() -> None:
    seen, memory = overload()

    _, after = tick(seen, memory)

    new = after.cells[NEW.key]
    assert (new.shed_rate, new.last_shed_at, new.direction, new.dwell_seconds) == (2.0, NOW, "Shed", 120.0)


@pytest.mark.parametrize(
    ("before", "dwell"),
    [
        (NEW, 120.0),
        (NEW.restored(ago=600, dwell=120.0), 240.0),
        (NEW.restored(ago=600, dwell=1700.0), 1800.0),
        (NEW.restored(ago=1000, dwell=240.0), 240.0),
        (NEW.restored(ago=3700, dwell=960.0), 120.0),
        (NEW.shed("full", 50, ago=60, dwell=480.0, asked=2.0), 480.0),
    ],
    ids=["first", "again", "longest", "later", "quiet hour", "deeper"],
)
def test_a_cell_shed_again_within_fifteen_minutes_doubles_its_dwell(before: CellAt, dwell: float) -> None:
    seen, _ = overload()

    _, after = tick(seen, remembered(before, scalers={"image": FULL}))

    assert after.cells[NEW.key].dwell_seconds == dwell


def test_a_dwell_that_a_policy_makes_longer_than_half_an_hour_stays_as_long() -> None:
    slow = policy(offered={"free": 14.0, "free/new-accounts": 2.0}, restore=Restore(after_seconds=7200))
    memory = remembered(NEW.restored(ago=60, dwell=7200.0), scalers={"image": FULL})

    _, after = tick(snapshot(pool(10), scaler(replicas=10, most=10), slow), memory)

    assert after.cells[NEW.key].dwell_seconds == 7200.0


def test_only_a_change_of_direction_is_a_reversal() -> None:
    seen, _ = overload()
    first = tick(seen, remembered(scalers={"image": FULL}))[1]
    again = tick(seen, remembered(NEW.restored(ago=2000), scalers={"image": FULL}))[1]

    assert first.cells[NEW.key].reversals == ()
    assert again.cells[NEW.key].reversals == (NOW,)


# --- a workload that makes room for another

VIDEO = policy(
    "video",
    variants={"full": {"video": 2.0}, "denied": {}},
    shed_order=1,
    offered={"free/new-accounts": 1.0, "free": 1.0},
)


def making_room(tier: str) -> tuple[Snapshot, Memory]:
    """Video holds four of eight GPUs and fills them; images are saturated on the other four, and come first."""
    seen = snapshot(
        pool(8, reclaim=ReclaimSettings(after_seconds=60)),
        scaler("image", replicas=4, priority=90),
        scaler("video", replicas=4, priority=10, target_percent=100),
        policy(offered={tier: 5.0}, tiers={tier: "Always"}),
        VIDEO,
    )
    return seen, remembered(scalers={"image": FULL})


@pytest.mark.parametrize(("tier", "keeps"), [("free", 4), ("pro", 1)])
def test_users_of_a_lesser_workload_lose_what_its_gpus_carried_no_later_than_the_gpus_leave(
    tier: str, keeps: int
) -> None:
    """GPUs that go to equals go after reclaim.afterSeconds, those that go to a tier above the lowest at once."""
    seen, memory = making_room(tier)

    decided, _ = tick(seen, memory)

    assert words(cell_of(decided, "video", "free/new-accounts"), TWO) == "denied"
    assert cell_of(decided, "video", "free/new-accounts").reason is Reason.MAKES_ROOM
    assert decided.scalers[named("video")].replicas == keeps


def test_what_makes_room_does_not_come_back_meanwhile() -> None:
    seen, memory = making_room("free")
    decided, after = tick(seen, memory)

    denied = cell_of(decided, "video", "free/new-accounts")
    for second in range(2, 40, 2):
        later, after = tick(seen, after, now=NOW + second)
        assert cell_of(later, "video", "free/new-accounts").level == denied.level == Level(1)
        assert later.scalers[named("video")].replicas == 4


# --- cells in two pools


def test_a_cell_that_two_pools_carry_goes_down_as_far_as_the_shorter_one_needs() -> None:
    """The first pool wants all of the cell denied, the second a part; the second must not give back what the first took."""
    both: Policy = policy(
        variants={"full": {"image": 1.0, "text": 1.0}, "denied": {}},
        tiers={"free": "Auto"},
        offered={"free/new-accounts": 10.0},
    )
    for names in (("a", "z"), ("z", "a")):
        seen = snapshot(
            pool(2, name=names[0]),
            pool(9, name=names[1]),
            scaler("image", replicas=2, most=2, pool_name=names[0]),
            scaler("text", replicas=9, most=9, pool_name=names[1]),
            both,
        )
        decided, _ = tick(seen, remembered(scalers={"image": FULL, "text": FULL}))

        assert cell_of(decided, "image", "free/new-accounts").level == Level(0, 25)


def test_a_tick_survives_the_costs_of_a_variant_on_two_scalers() -> None:
    """The example of the documentation: full on one workload, lite on another."""
    variants = {"full": {"xl": 12.0}, "lite": {"small": 2.0}, "denied": {}}
    offered = {"pro": 0.5, "plus": 0.5, "free": 1.0, "free/new-accounts": 0.5}
    seen = snapshot(
        pool(20),
        scaler("xl", replicas=16, most=16),
        scaler("small", replicas=4, most=4),
        policy(variants=variants, offered=offered),
    )

    usual = [cell(tier=tier, variants=variants).asking(rate) for tier, rate in offered.items()]

    decided, _ = tick(seen, remembered(*usual, scalers={"xl": FULL}))

    assert words(cell_of(decided, "image", "free/new-accounts")) == "lite"
    assert words(cell_of(decided, "image", "free")) == "full 50 %"
    assert words(cell_of(decided, "image", "plus")) == "full"
