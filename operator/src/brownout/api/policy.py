"""FeaturePolicy: which variants a feature has, which tiers may lose it, and where its demand is read."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta

from brownout.api.reasons import Reason
from brownout.api.scaler import Mode
from brownout.api.schema import (
    ONE_DISPLAY_NAME_EACH,
    Column,
    Conditions,
    DisplayNames,
    FlagKey,
    Label,
    Locale,
    Name,
    Object,
    Quantity,
    Query,
    Ref,
    Resource,
    Rule,
    Time,
)

PROMETHEUS_LABEL = r"^[A-Za-z_][A-Za-z0-9_]*$"
LONGEST_USER = 256
"""Characters of a targetingKey; nobody with a longer one is held back alone."""


class Cost(Object, frozen=True, kw_only=True):
    """What one request of a variant costs a workload, in GPU-seconds, as declared; a learned factor corrects it."""

    scaler: Annotated[Name, Meta(description="an InferenceScaler of this namespace")]
    gpu_seconds_per_request: Annotated[Quantity, Meta(description='GPU-seconds, such as 12, "0.5" or 700m')]


class Variant(Object, frozen=True, kw_only=True):
    """One quality of the feature. Call the last one `denied`, not `off`, which YAML reads as a boolean."""

    rules: ClassVar = (
        Rule(
            "!has(self.costs) || self.costs.all(c, self.costs.exists_one(d, d.scaler == c.scaler))",
            "a variant names a scaler twice; write one cost for each scaler",
            ".costs",
        ),
    )
    name: Label
    value: Annotated[dict[str, Any], Meta(max_length=64, description="what clients get, verbatim")] = {}
    costs: Annotated[tuple[Cost, ...], Meta(max_length=8, description="what one request takes from each workload")] = ()


class Quota(Object, frozen=True, kw_only=True):
    """Units for each user and period; a user who changes the tier keeps what was used, and has the new tier's limit."""

    rules: ClassVar = (
        Rule(
            "!has(self.zoneKey) || self.day == 'User'",
            "zoneKey is for day: User; remove it, or write day: User",
        ),
    )
    limit: Annotated[int, Meta(ge=0, le=1_000_000)]
    period: Literal["Day"] = "Day"
    day: Annotated[
        Literal["UTC", "User"], Meta(description="UTC: for all alike. User: the day where the user is; UTC if unknown")
    ] = "UTC"
    zone_key: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=253,
                examples=["zoneinfo"],
                description="context attribute with an IANA name such as Europe/Paris; zoneinfo if absent",
            ),
        ]
        | None
    ) = None
    when_unavailable: Annotated[
        Literal["Allow", "Deny"], Meta(description="what users get while their use cannot be counted")
    ] = "Allow"


class TierEntry(Object, frozen=True, kw_only=True):
    """Always: never shed. Auto: shed down to `lowest` (default: the last variant). Never: not part of this tier's plan."""

    rules: ClassVar = (
        Rule(
            "!has(self.lowest) || self.availability == 'Auto'",
            "lowest is for availability Auto; remove it, or write availability: Auto",
        ),
    )
    tier_ref: Ref
    availability: Literal["Always", "Auto", "Never"] = "Auto"
    lowest: Annotated[Label, Meta(description="the last variant that this tier may be shed to")] | None = None
    quota: Quota | None = None


class DemandQuery(Object, frozen=True, kw_only=True):
    """One series for each tier and cohort, in requests a second."""

    query: Query
    tier_label: Annotated[str, Meta(min_length=1, max_length=63, pattern=PROMETHEUS_LABEL)] = "tier"
    cohort_label: Annotated[
        str,
        Meta(min_length=1, max_length=63, pattern=PROMETHEUS_LABEL, description="empty in a series: the tier's rest"),
    ] = "cohort"


class HeaviestQuery(DemandQuery, frozen=True, kw_only=True):
    """One series for each of the heaviest users of each tier and cohort, in requests a second; at least two of each."""

    rules: ClassVar = (
        Rule(
            "!has(self.userLabel) || ((!has(self.tierLabel) || self.userLabel != self.tierLabel)"
            " && (!has(self.cohortLabel) || self.userLabel != self.cohortLabel))",
            "userLabel is the label of the tier or of the cohort; write the label that names users",
        ),
    )
    user_label: Annotated[
        str, Meta(min_length=1, max_length=63, pattern=PROMETHEUS_LABEL, description="its value is the targetingKey")
    ] = "user"


class Demand(Object, frozen=True, kw_only=True):
    """Where the rates are read; all default to the reference server's names."""

    offered: Annotated[DemandQuery, Meta(description="what users asked for")] | None = None
    admitted: Annotated[DemandQuery, Meta(description="what was let through")] | None = None
    heaviest: (
        Annotated[
            HeaviestQuery, Meta(description="what the heaviest users asked for, so that one may be held back alone")
        ]
        | None
    ) = None
    remember_seconds: Annotated[
        int, Meta(ge=1, le=86400, description="how long the demand from before a shed is remembered; it decays")
    ] = 3600


class Restore(Object, frozen=True, kw_only=True):
    """How what was taken comes back: after a dwell, then in parts."""

    after_seconds: Annotated[
        int,
        Meta(
            ge=0,
            le=86400,
            description="the least time after the cell's last shed; stepSeconds where nothing waits and a quarter is free",
        ),
    ] = 120
    step_percent: Annotated[int, Meta(ge=5, le=100, description="the greatest share of a cell's users in one step")] = (
        50
    )
    step_seconds: Annotated[int, Meta(ge=0, le=3600, description="the least time between two steps")] = 30


