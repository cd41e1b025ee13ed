"""Laws of one decision, over random pools, policies, loads and memories."""

from random import Random
from typing import TypeVar

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from brownout.api.reasons import Condition
from brownout.decide.arbitrate import Claim, GPUs, share
from brownout.decide.cells import FIRST, Cell, Rung, build_cells, ladder
from brownout.decide.evidence import Missing
from brownout.decide.links import link
from brownout.decide.memory import Memory
from brownout.decide.outcome import CellKey, CellPlan, Level, Plan
from brownout.decide.recall import recall
from brownout.decide.snapshot import Pool, Scaler, Snapshot
from brownout.decide.tick import plan
from brownout.simulate.ours import with_status
from support.build import NOW, named, tick
from support.random_worlds import memories, seen_worlds, snapshots, with_memories, with_seen_memories, worlds

LAW = settings(deadline=None, derandomize=True, max_examples=60, suppress_health_check=[HealthCheck.too_slow])

K = TypeVar("K")
V = TypeVar("V")


def cells_of(seen: Snapshot) -> dict[CellKey, Cell]:
    return build_cells(link(seen))


def planned(decided: Plan) -> dict[CellKey, CellPlan]:
    return {cell.key: cell for policy in decided.policies.values() for cell in policy.cells}


def used(seen: Snapshot, where: Pool) -> list[Scaler]:
    """The scalers whose GPUs come out of a pool."""
    return list(link(seen).scalers_of.get(where.stored.key, ()))


def there_is(where: Pool) -> int | None:
    """The GPUs that a pool's scalers may have at most, the least of its sources; None where one cannot be read."""
    capacity = where.stored.spec.capacity
    assert capacity.gpus is not None
    bounds = [capacity.gpus]
    if isinstance(where.nodes, Missing) or isinstance(where.quotas, Missing):
        return None
    if where.nodes is not None:
        bounds.append(sum(max(0, node.gpus - node.gpus_of_others) for node in where.nodes))
    bounds += [max(0, quota.gpus - quota.gpus_of_others) for quota in where.quotas]
    return min(bounds)


