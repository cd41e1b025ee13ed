"""For whoever owns the product: which users have what, who is denied, and what it is like for them."""

from grafana.model import Dashboard, Query, Row, Variable, lines, number, table

CELLS = 'namespace=~"$namespace", feature=~"$feature"'
REQUESTED = 'namespace=~"$namespace", feature=~"$flag"'
"""Who counts requests knows a feature by its flag's key; the operator knows it by its policy's name."""
CELL = "namespace, feature, tier, cohort"


def rate(metric: str, by: str, labels: str = "") -> str:
    """A counter's rate, summed by labels."""
    own = f"{REQUESTED}, {labels}" if labels else REQUESTED
    return f"sum by ({by}) (rate({metric}{{{own}}}[$__rate_interval]))"


SHARES = Row(
    "Who has what",
    [
        table(
            "Shares of users, now",
            Query(f"max by ({CELL}, variant) (brownout_cell_served_ratio{{{CELLS}}})"),
            columns=("namespace", "feature", "tier", "cohort", "variant"),
            value="share",
            unit="percentunit",
            says="Of the users of a tier (and cohort; empty is the rest of it) so many have the variant, overrides included.",
            width=12,
            height=10,
        ),
        lines(
            "Shares of users over time",
            Query(
                f"max by ({CELL}, variant) (brownout_cell_served_ratio{{{CELLS}}})",
                "{{feature}} {{tier}} {{cohort}}: {{variant}}",
            ),
            unit="percentunit",
            defaults={"max": 1},
            says="What users of each cell have had. The shares of a cell add up to 100 %.",
            width=12,
            height=10,
        ),
        number(
            "Overrides in force",
            Query(
                f"count(max by (namespace, override) (brownout_override_end_timestamp_seconds{{{CELLS}}})) or vector(0)"
            ),
            unit="none",
            bad=1,
            says="What a person said stands above the loop.",
        ),
        number(
            "Single users held back",
            Query(f"sum(max by ({CELL}) (brownout_cell_users_held_back{{{CELLS}}})) or vector(0)"),
            unit="none",
            says="Users who alone ask for so much that they have less than their tier.",
        ),
        number(
            "Answered of what was asked",
            Query(f"{rate('brownout_feature_completed_total', '')} / {rate('brownout_feature_offered_total', '')}"),
            unit="percentunit",
            says="Requests that were answered, over all that users made; retries count as asked.",
        ),
    ],
)

REQUESTS = Row(
    "What is asked for, and what becomes of it",
    [
        lines(
            "Asked for",
            Query(rate("brownout_feature_offered_total", "feature, tier, cohort"), "{{feature}} {{tier}} {{cohort}}"),
            unit="reqps",
            stacked=True,
            says="Requests that users made, retries and those that are refused included.",
        ),
        lines(
            "Let in, by variant",
            Query(rate("brownout_feature_admitted_total", "feature, variant"), "{{feature}}: {{variant}}"),
            unit="reqps",
            stacked=True,
            says="What users got in the end, as far as they were let in.",
        ),
        lines(
            "Refused, by reason",
            Query(rate("brownout_feature_refused_total", "feature, reason"), "{{feature}}: {{reason}}"),
            unit="reqps",
            stacked=True,
            says="denied_* is by decision or plan, denied_quota by the user's own limit, queue_full and too_late by overload.",
        ),
        lines(
            "Refused share, by tier",
            Query(
                f"{rate('brownout_feature_refused_total', 'feature, tier')} / on (feature, tier) {rate('brownout_feature_offered_total', 'feature, tier')}",
                "{{feature}} {{tier}}",
            ),
            unit="percentunit",
            says="Of what a tier asked for so much was refused.",
        ),
        lines(
            "Time to the answer, 95 %",
            Query(
                f"histogram_quantile(0.95, {rate('brownout_feature_duration_seconds_bucket', 'feature, tier, le')})",
                "{{feature}} {{tier}}",
            ),
            unit="s",
            says="From being let in to the answer.",
        ),
        lines(
            "Failed",
            Query(rate("brownout_feature_failed_total", "feature, reason"), "{{feature}}: {{reason}}"),
            unit="reqps",
            says="Let in, and without an answer. client_gone is the user's own doing.",
        ),
    ],
)

QUOTAS = Row(
    "Quotas",
    [
        lines(
            "Asked by the servers, by outcome",
            Query(
                "sum by (feature, outcome) (rate(brownout_inference_quota_total{" + REQUESTED + "}[$__rate_interval]))",
                "{{feature}}: {{outcome}}",
            ),
            unit="reqps",
            says="What inference servers were told of users' quotas.",
            width=12,
        ),
        lines(
            "Answered by flag servers, by outcome",
            Query(
                "sum by (operation, outcome) (rate(brownout_flags_quota_requests_total[$__rate_interval]))",
                "{{operation}}: {{outcome}}",
            ),
            unit="reqps",
            says="Of all namespaces: the ledger's own count. uncounted: the storage was away, and the policy lets users in then.",
            width=12,
        ),
    ],
)

DASHBOARD = Dashboard(
    uid="brownout-product",
    title="Brownout: product",
    says="Which users have which variant of which feature, what they ask for, and who is refused.",
    variables=[
        Variable("namespace", "brownout_cell_info"),
        Variable("feature", 'brownout_cell_info{namespace=~"$namespace"}'),
        Variable("flag", 'brownout_cell_info{namespace=~"$namespace", feature=~"$feature"}', narrowed=True),
    ],
    rows=[SHARES, REQUESTS, QUOTAS],
)
