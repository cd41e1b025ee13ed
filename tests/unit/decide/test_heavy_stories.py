"""One user's burst, from tick to tick: who pays for it, who does not, and how it ends."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from brownout.api.reasons import Condition
from brownout.decide.cells import FIRST
from brownout.decide.heavy import MOST_USERS, parent_of
from brownout.decide.memory import Memory, ScalerMemory
from brownout.decide.outcome import Level, Plan
from brownout.decide.recall import recall
from brownout.decide.snapshot import Snapshot
from brownout.publish.status import policy_status
from brownout.simulate.ours import with_status
from support.build import (
    FULL,
    GONE,
    NOW,
    THREE,
    cell,
    cell_key,
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
from support.world import World, load

OFFERED = {"pro": 2.0, "free": 14.0}
ANA = {"free@ana": 9.0, "free@ben": 0.1}


def burst(*more: Any, **changes: Any) -> Snapshot:
    """Eight full GPUs, of which one free user alone asks for more than eight."""
    image = policy(**{"offered": OFFERED, "heaviest": ANA, **changes})
    return snapshot(pool(8), scaler(replicas=8, most=8), image, *more)


def saturated() -> Memory:
    return remembered(scalers={"image": FULL})


def has(decided: Plan, who: str) -> str:
    return words(cell_of(decided, "image", who), THREE)


def lines(decided: Plan) -> list[str]:
    """The users of whom the status speaks."""
    return [c.key.audience.user for c in decided.policies[named("image")].cells if c.key.audience.user]


# Who pays


def test_one_heavy_tenants_burst_is_not_answered_by_shedding_its_tier() -> None:
    decided, _ = tick(burst(), saturated())

    assert (has(decided, "free@ana"), has(decided, "free")) == ("denied", "full")


def test_where_users_are_not_counted_the_tier_pays_for_it() -> None:
    decided, _ = tick(burst(heaviest={}), saturated())

    assert has(decided, "free") != "full"


def test_where_the_users_share_would_not_do_the_ladder_is_taken_as_well() -> None:
    decided, _ = tick(burst(offered={"pro": 2.0, "free": 22.0}), saturated())

    assert has(decided, "free@ana") == "denied"
    assert has(decided, "free") != "full"


def test_a_user_who_is_whole_loses_whole_rungs_and_no_more_of_them_than_are_needed() -> None:
    """Its burst is younger than the window: what is seen of it is less than what is to come."""
    decided, _ = tick(
        burst(offered={"pro": 2.0, "free": 8.0}, heaviest={"free@ana": 4.0, "free@ben": 0.1}), saturated()
    )

    assert (has(decided, "free@ana"), has(decided, "free")) == ("lite", "full")


def test_a_heavy_user_is_never_taken_beyond_what_the_tier_may_lose() -> None:
    heavy = {"plus@ana": 9.0, "plus@ben": 0.1}
    decided, _ = tick(burst(offered={"plus": 12.0}, heaviest=heavy), saturated())

    assert has(decided, "plus@ana") == "lite"


def test_a_heavy_user_of_an_always_cell_loses_nothing() -> None:
    decided, _ = tick(
        burst(offered={"pro": 12.0, "free": 1.0}, heaviest={"pro@ana": 11.0, "pro@ben": 0.1}), saturated()
    )

    assert lines(decided) == []
    assert has(decided, "pro") == "full"


def test_a_user_under_a_persons_word_is_left_to_it() -> None:
    decided, _ = tick(burst(override(cells=["free"], variant="full")), saturated())

    assert lines(decided) == []


# What is counted and said


def test_nobody_is_counted_twice() -> None:
    memory = saturated()
    with_users, without = tick(burst(), memory)[0], tick(burst(heaviest={}), memory)[0]
    one, other = (decided.scalers[named("image")] for decided in (with_users, without))

    assert one.flow.offered == pytest.approx(other.flow.offered)
    assert one.demanded == other.demanded


def test_who_is_merely_heavy_is_not_spoken_of_and_changes_nothing() -> None:
    seen = snapshot(pool(20), scaler(replicas=20), policy(offered=OFFERED, heaviest=ANA))
    calm, memory = tick(structs.replace(seen, policies=burst(heaviest={}).policies))
    decided, _ = tick(seen, memory)

    assert lines(decided) == []
    assert decided.policies == calm.policies


def test_a_user_who_turns_out_heavy_in_a_shed_cell_changes_nothing_by_that() -> None:
    rest = cell(tier="free").shed("lite", asked=12.0, ago=5.0)
    _, memory = tick(burst(heaviest={}), remembered(rest))
    one, memory = tick(burst(heaviest={}), memory)
    other, _ = tick(burst(), memory)

    assert one.policies[named("image")].version == other.policies[named("image")].version
    assert lines(other) == []


def test_the_user_is_named_in_its_line_of_status_and_nowhere_else() -> None:
    decided, memory = tick(burst(), saturated())
    said = decided.policies[named("image")]
    status = policy_status(said, memory, burst().policies[named("image")].stored, NOW)

    assert [(line.tier, line.user, line.variant) for line in status.cells if line.user] == [("free", "ana", "denied")]
    assert said.summary == "one user of free: denied"
    assert "asks for 9.0 requests a second" in cell_of(decided, "image", "free@ana").message
    assert not any("ana" in note.message for note in decided.notes)
    assert "ana" not in repr(decided.pools)


def test_lines_of_users_come_after_those_of_all_cells() -> None:
    """Who does not know the field reads the first line of a tier and cohort."""
    decided, _ = tick(burst(), saturated())
    users = [bool(c.key.audience.user) for c in decided.policies[named("image")].cells]

    assert users == sorted(users)


def test_a_query_for_users_that_cannot_be_asked_is_said_and_holds_nothing() -> None:
    decided, _ = tick(burst(heaviest=GONE), saturated())
    said = {v.type: v for v in decided.policies[named("image")].verdicts}

    assert (said[Condition.METRICS_AVAILABLE].status, said[Condition.METRICS_AVAILABLE].message) == (
        False,
        GONE.message,
    )
    assert said[Condition.HELD].status is False
    assert has(decided, "free") != "full"


# How it ends


def held(**more: Any) -> Memory:
    """Ana was denied a while ago, when she asked for nine requests a second."""
    return remembered(
        cell(tier="free@ana").shed(asked=9.0, **{"ago": 200.0, **more}), scalers={"image": ScalerMemory()}
    )


def with_gpus(seen: Snapshot, gpus: int) -> Snapshot:
    more = snapshot(pool(gpus), scaler(replicas=gpus, most=gpus))
    return structs.replace(seen, scalers=more.scalers, pools=more.pools)


def test_a_user_comes_back_in_as_great_a_part_as_fits() -> None:
    calm = burst(offered={"pro": 6.0, "free": 1.0}, heaviest={})

    parts = [has(tick(with_gpus(calm, gpus), held())[0], "free@ana") for gpus in (7, 8, 20)]

    assert parts == ["denied", "lite 10 %", "lite 50 %"]


def test_a_user_who_has_a_part_loses_as_little_of_it_as_is_needed() -> None:
    memory = remembered(cell(tier="free@ana").shed("lite", asked=9.0, ago=200.0), scalers={"image": FULL})
    decided, _ = tick(with_gpus(burst(), 7), memory)

    level = cell_of(decided, "image", "free@ana").level
    assert (level.variant, has(decided, "free")) == (1, "full")
    assert 0 < level.percent < 100
    assert "this user alone asks for 9.0 requests a second" in cell_of(decided, "image", "free@ana").message


def test_a_part_of_a_user_is_told_as_a_part_of_the_time() -> None:
    decided, _ = tick(with_gpus(burst(offered={"pro": 6.0, "free": 1.0}, heaviest={}), 20), held())

    assert "lite for 50 % of the time, denied for the rest" in cell_of(decided, "image", "free@ana").message


def test_a_user_stays_for_the_dwell_and_comes_back_after_all_others() -> None:
    calm = snapshot(pool(40), scaler(replicas=40), policy(offered={"pro": 2.0, "free": 1.0}))

    assert has(tick(calm, held(ago=5.0))[0], "free@ana") == "denied"
    both = remembered(cell(tier="free@ana").shed(asked=9.0), cell(tier="free").shed(asked=3.0))
    decided, _ = tick(calm, both)
    assert has(decided, "free") != "denied"
    assert has(decided, "free@ana") == "denied"


def test_a_user_who_is_back_and_heavy_no_more_is_forgotten() -> None:
    calm = snapshot(pool(40), scaler(replicas=40), policy(offered={"pro": 2.0, "free": 1.0}))
    memory = remembered(cell(tier="free@ana").restored(ago=300.0))

    decided, after = tick(calm, memory)

    assert lines(decided) == []
    assert cell_key("image", "free@ana") not in after.cells


def test_what_a_user_asked_for_is_remembered_for_ten_minutes_at_most() -> None:
    """A script that has ended keeps no GPUs for the hour for which a tier's demand would be remembered."""
    calm = burst(offered={"pro": 6.0, "free": 1.0}, heaviest={})

    early, late = (tick(calm, held(ago=ago))[0] for ago in (10.0, 590.0))

    assert (has(early, "free@ana"), has(late, "free@ana")) == ("denied", "lite 50 %")
    assert early.scalers[named("image")].flow.offered == pytest.approx(7.0 + 9.0 * 590 / 600)
    assert late.scalers[named("image")].flow.offered == pytest.approx(7.0 + 9.0 * 10 / 600)


