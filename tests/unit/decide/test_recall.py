"""Memory read back from status: a restart reverses nothing, and a cell that lost its memory takes its place on the ladder."""

from typing import Any

import pytest
from msgspec import structs

from brownout.api.policy import CellStatus
from brownout.api.reasons import Reason
from brownout.api.scaler import InferenceScalerStatus, Learned
from brownout.decide.cells import FIRST
from brownout.decide.learn import cold_start_seconds
from brownout.decide.memory import Memory, PoolMemory, ScaleDecided, ScalerMemory
from brownout.decide.outcome import Level
from brownout.decide.recall import deadline, moment, recall, recall_cell, recall_scaler, rfc3339
from brownout.decide.snapshot import Snapshot
from brownout.decide.tick import plan
from brownout.simulate.ours import with_status
from support.build import (
    FULL,
    NOW,
    THREE,
    CellAt,
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

POOL = pool().stored.key
NEW, REST = cell(tier="free/new-accounts"), cell(tier="free")
NAMES = list(THREE)


def written(seen: Snapshot, memory: Memory, *, now: float = NOW) -> Snapshot:
    """The snapshot with the statuses of one tick written into it."""
    decided, after = plan(seen, memory, now)
    return with_status(seen, decided, after, now)


OVERLOAD = snapshot(
    pool(10),
    scaler(replicas=10, most=10),
    policy(offered={"pro": 4.0, "plus": 4.0, "free": 4.0, "free/new-accounts": 2.0}),
)


def test_what_must_outlive_a_restart_comes_back_from_status() -> None:
    before = remembered(
        NEW.shed(asked=7.125, ago=300, dwell=480.0, reversals=3),
        REST.shed("lite", 35, asked=4.5, ago=100, dwell=240.0),
        scalers={
            "image": structs.replace(
                FULL,
                deficit_since=NOW - 30,
                closed_until=NOW + 500,
                cost_factor=1.37,
                cost_error=0.04,
                cost_learned=True,
                cold_starts=(*(100.0 for _ in range(18)), 160.0, 160.0),
                decisions=(
                    ScaleDecided(at=NOW - 60, from_replicas=4, to_replicas=6, rule=Reason.DEMAND, message="6 GPUs"),
                ),
            )
        },
    )
    paused = snapshot(
        pool(10), scaler(replicas=10, mode="Paused", backlog=300.0), policy(mode="Paused", offered={"pro": 9.9})
    )
    _, after = plan(paused, before, NOW)

    found = recall(written(paused, before), NOW)

    for one in (NEW, REST):
        kept, was = found.cells[one.key], after.cells[one.key]
        for field in (
            "level", "reason", "message", "since", "last_shed_at", "dwell_seconds", "direction", "reversals", "shed_rate", "shed_rate_at",
        ):  # fmt: skip
            assert getattr(kept, field) == getattr(was, field), field
    memory = found.scalers[named("image")]
    assert (memory.saturated, memory.saturated_since) == (True, NOW - 10)
    assert memory.closed_until == NOW + 500
    assert memory.cost_factor == pytest.approx(1.37)
    assert memory.cost_error == pytest.approx(0.04)
    assert cold_start_seconds(memory, expected=1.0) == 100.0
    assert cold_start_seconds(memory, expected=1.0, quantile=0.95) == 160.0
    assert memory.decisions == before.scalers[named("image")].decisions
    assert found.versions == {named("image"): 1}


def test_what_a_tick_decided_comes_back_from_status() -> None:
    memory = remembered(scalers={"image": FULL})
    _, after = plan(OVERLOAD, memory, NOW)

    found = recall(written(OVERLOAD, memory), NOW)

    assert {key: c.level for key, c in found.cells.items()} == {key: c.level for key, c in after.cells.items()}
    assert found.cells[NEW.key].message == after.cells[NEW.key].message
    assert found.pools[POOL] == PoolMemory(last_shed_at=NOW, saturated_since=NOW, last_rung=after.pools[POOL].last_rung)
    assert found.versions == after.versions == {named("image"): 2}


def test_what_a_part_asked_for_when_it_came_back_counts_from_then_on() -> None:
    """And not from when the cell was shed: by then it would be forgotten long before the loop that goes on forgets it."""
    calm = snapshot(pool(10), scaler(replicas=10), policy(offered={"pro": 1.0}))
    before = remembered(REST.shed(asked=9.0, ago=1800))
    _, after = plan(calm, before, NOW)

    found = recall(written(calm, before), NOW)

    kept, was = found.cells[REST.key], after.cells[REST.key]
    assert was.direction == "Restore"
    assert (kept.shed_rate, kept.shed_rate_at) == (was.shed_rate, was.shed_rate_at) == (pytest.approx(4.5), NOW)


def test_a_restart_in_a_surge_reverses_nothing() -> None:
    surge = written(OVERLOAD, remembered(scalers={"image": FULL}))

    decided, _ = plan(surge, recall(surge, NOW + 2), NOW + 2)

    assert [c.key for c in decided.policies[named("image")].cells if c.changed] == []
    assert decided.policies[named("image")].version == 2
    assert decided.scalers[named("image")].replicas == 10


def test_a_restart_within_the_dwell_waits_for_the_rest_of_it() -> None:
    surge = written(OVERLOAD, remembered(scalers={"image": FULL}))
    calm = structs.replace(
        surge,
        policies={
            key: structs.replace(p, offered=policy(offered={"pro": 7.0}, at=NOW + 100).offered)
            for key, p in surge.policies.items()
        },
    )

    early, _ = plan(calm, recall(calm, NOW + 100), NOW + 100)
    later, _ = plan(calm, recall(calm, NOW + 121), NOW + 121)

    assert cell_of(early, "image", "free").refused_by is Reason.DWELL
    assert cell_of(later, "image", "free").refused_by is not Reason.DWELL


def test_between_two_steps_of_a_pool_a_restart_does_not_count() -> None:
    surge = written(OVERLOAD, remembered(scalers={"image": FULL}))
    worse = structs.replace(surge, scalers={named("image"): structs.replace(surge.scalers[named("image")], metrics={})})

    assert recall(worse, NOW + 4).pools[POOL].last_shed_at == NOW


def test_the_reason_of_a_word_that_is_over_is_not_remembered() -> None:
    """An override ends while nobody looks: its words must not stand for the cell's own."""
    held = written(
        snapshot(pool(), scaler(replicas=4), policy(offered={"pro": 1.0}), override()), remembered(REST, NEW)
    )

    found = recall(held, NOW).cells[REST.key]

    assert (found.reason, found.message) == (Reason.SERVED, "")


def test_a_shed_cell_under_an_override_is_still_shed_for_capacity() -> None:
    shed = remembered(REST.shed(asked=9.0, ago=10), NEW.shed(asked=9.0, ago=10))
    held = written(snapshot(pool(), scaler(replicas=4), policy(offered={"pro": 1.0}), override(variant="full")), shed)

    found = recall(held, NOW).cells[REST.key]

    assert (found.level, found.reason) == (Level(2), Reason.CAPACITY)


def line(**more: Any) -> CellStatus:
    return CellStatus(**{"tier": "free", "variant": "lite", **more})


def test_a_variant_that_the_spec_no_longer_has_is_the_last_one() -> None:
    assert recall_cell(line(variant="medium", percent=40), NAMES, now=NOW).level == Level(2)


def test_of_a_best_variant_that_has_another_name_now_nothing_is_taken() -> None:
    assert recall_cell(line(variant="best", reason="Served"), NAMES, now=NOW).level == FIRST
    assert recall_cell(line(variant="best", reason="Served", percent=40), NAMES, now=NOW).level == Level(2)
    assert recall_cell(line(variant="best", reason="Override"), NAMES, now=NOW).level == Level(2)


def test_a_line_of_little_words_is_enough() -> None:
    found = recall_cell(line(), NAMES, now=NOW)

    assert (found.level, found.since, found.last_shed_at, found.shed_rate) == (Level(1), NOW, None, None)


@pytest.mark.parametrize("text", ["much", "", "1.5.2"])
def test_a_number_that_cannot_be_read_was_never_measured(text: str) -> None:
    assert recall_cell(line(offered_before=text), NAMES, now=NOW).shed_rate is None


def test_what_a_cell_asks_for_goes_on_after_a_restart() -> None:
    """Counted anew it would be as noisy as half a minute's count, and cells would turn round on nothing."""
    seen = snapshot(pool(10), scaler(replicas=10), policy(offered={"pro": 2.0, "free": 0.1}))
    usual = REST.asking(0.05)
    before = remembered(structs.replace(usual, memory=structs.replace(usual.memory, since=NOW - 60)))
    _, after = plan(seen, before, NOW)

    _, again = plan(seen, recall(written(seen, before), NOW), NOW)

    assert after.cells[REST.key].rate == pytest.approx(0.05, abs=0.001)
    assert again.cells[REST.key].rate == pytest.approx(after.cells[REST.key].rate, abs=0.001)


def test_what_was_asked_for_long_ago_is_counted_anew() -> None:
    told = line(offered="0.05")

    assert recall_cell(told, NAMES, now=NOW, written_at=NOW - 600).rate == 0.05
    assert recall_cell(told, NAMES, now=NOW, written_at=NOW - 601).rate is None
    assert recall_cell(told, NAMES, now=NOW).rate is None


@pytest.mark.parametrize("text", ["-1", "nan", "inf", "much"])
def test_a_rate_that_no_cell_can_have_is_counted_anew(text: str) -> None:
    assert recall_cell(line(offered=text), NAMES, now=NOW, written_at=NOW).rate is None


def test_a_reason_that_a_newer_version_wrote_is_not_made_up() -> None:
    assert recall_cell(line(reason="Moonphase"), NAMES, now=NOW).reason is Reason.CAPACITY


@pytest.mark.parametrize(
    ("kind", "name"), [("FeaturePolicy", "image"), ("InferenceScaler", "image"), ("GPUPool", "gpus")]
)
def test_an_object_that_could_not_be_read_at_the_start_is_remembered_once_it_can_be(kind: str, name: str) -> None:
    """A mistake in its spec, mended 20 s after a restart: its status is as old as any other's, and tells the same."""
    surge = written(OVERLOAD, remembered(scalers={"image": FULL}))
    kinds = {"FeaturePolicy": "policies", "InferenceScaler": "scalers", "GPUPool": "pools"}
    broken = structs.replace(surge, **{kinds[kind]: {}, "invalid": (invalid(kind, name),)})

    decided, memory = plan(broken, recall(broken, NOW + 2), NOW + 2)
    assert not {"FeaturePolicy": decided.policies, "InferenceScaler": decided.scalers, "GPUPool": decided.pools}[kind]
    mended, memory = plan(surge, memory, NOW + 22)

    _, anew = plan(surge, recall(surge, NOW + 22), NOW + 22)
    assert [c.key for c in mended.policies[named("image")].cells if c.changed] == []
    assert mended.policies[named("image")].version == 2
    for key, was in anew.cells.items():
        for field in ("level", "reason", "since", "last_shed_at", "dwell_seconds", "direction"):
            assert getattr(memory.cells[key], field) == getattr(was, field), (key, field)
    assert memory.scalers[named("image")].decisions == anew.scalers[named("image")].decisions
    assert memory.pools[POOL].last_rung == anew.pools[POOL].last_rung != ""


def test_what_is_remembered_of_an_object_is_not_read_from_status_again() -> None:
    """Status may be seconds old, and lack what it does not hold; memory wins wherever there is any."""
    surge = written(OVERLOAD, remembered(scalers={"image": FULL}))
    _, memory = plan(surge, recall(surge, NOW + 2), NOW + 2)

    assert recall(OVERLOAD, NOW + 4, memory) is memory
    assert recall(surge, NOW + 4, structs.replace(memory, versions={})).cells == memory.cells


def test_nothing_is_remembered_of_an_object_by_the_status_of_an_earlier_one_of_its_name() -> None:
    surge = written(OVERLOAD, remembered(scalers={"image": FULL}))
    gone = structs.replace(surge, policies={})
    _, memory = plan(gone, recall(surge, NOW + 2), NOW + 2)

    assert recall(OVERLOAD, NOW + 4, memory).cells == {}


def test_times_of_a_clock_that_was_ahead_are_not_in_the_future() -> None:
    """An age is never below 0 on load, else a dwell could last for years."""
    ahead = rfc3339(NOW + 5 * 86400)

    found = recall_cell(line(since=ahead, last_shed_at=ahead, reversals=(ahead, "never")), NAMES, now=NOW)

    assert (found.since, found.last_shed_at, found.reversals) == (NOW, NOW, (NOW,))


def test_a_deadline_may_lie_in_the_future_and_not_years_ahead() -> None:
    shut = scaler()
    status = structs.replace(
        shut.stored.status, memory=structs.replace(shut.stored.status.memory, closed_until=rfc3339(NOW + 9e8))
    )
    seen = snapshot(pool(), structs.replace(shut, stored=structs.replace(shut.stored, status=status)))

    assert recall(seen, NOW).scalers[named("image")].closed_until == NOW + 86400


def test_times_that_cannot_be_read_are_none() -> None:
    assert moment("", now=NOW) is moment("noon", now=NOW) is deadline("") is deadline("noon") is None


def test_times_are_written_in_utc_to_the_second() -> None:
    assert rfc3339(0.9) == "1970-01-01T00:00:00Z"
    assert moment(rfc3339(NOW), now=NOW + 9) == NOW


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("0001-01-01T00:00:00", "1970-01-01T00:00:00Z"),
        ("0001-01-01T00:00:00+01:00", "1970-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59-12:00", "9999-12-31T23:59:59Z"),
    ],
)
def test_a_time_for_which_utc_has_no_year_can_be_read_and_written(text: str, written: str) -> None:
    assert rfc3339(deadline(text) or 0.0) == written


