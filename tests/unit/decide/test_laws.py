"""Laws of the decisions, over random pools, policies, loads and memories."""

from collections.abc import Mapping
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from msgspec import structs

from brownout.api.policy import Restore
from brownout.api.pool import ReclaimSettings
from brownout.api.scaler import Behavior, ScalingRules
from brownout.decide.arbitrate import GPUs, gpus_of
from brownout.decide.cells import FIRST, Cell, Rung, build_cells, ladder
from brownout.decide.evidence import Missing
from brownout.decide.links import link
from brownout.decide.memory import CellMemory, Memory, PoolMemory, ScalerMemory
from brownout.decide.outcome import CellKey, CellPlan, Level, Plan
from brownout.decide.recall import recall
from brownout.decide.snapshot import Policy, Pool, Scaler, Snapshot
from brownout.decide.tick import plan
from support.build import GONE, NAMESPACE, NOW, named, override, policy, pool, scaler, snapshot, tick
from support.world import World, with_status

QUICK = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
FEW = settings(QUICK, max_examples=40)
FEWER = settings(QUICK, max_examples=5, phases=[Phase.explicit, Phase.generate])  # to shrink a world takes minutes

SCALERS = ("one", "two", "three")
AUDIENCES = ("pro", "plus", "free", "free/new-accounts")
small = st.floats(0.0, 12.0, allow_nan=False)


@st.composite
def scalers(draw: st.DrawFn, name: str, *, seen: bool = False) -> Scaler:
    replicas = draw(st.integers(0, 6))
    evidence: st.SearchStrategy[Any] = (
        st.one_of(st.none(), st.floats(0.0, 80.0))
        if seen
        else st.one_of(st.none(), st.just(GONE), st.floats(0.0, 80.0))
    )
    behavior = Behavior(scale_down=ScalingRules(stabilization_window_seconds=draw(st.sampled_from([0, 0, 300]))))
    return scaler(
        name,
        replicas=replicas,
        ready=draw(st.integers(0, replicas)),
        gpus=draw(st.sampled_from([1, 1, 2])),
        priority=draw(st.integers(0, 3)) * 10,
        least=draw(st.integers(0, 2)),
        most=draw(st.integers(2, 10)),
        mode=draw(st.sampled_from(["Auto", "Auto", "Auto", "Advise", "Paused"])),
        pool_name=draw(st.sampled_from(["gpus", "gpus", "others"])),
        backlog=draw(evidence),
        objective=draw(evidence),
        load=draw(evidence),
        behavior=behavior,
    )


@st.composite
def policies(draw: st.DrawFn, name: str, *, seen: bool = False, on: tuple[str, ...] = SCALERS) -> Policy:
    names = draw(st.sampled_from([("full", "denied"), ("full", "lite", "denied"), ("full", "lite", "least", "denied")]))
    cost = st.floats(0.05, 4.0)
    variants = {
        variant: draw(st.dictionaries(st.sampled_from(on), cost, min_size=1, max_size=2)) for variant in names[:-1]
    } | {names[-1]: {}}
    rates: Mapping[str, float] | Missing = draw(st.dictionaries(st.sampled_from(AUDIENCES), small, min_size=1))
    if not seen and draw(st.integers(0, 5)) == 0:
        rates = GONE
    return policy(
        name,
        variants=variants,
        tiers={
            tier: draw(st.sampled_from(["Always", "Auto", "Auto", "Auto", "Never", *names]))
            for tier in ("pro", "plus", "free")
        },
        offered=rates,
        shed_order=draw(st.integers(0, 3)),
        mode=draw(st.sampled_from(["Auto", "Auto", "Auto", "Auto", "Advise", "Paused"])),
        at=NOW - draw(st.sampled_from([0.0, 0.0, 0.0, 90.0])) if not seen else NOW,
    )


