"""FeaturePolicy: which variants a feature has, which tiers may lose it, and where its demand is read."""

from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta

from brownout.api.scaler import Mode
from brownout.api.schema import (
    Column,
    Conditions,
    FlagKey,
    Label,
    Name,
    Object,
    Quantity,
    Query,
    Ref,
    Resource,
    Rule,
    Time,
    schema_extra,
)


class Cost(Object, frozen=True, kw_only=True):
    """What one request of a variant costs a workload, in GPU-seconds, as declared; a learned factor corrects it."""

    scaler: Name
    gpu_seconds_per_request: Quantity


class Variant(Object, frozen=True, kw_only=True):
    name: Label
    value: Annotated[dict[str, Any], schema_extra(x_kubernetes_preserve_unknown_fields=True)] = {}
    costs: Annotated[tuple[Cost, ...], Meta(max_length=8)] = ()


class Quota(Object, frozen=True, kw_only=True):
    """Units for each user and period."""

    limit: Annotated[int, Meta(ge=0, le=1_000_000)]
    period: Literal["Day"] = "Day"
    when_unavailable: Literal["Allow", "Deny"] = "Allow"


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
    lowest: Label | None = None
    quota: Quota | None = None


class DemandQuery(Object, frozen=True, kw_only=True):
    """One series for each tier and cohort, in requests a second."""

    query: Query
    tier_label: Annotated[str, Meta(min_length=1, max_length=63)] = "tier"
    cohort_label: Annotated[str, Meta(min_length=1, max_length=63)] = "cohort"


class Demand(Object, frozen=True, kw_only=True):
    """Where the rates are read; both default to the reference server's names."""

    offered: DemandQuery | None = None
    admitted: DemandQuery | None = None
    remember_seconds: Annotated[int, Meta(ge=1, le=86400)] = 3600


class Restore(Object, frozen=True, kw_only=True):
    """Dwell after the last shed, then in parts."""

    after_seconds: Annotated[int, Meta(ge=0, le=86400)] = 120
    step_percent: Annotated[int, Meta(ge=5, le=100)] = 50
    step_seconds: Annotated[int, Meta(ge=0, le=3600)] = 30


class Notice(Object, frozen=True, kw_only=True):
    """Words for users, chosen by locale; the first notice's locale is the default."""

    locale: Annotated[str, Meta(min_length=2, max_length=35, pattern="^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$")] = "en"
    when: Literal["Denied", "Degraded"] = "Denied"
    text: Annotated[str, Meta(min_length=1, max_length=500)]


class FeaturePolicySpec(Object, frozen=True, kw_only=True):
    rules: ClassVar = (
        Rule(
            "self.variants.all(v, self.variants.exists_one(w, w.name == v.name))",
            "two variants share a name; give each its own",
        ),
        Rule(
            "!has(self.tiers) || self.tiers.all(t, !has(t.lowest) || self.variants.exists(v, v.name == t.lowest))",
            "lowest names no variant of this policy; write one of the names under variants",
        ),
        Rule(
            "!has(self.tiers) || self.tiers.all(t, self.tiers.exists_one(u, u.tierRef.name == t.tierRef.name))",
            "a tier is listed twice; list each tier once",
        ),
        Rule(
            "!has(self.variants[size(self.variants) - 1].costs) || size(self.variants[size(self.variants) - 1].costs) == 0",
            "the last variant is the denial and costs nothing; remove its costs, or add a variant such as {name: denied} after it",
        ),
    )
    flag_key: FlagKey
    mode: Mode = "Auto"
    variants: Annotated[
        tuple[Variant, ...], Meta(min_length=2, max_length=8, description="best first; the last is the denial")
    ]
    shed_order: Annotated[int, Meta(ge=0, le=1000, description="within a tier, lower goes first")] = 100
    tiers: Annotated[tuple[TierEntry, ...], Meta(max_length=16, description="a tier that is not listed is Never")] = ()
    demand: Demand = Demand()
    restore: Restore = Restore()
    notices: Annotated[tuple[Notice, ...], Meta(max_length=64)] = ()


class CellStatus(Object, frozen=True, kw_only=True):
    """One line for each cell: `percent` of its users have `variant`, the others the next lower one."""

    tier: str
    cohort: str = ""
    variant: str
    percent: int = 100
    reason: str = ""
    message: str = ""
    since: Time = ""
    expected_return: Time = ""
    last_shed_at: Time = ""
    dwell_seconds: int = 0
    offered_before: str = ""
    reversals: tuple[Time, ...] = ()
    direction: str = ""


class FeaturePolicyStatus(Object, frozen=True, kw_only=True):
    observed_generation: int = 0
    version: int = 0
    summary: str = ""
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