def test_a_status_that_speaks_of_the_year_0_stops_nobodys_tick() -> None:
    early = "0001-01-01T00:00:00+01:00"
    told = line(since=early, last_shed_at=early, reversals=(early,))
    policy_now = policy(offered={"pro": 1.0})
    status = structs.replace(policy_now.stored.status, cells=(told,))
    seen = snapshot(
        pool(),
        scaler(replicas=4),
        structs.replace(policy_now, stored=structs.replace(policy_now.stored, status=status)),
    )

    decided, memory = tick(seen, recall(seen, NOW))

    written = with_status(seen, decided, memory, NOW).policies[named("image")].stored.status.cells
    assert next(one.last_shed_at for one in written if (one.tier, one.cohort) == ("free", "")) == "1970-01-01T00:00:00Z"


def test_an_object_without_a_status_has_no_memory_to_speak_of() -> None:
    found = recall(OVERLOAD, NOW)

    assert found.cells == {}
    assert found.scalers[named("image")] == ScalerMemory()
    assert found.pools[POOL] == PoolMemory()


# --- a cell without memory


def taken(*others: CellAt, who: str = "free/new-accounts") -> str:
    decided, _ = tick(
        snapshot(pool(10), scaler(replicas=10, most=10), policy(offered={"pro": 9.5})), remembered(*others)
    )
    return words(cell_of(decided, "image", who))


