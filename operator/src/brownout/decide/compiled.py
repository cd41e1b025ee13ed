"""What follows from what people wrote alone: which object means which, the cells, their costs and their order.

The same objects come back tick after tick, and there may be thousands of them; so this is kept in memory, and derived anew
when somebody has written something else. It only saves time: with it and without it the plan is the same.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct, structs

from brownout.api.resources import InvalidObject, Key
from brownout.decide.cells import Cell, Part, Rung, build_cells, ladder, part_of
from brownout.decide.evidence import Missing
from brownout.decide.links import Links, link
from brownout.decide.outcome import CellKey
from brownout.decide.snapshot import Snapshot


class Written(Struct, frozen=True, kw_only=True):
    """All of a snapshot that links and cells depend on. To compare it with an equal one takes as long as to look at it once,
    because what did not change is the same object.
    """

    pools: dict[Key, Any]
    scalers: dict[Key, Any]
    tiers: dict[Key, Any]
    policies: dict[Key, Any]
    namespaces: dict[str, dict[str, str]]
    invalid: tuple[tuple[str, InvalidObject], ...]
    elsewhere: frozenset[str]


class Compiled(Struct, frozen=True, kw_only=True):
    """What was derived, and what from. `links` hold the objects of the present snapshot; `parts` are what each scaler bears of its
    planned cells, `priorities` the tier priorities of those, highest first; `ladder` is that of all cells, `ladders` are those of each pool; `pool_of` a scaler.
    """

    written: Written
    links: Links
    cells: dict[CellKey, Cell]
    of_scaler: dict[Key, list[Cell]]
    parts: dict[Key, list[Part]]
    priorities: dict[Key, list[int]]
    of_policy: dict[Key, list[Cell]]
    ladder: list[Rung]
    ladders: dict[Key, list[Rung]]
    pool_of: dict[Key, Key]


def written_in(snapshot: Snapshot) -> Written:
    """Of the observed facts only whether a scaler's workload can be read decides what is tied to what."""
    return Written(
        pools={key: pool.stored.spec for key, pool in snapshot.pools.items()},
        scalers={
            key: (s.stored.spec, s.stored.created_at, s.workload if isinstance(s.workload, Missing) else None)
            for key, s in snapshot.scalers.items()
        },
        tiers={key: tier.spec for key, tier in snapshot.tiers.items()},
        policies={key: (policy.stored.spec, policy.stored.created_at) for key, policy in snapshot.policies.items()},
        namespaces=snapshot.namespaces,
        invalid=snapshot.invalid,
        elsewhere=snapshot.elsewhere,
    )


def compiled(snapshot: Snapshot, before: Compiled | None) -> Compiled:
    """What follows from a snapshot's objects; `before` where they say the same as then."""
    written = written_in(snapshot)
    if before is not None and before.written == written:
        return structs.replace(before, written=written, links=_renewed(before.links, snapshot))
    links = link(snapshot)
    cells = build_cells(links)
    of_scaler: dict[Key, list[Cell]] = {}
    of_policy: dict[Key, list[Cell]] = {key: [] for key in snapshot.policies}
    for key, cell in cells.items():
        of_policy[key.policy].append(cell)
        for scaler in cell.scalers:
            of_scaler.setdefault(scaler, []).append(cell)
    pool_of = {scaler.stored.key: pool for pool, scalers in links.scalers_of.items() for scaler in scalers}
    rungs = ladder(cells.values())
    parts = {key: [part_of(cell, key) for cell in own if cell.planned] for key, own in of_scaler.items()}
    return Compiled(
        written=written,
        links=links,
        cells=cells,
        of_scaler=of_scaler,
        parts=parts,
        priorities={key: sorted({part.cell.tier_priority for part in own}, reverse=True) for key, own in parts.items()},
        of_policy=of_policy,
        ladder=rungs,
        ladders=ladders(rungs, pool_of),
        pool_of=pool_of,
    )


def ladders(rungs: Iterable[Rung], pool_of: Mapping[Key, Key]) -> dict[Key, list[Rung]]:
    """The ladder of each pool; a cell that several pools carry is on each of theirs."""
    found: dict[Key, list[Rung]] = {}
    for rung in rungs:
        for pool in pools_of(rung.cell, pool_of):
            found.setdefault(pool, []).append(rung)
    return found


def pools_of(cell: Cell, pool_of: Mapping[Key, Key]) -> set[Key]:
    """The pools that carry a cell."""
    return {pool_of[scaler] for scaler in cell.scalers if scaler in pool_of}


def _renewed(links: Links, snapshot: Snapshot) -> Links:
    """The same links between the objects as they are observed now."""
    policies = snapshot.policies
    return structs.replace(
        links,
        scalers_of={
            key: tuple([snapshot.scalers[one.stored.key] for one in scalers])
            for key, scalers in links.scalers_of.items()
        },
        policies_of={
            key: tuple([policies[one.stored.key] for one in using]) for key, using in links.policies_of.items()
        },
        usable_policies=tuple([policies[one.stored.key] for one in links.usable_policies]),
        tiers_of={key: tuple([snapshot.tiers[one.key] for one in tiers]) for key, tiers in links.tiers_of.items()},
    )
