"""Who somebody is, compiled: the rule of the audience flag as a function from a context to a place in the decision table.

The rule is read back from the rendered document, so that what is compiled is what every protocol carries. A test is recognised
by rendering what was read again: what does not come out the same to the letter is refused, never guessed at. The answers are
those of the reference evaluator, coercions included; `audience.py` is written so that none of them earns anything.
"""

from collections.abc import Callable, Mapping
from typing import Any

from brownout.api.tier import Match
from brownout.flags.audience import Logic, test_of

Context = Mapping[str, Any]
"""The attributes of a user, `targetingKey` among them, as JSON has them."""

Test = Callable[[Context, int], bool]
"""Whether something holds for a context, at a Unix second."""

Place = Callable[[Context, int], int]
"""The place of a user's audience among the rule's outcomes, in the order of the document."""

NUMBERS = (int, float)

OLDEST_MOMENT = 1
"""0 and 1 are what an unset field, and `true`, look like."""


class UnknownLogicError(ValueError):
    """A rule that the renderer does not write."""


def classifier(rule: Logic) -> Place:
    """The function that finds the place of a user's audience. Raises UnknownLogicError."""
    place, _ = _compiled(rule, 0)
    if isinstance(place, int):
        only = place
        return lambda context, second: only
    return place


def outcomes(skeleton: Logic, rule: Logic) -> list[Logic]:
    """What a flag's rule comes to at each place of the audience's, in the same order.

    Both are one rule but for the outcomes. Raises UnknownLogicError where they are not.
    """
    if isinstance(skeleton, str):
        return [rule]
    if not isinstance(rule, dict) or rule.keys() != skeleton.keys() or len(rule["if"]) != len(skeleton["if"]):
        raise UnknownLogicError(f"a flag asks other questions than the audience: {rule!r:.200}")
    found: list[Logic] = []
    last = len(rule["if"]) - 1
    for n, (ours, theirs) in enumerate(zip(skeleton["if"], rule["if"], strict=True)):
        if n % 2 or n == last:
            found += outcomes(ours, theirs)
        elif ours != theirs:
            raise UnknownLogicError(f"a flag asks another question than the audience: {theirs!r:.200}")
    return found


def _compiled(rule: Logic, first: int) -> tuple[int | Place, int]:
    """The place that a rule comes to, or the function that finds it; and how many places it has, `first` being the first."""
    if isinstance(rule, str):
        return first, 1
    if rule.keys() != {"if"} or not len(rule["if"]) % 2:
        raise UnknownLogicError(f"not the rule of an audience: {rule!r:.200}")
    *parts, last = rule["if"]
    branches: list[tuple[Test, int | Place]] = []
    count = 0
    for test, then in zip(parts[::2], parts[1::2], strict=True):
        place, places = _compiled(then, first + count)
        branches.append((_all_of(test), place))
        count += places
    otherwise, places = _compiled(last, first + count)
    if table := _by_value(parts[::2], [place for _, place in branches]):
        return _look_up(*table, otherwise), count + places

    def find(context: Context, second: int) -> int:
        for test, place in branches:
            if test(context, second):
                return place if isinstance(place, int) else place(context, second)
        return otherwise if isinstance(otherwise, int) else otherwise(context, second)

    return find, count + places


def _by_value(tests: list[Logic], places: list[int | Place]) -> tuple[str, dict[str, int | Place]] | None:
    """The attribute that all these tests look for in a list, and where each value leads: one look instead of a test each."""
    matches = [_read(test) for test in tests]
    keys = {match.key if match is not None and match.operator == "In" else "." for match in matches}
    key = keys.pop()
    if keys or "." in key:
        return None
    table: dict[str, int | Place] = {}
    for match, place in zip(matches, places, strict=True):
        for value in match.values if match is not None else ():
            table.setdefault(value, place)
    return key, table


def _look_up(key: str, table: dict[str, int | Place], otherwise: int | Place) -> Place:
    def find(context: Context, second: int) -> int:
        value = context.get(key)
        place = table.get(value, otherwise) if isinstance(value, str) else otherwise
        return place if isinstance(place, int) else place(context, second)

    return find


def _all_of(logic: Logic) -> Test:
    match = _read(logic)
    if match is not None:
        return _test(match)
    if not isinstance(logic, dict) or logic.keys() != {"and"}:
        raise UnknownLogicError(f"not a test of an audience: {logic!r:.200}")
    tests = [_all_of(part) for part in logic["and"]]
    return lambda context, second: bool(tests) and all(test(context, second) for test in tests)


def _read(logic: Any) -> Match | None:
    """The match that was rendered as this test; None where none was."""
    found: Match | None = None
    match logic:
        case {"and": [{"in": [{"var": str(key)}, [*values]]}, _]}:
            found = Match(key=key, operator="In", values=tuple(values))
        case {"and": [*_, {"!": {"in": [{"var": str(key)}, [*values]]}}]}:
            found = Match(key=key, operator="NotIn", values=tuple(values))
        case {"and": [{"!==": [{"var": str(key)}, _]}, _]}:
            found = Match(key=key, operator="Exists")
        case {"!": {"and": [{"!==": [{"var": str(key)}, _]}, _]}}:
            found = Match(key=key, operator="DoesNotExist")
        case {"and": [*_, {"<=": [{"var": str(key)}, {"-": [_, int(seconds)]}]}, _]}:
            found = Match(key=key, operator="OlderThan", seconds=seconds)
        case {"!": {"and": [*_, {"<=": [{"var": str(key)}, {"-": [_, int(seconds)]}]}, _]}}:
            found = Match(key=key, operator="YoungerThan", seconds=seconds)
    return found if found is not None and test_of(found) == logic else None


def _test(match: Match) -> Test:
    """One test as a function. `type(value) is str` rather than isinstance: JSON has no subclasses, and this is asked most."""
    value_of, values, seconds = attribute(match.key), frozenset(match.values), match.seconds or 0

    def is_in(context: Context, second: int) -> bool:
        value = value_of(context)
        return isinstance(value, str) and value in values

    def is_not_in(context: Context, second: int) -> bool:
        value = value_of(context)
        return isinstance(value, str) and value != "" and value not in values

    def exists(context: Context, second: int) -> bool:
        value = value_of(context)
        return value is not None and value != ""

    def is_older(context: Context, second: int) -> bool:
        value = value_of(context)
        return isinstance(value, NUMBERS) and OLDEST_MOMENT < value <= second - seconds

    tests: dict[str, Test] = {
        "In": is_in,
        "NotIn": is_not_in,
        "Exists": exists,
        "DoesNotExist": lambda context, second: not exists(context, second),
        "OlderThan": is_older,
        "YoungerThan": lambda context, second: not is_older(context, second),
    }
    return tests[match.operator]


def attribute(key: str) -> Callable[[Context], Any]:
    """JsonLogic's `var`: a dot descends into objects, and into lists and strings by place or `length`."""
    first, *rest = key.split(".")
    if first == "$flagd":
        raise UnknownLogicError(f"{key} is not an attribute of the context but what evaluators add to it")
    if not rest:
        return lambda context: context.get(first)

    def descend(context: Context) -> Any:
        value = context.get(first)
        for part in rest:
            if isinstance(value, dict):
                value = value.get(part)
            elif isinstance(value, list | str):
                if part == "length":
                    return len(value)
                if not part.isdecimal() or part != str(int(part)) or int(part) >= len(value):
                    return None
                value = value[int(part)]
            else:
                return None
        return value

    return descend