def test_a_cell_without_memory_in_a_shedding_pool_takes_its_place_on_the_ladder() -> None:
    seen = snapshot(pool(10), scaler(replicas=10, most=10), policy(offered={"pro": 9.5}))

    decided, memory = tick(seen, remembered(REST.shed(asked=5.0, ago=10)))

    new = cell_of(decided, "image", "free/new-accounts")
    assert words(new) == "denied"
    assert (new.changed, new.reason) == (True, Reason.RECOVERED_MEMORY)
    assert "it took its place on the ladder" in new.message
    assert decided.policies[named("image")].version == 2
    assert memory.cells[NEW.key].last_shed_at == NOW


def test_it_goes_down_as_far_as_its_neighbours_and_no_further() -> None:
    assert taken(REST.shed("full", 50, ago=10, asked=5.0)) == "lite"
    assert taken(REST.shed("lite", 50, ago=10, asked=5.0)) == "denied"
    assert taken(NEW.shed("lite", ago=10, asked=5.0), who="free") == "full"
    assert taken(REST.shed(ago=10, asked=5.0), who="plus") == "full"


def test_where_nothing_is_shed_a_new_cell_has_the_first_variant() -> None:
    assert taken(REST) == "full"


def test_neighbours_on_other_workloads_do_not_count() -> None:
    video = cell("video", tier="free", variants={"full": {"video": 1.0}, "denied": {}}).shed(asked=1.0, ago=10)

    assert taken(video) == "full"


