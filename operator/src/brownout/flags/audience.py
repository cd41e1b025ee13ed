"""Who somebody is: the tiers and cohorts of a namespace as JsonLogic over the OpenFeature evaluation context.

The rules are written for every engine that reads flagd's format, not for one: JsonLogic engines differ in how they coerce, so
nothing here rests on coercion. What is unknown or malformed never earns anything:

- In, NotIn   hold for text only, NotIn not for the empty text. Without the attribute neither holds.
- Exists      any value but null and the empty text; DoesNotExist is its opposite.
- OlderThan   a JSON number of Unix seconds that far in the past. 0 is what an unset field looks like, and counts as absent.
- YoungerThan whatever is not OlderThan: also an attribute that is absent, malformed or in the future.

A dot in a key descends into an object, as JsonLogic's `var` does.
"""

from collections.abc import Callable, Iterable
from typing import Any

from brownout.api.resources import Stored
from brownout.api.tier import Match, UserTierSpec, UserTierStatus

Tier = Stored[UserTierSpec, UserTierStatus]
Logic = dict[str, Any] | str
"""A JsonLogic rule, or the name of the variant that it would come to."""

NOW = {"var": "$flagd.timestamp"}
"""Unix seconds of the evaluation; every flagd evaluator provides it."""

REMAINDER = ""
"""The cohort of the users of a tier whom no cohort matches."""


def in_order(tiers: Iterable[Tier]) -> tuple[Tier, ...]:
    """The tiers as they are tried: by descending priority, then by name, the default last.

    The default is the tier without `match`; where there is none, or more than one, the last of the candidates: unknown users
    get the least protected one.
    """
    ordered = sorted(tiers, key=lambda tier: (-tier.spec.priority, tier.key.name))
    candidates = [tier for tier in ordered if not tier.spec.match] or ordered
    if not candidates:
        return ()
    default = candidates[-1]
    return (*(tier for tier in ordered if tier.spec.match and tier is not default), default)


def by_audience(tiers: Iterable[Tier], outcome: Callable[[Tier, str], Logic]) -> Logic | None:
    """A rule that finds a user's tier and cohort and comes to `outcome(tier, cohort)`. None where there are no tiers."""
    ordered = in_order(tiers)
    if not ordered:
        return None
    *tried, default = ordered
    return _first_of(
        [(_all_of(tier.spec.match), _by_cohort(tier, outcome)) for tier in tried], _by_cohort(default, outcome)
    )


def _by_cohort(tier: Tier, outcome: Callable[[Tier, str], Logic]) -> Logic:
    cohorts = [(_all_of(cohort.match), outcome(tier, cohort.name)) for cohort in tier.spec.cohorts]
    return _first_of(cohorts, outcome(tier, REMAINDER))


def _first_of(branches: list[tuple[Logic, Logic]], otherwise: Logic) -> Logic:
    if not branches:
        return otherwise
    return {"if": [*(part for branch in branches for part in branch), otherwise]}


def _all_of(matches: Iterable[Match]) -> Logic:
    tests = [test_of(match) for match in matches]
    return tests[0] if len(tests) == 1 else {"and": tests}


def test_of(match: Match) -> Logic:
    """One test on one attribute as JsonLogic."""
    attribute = {"var": match.key}
    match match.operator:
        case "In":
            return {"and": [_is_listed(attribute, match), _equals_its_text(attribute)]}
        case "NotIn":
            return {"and": [*_is_no_boolean(attribute), _is_text(attribute), {"!": _is_listed(attribute, match)}]}
        case "Exists":
            return _exists(attribute)
        case "DoesNotExist":
            return {"!": _exists(attribute)}
        case "OlderThan":
            return _older_than(attribute, match.seconds or 0)
        case "YoungerThan":
            return {"!": _older_than(attribute, match.seconds or 0)}


def _exists(attribute: Logic) -> Logic:
    return {"and": [{"!==": [attribute, None]}, {"!==": [attribute, ""]}]}


def _is_listed(attribute: Logic, match: Match) -> Logic:
    """Go's engine finds a number equal to a text that reads as it, and 0 to every text that is none: ask for text beside this."""
    return {"in": [attribute, list(match.values)]}


def _equals_its_text(attribute: Logic) -> Logic:
    """`cat` leaves text as it is and turns everything else into text: only text stays equal to itself.

    Go's engine has no text of a boolean, a list or an object: to ask is an error there, so these are to be ruled out before.
    """
    return {"===": [attribute, {"cat": [attribute]}]}


def _is_text(attribute: Logic) -> Logic:
    return {"and": [_exists(attribute), _equals_its_text(attribute)]}


def _is_no_boolean(attribute: Logic) -> list[Logic]:
    return [{"!==": [attribute, True]}, {"!==": [attribute, False]}]


def _older_than(attribute: Logic, seconds: int) -> Logic:
    """`+` leaves a number as it is and turns everything else into a number: only a number stays equal to itself.

    Not of text, for to compare what is no number is an error in JavaScript's engine. Beyond 1, which is what an unset field looks like.
    """
    return {
        "and": [
            *_is_no_boolean(attribute),
            {"!==": [attribute, {"cat": [attribute]}]},
            {">": [attribute, 1]},
            {"<=": [attribute, {"-": [NOW, seconds]}]},
            {"===": [attribute, {"+": [attribute, 0]}]},
        ]
    }