@LAW
@given(seen=worlds, memory=with_memories)
def test_grants_never_exceed_the_pools_gpus_or_quotas_beyond_what_is_already_held(
    seen: Snapshot, memory: Memory
) -> None:
    """Nor while the plan is written, whichever scaler cannot be lowered; and no replica of two GPUs has them on two nodes."""
    decided, _ = tick(seen, memory)

    for where in seen.pools.values():
        before, after, pairs_before, pairs_after = 0, 0, 0, 0
        for one in used(seen, where):
            found, each = decided.scalers[one.stored.key], one.stored.spec.gpus_per_replica or 1
            most = max(found.replicas, found.current) if found.write else found.current
            before, after = before + found.current * each, after + most * each
            if each == 2:
                pairs_before, pairs_after = pairs_before + found.current, pairs_after + most
        total = there_is(where)
        assert after <= max(before, before if total is None else total)
        if isinstance(where.nodes, tuple):
            places = sum(max(0, node.gpus - node.gpus_of_others) // 2 for node in where.nodes)
            assert pairs_after <= max(pairs_before, places)


claims = st.lists(
    st.builds(
        lambda gpus, priority, minimum, demanded: Claim(
            key=named("?"),
            gpus=gpus,
            priority=priority,
            minimum=minimum,
            floor=0,
            demanded=demanded,
            keep=0,
            by_node={},
        ),
        gpus=st.integers(1, 4),
        priority=st.sampled_from([10, 50]),
        minimum=st.integers(0, 2),
        demanded=st.integers(0, 8),
    ),
    min_size=1,
    max_size=4,
)


@LAW
@given(unnamed=claims, sizes=st.lists(st.integers(0, 8), max_size=5))
def test_every_replica_that_is_granted_has_its_gpus_on_one_node(unnamed: list[Claim], sizes: list[int]) -> None:
    wanted = [structs.replace(claim, key=named(f"c{i}")) for i, claim in enumerate(unnamed)]
    nodes = {f"n{i}": gpus for i, gpus in enumerate(sizes)}

    granted = share(wanted, GPUs(nodes=nodes, total=sum(sizes), by_namespace={}, limited_by="nodes"))

    for least in (1, 2, 3, 4):
        large = sum(granted[claim.key] for claim in wanted if claim.gpus >= least)
        assert large <= sum(gpus // least for gpus in sizes)
    assert sum(granted[claim.key] * claim.gpus for claim in wanted) <= sum(sizes)


@LAW
@given(seen=worlds, memory=with_memories)
def test_replicas_stay_within_their_bounds_unless_they_are_outside_already(seen: Snapshot, memory: Memory) -> None:
    decided, _ = tick(seen, memory)

    for key, found in decided.scalers.items():
        spec = seen.scalers[key].stored.spec
        if found.write:
            assert spec.mode == "Auto"
            assert min(found.current, spec.min_replicas) <= found.replicas <= max(found.current, spec.max_replicas)


# --- the ladder


def may_go_to(seen: Snapshot, key: CellKey) -> Level:
    """The lowest level that a policy says of a cell, in so many words."""
    spec = seen.policies[key.policy].stored.spec
    entry = next(entry for entry in spec.tiers if entry.tier_ref.name == key.audience.tier)
    if spec.mode == "Advise" or entry.availability != "Auto":
        return FIRST
    names = [variant.name for variant in spec.variants]
    return Level(names.index(entry.lowest) if entry.lowest else len(names) - 1)


@LAW
@given(seen=worlds, memory=with_memories)
def test_nobody_goes_past_lowest_and_always_is_always(seen: Snapshot, memory: Memory) -> None:
    _, after = tick(seen, memory)

    for key in cells_of(seen):
        level = after.cells[key].level
        assert level.depth <= may_go_to(seen, key).depth
        assert 1 <= level.percent <= 100


@LAW
@given(seen=worlds)
def test_the_ladder_is_in_the_order_that_is_written(seen: Snapshot) -> None:
    """Tier priority, shedOrder, variant step, cohort position with the remainder last, policy name."""

    def place(rung: Rung) -> tuple[int, int, int, bool, str]:
        key = rung.cell.key
        tier_of = seen.tiers[named(key.audience.tier)]
        spec = seen.policies[key.policy].stored.spec
        return tier_of.spec.priority, spec.shed_order, rung.step, key.audience.cohort == "", key.policy.name

    rungs = ladder(cells_of(seen).values())

    assert [place(rung) for rung in rungs] == sorted(place(rung) for rung in rungs)


@LAW
@given(seen=snapshots(seen=True, on=("one",)), data=st.data())
def test_a_rung_is_taken_only_after_all_before_it_that_help(seen: Snapshot, data: st.DataObject) -> None:
    """On one workload: what stands before a rung that was taken is wholly taken, if it would have saved anything."""
    memory = data.draw(memories(seen))
    cells = {key: cell for key, cell in cells_of(seen).items() if cell.mode == "Auto"}
    decided, after = tick(seen, memory)
    found = planned(decided)
    rungs = ladder(cell for key, cell in cells.items() if not found[key].overridden_to)
    key = named("one")

    def moved_beyond(rung: Rung) -> bool:
        """Whether this tick went down by this rung."""
        now, before = found[rung.cell.key].level, found[rung.cell.key].previous
        return (
            now.depth > Level(rung.step).depth
            and now.depth > before.depth
            and before.depth < Level(rung.step + 1).depth
        )

    def helps(rung: Rung) -> bool:
        policy_of = seen.policies[rung.cell.key.policy]
        assert not isinstance(policy_of.offered, Missing)
        sample = policy_of.offered.get(rung.cell.key.audience)
        saved = rung.cell.cost(Level(rung.step), key) - rung.cell.cost(Level(rung.step + 1), key)
        reached = found[rung.cell.key].level.variant >= rung.step
        return bool(sample is not None and sample.value * saved > 1e-6 and reached)

    placed = {k for k in cells if k not in memory.cells}
    taken = [i for i, rung in enumerate(rungs) if moved_beyond(rung) and rung.cell.key not in placed]
    for rung in rungs[: max(taken, default=0)]:
        if helps(rung):
            assert after.cells[rung.cell.key].level.depth >= Level(rung.step + 1).depth


@LAW
@given(seen=worlds, memory=with_memories)
def test_a_second_tick_at_the_same_moment_moves_no_cell_twice_in_opposite_directions(
    seen: Snapshot, memory: Memory
) -> None:
    first, between = tick(seen, memory)
    second, _ = tick(seen, between)

    for key, cell in planned(second).items():
        before = planned(first)[key]
        down, up = before.level.depth > before.previous.depth, before.level.depth < before.previous.depth
        assert not (down and cell.level.depth < cell.previous.depth)
        assert not (up and cell.level.depth > cell.previous.depth)


# --- evidence that is missing


def blind_scalers(decided: Plan) -> set[object]:
    """Scalers that say themselves that something is missing."""
    return {
        key
        for key, one in decided.scalers.items()
        if any(v.type is Condition.METRICS_AVAILABLE and not v.status for v in one.verdicts)
    }


@LAW
@given(seen=worlds, memory=with_memories)
def test_whatever_is_missing_is_said(seen: Snapshot, memory: Memory) -> None:
    """Of scalers in use; an objective alone may be missing where nobody is served."""
    decided, _ = tick(seen, memory)
    blind, used = blind_scalers(decided), {s.stored.key for of in link(seen).scalers_of.values() for s in of}

    for key in used:
        metrics = seen.scalers[key].metrics
        if any(
            isinstance(metrics[m.name], Missing) for m in seen.scalers[key].stored.spec.metrics if m.role != "Objective"
        ):
            assert key in blind
    for cell in cells_of(seen).values():
        if isinstance(seen.policies[cell.key.policy].offered, Missing):
            assert not (cell.scalers - blind)


@LAW
@given(seen=worlds, memory=with_memories)
def test_missing_evidence_never_lowers_replicas_and_never_restores(seen: Snapshot, memory: Memory) -> None:
    decided, _ = tick(seen, memory)
    cells, blind = cells_of(seen), blind_scalers(decided)

    for key in blind:
        found, most = decided.scalers[key], seen.scalers[key].stored.spec.max_replicas  # type: ignore[index]
        assert not found.write or found.replicas >= min(found.current, most)
    for cell_key, found_cell in planned(decided).items():
        cell, offered = cells[cell_key], seen.policies[cell_key.policy].offered
        sample = None if isinstance(offered, Missing) else offered.get(cell_key.audience)
        unseen = isinstance(offered, Missing) or (sample is not None and NOW - sample.at > 60)
        if cell.mode != "Advise" and (unseen or cell.loads(found_cell.previous) & blind):
            allowed = may_go_to(
                seen, cell_key
            )  # who was further down before somebody edited the policy is not held there
            assert found_cell.level.depth >= min(found_cell.previous.depth, allowed.depth)


@LAW
@given(seen=worlds, memory=with_memories, kind=st.sampled_from(["GPUPool", "UserTier", "Node"]))
def test_what_was_never_listed_changes_nothing(seen: Snapshot, memory: Memory, kind: str) -> None:
    decided, after = tick(structs.replace(seen, unseen=(kind,)), memory)

    assert (decided.scalers, decided.policies, after) == ({}, {}, memory)


# --- nothing but the snapshot, the memory and the moment counts


def shuffled(entries: dict[K, V], seed: int) -> dict[K, V]:
    return dict(Random(seed).sample(list(entries.items()), len(entries)))


@LAW
@given(seen=worlds, memory=with_memories, seed=st.integers(0, 1000))
def test_the_same_snapshot_and_memory_give_the_same_plan_in_whatever_order(
    seen: Snapshot, memory: Memory, seed: int
) -> None:
    kinds = ("pools", "scalers", "tiers", "policies", "overrides")
    turned = structs.replace(seen, **{kind: shuffled(getattr(seen, kind), seed) for kind in kinds})
    for key, where in turned.pools.items():
        if isinstance(where.nodes, tuple):
            turned.pools[key] = structs.replace(where, nodes=tuple(Random(seed).sample(where.nodes, len(where.nodes))))
    for key, one in turned.policies.items():
        if not isinstance(one.offered, Missing):
            turned.policies[key] = structs.replace(one, offered=shuffled(one.offered, seed))
    forgotten = structs.replace(memory, cells=shuffled(memory.cells, seed), scalers=shuffled(memory.scalers, seed))

    assert tick(seen, memory) == tick(turned, forgotten)


@LAW
@given(seen=worlds, memory=with_memories)
def test_what_is_kept_from_tick_to_tick_saves_time_and_decides_nothing(seen: Snapshot, memory: Memory) -> None:
    _, after = tick(seen, memory)

    assert tick(seen, after, now=NOW + 2)[0] == tick(seen, structs.replace(after, compiled=None), now=NOW + 2)[0]


@LAW
@given(seen=seen_worlds, memory=with_seen_memories)
def test_a_restart_gives_nothing_back_that_the_loop_would_not(seen: Snapshot, memory: Memory) -> None:
    decided, after = plan(seen, memory, NOW)
    statuses = with_status(seen, decided, after, NOW)

    on, _ = plan(seen, after, NOW + 2)
    anew, _ = plan(statuses, recall(statuses, NOW + 2), NOW + 2)

    for cell_key, cell in planned(anew).items():
        assert cell.previous == after.cells[cell_key].level
        assert cell.level.depth >= min(cell.previous.depth, planned(on)[cell_key].level.depth)
    for key, found in anew.scalers.items():
        assert not found.write or found.replicas >= min(found.current, on.scalers[key].replicas)
