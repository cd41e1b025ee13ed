"""FeatureOverride: a person's word, above the loop, never for ever."""

from datetime import UTC, datetime
from typing import Annotated, ClassVar

from msgspec import Meta

from brownout.api.schema import Column, Conditions, Label, Name, Object, Ref, Resource, Rule, Time

MAX_OVERRIDE_SECONDS = 7 * 86400


Cohort = Annotated[
    str,
    Meta(
        max_length=63,
        pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$",
        examples=["new-accounts"],
        description="none means the whole tier, an empty one the rest of it, who are in no cohort",
    ),
]


class CellRef(Object, frozen=True, kw_only=True):
    """A tier, and a cohort of it; without a cohort all of the tier."""

    tier: Name
    cohort: Cohort | None = None


class FeatureOverrideSpec(Object, frozen=True, kw_only=True):
    rules: ClassVar = (Rule("self == oldSelf", "an override cannot be changed; delete it and write a new one"),)
    policy_ref: Annotated[Ref, Meta(description="the FeaturePolicy of this namespace that is overridden")]
    cells: Annotated[tuple[CellRef, ...], Meta(max_length=64, description="none means all cells of the policy")] = ()
    variant: Annotated[Label, Meta(description="what these cells get, one of the policy's variants")]
    expire_time: Annotated[
        Time,
        Meta(description="when the override ends, at most 7 days after its creation, such as 2026-11-22T20:00:00Z"),
    ]
    reason: Annotated[
        str, Meta(min_length=1, max_length=500, description="why, for whoever looks next; users do not see it")
    ]


def ends_at(spec: FeatureOverrideSpec, *, created_at: float) -> float:
    """Unix seconds at which an override is over: at `expireTime`, and at most seven days after its creation.

    A time that cannot be read ends it where it began: a person's word is never for ever. One without a zone is UTC; one before
    1970, for which UTC may have no year, is 1970.
    """
    try:
        asked = datetime.fromisoformat(spec.expire_time)
    except ValueError:
        return created_at
    moment = asked if asked.tzinfo else asked.replace(tzinfo=UTC)
    return min(max(0.0, moment.timestamp()), created_at + MAX_OVERRIDE_SECONDS)


class FeatureOverrideStatus(Object, frozen=True, kw_only=True):
    observed_generation: int = 0
    state: Annotated[str, Meta(description="Active, Superseded, Expired or Invalid")] = ""
    cells: Annotated[int, Meta(description="cells that the override decides now")] = 0
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