class Notice(Object, frozen=True, kw_only=True):
    """Words for users, chosen by locale; the first notice's locale is the default."""

    locale: Locale = "en"
    when: Annotated[
        Literal["Denied", "Degraded"], Meta(description="Denied: on the last variant. Degraded: between first and last")
    ] = "Denied"
    text: Annotated[str, Meta(min_length=1, max_length=500, description="plain text, as users read it")]


class FeaturePolicySpec(Object, frozen=True, kw_only=True):
    rules: ClassVar = (
        Rule(
            "self.variants.all(v, self.variants.exists_one(w, w.name == v.name))",
            "two variants share a name; give each its own",
            ".variants",
        ),
        Rule(
            "!has(self.tiers) || self.tiers.all(t, !has(t.lowest) || self.variants.exists(v, v.name == t.lowest))",
            "lowest names no variant of this policy; write one of the names under variants",
            ".tiers",
        ),
        Rule(
            "!has(self.tiers) || self.tiers.all(t, self.tiers.exists_one(u, u.tierRef.name == t.tierRef.name))",
            "a tier is listed twice; list each tier once",
            ".tiers",
        ),
        Rule(
            "!has(self.variants[size(self.variants) - 1].costs) || size(self.variants[size(self.variants) - 1].costs) == 0",
            "the last variant is the denial and costs nothing; remove its costs, or add a variant such as {name: denied} after it",
            ".variants",
        ),
        Rule(
            "!has(self.notices) || self.notices.all(n, self.notices.exists_one(m, m.locale == n.locale && m.when == n.when))",
            "two notices have the same locale and when; write one text for each",
            ".notices",
        ),
        ONE_DISPLAY_NAME_EACH,
    )
    flag_key: Annotated[FlagKey, Meta(description="the flag's key, as OpenFeature clients ask for it; one policy each")]
    display_names: DisplayNames = ()
    mode: Annotated[
        Mode,
        Meta(
            description="Auto: shed and restore. Advise: say what would change, and serve the first variant. Paused: cells stay as they are"
        ),
    ] = "Auto"
    variants: Annotated[
        tuple[Variant, ...], Meta(min_length=2, max_length=8, description="best first; the last is the denial")
    ]
    shed_order: Annotated[int, Meta(ge=0, le=1000, description="within a tier, lower goes first")] = 100
    tiers: Annotated[tuple[TierEntry, ...], Meta(max_length=16, description="a tier that is not listed is Never")] = ()
    demand: Demand = Demand()
    restore: Restore = Restore()
    notices: Annotated[tuple[Notice, ...], Meta(max_length=64)] = ()


class CellStatus(Object, frozen=True, kw_only=True):
    """One line for each cell: `percent` of its users have `variant`, the others the next lower one.

    A line with `user` speaks of one user of the cell, whose demand alone was a great part of it; `percent` is then of the seconds.
    While a person's override is
    in force all of them have `overriddenTo`, and the rest is where the loop goes on from.
    """

    tier: str
    cohort: str = ""
    user: Annotated[
        str, Meta(max_length=LONGEST_USER, description="the targetingKey of a user who is held back alone")
    ] = ""
    variant: str
    percent: int = 100
    overridden_to: str = ""
    reason: str = ""
    message: str = ""
    since: Time = ""
    expected_return: Time = ""
    refused_by: Annotated[str, Meta(description="the rule of the restore gate that keeps it from coming back now")] = ""
    refusal: Annotated[str, Meta(description="on what numbers it does")] = ""
    last_shed_at: Time = ""
    dwell_seconds: int = 0
    offered: Annotated[str, Meta(description="requests a second that were asked for when this was written")] = ""
    offered_before: str = ""
    reversals: tuple[Time, ...] = ()
    direction: str = ""

    def step(self, variants: Sequence[str]) -> int:
        """The place of its variant among these names, from 0, the best.

        Of a name that is not among them any more the last: what is not known is not given away. But from users who had the best
        variant nothing was taken, and to give it another name takes nothing from them either.
        """
        if self.variant in variants:
            return variants.index(self.variant)
        return 0 if self.reason == Reason.SERVED and self.percent == 100 else len(variants) - 1


class FeaturePolicyStatus(Object, frozen=True, kw_only=True):
    observed_generation: int = 0
    version: Annotated[int, Meta(description="rises only when what is served changes")] = 0
    decision: Annotated[
        str,
        Meta(
            description="the id of the tick that made this version; its lines of the operator's log and its Events have it"
        ),
    ] = ""
    summary: Annotated[str, Meta(description="what is taken from whom, in one line")] = ""
    cells: tuple[CellStatus, ...] = ()
    conditions: Conditions = ()


FEATURE_POLICY = Resource(
    kind="FeaturePolicy",
    plural="featurepolicies",
    short_names=("fpol",),
    spec=FeaturePolicySpec,
    status=FeaturePolicyStatus,
    description="Which variants a feature has, which tiers may lose it, and in which order.",
    columns=(
        Column("Flag", ".spec.flagKey"),
        Column("Mode", ".spec.mode", "string", "", 1),
        Column("Shed-Order", ".spec.shedOrder", "integer", "within a tier, lower goes first", 1),
        Column("Served", ".status.summary", "string", "what is taken from whom"),
        Column("Shedding", '.status.conditions[?(@.type=="Shedding")].status'),
        Column("Ready", '.status.conditions[?(@.type=="Ready")].status'),
        Column("Version", ".status.version", "integer", "rises when what is served changes", 1),
        Column("Age", ".metadata.creationTimestamp", "date"),
    ),
)