@st.composite
def pools(draw: st.DrawFn, name: str) -> Pool:
    return pool(
        draw(st.integers(0, 14)),
        name=name,
        nodes=draw(st.none() | st.lists(st.integers(1, 6), max_size=4)),
        quotas=draw(st.none() | st.fixed_dictionaries({NAMESPACE: st.integers(0, 14)})),
        step_seconds=0,
        reclaim=ReclaimSettings(after_seconds=draw(st.sampled_from([0, 60]))),
    )


@st.composite
def snapshots(draw: st.DrawFn, *, seen: bool | None = None, on: tuple[str, ...] = SCALERS) -> Snapshot:
    """Two pools, up to three scalers, up to three policies; some of it missing in every other one, unless all is `seen`."""
    seen = draw(st.booleans()) if seen is None else seen
    things: list[Any] = [draw(pools("gpus")), draw(pools("others"))]
    things += [draw(scalers(name, seen=seen)) for name in on]
    things += [draw(policies(name, seen=seen, on=on)) for name in ("a", "b", "c")[: draw(st.integers(1, 3))]]
    if draw(st.booleans()):
        things.append(override(of="a", variant="denied", cells=draw(st.sampled_from([[], ["free"], ["plus"]]))))
    return snapshot(*things)


@st.composite
def memories(draw: st.DrawFn, seen: Snapshot) -> Memory:
    """What may be remembered of this snapshot: any level that a policy allows, at any age."""
    cells = {}
    for key, cell in build_cells(link(seen)).items():
        if draw(st.integers(0, 3)) == 0:
            continue
        level = Level(draw(st.integers(0, cell.lowest)), draw(st.sampled_from([100, 100, 5, 40, 95])))
        if level.variant == cell.lowest:
            level = Level(cell.lowest)
        ago = draw(st.sampled_from([1.0, 100.0, 1000.0, 5000.0]))
        cells[key] = CellMemory(
            level=level if cell.mode != "Advise" and cell.planned else FIRST,
            since=NOW - ago,
            last_shed_at=NOW - ago if level != FIRST else None,
            last_step_at=NOW - ago,
            direction=draw(st.sampled_from(["", "Shed", "Restore"])),
            shed_rate=draw(st.none() | small),
            shed_rate_at=NOW - ago,
        )
    full = ScalerMemory(saturated=True, saturated_since=NOW - 60, excess=3.0, deficit_since=NOW - 100)
    return Memory(
        at=NOW - 2,
        cells=cells,
        served={key: memory.level for key, memory in cells.items()},
        scalers={key: draw(st.sampled_from([ScalerMemory(), full])) for key in seen.scalers},
        pools={key: PoolMemory() for key in seen.pools},
    )


worlds = st.shared(snapshots(), key="world")
with_memories = worlds.flatmap(memories)
seen_worlds = st.shared(snapshots(seen=True), key="seen")
with_seen_memories = seen_worlds.flatmap(memories)


def cells_of(seen: Snapshot) -> dict[CellKey, Cell]:
    return build_cells(link(seen))


def planned(decided: Plan) -> dict[CellKey, CellPlan]:
    return {cell.key: cell for policy in decided.policies.values() for cell in policy.cells}


def gpus_after(decided: Plan, seen: Snapshot, where: Pool) -> tuple[int, int]:
    """GPUs that a pool's scalers hold now, and those that they hold once the plan is written."""
    before = after = 0
    for one in link(seen).scalers_of.get(where.stored.key, ()):
        found, each = decided.scalers[one.stored.key], one.stored.spec.gpus_per_replica or 1
        before += found.current * each
        after += (found.replicas if found.write else found.current) * each
    return before, after


@FEW
@given(seen=worlds, memory=with_memories)
def test_grants_never_exceed_the_pools_gpus_beyond_what_is_already_held(seen: Snapshot, memory: Memory) -> None:
    decided, _ = tick(seen, memory)

    for where in seen.pools.values():
        before, after = gpus_after(decided, seen, where)
        found = gpus_of(where)
        total = before if isinstance(found, Missing) else found.total
        assert after <= max(before, total)
        if isinstance(found, GPUs) and NAMESPACE in found.by_namespace:
            assert after <= max(before, found.by_namespace[NAMESPACE])


