"""What a plan says of each object, as metrics that are made when somebody asks for them.

There may be tens of thousands of cells. A gauge for each would be set in every tick; a scrape comes once in fifteen seconds, and
reads the last plan.
"""

from collections.abc import Iterable, Iterator
from itertools import chain

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from brownout.api.override import ends_at
from brownout.api.reasons import Reason
from brownout.api.resources import Key
from brownout.decide.cells import FIRST
from brownout.decide.memory import Memory
from brownout.decide.outcome import CellPlan, Plan, PolicyPlan
from brownout.decide.restore import BUDGET_SECONDS
from brownout.decide.snapshot import Policy, Snapshot

SCALER = ("namespace", "scaler")
CELL = ("namespace", "feature", "tier", "cohort")
SHED, RESTORED = "shed", "restored"
OVERRIDE = ("namespace", "feature", "override", "variant")


class PlanMetrics(Collector):
    """Shows the last plan that it `saw`, and counts the flips of all of them."""

    def __init__(self) -> None:
        self._seen = (Snapshot(), Plan(at=0.0), Memory())
        self._flips: dict[tuple[Key, str], int] = {}

    def saw(self, snapshot: Snapshot, plan: Plan, memory: Memory) -> None:
        """A tick: what it knew, what it decided, and what it hands on."""
        self._seen = (snapshot, plan, memory)
        for policy in plan.policies.values():
            for cell in policy.cells:
                if cell.changed and not cell.key.audience.user:
                    direction = SHED if cell.level.depth > cell.previous.depth else RESTORED
                    self._flips[policy.key, direction] = self._flips.get((policy.key, direction), 0) + 1

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        return chain(self._scalers(), self._pools(), self._cells(), self._overrides())

    def _scalers(self) -> Iterator[Metric]:
        snapshot, plan, _ = self._seen
        info = GaugeMetricFamily(
            "brownout_scaler_info",
            "1: the pool that it takes GPUs from, and its mode",
            labels=(*SCALER, "pool", "mode"),
        )
        rule = GaugeMetricFamily("brownout_scaler_rule", "1 for the rule that decided", labels=(*SCALER, "rule"))
        saturated = GaugeMetricFamily(
            "brownout_scaler_saturated", "1 once it has been beyond full for long enough to act on", labels=SCALER
        )
        for key, scaler in plan.scalers.items():
            at = (key.namespace, key.name)
            if key in snapshot.scalers:
                spec = snapshot.scalers[key].stored.spec
                info.add_metric((*at, spec.pool_ref.name, spec.mode), 1)
            rule.add_metric((*at, str(scaler.rule)), 1)
            saturated.add_metric(at, scaler.saturated)
        return iter((info, rule, saturated))

    def _pools(self) -> Iterator[Metric]:
        ratio = GaugeMetricFamily(
            "brownout_pool_saturation_ratio",
            "Saturation of the pool's fullest scaler whose figure is known; 1 is full",
            labels=("pool",),
        )
        saturated = GaugeMetricFamily(
            "brownout_pool_saturated", "1 while a scaler of the pool is saturated", labels=("pool",)
        )
        for key, pool in self._seen[1].pools.items():
            if pool.saturation_percent is not None:
                ratio.add_metric((key.name,), pool.saturation_percent / 100)
            saturated.add_metric((key.name,), pool.saturated_since is not None)
        return iter((ratio, saturated))

    def _cells(self) -> Iterator[Metric]:
        snapshot, plan, memory = self._seen
        cells = _Cells(memory, now=plan.at)
        for key, policy in plan.policies.items():
            cells.add(policy, snapshot.policies.get(key))
            for direction in (SHED, RESTORED):
                cells.flips.add_metric((key.namespace, key.name, direction), self._flips.get((key, direction), 0))
        return cells.families()

    def _overrides(self) -> Iterator[Metric]:
        snapshot, plan, _ = self._seen
        begins = GaugeMetricFamily(
            "brownout_override_start_timestamp_seconds", "When an override in force was made", labels=OVERRIDE
        )
        ends = GaugeMetricFamily(
            "brownout_override_end_timestamp_seconds", "When an override in force is over", labels=OVERRIDE
        )
        for key, said in plan.overrides.items():
            override = snapshot.overrides.get(key)
            if override is None or said.state != "Active":
                continue
            spec = override.spec
            at = (key.namespace, spec.policy_ref.name, key.name, spec.variant)
            begins.add_metric(at, override.created_at)
            ends.add_metric(at, ends_at(spec, created_at=override.created_at))
        return iter((begins, ends))


