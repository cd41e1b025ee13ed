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
from brownout.decide.memory import Memory
from brownout.decide.outcome import CellKey, CellPlan, Plan
from brownout.decide.restore import BUDGET_SECONDS
from brownout.decide.snapshot import Policy, Snapshot

SCALER = ("namespace", "scaler")
CELL = ("namespace", "feature", "tier", "cohort")
OVERRIDE = ("namespace", "feature", "override", "variant")


class PlanMetrics(Collector):
    """Shows the last plan that it `saw`, and counts the flips of all of them."""

    def __init__(self) -> None:
        self._seen = (Snapshot(), Plan(at=0.0), Memory())
        self._shed: dict[CellKey, int] = {}
        self._restored: dict[CellKey, int] = {}

    def saw(self, snapshot: Snapshot, plan: Plan, memory: Memory) -> None:
        """A tick: what it knew, what it decided, and what it hands on."""
        self._seen = (snapshot, plan, memory)
        for policy in plan.policies.values():
            for cell in policy.cells:
                if cell.changed and not cell.key.audience.user:
                    counts = self._shed if cell.level.depth > cell.previous.depth else self._restored
                    counts[cell.key] = counts.get(cell.key, 0) + 1

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
        """Of users who are held back alone nothing: their names are nobody's business."""
        snapshot, plan, memory = self._seen
        info = GaugeMetricFamily(
            "brownout_cell_info",
            "1: what the policy promises the cell, why it has what it has, and which rule keeps it from coming back",
            labels=(*CELL, "availability", "reason", "refused_by"),
        )
        served = GaugeMetricFamily(
            "brownout_cell_served_ratio",
            "Share of the cell's users who have the variant, overrides and plans included",
            labels=(*CELL, "variant"),
        )
        reversals = GaugeMetricFamily(
            "brownout_cell_reversals", "Changes of direction within the last hour", labels=CELL
        )
        flips = CounterMetricFamily(
            "brownout_cell_flips", "Steps that the loop took: shed or restored", labels=(*CELL, "direction")
        )
        for key, policy in plan.policies.items():
            if (known := snapshot.policies.get(key)) is None:
                continue
            availability = {entry.tier_ref.name: entry.availability for entry in known.stored.spec.tiers}
            for cell in policy.cells:
                audience = cell.key.audience
                if audience.user:
                    continue
                at = (key.namespace, key.name, audience.tier, audience.cohort)
                info.add_metric(
                    (*at, availability.get(audience.tier, ""), str(cell.reason), str(cell.refused_by or "")), 1
                )
                for variant, share in shares(cell, known):
                    served.add_metric((*at, variant), share)
                turned = memory.cells[cell.key].reversals if cell.key in memory.cells else ()
                reversals.add_metric(at, sum(plan.at - moment < BUDGET_SECONDS for moment in turned))
                flips.add_metric((*at, "shed"), self._shed.get(cell.key, 0))
                flips.add_metric((*at, "restored"), self._restored.get(cell.key, 0))
        return iter((info, served, reversals, flips))

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
