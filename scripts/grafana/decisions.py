"""For whoever operates: who is short of what, what was decided, and why."""

from grafana.model import Dashboard, Query, Row, Variable, lines, number, states, table

SCALERS = 'namespace=~"$namespace"'
CELLS = 'namespace=~"$namespace", feature=~"$feature"'
POOL = 'pool=~"$pool"'
OF_POOL = f"""
    * on (namespace, scaler) group_left (pool)
    max by (namespace, scaler, pool) (brownout_scaler_info{{{POOL}, {SCALERS}}})"""
"""Takes from a metric of scalers those of the pools chosen, and names their pool."""


def scalers(metric: str, labels: str = "") -> str:
    """A metric of the scalers chosen, with their pool."""
    own = f"{SCALERS}, {labels}" if labels else SCALERS
    return f"max by (namespace, scaler) ({metric}{{{own}}}){OF_POOL}"


OFFERED = scalers("brownout_scaler_demand_gpus", 'which="offered"')

NOW = Row(
    "Now",
    [
        number(
            "Saturation",
            Query(f"max by (pool) (brownout_pool_saturation_ratio{{{POOL}}})", "{{pool}}"),
            unit="percentunit",
            bad=1,
            says="Admitted demand over ready capacity of the pool's fullest scaler; 100 % is full. What is not known is not shown.",
        ),
        number(
            "GPUs free",
            Query(
                f'max by (pool) (brownout_pool_gpus{{{POOL}, state="capacity"}}) - on (pool) max by (pool) (brownout_pool_gpus{{{POOL}, state="granted"}})',
                "{{pool}}",
            ),
            unit="none",
            says="Capacity beyond what scalers have been granted.",
        ),
        number(
            "Rungs taken",
            Query(f'max by (pool) (brownout_pool_ladder_rungs{{{POOL}, state="taken"}})', "{{pool}}"),
            unit="none",
            bad=1,
            says="Steps of the ladder that are taken, wholly or in part.",
        ),
        number(
            "Cells with less",
            Query(
                f"count(brownout_cell_variant{{{CELLS}}} > 0 or brownout_cell_percent{{{CELLS}}} < 100) or vector(0)"
            ),
            unit="none",
            bad=1,
            says="Cells (feature, tier, cohort) that the loop has below their first variant.",
        ),
        number(
            "Overrides in force",
            Query(
                f"count(max by (namespace, override) (brownout_override_end_timestamp_seconds{{{CELLS}}})) or vector(0)"
            ),
            unit="none",
            bad=1,
            says="A person's word, above the loop.",
        ),
        number(
            "Numbers missing",
            Query(f"sum(max by (kind, namespace, name) (brownout_evidence_missing{{{SCALERS}}}))"),
            unit="none",
            bad=1,
            says="Numbers of scalers and policies that are missing or stale. Nothing that rests on them is lowered or restored.",
        ),
    ],
)

POOLS = Row(
    "Pools: asked for, ready, granted",
    [
        lines(
            "GPUs of pools",
            Query(f"max by (pool, state) (brownout_pool_gpus{{{POOL}}})", "{{pool}} {{state}}"),
            Query(f"sum by (pool) ({OFFERED})", "{{pool}} asked for"),
            unit="none",
            says="Capacity; what is granted to scalers and held by their pods; and the load that users ask for, in GPUs.",
            width=12,
        ),
        lines(
            "Saturation of scalers",
            Query(scalers("brownout_scaler_saturation_ratio"), "{{namespace}}/{{scaler}} in {{pool}}"),
            unit="percentunit",
            says="Admitted demand over ready capacity, the backlog's share included; 100 % is full.",
            width=12,
        ),
        lines(
            "Load and capacity of scalers, in GPUs",
            Query(
                f"max by (namespace, scaler, which) (brownout_scaler_demand_gpus{{{SCALERS}}}){OF_POOL}",
                "{{namespace}}/{{scaler}} {{which}}",
            ),
            unit="none",
            says="Offered is what users ask for, admitted what is let through after shedding, capacity what ready replicas carry.",
            width=12,
        ),
        lines(
            "Backlog",
            Query(scalers("brownout_scaler_backlog_gpu_seconds"), "{{namespace}}/{{scaler}}"),
            unit="s",
            says="GPU-seconds of work that waits.",
            width=12,
        ),
        lines(
            "Ladder",
            Query(f"max by (pool, state) (brownout_pool_ladder_rungs{{{POOL}}})", "{{pool}} {{state}}"),
            unit="none",
            says="Where `taken` meets `total` nothing is left to take.",
            width=12,
        ),
        lines(
            "Learned cost over declared cost",
            Query(scalers("brownout_scaler_cost_factor"), "{{namespace}}/{{scaler}}"),
            unit="none",
            says="Busy GPU-seconds over what the policies declare. Far from 1: correct costs in the policies.",
            width=12,
        ),
    ],
)

