"""Decisions that could not be written have not happened."""

from collections.abc import Callable

from msgspec import structs

from brownout.api.reasons import Reason
from brownout.decide.cells import FIRST
from brownout.decide.memory import Memory
from brownout.decide.outcome import Level, Plan
from brownout.decide.snapshot import Snapshot
from brownout.decide.tick import plan
from brownout.decide.unwritten import forgotten, memory_without, plan_without
from brownout.simulate.ours import with_status
from support.build import FULL, NOW, TWO, cell, cell_of, named, policy, pool, remembered, scaler, snapshot

IMAGE, CARDS = named("image"), named("cards")
NEW, REST = cell(tier="free/new-accounts", variants=TWO), cell(tier="free", variants=TWO)
DENIED = structs.replace(remembered(REST.shed(asked=3.0, ago=300), NEW.shed(asked=1.0, ago=300)), versions={IMAGE: 7})
SURGE = {"pro": 4.0, "free": 6.0, "free/new-accounts": 2.0}


def surge(now: float = NOW) -> Snapshot:
    return snapshot(pool(8), scaler(replicas=8, most=8), policy(variants=TWO, offered=SURGE, at=now))


def calm(now: float) -> Snapshot:
    """Little is asked for, by users who are denied."""
    offered = {"pro": 1.0, "free": 0.5, "free/new-accounts": 0.2}
    admitted = {"pro": 1.0, "free": 0.0, "free/new-accounts": 0.0}
    return snapshot(
        pool(8), scaler(replicas=8, most=8, at=now), policy(variants=TWO, offered=offered, admitted=admitted, at=now)
    )


def refused(seen: Snapshot, before: Memory, now: float) -> tuple[Plan, Memory]:
    """A tick whose decisions about the policy are not written."""
    decided, after = plan(seen, before, now)
    memory = memory_without(after, before, seen, {IMAGE})
    return plan_without(decided, memory, seen, {IMAGE}), memory


def for_seconds(look: Callable[[float], Snapshot], seconds: int, memory: Memory) -> tuple[list[Plan], Memory]:
    plans = []
    for second in range(0, seconds, 2):
        told, memory = refused(look(NOW + second), memory, NOW + second)
        plans.append(told)
    return plans, memory


def test_a_way_back_that_is_not_written_is_not_gone_and_begins_with_its_first_step() -> None:
    told, memory = for_seconds(calm, 120, DENIED)

    assert {cell_of(one, "image", "free").level for one in told} == {Level(1)}
    assert {note.kind for one in told for note in one.notes} <= {"InferenceScaler", "GPUPool"}
    assert {one.policies[IMAGE].version for one in told} == {7}
    for key, was in DENIED.cells.items():
        kept = memory.cells[key]
        for field in ("level", "since", "last_shed_at", "last_step_at", "direction", "shed_rate", "shed_rate_at"):
            assert getattr(kept, field) == getattr(was, field), (key, field)
    decided, written = plan(calm(NOW + 120), memory, NOW + 120)
    assert cell_of(decided, "image", "free").level == Level(0, 50)
    assert decided.policies[IMAGE].version == 8
    assert written.cells[REST.key].last_step_at == NOW + 120


def test_a_shed_that_is_not_written_is_decided_again_at_once() -> None:
    """And not stepSeconds later, as if its effect were still to be seen."""
    before = structs.replace(remembered(scalers={"image": FULL}), versions={IMAGE: 3})

    told, memory = refused(surge(), before, NOW)
    again, _ = plan(surge(NOW + 2), memory, NOW + 2)

    assert cell_of(told, "image", "free/new-accounts").level == FIRST
    assert cell_of(told, "image", "free/new-accounts").reason is Reason.SERVED
    assert told.pools == {}
    assert memory.pools == {} or all(one.last_shed_at is None for one in memory.pools.values())
    assert cell_of(again, "image", "free/new-accounts").changed
    assert again.policies[IMAGE].version == 4


