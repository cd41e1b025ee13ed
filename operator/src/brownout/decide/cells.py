"""Cells and the ladder: who may lose what, in which order, and what it would save.

A cell is one feature for one tier and cohort. It sits on a level: a variant, or a split between two neighbouring ones by a
percentage. Each variant that a cell may still lose is a rung; all rungs of a pool in order are its ladder.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from brownout.api.ladder import Place
from brownout.api.policy import FeaturePolicySpec, TierEntry
from brownout.api.resources import Key
from brownout.api.schema import number
from brownout.decide.links import Links
from brownout.decide.outcome import CellKey, Level
from brownout.decide.snapshot import Audience, Policy

FIRST = Level(0)

LEAST_PART_PERCENT = 5
"""Parts of a cell are taken and given back in whole multiples of this."""

Costs = Mapping[Key, float]
"""GPU-seconds for each request, by scaler."""


class Cell(Struct, frozen=True, kw_only=True):
    """One cell as the policy describes it. `lowest` is the index of the last variant that it may be taken to.

    `scalers` carry its variants; `unknown` are those that it names and of which nothing is known now. `alone`: this
    is one user (`decide.heavy`): a part of it is a part of the time.
    """

    key: CellKey
    mode: str
    tier_priority: int
    cohort_position: int
    shed_order: int
    lowest: int
    always: bool
    planned: bool
    variants: tuple[str, ...]
    costs: tuple[Costs, ...]
    scalers: frozenset[Key]
    unknown: frozenset[Key] = frozenset()
    alone: bool = False

    def cost(self, level: Level, scaler: Key) -> float:
        """Mean declared GPU-seconds for each request of this cell's users at a level."""
        here = self.costs[level.variant].get(scaler, 0.0)
        if level.percent == 100 or level.variant + 1 >= len(self.costs):
            return here
        lower = self.costs[level.variant + 1].get(scaler, 0.0)
        return (here * level.percent + lower * (100 - level.percent)) / 100

    def admitted_cost(self, level: Level, scaler: Key) -> float:
        """Mean declared GPU-seconds of a request that is let through at a level: those of users on the denial are not."""
        denial = len(self.variants) - 1
        if level.variant == denial:
            return 0.0
        return self.cost(Level(level.variant) if level.variant + 1 == denial else level, scaler)

    def denies(self, level: Level) -> bool:
        """Whether any of its users are denied at a level."""
        denial = len(self.variants) - 1
        return level.variant == denial or (level.variant + 1 == denial and level.percent < 100)

    def let_through(self, level: Level) -> float:
        """The part of its users who are not denied at a level, from 0 to 1."""
        denial = len(self.variants) - 1
        if level.variant == denial:
            return 0.0
        return level.percent / 100 if level.variant + 1 == denial else 1.0

    def loads(self, level: Level) -> frozenset[Key]:
        """The scalers that carry more with a part of the next better variant; giving back may relieve another."""
        better = level.variant if level.percent < 100 else level.variant - 1
        if better < 0:
            return frozenset()
        here, below = self.costs[better], self.costs[better + 1]
        return frozenset([key for key, cost in here.items() if cost > below.get(key, 0.0)])

    def within_reach(self, level: Level, scaler: Key) -> float:
        """GPU-seconds for each request that a workload bears once a step up is done, from the level that they have now.

        All of the first variant's where the step up loads it; but where that relieves another workload, or loads only others,
        no more than now: users who are denied come back through the next variant, and cannot use the first one's GPUs before.
        """
        first = self.costs[0].get(scaler, 0.0)
        if level == FIRST or len(self.scalers) == 1:
            return first
        better = raised(level, by_percent=100)
        here, there = self.cost(level, scaler), self.cost(better, scaler)
        if there <= here or any(self.cost(better, other) < self.cost(level, other) for other in self.scalers):
            return here
        return max(there, first)

    @property
    def floor(self) -> Level:
        """The lowest level that the policy allows."""
        return Level(self.lowest)

    def name(self, level: Level) -> str:
        """A level in words: `lite`, or `lite for 40 %, denied for the rest`; of one user `for 40 % of the time`."""
        name = self.variants[level.variant]
        if level.percent == 100:
            return name
        share = f"{level.percent} % of the time" if self.alone else f"{level.percent} %"
        return f"{name} for {share}, {self.variants[level.variant + 1]} for the rest"


class Part(Struct, frozen=True, gc=False):
    """What one workload bears of a planned cell: GPU-seconds for each request of its first variant, and of its lowest."""

    cell: Cell
    first: float
    lowest: float


def part_of(cell: Cell, scaler: Key) -> Part:
    return Part(cell, cell.costs[0].get(scaler, 0.0), cell.costs[cell.lowest].get(scaler, 0.0))


