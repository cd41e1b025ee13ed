"""An address yields only to one that has far less."""

import pytest

from brownout.flags.shares import LOOK_SECONDS, Shares


def shares(**of: int) -> Shares[str]:
    found = Shares[str]()
    for address, count in of.items():
        for number in range(count):
            found.add(address, f"{address}{number}")
    return found


@pytest.mark.parametrize(
    ("of", "newcomer", "greedier"),
    [
        ({}, "a", None),
        ({"a": 100}, "a", None),
        ({"a": 100}, "b", "a"),
        ({"a": 60, "b": 40}, "b", None),  # two gateways of about the same size do not take turns
        ({"a": 80, "b": 20}, "b", "a"),
        ({"a": 80, "b": 20}, "a", None),
        ({"a": 2, "b": 1}, "c", None),
        ({"a": 3}, "c", "a"),
    ],
)
def test_who_has_more_than_twice_as_much_yields(of: dict[str, int], newcomer: str, greedier: str | None) -> None:
    assert shares(**of).greedier_than(newcomer, 0.0) == greedier


def test_what_came_first_goes_first() -> None:
    found = shares(a=3)
    assert found.oldest_of("a") == "a0"
    assert found.drop("a", "a0")
    assert not found.drop("a", "a0")
    assert found.oldest_of("a") == "a1"


def test_an_address_that_has_lost_what_it_had_is_no_longer_the_greediest() -> None:
    found = shares(a=10, b=6)
    assert found.greedier_than("c", 0.0) == "a"
    for number in range(10):
        found.drop("a", f"a{number}")
    assert found.greedier_than("c", 0.1) is None  # not looked for again yet
    assert found.greedier_than("c", LOOK_SECONDS) == "b"
