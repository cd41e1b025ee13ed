"""What saves time changes no decision, and time grows as the number of objects does."""

from collections.abc import Callable, Mapping
from time import process_time

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from msgspec import structs

from brownout.api.resources import Key
from brownout.decide.arbitrate import Claim, GPUs, reclaim, share
from brownout.decide.memory import Memory
from brownout.decide.snapshot import Pool, Scaler, Snapshot, StoredTier
from brownout.decide.tick import plan
from support.build import FREE, NOW, PLUS, PRO, TWO, named, policy, pool, scaler, snapshot, tick

QUICK = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


# --- what is kept from tick to tick


@st.composite
def moments(draw: st.DrawFn) -> Snapshot:
    """What may be found from one tick to the next: rates move, a variant is edited, a scaler or its pool is gone."""
    costs = draw(st.sampled_from([1.0, 1.0, 2.0]))
    things: list[Pool | Scaler] = [pool(8)] if draw(st.integers(0, 4)) else []
    things += [scaler("image", replicas=3)] if draw(st.integers(0, 4)) else []
    return snapshot(
        *things,
        scaler("small", replicas=1),
        policy(
            variants={"full": {"image": costs}, "lite": {"small": 0.3}, "denied": {}},
            tiers={"pro": "Always", "plus": draw(st.sampled_from(["Auto", "lite", "Never"])), "free": "Auto"},
            offered={who: draw(st.floats(0.0, 6.0)) for who in ("pro", "plus", "free", "free/new-accounts")},
        ),
    )


@settings(QUICK, max_examples=60)
@given(seen=st.lists(moments(), min_size=2, max_size=6))
def test_what_is_kept_of_the_objects_changes_no_decision(seen: list[Snapshot]) -> None:
    memory = Memory()
    for i, now in enumerate(seen):
        anew = tick(now, structs.replace(memory, compiled=None), now=NOW + 10 * i)
        kept, memory = tick(now, memory, now=NOW + 10 * i)
        assert (kept, memory) == anew


def image(*, gpu_seconds: float = 1.0, pro: float = 1.0) -> Snapshot:
    return snapshot(
        pool(), scaler(), policy(variants={"full": {"image": gpu_seconds}, "denied": {}}, offered={"pro": pro})
    )


def test_cells_are_kept_while_only_what_is_measured_changes() -> None:
    _, before = tick(image(pro=1.0))
    _, after = tick(image(pro=2.0), before)

    assert before.compiled is not None
    assert after.compiled is not None
    assert after.compiled.cells is before.compiled.cells


def test_cells_are_made_anew_when_somebody_edits_a_policy() -> None:
    _, before = tick(image())
    _, after = tick(image(gpu_seconds=2.0), before)

    assert after.compiled is not None
    assert [cell.costs[0] for cell in after.compiled.cells.values()] == [{named("image"): 2.0}] * 4


# --- dealing GPUs out


@st.composite
def alike(draw: st.DrawFn) -> tuple[list[Claim], GPUs]:
    """Claims of one size that hold what a pool has, or less, on nodes or not."""
    claims = [
        Claim(
            key=named(f"c{i}"),
            gpus=1,
            priority=draw(st.sampled_from([10, 20])),
            minimum=draw(st.integers(0, 1)),
            floor=draw(st.integers(0, 3)),
            demanded=draw(st.integers(0, 9)),
            keep=(keep := draw(st.integers(0, 5))),
            by_node={"n1": keep},
            pressed=draw(st.booleans()),
        )
        for i in range(draw(st.integers(2, 7)))
    ]
    total = sum(claim.keep for claim in claims) + draw(st.integers(0, 2))
    nodes = draw(st.sampled_from([None, {"n1": total, "n2": 0}]))
    return claims, GPUs(nodes=nodes, total=total, by_namespace={}, limited_by="test")


def lacking(claims: list[Claim], gpus: GPUs, short: frozenset[Key], keep: Mapping[Key, int]) -> int:
    ideal, granted = share(claims, gpus), share(claims, gpus, keep=keep)
    return sum(max(0, ideal[c.key] - granted[c.key]) for c in claims if c.key in short)