def test_what_cannot_be_seen_is_not_restored_and_costs_nobody_else_anything() -> None:
    seen = burst(heaviest=GONE, offered={"pro": 2.0, "free": 12.0})
    decided, _ = tick(seen, held())

    assert cell_of(decided, "image", "free@ana").level == Level(2)
    assert has(decided, "free") == "full"
    assert not decided.scalers[named("image")].saturated
    assert decided.scalers[named("image")].saturation_percent is None  # what the one user asks for is not in it


def test_a_restart_holds_the_same_user_back() -> None:
    seen = burst()
    decided, memory = tick(seen, saturated())
    again = recall(with_status(seen, decided, memory, NOW), NOW)

    assert again.cells[cell_key("image", "free@ana")].level == Level(2)
    assert again.cells[cell_key("image", "free")].level == FIRST
    after, _ = tick(with_status(seen, decided, memory, NOW), again, now=NOW + 2)
    assert (has(after, "free@ana"), has(after, "free")) == ("denied", "full")
    assert after.policies[named("image")].version == decided.policies[named("image")].version


def test_costs_are_not_learned_from_what_one_user_did_not_get() -> None:
    busy = scaler(replicas=8, most=8, busy=4.0)
    seen = structs.replace(burst(), scalers=snapshot(busy).scalers)

    def factors(memory: Memory) -> list[float]:
        found = []
        for second in range(1, 60, 2):
            memory = tick(seen, memory, now=NOW + second)[1]
            found.append(memory.scalers[named("image")].cost_factor)
        return found

    assert set(factors(held(ago=5.0))) == {1.0}


