"""UserTier: a class of users, matched on the OpenFeature evaluation context."""

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from brownout.api.schema import Column, Conditions, Label, Object, Resource, Rule


class Match(Object, frozen=True, kw_only=True):
    """One test on one attribute of the context.

    In, NotIn: against values. Exists, DoesNotExist. YoungerThan, OlderThan: Unix seconds against `seconds` ago; for
    YoungerThan an attribute that is absent, or in the future, counts as young.
    """

    rules: ClassVar = (
        Rule(
            r"!self.key.matches('^[$]flagd([.]|$)')",
            "$flagd is what evaluators add to a context; write an attribute of the user, such as key: plan",
            ".key",
        ),
        Rule(
            "!(self.operator in ['In', 'NotIn']) || (has(self.values) && size(self.values) > 0)",
            "In and NotIn need values; write values: [free]",
        ),
        Rule(
            "!(self.operator in ['YoungerThan', 'OlderThan']) || has(self.seconds)",
            "YoungerThan and OlderThan need seconds; write seconds: 604800 for a week",
        ),
        Rule(
            "self.operator in ['In', 'NotIn'] || !has(self.values) || size(self.values) == 0",
            "values are for In and NotIn; remove them, or write operator: In",
        ),
        Rule(
            "self.operator in ['YoungerThan', 'OlderThan'] || !has(self.seconds)",
            "seconds is for YoungerThan and OlderThan; remove it, or write operator: YoungerThan",
        ),
    )
    key: Annotated[str, Meta(min_length=1, max_length=100, description="an attribute of the evaluation context")]
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "YoungerThan", "OlderThan"]
    values: Annotated[
        tuple[Annotated[str, Meta(max_length=253)], ...], Meta(max_length=64, description="for In and NotIn")
    ] = ()
    seconds: (
        Annotated[
            int, Meta(ge=1, le=3_155_760_000, description="for YoungerThan and OlderThan: the age that parts them")
        ]
        | None
    ) = None


class Cohort(Object, frozen=True, kw_only=True):
    """A named part of a tier that is shed before the rest."""

    name: Label
    match: Annotated[tuple[Match, ...], Meta(min_length=1, max_length=8, description="all must hold")]


class UserTierSpec(Object, frozen=True, kw_only=True):
    rules: ClassVar = (
        Rule(
            "!has(self.cohorts) || self.cohorts.all(c, self.cohorts.exists_one(d, d.name == c.name))",
            "two cohorts share a name; give each its own",
        ),
    )
    priority: Annotated[int, Meta(ge=0, le=1000, description="higher is protected longer")]
    match: Annotated[
        tuple[Match, ...], Meta(max_length=8, description="all must hold; none makes this the default tier")
    ] = ()
    cohorts: Annotated[tuple[Cohort, ...], Meta(max_length=8, description="shed first to last, before the rest")] = ()


class UserTierStatus(Object, frozen=True, kw_only=True):
    observed_generation: int = 0
    tried: Annotated[int, Meta(description="place in the order in which tiers are tried; 1 is first")] = 0
    conditions: Conditions = ()


USER_TIER = Resource(
    kind="UserTier",
    plural="usertiers",
    short_names=("utier",),
    spec=UserTierSpec,
    status=UserTierStatus,
    description="A class of users, with a priority and cohorts that are shed before the rest.",
    columns=(
        Column("Priority", ".spec.priority", "integer", "higher is protected longer"),
        Column("Tried", ".status.tried", "integer", "place in the order in which tiers are tried"),
        Column("Cohorts", ".spec.cohorts[*].name"),
        Column("Ready", '.status.conditions[?(@.type=="Ready")].status'),
        Column("Reason", '.status.conditions[?(@.type=="Ready")].reason', "string", "", 1),
        Column("Age", ".metadata.creationTimestamp", "date"),
    ),
)