@FEW
@given(seen=worlds, memory=with_memories)
def test_replicas_stay_within_their_bounds_unless_they_are_outside_already(seen: Snapshot, memory: Memory) -> None:
    decided, _ = tick(seen, memory)

    for key, found in decided.scalers.items():
        spec = seen.scalers[key].stored.spec
        if found.write:
            assert min(found.current, spec.min_replicas) <= found.replicas <= max(found.current, spec.max_replicas)


@FEW
@given(seen=worlds, memory=with_memories)
def test_nobody_goes_past_lowest_and_always_is_always(seen: Snapshot, memory: Memory) -> None:
    _, after = tick(seen, memory)

    for key, cell in cells_of(seen).items():
        assert after.cells[key].level.depth <= cell.floor.depth
        if cell.always or not cell.planned:
            assert after.cells[key].level == FIRST


@FEW
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


@FEW
@given(seen=worlds, memory=with_memories)
def test_missing_evidence_never_lowers_replicas_and_never_restores(seen: Snapshot, memory: Memory) -> None:
    decided, _ = tick(seen, memory)
    cells = cells_of(seen)
    blind_policies = {key for key, p in seen.policies.items() if isinstance(p.offered, Missing)}
    stale = {
        key
        for key, p in seen.policies.items()
        if not isinstance(p.offered, Missing) and any(NOW - s.at > 60 for s in p.offered.values())
    }

    for key, one in seen.scalers.items():
        found = decided.scalers[key]
        blind = any(isinstance(e, Missing) for e in one.metrics.values()) or any(
            key in cell.scalers and cell.key.policy in blind_policies for cell in cells.values()
        )
        if blind and found.write:
            assert found.replicas >= min(found.current, one.stored.spec.max_replicas)
    for cell_key, found_cell in planned(decided).items():
        if cell_key.policy in blind_policies | stale and cells[cell_key].mode != "Advise":
            policy_of = seen.policies[cell_key.policy]
            known = not isinstance(policy_of.offered, Missing) and cell_key.audience not in policy_of.offered
            assert known or found_cell.level.depth >= found_cell.previous.depth


@FEW
@given(seen=worlds, memory=with_memories)
def test_the_same_snapshot_and_memory_give_the_same_plan_in_whatever_order(seen: Snapshot, memory: Memory) -> None:
    turned = structs.replace(
        seen,
        **{
            name: dict(reversed(getattr(seen, name).items()))
            for name in ("pools", "scalers", "tiers", "policies", "overrides")
        },
    )
    forgotten = structs.replace(
        memory, cells=dict(reversed(memory.cells.items())), scalers=dict(reversed(memory.scalers.items()))
    )

    assert tick(seen, memory) == tick(turned, forgotten)


@FEW
@given(seen=worlds, memory=with_memories, kind=st.sampled_from(["GPUPool", "UserTier", "Node"]))
def test_what_was_never_listed_changes_nothing(seen: Snapshot, memory: Memory, kind: str) -> None:
    decided, after = tick(structs.replace(seen, unseen=(kind,)), memory)

    assert (decided.scalers, decided.policies, after) == ({}, {}, memory)


@FEW
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


@FEW
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


# --- laws of the closed world