# The whole of it


POLICIES = tuple((Path(__file__).parents[3] / "demo" / "policies").glob("*.yaml"))
IMAGE = "image-generation"


def script(now: float) -> dict[tuple[str, str, str, str], float]:
    """A free user's script asks for fifteen images a second from the second minute to the eighth; ben is as he is."""
    busy = 15.0 if 60 <= now < 480 else 0.0
    return {(IMAGE, "free", "", "ana"): busy, (IMAGE, "free", "", "ben"): 0.05}


def usual(now: float) -> dict[tuple[str, str, str], float]:
    return {(IMAGE, "pro", ""): 0.2, (IMAGE, "plus", ""): 0.3, (IMAGE, "free", ""): 0.6}


def test_a_script_is_held_back_while_it_runs_and_forgotten_after() -> None:
    world = World(load(*POLICIES), usual, 8, of_users=script).run(7200)

    audiences = {c.key.audience for plan in world.plans for c in plan.policies[named(IMAGE)].cells if c.level != FIRST}
    assert {str(audience) for audience in audiences} == {"one user of free"}
    assert all([c for c in plan.policies[named(IMAGE)].cells if c.level != FIRST] for plan in world.plans[60:240])
    assert all(c.level == FIRST for c in world.plans[-1].policies[named(IMAGE)].cells)
    assert not [key for key in world.memory.cells if key.audience.user]
    flips = [plan.policies[named(IMAGE)].version for plan in world.plans]
    assert flips[-1] - flips[0] <= 8


# Laws

AUDIENCES = ("pro", "plus", "free", "free/new-accounts")
rates = st.floats(0.0, 12.0, allow_nan=False)
worlds = st.fixed_dictionaries(
    {
        "offered": st.fixed_dictionaries(dict.fromkeys(AUDIENCES, rates)),
        "heaviest": st.dictionaries(
            st.sampled_from([f"{who}@{user}" for who in AUDIENCES for user in ("ana", "ben", "cay", "dan")]), rates
        ),
        "tiers": st.fixed_dictionaries(
            {
                tier: st.sampled_from(["Always", "Auto", "Auto", "Never", "full", "lite"])
                for tier in ("pro", "plus", "free")
            }
        ),
        "mode": st.sampled_from(["Auto", "Auto", "Auto", "Paused", "Advise"]),
    }
)


@settings(deadline=None, derandomize=True, max_examples=150)
@given(world=worlds)
def test_to_know_users_never_costs_the_others_anything_nor_anybody_more_than_the_tier_may_lose(world: Any) -> None:
    without, _ = tick(burst(**{**world, "heaviest": {}}), saturated())
    decided, after = tick(burst(**world), saturated())

    cells = {c.key.audience: c for c in decided.policies[named("image")].cells}
    for one in without.policies[named("image")].cells:
        level, bound = cells[one.key.audience].level, one.level
        assert level.depth <= (bound.variant, 5 - bound.percent) or level.depth <= bound.depth
    lowest = {"Always": 0, "Never": 0, "full": 0, "lite": 1, "Auto": 2}
    for key, memory in after.cells.items():
        assert memory.level.variant <= lowest[world["tiers"][key.audience.tier]]
        assert not key.audience.user or memory.level.percent == 100
    of_cell = [parent_of(key) for key in after.cells if key.audience.user]
    assert all(of_cell.count(key) <= MOST_USERS for key in of_cell)
    one_flow, other_flow = (p.scalers[named("image")].flow.offered for p in (decided, without))
    assert one_flow == pytest.approx(other_flow)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(world=worlds, data=st.data())
def test_the_order_in_which_users_are_known_changes_nothing(world: Any, data: st.DataObject) -> None:
    turned = dict(data.draw(st.permutations(list(world["heaviest"].items()))))
    assert tick(burst(**world), saturated()) == tick(burst(**{**world, "heaviest": turned}), saturated())
