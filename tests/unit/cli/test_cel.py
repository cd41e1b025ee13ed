"""The evaluator of rules: what it understands, and that it refuses the rest."""

import pytest

from brownout.api.resources import RESOURCES
from brownout.cli.validation.cel import NoSuchKeyError, UnknownSyntaxError, rule
from support.schemas import nodes, schema


@pytest.mark.parametrize(
    ("text", "this"),
    [
        ("self.a <= self.b", {"a": 1, "b": 1}),
        ("self.a - 1 == 0 && self.b + 1 == 3", {"a": 1, "b": 2}),
        ("!has(self.a)", {}),
        ("has(self.a.b) || self.c", {"a": {}, "c": True}),
        ("!(self.a in ['x', 'y'])", {"a": "z"}),
        ("self.all(x, self.exists_one(y, y == x))", [1, 2, 3]),
        ("self.exists(x, x > 2)", [1, 2, 3]),
        ("self[size(self) - 1] == 'c'", ["a", "b", "c"]),
        ("type(self.a) == int ? int(self.a) > 0 : !string(self.a).matches('^0$')", {"a": "01"}),
        ("self.__namespace__ == 'media'", {"namespace": "media"}),
        ("self.a == 1 || self.b == 1 && self.c == 1", {"a": 1, "b": 1, "c": 0}),
        ("true && !false", {}),
    ],
)
def test_a_rule_holds(text: str, this: object) -> None:
    assert rule(text)(this)


@pytest.mark.parametrize(
    ("text", "this"),
    [
        ("self.all(x, self.exists_one(y, y == x))", [1, 2, 1]),
        ("self.exists(x, x > 3)", [1, 2, 3]),
        ("has(self.a) && self.a", {"a": False}),
        ("(self.a == 1 || self.b == 1) && self.c == 1", {"a": 1, "b": 1, "c": 0}),
        ("self.a != self.b", {"a": "x", "b": "x"}),
    ],
)
def test_a_rule_is_broken(text: str, this: object) -> None:
    assert not rule(text)(this)


def test_an_outer_variable_is_seen_inside_and_not_kept() -> None:
    assert rule("self.all(x, self.all(y, x >= y || y > x))")([1, 2])
    with pytest.raises(KeyError):
        rule("self.all(x, true) && x == 1")([1])


def test_a_field_that_is_not_there_is_an_error_as_on_the_server() -> None:
    with pytest.raises(NoSuchKeyError):
        rule("self.a == 1")({})


@pytest.mark.parametrize(
    "text", ["self.a.map(x, x)", "self.a == 1.5", "self.a % 2", "duration(self.a)", "self.a ==", "self.a == 1)", '"a"']
)
def test_what_it_does_not_know_is_refused_when_the_rule_is_read(text: str) -> None:
    with pytest.raises(UnknownSyntaxError):
        rule(text)


def test_it_reads_every_rule_of_the_api() -> None:
    rules = [
        entry["rule"]
        for resource in RESOURCES
        for _, node in nodes(schema(resource, "spec"))
        for entry in node.get("x-kubernetes-validations", ())
    ]
    assert len(rules) > 20
    for text in rules:
        rule(text)
