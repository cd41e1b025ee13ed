"""Decisions that could not be written have not happened: users still have what the policy's status says.

What was measured meanwhile is kept. Levels, and all that hangs on when they changed, are what they were before the tick, so that the
next one decides anew, and takes no rate for the effect of a step that nobody had.
"""

from collections.abc import Collection

from msgspec import structs

from brownout.api.reasons import Reason
from brownout.api.resources import Key
from brownout.decide.carry import by_name
from brownout.decide.cells import FIRST
from brownout.decide.memory import CellMemory, Memory
from brownout.decide.outcome import CellPlan, Plan
from brownout.decide.recall import recall
from brownout.decide.snapshot import Snapshot


def memory_without(after: Memory, before: Memory, snapshot: Snapshot, policies: Collection[Key]) -> Memory:
    """The memory `after` a tick of whose decisions those about these policies were not written; `before` is what it began with."""
    before = by_name(recall(snapshot, after.at or 0.0, before), snapshot.policies)
    decided = {key: cell for key, cell in after.cells.items() if key.policy in policies}
    had = {key: cell for key, cell in before.cells.items() if key.policy in policies}
    moved = {key.policy for key, cell in decided.items() if cell.level != (had[key].level if key in had else FIRST)}
    pools = _pools(snapshot, moved)
    return structs.replace(
        after,
        cells={key: cell for key, cell in after.cells.items() if key not in decided or cell.level == FIRST}
        | {key: _measured(cell, decided.get(key, cell)) for key, cell in had.items()},
        served={key: level for key, level in after.served.items() if key.policy not in policies}
        | {key: level for key, level in before.served.items() if key.policy in policies},
        versions=after.versions | {key: before.versions[key] for key in policies if key in before.versions},
        pools=after.pools | {key: before.pools[key] for key in pools if key in before.pools},
    )


def _measured(before: CellMemory, after: CellMemory) -> CellMemory:
    """A cell as it was, with its rates as they are now; those that are reset by a step stay as they were."""
    if after.level == before.level:
        return after
    return structs.replace(before, rate=after.rate, rate_since=after.rate_since, mean_rate=after.mean_rate)


def plan_without(plan: Plan, memory: Memory, snapshot: Snapshot, policies: Collection[Key]) -> Plan:
    """The plan as it came true, with the `memory` of that: without what was decided about these policies, and not written.

    Nor is anything said of a pool whose place on the ladder was counted with those steps.
    """
    told = {}
    for key in policies:
        policy, stored = plan.policies[key], snapshot.policies[key].stored
        names = [variant.name for variant in stored.spec.variants]
        told[key] = structs.replace(
            policy,
            cells=tuple([_as_it_was(cell, names, memory.cells.get(cell.key)) for cell in policy.cells]),
            version=memory.versions.get(key, stored.status.version),
        )
    unsaid = _pools(snapshot, [key for key in policies if any(cell.changed for cell in plan.policies[key].cells)])
    return structs.replace(
        plan,
        policies=plan.policies | told,
        pools={key: pool for key, pool in plan.pools.items() if key not in unsaid},
        notes=tuple([note for note in plan.notes if note.kind != "FeaturePolicy" or note.key not in policies]),
    )


def _as_it_was(cell: CellPlan, names: list[str], memory: CellMemory | None) -> CellPlan:
    if not cell.changed:
        return cell
    return structs.replace(
        cell,
        level=cell.previous,
        variant_name=names[cell.previous.variant],
        reason=Reason.SERVED if memory is None else memory.reason,
        message="" if memory is None else memory.message,
        since=cell.since if memory is None else memory.since,
        expected_return=None,
    )


def forgotten(memory: Memory, policies: Collection[Key]) -> Memory:
    """The memory without these policies: it is to be read from their statuses anew."""
    if not policies:
        return memory
    return structs.replace(
        memory,
        cells={key: cell for key, cell in memory.cells.items() if key.policy not in policies},
        served={key: level for key, level in memory.served.items() if key.policy not in policies},
        versions={key: version for key, version in memory.versions.items() if key not in policies},
    )


def _pools(snapshot: Snapshot, policies: Collection[Key]) -> set[Key]:
    """The pools of the workloads that these policies load."""
    scalers = {
        Key(key.namespace, cost.scaler)
        for key in policies
        for variant in snapshot.policies[key].stored.spec.variants
        for cost in variant.costs
    }
    return {Key("", snapshot.scalers[key].stored.spec.pool_ref.name) for key in scalers if key in snapshot.scalers}