def test_what_was_measured_meanwhile_is_kept() -> None:
    _, memory = for_seconds(calm, 120, DENIED)

    kept = memory.cells[cell(tier="pro", variants=TWO).key]
    assert (kept.rate, kept.rate_since) == (1.0, NOW)
    assert memory.cells[REST.key].rate is not None
    assert memory.at == NOW + 118


def test_the_steps_of_other_policies_stand() -> None:
    cards = policy("cards", variants={"full": {"image": 1.0}, "denied": {}}, offered={"free": 8.0})
    seen = snapshot(pool(8), scaler(replicas=8, most=8), policy(variants=TWO, offered=SURGE), cards)
    before = remembered(scalers={"image": FULL})

    decided, after = plan(seen, before, NOW)
    memory = memory_without(after, before, seen, {IMAGE})
    told = plan_without(decided, memory, seen, {IMAGE})

    assert told.policies[CARDS] == decided.policies[CARDS]
    assert {c for c in memory.cells.items() if c[0].policy == CARDS} == {
        c for c in after.cells.items() if c[0].policy == CARDS
    }
    assert [note for note in told.notes if note.kind == "FeaturePolicy"] == [
        note for note in decided.notes if note.key == CARDS and note.kind == "FeaturePolicy"
    ]


def test_a_policy_that_cannot_be_written_stays_as_it_is_and_the_ladder_goes_on_without_it() -> None:
    cards = policy("cards", variants={"full": {"image": 1.0}, "denied": {}}, offered={"free": 8.0}, shed_order=200)
    seen = snapshot(pool(8), scaler(replicas=8, most=8), policy(variants=TWO, offered={"free": 8.0}), cards)
    before = remembered(scalers={"image": FULL})

    with_all, _ = plan(seen, before, NOW)
    without, _ = plan(structs.replace(seen, unwritten={IMAGE: "HTTP 403"}), before, NOW)

    assert cell_of(with_all, "image", "free").changed
    assert not cell_of(with_all, "cards", "free").changed
    assert not cell_of(without, "image", "free").changed
    assert cell_of(without, "cards", "free").changed


def test_what_cannot_be_written_keeps_no_other_from_coming_back() -> None:
    cards = policy("cards", variants={"full": {"image": 1.0}, "denied": {}}, offered={"pro": 1.0}, shed_order=50)
    seen = calm(NOW)
    seen = structs.replace(seen, policies=seen.policies | {CARDS: cards}, unwritten={IMAGE: "HTTP 403"})
    below = cell("cards", tier="free", variants={"full": {"image": 1.0}, "denied": {}}).shed(asked=0.5, ago=300)

    decided, _ = plan(seen, structs.replace(DENIED, cells=DENIED.cells | {below.key: below.memory}), NOW)

    assert cell_of(decided, "image", "free").level == Level(1)
    assert cell_of(decided, "cards", "free").level.depth < Level(1).depth


def test_a_new_policy_that_was_never_written_begins_anew() -> None:
    _, memory = refused(surge(), Memory(at=NOW - 2, scalers={IMAGE: FULL}), NOW)

    assert {cell.level for cell in memory.cells.values()} == {FIRST}
    assert memory.versions == {IMAGE: 0}


def test_a_write_that_was_taken_although_its_answer_was_lost_is_read_from_status() -> None:
    seen = calm(NOW)
    decided, after = plan(seen, DENIED, NOW)
    stored = with_status(seen, decided, after, NOW)
    memory = memory_without(after, DENIED, seen, {IMAGE})

    again, found = plan(stored, forgotten(memory, {IMAGE}), NOW + 2)

    assert cell_of(again, "image", "free").level == Level(0, 50)
    assert not cell_of(again, "image", "free").changed
    assert again.policies[IMAGE].version == 8
    assert found.cells[REST.key].since == NOW
    assert forgotten(memory, ()) is memory