@settings(QUICK, max_examples=300)
@given(world=alike())
def test_a_few_looks_find_the_same_losers_as_one_replica_after_the_other(world: tuple[list[Claim], GPUs]) -> None:
    """Who is taken from gets nothing back that the short could do without, and the short get all that they can have."""
    claims, gpus = world
    ideal, keep = share(claims, gpus), {claim.key: claim.keep for claim in claims}
    granted = share(claims, gpus, keep=keep)
    short = frozenset(claim.key for claim in claims if granted[claim.key] < ideal[claim.key])
    assume(short)

    kept = reclaim(claims, gpus, short=short, ideal=ideal)

    best = lacking(claims, gpus, short, kept)
    pressed = any(claim.pressed for claim in claims if claim.key in short)
    for claim in claims:
        if kept[claim.key] < claim.keep:
            one_back = kept | {claim.key: kept[claim.key] + 1}
            assert lacking(claims, gpus, short, one_back) > best
        bottom = max(ideal[claim.key], claim.minimum, 0 if pressed else claim.demanded)
        if claim.key not in short and kept[claim.key] > bottom:
            one_less = kept | {claim.key: kept[claim.key] - 1}
            assert lacking(claims, gpus, short, one_less) >= best


# --- growth


def many(count: int, *, asked: float) -> Snapshot:
    """So many workloads, each with a policy of its own, in one pool of nodes of eight that they fill."""
    return snapshot(
        pool(None, nodes=[8] * (count // 4)),
        *(scaler(f"m{i}", replicas=2, most=8, priority=10 * (i % 5), backlog=0.0) for i in range(count)),
        *(
            policy(
                f"p{i}",
                variants={"full": {f"m{i}": 1.0}, "lite": {f"m{(i + 1) % count}": 0.2}, "denied": {}},
                offered=dict.fromkeys(("pro", "plus", "free", "free/new-accounts"), asked / 4),
            )
            for i in range(count)
        ),
    )


def seconds(seen: Snapshot) -> float:
    """Processor time of the quickest of some ticks in a row."""
    memory, took = Memory(), []
    for i in range(8):
        began = process_time()
        _, memory = plan(seen, memory, NOW + 10 * i)
        took.append(process_time() - began)
    return min(took[3:])


def in_proportion(took: Callable[[int], float]) -> bool:
    """Whether four times as many take about four times as long; sixteen times would be one look at each for each.

    In one of three tries: a busy neighbour on the same core takes its caches with it, so that one try may be slow. Nothing that
    takes sixteen times as long takes eight by luck.
    """
    return any(took(800) < 8 * took(200) for _ in range(3))


@pytest.mark.parametrize("asked", [1.2, 4.0], ids=["calm", "everybody short"])
def test_time_grows_in_proportion_to_the_objects(asked: float) -> None:
    assert in_proportion(lambda count: seconds(many(count, asked=asked)))


def test_a_first_look_at_many_takes_no_look_at_each_for_each() -> None:
    """A new process, or everything created at once: nothing is kept yet, and no cell is remembered."""

    def first(count: int) -> float:
        seen, took = many(count, asked=1.2), []
        for _ in range(3):
            began = process_time()
            plan(seen, Memory(), NOW)
            took.append(process_time() - began)
        return min(took)

    assert in_proportion(first)


def test_cells_that_appear_beside_many_take_no_look_at_each_for_each() -> None:
    """A tier that is added: each of its cells looks for its place on a ladder that all share."""

    def appear(count: int) -> float:
        def seen(*tiers: StoredTier) -> Snapshot:
            listed = {one.key.name: "Auto" for one in tiers}
            policies = (policy(f"p{i}", variants=TWO, tiers=listed, offered={"free": 0.1}) for i in range(count))
            return snapshot(pool(count), scaler(replicas=count // 4, backlog=0.0), *policies, tiers=tiers)

        fewer, more, took = seen(PRO, FREE), seen(PRO, PLUS, FREE), []
        _, memory = plan(fewer, Memory(), NOW)
        for _ in range(3):
            began = process_time()
            plan(more, memory, NOW + 10)
            took.append(process_time() - began)
        return min(took)

    assert in_proportion(appear)


def test_a_look_at_each_for_each_would_be_noticed() -> None:
    def each_for_each(count: int) -> float:
        began = process_time()
        assert sum(1 for one in range(count) for other in range(count) if other < one) == count * (count - 1) // 2
        return process_time() - began

    assert not in_proportion(each_for_each)
