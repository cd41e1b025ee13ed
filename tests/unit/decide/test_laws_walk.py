"""Laws of many decisions in a row: random demand, outages, lost GPUs and people's edits, tick after tick."""

from collections.abc import Mapping
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Struct, structs

from brownout.api.resources import Key
from brownout.decide.arbitrate import gpus_of
from brownout.decide.cells import FIRST
from brownout.decide.evidence import Evidence, Missing, Sample
from brownout.decide.links import link
from brownout.decide.memory import Memory
from brownout.decide.outcome import CellKey, CellPlan, Plan
from brownout.decide.snapshot import Pod, Policy, Pool, Scaler, Snapshot, Workload
from brownout.decide.tick import plan
from support.build import GONE, NAMESPACE, NOW
from support.random_worlds import cells_of, snapshots

LAW = settings(deadline=None, derandomize=True, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
TICK, COLD_START, TICKS_OF_A_PHASE = 10.0, 40.0, 12


class Phase(Struct, frozen=True):
    """Two minutes: how much is asked for and measured of what the snapshot says, what cannot be asked, GPUs that are lost."""

    times: float
    dark: bool
    silent: int
    lost: int


phases = st.lists(
    st.builds(
        Phase,
        times=st.sampled_from([0.0, 0.2, 1.0, 1.0, 4.0]),
        dark=st.sampled_from([False, False, False, True]),
        silent=st.integers(0, 3),
        lost=st.sampled_from([0, 0, 2, 5]),
    ),
    min_size=2,
    max_size=6,
)


def measured(evidence: Evidence, phase: Phase, now: float) -> Evidence:
    return GONE if phase.dark or isinstance(evidence, Missing) else Sample(evidence.value * phase.times, now)


def pool_in(one: Pool, phase: Phase) -> Pool:
    """A pool of which GPUs are lost. What is held keeps its place, so that it is never more than what is granted."""
    if not isinstance(one.nodes, tuple):
        return one
    left = tuple(structs.replace(node, gpus=max(0, node.gpus - phase.lost)) for node in one.nodes)
    return structs.replace(one, nodes=left)


def policy_in(one: Policy, phase: Phase, now: float) -> Policy:
    def rates(given: Any) -> Any:
        if phase.dark or isinstance(given, Missing):
            return GONE
        seen = sorted(given.items())[phase.silent :] or sorted(given.items())
        return {who: Sample(sample.value * phase.times, now) for who, sample in seen}

    return structs.replace(one, offered=rates(one.offered), admitted=rates(one.admitted))


class Walk:
    """What a plan says is done at once; a pod is ready a cold start after it was made."""

    def __init__(self, start: Snapshot) -> None:
        self.start = start
        self.memory = Memory()
        self.now = NOW
        self.pods = {
            key: list(one.workload.pods) for key, one in start.scalers.items() if not isinstance(one.workload, Missing)
        }

    def seen(self, phase: Phase) -> Snapshot:
        def scaler(key: Key, one: Scaler) -> Scaler:
            there = tuple(
                structs.replace(pod, ready_at=pod.created_at + COLD_START)
                if pod.ready_at is None and self.now - pod.created_at >= COLD_START
                else pod
                for pod in self.pods[key]
            )
            self.pods[key] = list(there)
            metrics = {name: measured(value, phase, self.now) for name, value in one.metrics.items()}
            return structs.replace(
                one, workload=Workload(replicas=len(there), gpus_per_replica=1, pods=there), metrics=metrics
            )

        return structs.replace(
            self.start,
            pools={key: pool_in(one, phase) for key, one in self.start.pools.items()},
            scalers={key: scaler(key, one) for key, one in self.start.scalers.items()},
            policies={key: policy_in(one, phase, self.now) for key, one in self.start.policies.items()},
        )

    def step(self, phase: Phase) -> tuple[Snapshot, Plan]:
        seen = self.seen(phase)
        decided, self.memory = plan(seen, self.memory, self.now)
        for key, found in decided.scalers.items():
            if found.write:
                made = [Pod(name=f"{key.name}-{self.now}-{i}", created_at=self.now) for i in range(found.replicas)]
                self.pods[key] = [*self.pods[key], *made][: found.replicas]
        self.now += TICK
        return seen, decided


def planned(decided: Plan) -> Mapping[CellKey, CellPlan]:
    return {cell.key: cell for policy in decided.policies.values() for cell in policy.cells}


def held(seen: Snapshot, where: Pool, replicas: Mapping[Key, int]) -> int:
    used = link(seen).scalers_of.get(where.stored.key, ())
    return sum(replicas[one.stored.key] * (one.stored.spec.gpus_per_replica or 1) for one in used)


@LAW
@given(start=snapshots(seen=True), weather=phases)
def test_no_tick_takes_more_gpus_than_there_are_or_passes_what_a_policy_allows(
    start: Snapshot, weather: list[Phase]
) -> None:
    walk, cells = Walk(start), cells_of(start)
    for phase in (phase for phase in weather for _ in range(TICKS_OF_A_PHASE)):
        before = {key: len(pods) for key, pods in walk.pods.items()}
        seen, _ = walk.step(phase)
        after = {key: len(pods) for key, pods in walk.pods.items()}
        for where in seen.pools.values():
            found = gpus_of(where, replicas=0)
            assert not isinstance(found, Missing)
            most = min(found.total, found.by_namespace.get(NAMESPACE, found.total))
            assert held(seen, where, after) <= max(most, held(seen, where, before))
        for key, memory in walk.memory.cells.items():
            assert memory.level.depth <= cells[key].floor.depth
            if cells[key].always or not cells[key].planned:
                assert memory.level == FIRST


@LAW
@given(start=snapshots(seen=True), weather=phases)
def test_in_the_dark_nothing_moves_but_up_to_what_is_declared_safe(start: Snapshot, weather: list[Phase]) -> None:
    walk = Walk(start)
    for phase in (phase for phase in weather for _ in range(TICKS_OF_A_PHASE)):
        dark = structs.replace(phase, dark=False), structs.replace(phase, dark=True)
        walk.step(dark[0])
        before = {key: len(pods) for key, pods in walk.pods.items()}
        _, decided = walk.step(dark[1])

        for key, found in decided.scalers.items():
            spec = start.scalers[key].stored.spec
            if found.write:
                assert before[key] < found.replicas <= max(spec.min_replicas, spec.stale.fallback_replicas or 0)
        assert [c.key for c in planned(decided).values() if c.changed] == []


@LAW
@given(start=snapshots(seen=True), weather=phases)
def test_no_cell_turns_more_often_in_an_hour_than_its_pool_allows(start: Snapshot, weather: list[Phase]) -> None:
    """The budget delays restoring and never shedding, so one more may be forced."""
    walk, cells = Walk(start), cells_of(start)
    allowed = max(p.stored.spec.shedding.max_reversals_per_cell_per_hour for p in start.pools.values())
    turns: dict[CellKey, list[float]] = {}
    direction: dict[CellKey, int] = {}
    for phase in (phase for phase in weather * 4 for _ in range(TICKS_OF_A_PHASE)):
        _, decided = walk.step(phase)
        for key, cell in planned(decided).items():
            turn = (cell.level.depth > cell.previous.depth) - (cell.level.depth < cell.previous.depth)
            if turn and direction.get(key, turn) != turn:
                turns.setdefault(key, []).append(walk.now)
            direction[key] = turn or direction.get(key, 0)

    for key, moments in turns.items():
        assert cells[key].mode == "Auto"
        for i, at in enumerate(moments):
            assert sum(1 for other in moments[i:] if other - at < 3600) <= allowed + 1