class _Cells:
    """The metrics of cells, filled policy by policy. Of users who are held back alone only their number is told."""

    def __init__(self, memory: Memory, *, now: float) -> None:
        self._memory = memory
        self._now = now
        self._variant = GaugeMetricFamily(
            "brownout_cell_variant", "Index of the variant that the loop gives the cell; 0 is the best", labels=CELL
        )
        self._percent = GaugeMetricFamily(
            "brownout_cell_percent",
            "Share of the cell's users on that variant, in percent; the others are on the next one",
            labels=CELL,
        )
        self._info = GaugeMetricFamily(
            "brownout_cell_info",
            "1: the key of its flag, what the policy promises the cell, why it has what it has, and which rule keeps it from coming back",
            labels=(*CELL, "flag", "availability", "reason", "refused_by"),
        )
        self._served = GaugeMetricFamily(
            "brownout_cell_served_ratio",
            "Share of the cell's users who have the variant, overrides and plans included",
            labels=(*CELL, "variant"),
        )
        self._reversals = GaugeMetricFamily(
            "brownout_cell_reversals", "Changes of direction within the last hour, of cells that had any", labels=CELL
        )
        self._held_back = GaugeMetricFamily(
            "brownout_cell_users_held_back", "Users of the cell who are held back alone", labels=CELL
        )
        self.flips = CounterMetricFamily(
            "brownout_cell_flips",
            "Steps that the loop took with cells of a feature: shed or restored",
            labels=("namespace", "feature", "direction"),
        )

    def add(self, policy: PolicyPlan, known: Policy | None) -> None:
        """The cells of a policy; `known` is the policy as it was seen."""
        entries = known.stored.spec.tiers if known is not None else ()
        flag = known.stored.spec.flag_key if known is not None else ""
        availability = {entry.tier_ref.name: entry.availability for entry in entries}
        alone: dict[tuple[str, ...], int] = {}
        for cell in policy.cells:
            audience = cell.key.audience
            at = (policy.key.namespace, policy.key.name, audience.tier, audience.cohort)
            if audience.user:
                alone[at] = alone.get(at, 0) + (cell.level != FIRST)
                continue
            self._variant.add_metric(at, cell.level.variant)
            self._percent.add_metric(at, cell.level.percent)
            why = (flag, availability.get(audience.tier, ""), str(cell.reason), str(cell.refused_by or ""))
            self._info.add_metric((*at, *why), 1)
            for name, share in shares(cell, known) if known is not None else ():
                self._served.add_metric((*at, name), share)
            turned = self._memory.cells[cell.key].reversals if cell.key in self._memory.cells else ()
            if recent := sum(self._now - moment < BUDGET_SECONDS for moment in turned):
                self._reversals.add_metric(at, recent)
        for cell_labels, users in alone.items():
            self._held_back.add_metric(cell_labels, users)

    def families(self) -> Iterator[Metric]:
        return iter(
            (self._variant, self._percent, self._info, self._served, self._reversals, self._held_back, self.flips)
        )


def shares(cell: CellPlan, policy: Policy) -> list[tuple[str, float]]:
    """Each variant that users of a cell have, and the share of them from 0 to 1: what the flag server gives them."""
    names = [variant.name for variant in policy.stored.spec.variants]
    if cell.overridden_to:
        return [(cell.overridden_to, 1.0)]
    if cell.reason is Reason.PLAN:
        return [(names[-1], 1.0)]
    share = cell.level.percent / 100
    found = [(names[cell.level.variant], share)]
    if share < 1 and cell.level.variant + 1 < len(names):
        found.append((names[cell.level.variant + 1], round(1 - share, 2)))
    return found