class Rung(Struct, frozen=True, kw_only=True, gc=False):
    """One step of one cell from variant `step` to the next."""

    cell: Cell
    step: int

    @property
    def order(self) -> Place:
        """Where it stands on the ladder: cheapest first, and one heavy user before everybody else."""
        cell = self.cell
        return Place(
            not cell.alone,
            cell.tier_priority,
            cell.shed_order,
            self.step,
            cell.cohort_position,
            cell.key.policy.name,
            cell.key.audience.user,
        )

    def __str__(self) -> str:
        cell = self.cell
        return f"{cell.key}: {cell.variants[self.step]} -> {cell.variants[self.step + 1]}"


def lower(level: Level, *, by_percent: int) -> Level:
    """The level after taking the present variant from `by_percent` more of the cell's users."""
    left = level.percent - by_percent
    return Level(level.variant, left) if left > 0 else Level(level.variant + 1, 100)


def raised(level: Level, *, by_percent: int) -> Level:
    """The level after giving the next better variant to `by_percent` of the cell's users, up to all of them."""
    if level.percent < 100:
        return Level(level.variant, min(100, level.percent + by_percent))
    return Level(level.variant - 1, min(100, by_percent)) if level.variant > 0 else level


def clamp(level: Level, cell: Cell) -> Level:
    """A remembered level as the policy allows it now: never below the lowest, and in mode Advise the first variant."""
    if not cell.planned or cell.always or cell.mode == "Advise":
        return FIRST
    if level.depth > cell.floor.depth:
        return cell.floor
    return Level(level.variant, min(100, max(1, level.percent)))


def build_cells(links: Links) -> dict[CellKey, Cell]:
    """Every cell of every usable policy: each listed tier that exists, cohort by cohort, the remainder last."""
    cells: dict[CellKey, Cell] = {}
    in_use = {s.stored.key for scalers in links.scalers_of.values() for s in scalers}
    for policy in links.usable_policies:
        for cell in _cells_of(policy, links, in_use):
            cells[cell.key] = cell
    return cells


def _cells_of(policy: Policy, links: Links, in_use: set[Key]) -> Iterable[Cell]:
    spec, key = policy.stored.spec, policy.stored.key
    costs = tuple(_costs(spec, key.namespace, index, in_use) for index in range(len(spec.variants)))
    scalers = frozenset(scaler for cost in costs for scaler in cost)
    unknown = frozenset([Key(key.namespace, c.scaler) for v in spec.variants for c in v.costs]) - in_use
    entries = {entry.tier_ref.name: entry for entry in spec.tiers}
    for tier in links.tiers_of.get(key.namespace, ()):
        entry = entries.get(tier.key.name)
        if entry is None:
            continue
        cohorts = [cohort.name for cohort in tier.spec.cohorts] + [""]
        for position, cohort in enumerate(cohorts):
            yield Cell(
                key=CellKey(key, Audience(tier.key.name, cohort)),
                mode=spec.mode,
                tier_priority=tier.spec.priority,
                cohort_position=position,
                shed_order=spec.shed_order,
                lowest=_lowest(spec, entry),
                always=entry.availability == "Always",
                planned=entry.availability != "Never",
                variants=tuple(variant.name for variant in spec.variants),
                costs=costs,
                scalers=scalers,
                unknown=unknown,
            )


def _costs(spec: FeaturePolicySpec, namespace: str, index: int, in_use: set[Key]) -> Costs:
    costs: dict[Key, float] = {}
    for cost in spec.variants[index].costs:
        scaler = Key(namespace, cost.scaler)
        if scaler in in_use:
            costs[scaler] = costs.get(scaler, 0.0) + number(cost.gpu_seconds_per_request)
    return costs


def _lowest(spec: FeaturePolicySpec, entry: TierEntry) -> int:
    if entry.availability == "Always":
        return 0
    names = [variant.name for variant in spec.variants]
    return names.index(entry.lowest) if entry.lowest in names else len(names) - 1


def ladder(cells: Iterable[Cell]) -> list[Rung]:
    """All rungs of these cells, cheapest first.

    By (one user alone, tier priority, shedOrder, variant step, cohort position, policy name).
    """
    rungs = [
        Rung(cell=cell, step=step) for cell in cells if cell.planned and not cell.always for step in range(cell.lowest)
    ]
    return sorted(rungs, key=lambda rung: rung.order)


def rungs_taken(cell: Cell, level: Level) -> int:
    """How many of a cell's rungs are taken at a level, wholly or in part."""
    return 0 if cell.always or not cell.planned else min(cell.lowest, level.variant + (level.percent < 100))


def taken(rung: Rung, level: Level) -> bool:
    """Whether the rung is taken at this level, wholly or in part."""
    return level.variant > rung.step or (level.variant == rung.step and level.percent < 100)