def objects(first: float, *, gpus: int, lite: float, lowest: str) -> dict[str, Any]:
    seen = snapshot(
        pool(gpus, name="demo", step_seconds=5, reclaim=ReclaimSettings(after_seconds=10, hold_seconds=60)),
        scaler("image", pool_name="demo", replicas=1, least=1, most=gpus, priority=50, backlog=0.0, busy=0.0),
        scaler("video", pool_name="demo", replicas=1, least=1, most=gpus, priority=30, backlog=0.0, busy=0.0),
        policy(
            "image",
            variants={"full": {"image": first}, "lite": {"image": first * lite}, "denied": {}},
            tiers={"pro": "Always", "plus": lowest, "free": "Auto"},
            restore=Restore(after_seconds=20, step_percent=50, step_seconds=6),
            remember_seconds=120,
        ),
        policy(
            "video",
            variants={"full": {"video": 3.0}, "denied": {}},
            tiers={"pro": "Always", "free": "Auto"},
            shed_order=10,
            restore=Restore(after_seconds=20, step_percent=50, step_seconds=6),
            remember_seconds=120,
        ),
    )
    return {
        "GPUPool": {key: one.stored for key, one in seen.pools.items()},
        "InferenceScaler": {key: one.stored for key, one in seen.scalers.items()},
        "UserTier": seen.tiers,
        "FeaturePolicy": {key: one.stored for key, one in seen.policies.items()},
        "FeatureOverride": {},
    }


loads = st.fixed_dictionaries(
    {
        (f, *who): st.floats(0.0, 6.0)
        for f in ("image", "video")
        for who in (("pro", ""), ("plus", ""), ("free", ""), ("free", "new-accounts"))
    }
)


@FEWER
@given(
    calm=loads,
    surge=loads,
    times=st.floats(2.0, 30.0),
    gpus=st.integers(3, 12),
    cost=st.floats(0.2, 2.0),
    lite=st.floats(0.05, 0.9),
    lowest=st.sampled_from(["full", "lite", "denied"]),
)
def test_when_the_load_ends_everything_comes_back(
    calm: dict[Any, float], surge: dict[Any, float], times: float, gpus: int, cost: float, lite: float, lowest: str
) -> None:
    """No dead-lock: whatever was shed, and however GPUs were dealt out then, a load that fits is served in full again."""
    fits = 0.5 * (gpus - 2) / max(1.0, sum(rate * (cost if f == "image" else 3.0) for (f, _, _), rate in calm.items()))
    quiet = {who: rate * min(1.0, fits) for who, rate in calm.items()}
    loud = {who: quiet[who] + (rate * times if who[1] == "free" else 0.0) for who, rate in surge.items()}

    world = World(
        objects(cost, gpus=gpus, lite=lite, lowest=lowest),
        lambda now: loud if 60 <= now < 240 else quiet,
        gpus,
        tick=4.0,
    ).run(2400)

    assert [cell for cell in planned(world.plans[-1]).values() if cell.level != FIRST] == []


@FEWER
@given(
    surge=loads,
    period=st.sampled_from([40.0, 90.0, 200.0, 600.0]),
    gpus=st.integers(3, 10),
    seed=st.integers(0, 1000),
)
def test_reversals_are_bounded_under_any_periodic_load(
    surge: dict[Any, float], period: float, gpus: int, seed: int
) -> None:
    """The budget of four an hour delays restoring and never shedding: one more may be forced."""
    quiet = {who: rate / 20 for who, rate in surge.items()}
    world = World(
        objects(1.0, gpus=gpus, lite=0.3, lowest="lite"),
        lambda now: surge if now % period < period / 2 else quiet,
        gpus,
        tick=8.0,
        seed=seed,
        window=24.0,
    )
    turns: dict[CellKey, list[float]] = {}
    direction: dict[CellKey, int] = {}

    for _ in range(560):
        for key, cell in planned(world.step()).items():
            turn = (cell.level.depth > cell.previous.depth) - (cell.level.depth < cell.previous.depth)
            if turn and direction.get(key, turn) != turn:
                turns.setdefault(key, []).append(world.now)
            direction[key] = turn or direction.get(key, 0) or turn

    for moments in turns.values():
        for i, at in enumerate(moments):
            assert sum(1 for other in moments[i:] if other - at < 3600) <= 4 + 1