REPLICAS = Row(
    "Scalers: replicas, and why",
    [
        lines(
            "Replicas",
            Query(
                f"max by (namespace, scaler, state) (brownout_scaler_replicas{{{SCALERS}}}){OF_POOL}",
                "{{namespace}}/{{scaler}} {{state}}",
            ),
            unit="none",
            says="Demanded by the load, obtainable in the pool, desired by the decision, current in the workload's spec, ready, coming.",
            width=12,
        ),
        table(
            "The rule that decided",
            Query(f"max by (namespace, scaler, rule) (brownout_scaler_rule{{{SCALERS}}}){OF_POOL}"),
            columns=("pool", "namespace", "scaler", "rule"),
            value="",
            unit="none",
            says="`brownout explain scaler NAME` tells the numbers.",
            width=12,
        ),
    ],
)

FEATURES = Row(
    "Features: taken and given back, and why",
    [
        states(
            "Variant of each cell, by the loop",
            Query(
                f"max by (namespace, feature, tier, cohort) (brownout_cell_variant{{{CELLS}}})",
                "{{namespace}}/{{feature}} {{tier}} {{cohort}}",
            ),
            names=("first", "second", "third", "fourth", "fifth", "sixth"),
            says="The place of the variant in the policy. Shares of a cell and overrides are on the product's dashboard.",
            width=12,
            height=10,
        ),
        table(
            "Why, and what it waits for",
            Query(
                f'max by (namespace, feature, tier, cohort, reason, refused_by) (brownout_cell_info{{{CELLS}, reason!~"Served|Plan"}})'
            ),
            columns=("namespace", "feature", "tier", "cohort", "reason", "refused_by"),
            value="",
            unit="none",
            says="Cells that have something else than by their plan. refused_by is the rule that keeps them from coming back now.",
            width=12,
            height=10,
        ),
        lines(
            "Steps down and up",
            Query(
                f"sum by (direction) (increase(brownout_cell_flips_total{{{CELLS}}}[$__rate_interval]))",
                "{{direction}}",
            ),
            unit="none",
            says="A step is a variant, or a part of a cell's users.",
        ),
        lines(
            "Changes of direction within an hour",
            Query(
                f"max by (namespace, feature, tier, cohort) (brownout_cell_reversals{{{CELLS}}})",
                "{{namespace}}/{{feature}} {{tier}} {{cohort}}",
            ),
            unit="none",
            says="From the pool's maxReversalsPerCellPerHour on a cell waits before it comes back. Shedding is never delayed.",
        ),
        lines(
            "Decisions by reason",
            Query(
                "sum by (kind, reason) (increase(brownout_decisions_total[$__rate_interval]))", "{{kind}} {{reason}}"
            ),
            unit="none",
            says="Changed decisions, each of which is an Event on its object too.",
        ),
    ],
)

EVIDENCE = Row(
    "Evidence, and people's word",
    [
        lines(
            "Missing or stale numbers",
            Query(
                f"max by (kind, namespace, name) (brownout_evidence_missing{{{SCALERS}}}) > 0",
                "{{kind}} {{namespace}}/{{name}}",
            ),
            unit="none",
            says="The condition MetricsAvailable of the object says which, and why.",
            width=12,
        ),
        table(
            "When overrides end",
            Query(
                f"max by (namespace, feature, override, variant) (brownout_override_end_timestamp_seconds{{{CELLS}}}) - time()"
            ),
            columns=("namespace", "feature", "variant", "override"),
            value="ends in",
            unit="dtdurations",
            says="An override ends by itself; `brownout override --end NAME` ends it now.",
            width=12,
        ),
    ],
)

DASHBOARD = Dashboard(
    uid="brownout-decisions",
    title="Brownout: decisions",
    says="Pools, scalers and features: what is short, what was taken from whom, why, and when it comes back.",
    variables=[
        Variable("pool", "brownout_pool_gpus"),
        Variable("namespace", "brownout_scaler_info"),
        Variable("feature", 'brownout_cell_info{namespace=~"$namespace"}'),
    ],
    rows=[NOW, POOLS, REPLICAS, FEATURES, EVIDENCE],
)
