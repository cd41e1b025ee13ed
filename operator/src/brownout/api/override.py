"""FeatureOverride: a person's word, above the loop, never for ever."""

from typing import Annotated, ClassVar

from msgspec import Meta

from brownout.api.schema import Column, Conditions, Label, Name, Object, Ref, Resource, Rule, Time

MAX_OVERRIDE_SECONDS = 7 * 86400


class CellRef(Object, frozen=True, kw_only=True):
    """A tier, and a cohort of it; without a cohort all of the tier."""

    tier: Name
    cohort: Label | None = None


class FeatureOverrideSpec(Object, frozen=True, kw_only=True):
    rules: ClassVar = (Rule("self == oldSelf", "an override cannot be changed; delete it and write a new one"),)
    policy_ref: Ref
    cells: Annotated[tuple[CellRef, ...], Meta(max_length=64, description="none means all cells of the policy")] = ()
    variant: Label
    expire_time: Time
    reason: Annotated[str, Meta(min_length=1, max_length=500)]


class FeatureOverrideStatus(Object, frozen=True, kw_only=True):
    observed_generation: int = 0
    state: str = ""
    cells: int = 0
    conditions: Conditions = ()


FEATURE_OVERRIDE = Resource(
    kind="FeatureOverride",
    plural="featureoverrides",
    short_names=("fov",),
    spec=FeatureOverrideSpec,
    status=FeatureOverrideStatus,
    description="A person's word above the loop, until it expires.",
    columns=(
        Column("Policy", ".spec.policyRef.name"),
        Column("Variant", ".spec.variant"),
        Column("State", ".status.state"),
        Column("Cells", ".status.cells", "integer"),
        Column("Expires", ".spec.expireTime", "string"),
        Column("Reason", ".spec.reason", "string", "", 1),
        Column("Age", ".metadata.creationTimestamp", "date"),
    ),
)
