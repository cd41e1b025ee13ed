"""Every test of an attribute, and odd values for it: what all evaluators of the format are held to."""

import json
import time
from typing import Any

from msgspec import structs

from brownout.api.tier import Match
from brownout.flags.evaluate import Evaluation, Evaluator
from brownout.flags.render import AUDIENCE, FlagSet, render
from flags.builders import NAMESPACE, WEEK, tier
from flags.random_flags import NOW

WEEK_AGO = int(NOW) - WEEK
CONTAINERS: list[Any] = [[], [1_500_000_000], ["pro"], [[]], {}, {"a": "pro"}]
ODD: list[Any] = [
    *(None, True, False, "", " ", "0", "1", "pro", "PRO", "pro ", "1500000000", "1.5e9", "NaN", "-inf", "\x00"),
    *(0, -0.0, 1, 1.0, 1.5, 2, -1, 1_500_000_000, 1.5e9, 10**10, 2**63, -(2**64), 10**308, 1e308, 5e-324),
    *(WEEK_AGO - 6000, WEEK_AGO + 6000, WEEK_AGO + 6000.5, *CONTAINERS),
]
TESTS = [
    Match(key="a", operator="In", values=("pro", "", "1", "None", "True")),
    Match(key="a", operator="NotIn", values=("pro", "1", "None")),
    Match(key="a", operator="Exists"),
    Match(key="a", operator="DoesNotExist"),
    Match(key="a", operator="OlderThan", seconds=WEEK),
    Match(key="a", operator="YoungerThan", seconds=WEEK),
]


def audience_of(match: Match, key: str) -> FlagSet:
    """A set with one test in it, of this attribute: who passes it is in the tier `matched`, everybody else in `other`."""
    tiers = [tier("matched", 2, structs.replace(match, key=key)), tier("other", 1)]
    return render(NAMESPACE, policies=[], tiers=tiers, overrides=[], now=NOW)


def rule_of(flag_set: FlagSet) -> dict[str, Any]:
    """The rule by which the set finds a user's audience."""
    found: dict[str, Any] = json.loads(flag_set.flags[AUDIENCE])["targeting"]
    return found


def audience(flag_set: FlagSet, context: dict[str, Any]) -> str:
    """The audience that our evaluator finds now."""
    found = Evaluator(flag_set).evaluate(AUDIENCE, context, now=time.time())
    assert isinstance(found, Evaluation)
    return found.variant


def expected_audiences(
    match: Match, key: str, flag_set: FlagSet, users: list[dict[str, Any]], *, no_containers: set[str], error: str
) -> list[str]:
    """What another evaluator is to find: what ours does, or an `error` where a test is one there of a list or an object."""
    return [
        error if match.operator in no_containers and _is_container(user, key) else audience(flag_set, user)
        for user in users
    ]


def contexts() -> list[dict[str, Any]]:
    """Each odd value as the attribute `a`, and as `b.a`; and none."""
    return [{}, *({"a": value} for value in ODD), *({"b": {"a": value}} for value in ODD)]


def _is_container(context: dict[str, Any], key: str) -> bool:
    """Whether the attribute is a list or an object."""
    value: Any = context
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return isinstance(value, list | dict)