def test_a_new_policy_in_a_surge_starts_where_its_users_are() -> None:
    cards = policy("cards", variants={"full": {"image": 0.5}, "denied": {}}, offered={"free": 3.0})
    seen = snapshot(pool(10), scaler(replicas=10, most=10), policy(offered={"pro": 9.5}), cards)

    decided, _ = tick(seen, remembered(REST.shed(asked=5.0, ago=10), NEW.shed(asked=5.0, ago=10)))

    assert cell_of(decided, "cards", "free").level == Level(1)
    assert cell_of(decided, "cards", "pro").level == FIRST


def test_a_paused_policys_new_cell_has_the_first_variant() -> None:
    paused = policy("cards", mode="Paused", offered={"free": 3.0})
    seen = snapshot(pool(10), scaler(replicas=10, most=10), policy(offered={"pro": 9.5}), paused)

    decided, _ = tick(seen, remembered(REST.shed(asked=5.0, ago=10)))

    assert cell_of(decided, "cards", "free").level == FIRST


def test_the_place_that_it_took_comes_back_from_status() -> None:
    seen = snapshot(pool(10), scaler(replicas=10, most=10), policy(offered={"pro": 9.5}))

    found = recall(written(seen, remembered(REST.shed(asked=5.0, ago=10))), NOW)

    assert found.cells[NEW.key].reason is Reason.RECOVERED_MEMORY


def test_what_status_does_not_say_was_learned_is_not_learned_to_be_nothing() -> None:
    memory = recall_scaler(InferenceScalerStatus(), now=NOW)

    assert (memory.cost_factor, memory.cost_learned, memory.cold_starts) == (1.0, False, ())
    assert cold_start_seconds(memory, expected=120.0) == 120.0


def test_a_restart_does_not_call_learned_what_was_declared() -> None:
    seen = snapshot(pool(10), scaler(replicas=2), policy(offered={"pro": 1.0}))

    again = written(seen, Memory())

    assert again.scalers[named("image")].stored.status.learned == Learned()
    assert not recall(again, NOW).scalers[named("image")].cost_learned
