"""One heavy user: who is one, what is counted of whom, and what a whole tier is spared."""

from typing import Any

import pytest

from brownout.decide.cells import FIRST, Cell, build_cells
from brownout.decide.evidence import Missing, Sample
from brownout.decide.heavy import (
    MOST_USERS,
    beneath,
    heavy_users,
    parent_of,
    user_cells,
    user_rate,
    without_users,
)
from brownout.decide.links import link
from brownout.decide.memory import CellMemory
from brownout.decide.outcome import CellKey, Level
from brownout.decide.snapshot import Policy
from support.build import GONE, NOW, audience, cell_key, policy, pool, scaler, snapshot

WITHIN = 60.0
OFFERED = {"pro": 2.0, "plus": 2.0, "free": 10.0, "free/new-accounts": 2.0}
BURST = {"free@ana": 6.0, "free@ben": 0.1, "free@cay": 0.1}


def heavy(one: Policy, *, now: float = NOW) -> list[str]:
    """The heavy users of all cells, by name."""
    found = heavy_users(one, now=now, within_seconds=WITHIN)
    return [user.user for users in found.values() for user in users]


def image(**more: Any) -> Policy:
    return policy(**{"offered": OFFERED, "heaviest": BURST, **more})


# Who is heavy


def test_a_user_who_asks_for_most_of_its_cell_is_heavy() -> None:
    assert heavy_users(image(), now=NOW, within_seconds=WITHIN) == {audience("free"): [audience("free@ana")]}


def test_the_heaviest_comes_first() -> None:
    assert heavy(image(heaviest={"free@ben": 3.0, "free@ana": 6.0, "free@cay": 0.1})) == ["ana", "ben"]


def test_a_user_below_a_fifth_of_its_cell_is_not_heavy() -> None:
    assert heavy(image(heaviest={"free@ana": 1.9, "free@ben": 0.1})) == []
    assert heavy(image(heaviest={"free@ana": 2.1, "free@ben": 0.1})) == ["ana"]


def test_a_user_below_a_tenth_of_the_feature_is_not_heavy_however_few_it_shares_a_cell_with() -> None:
    offered = {"plus": 2.0, "free": 100.0}
    assert heavy(image(offered=offered, heaviest={"plus@ana": 1.5, "plus@ben": 0.1})) == []


def test_so_few_requests_that_they_may_be_chance_make_nobody_heavy() -> None:
    offered = {"free": 1.0}
    assert heavy(image(offered=offered, heaviest={"free@ana": 0.8, "free@ben": 0.05})) == []
    assert heavy(image(offered=offered, heaviest={"free@ana": 0.85, "free@ben": 0.05})) == ["ana"]


def test_where_all_ask_alike_nobody_is_heavy() -> None:
    assert heavy(image(heaviest={f"free@u{n}": 2.5 for n in range(4)})) == []


def test_the_only_user_of_a_cell_is_the_cell() -> None:
    assert heavy(image(heaviest={"free@ana": 10.0})) == []


def test_users_of_one_name_in_two_cells_are_two() -> None:
    both = {"free@ana": 6.0, "free@ben": 0.1, "plus@ana": 1.7, "plus@ben": 0.1}
    assert heavy_users(image(heaviest=both), now=NOW, within_seconds=WITHIN) == {
        audience("free"): [audience("free@ana")],
        audience("plus"): [audience("plus@ana")],
    }


@pytest.mark.parametrize(
    "unseen", [image(heaviest=GONE), image(offered=GONE), image(heaviest={}), image(offered={"pro": 2.0})]
)
def test_nobody_is_heavy_where_it_cannot_be_seen(unseen: Policy) -> None:
    assert heavy(unseen) == []


def test_nobody_is_heavy_by_an_old_sample() -> None:
    assert heavy(image(), now=NOW + WITHIN + 1) == []


# Their cells


def cells_of(one: Policy) -> dict[CellKey, Cell]:
    return build_cells(link(snapshot(pool(), scaler(), one)))


def split(one: Policy, **remembered: CellMemory) -> list[str]:
    """The users who have a cell of their own; `remembered` by name, of free users."""
    memory = {cell_key("image", f"free@{name}"): cell for name, cell in remembered.items()}
    found = user_cells(cells_of(one), [one], memory, now=NOW, within_seconds=WITHIN)
    return [key.audience.user for key in found]


def test_a_heavy_user_has_a_cell_like_the_one_that_it_came_out_of() -> None:
    one = image()
    cells = cells_of(one)
    ((key, cell),) = user_cells(cells, [one], {}, now=NOW, within_seconds=WITHIN).items()
    free = cells[cell_key("image", "free")]
    assert (key, cell.key, parent_of(key)) == (cell_key("image", "free@ana"), key, free.key)
    assert (cell.lowest, cell.costs, cell.scalers, cell.mode) == (free.lowest, free.costs, free.scalers, free.mode)


@pytest.mark.parametrize("availability", ["Always", "Never", "full"])
def test_nobody_is_split_off_a_cell_that_may_lose_nothing(availability: str) -> None:
    assert split(image(tiers={"pro": "Always", "free": availability})) == []


def test_nobody_is_split_off_where_nothing_is_decided() -> None:
    assert split(image(mode="Advise")) == []


def test_a_user_who_is_held_back_keeps_its_cell_until_it_is_whole() -> None:
    calm = image(heaviest={})
    assert split(calm, ana=CellMemory(level=Level(2))) == ["ana"]
    assert split(calm, ana=CellMemory(level=FIRST)) == []


def test_at_most_three_users_of_a_cell_are_held_back_alone_and_those_who_are_stay() -> None:
    many = {"free@light": 0.1, **{f"free@u{n}": 2.0 + n / 10 for n in range(4)}}
    assert split(image(heaviest=many)) == ["u3", "u2", "u1"]
    assert split(image(heaviest=many), held=CellMemory(level=Level(1))) == ["held", "u3", "u2"]
    assert len(split(image(heaviest=many), **{f"h{n}": CellMemory(level=Level(1)) for n in range(9)})) == MOST_USERS


def test_a_user_of_a_cell_that_is_gone_is_forgotten() -> None:
    assert split(image(tiers={"pro": "Always"}), ana=CellMemory(level=Level(2))) == []


# What they ask for


def rest_of(
    seen: dict[str, float | None], *, missing: dict[str, str] | None = None, memory: CellMemory | None = None
) -> float | None:
    """What the cell of free users asks for without ana."""
    ana = cell_key("image", "free@ana")
    return without_users(
        {cell_key("image", who): rate for who, rate in seen.items()},
        {ana: cells_of(image())[cell_key("image", "free")]},
        {ana: memory or CellMemory()},
        {cell_key("image", who): words for who, words in (missing or {}).items()},
    )[cell_key("image", "free")]


def test_nobody_is_counted_twice() -> None:
    assert rest_of({"free": 10.0, "free@ana": 6.0}) == 4.0


def test_a_cell_never_asks_for_less_than_nothing() -> None:
    assert rest_of({"free": 5.0, "free@ana": 6.0}) == 0.0


def test_nobody_asks_for_more_than_the_cell() -> None:
    found = user_rate(image(offered={"free": 5.0}), audience("free@ana"), now=NOW, within_seconds=WITHIN)
    assert isinstance(found, Sample)
    assert found.value == 5.0


def test_three_users_do_not_ask_for_more_than_the_cell_together() -> None:
    rest, users = cell_key("image", "free"), [cell_key("image", f"free@u{n}") for n in range(3)]
    cell = cells_of(image())[rest]
    found = without_users({rest: 5.0, **dict.fromkeys(users, 2.0)}, dict.fromkeys(users, cell), {}, {})
    assert [found[key] for key in (rest, *users)] == [0.0, 2.0, 2.0, 1.0]


def test_a_cell_that_cannot_be_seen_stays_unseen() -> None:
    assert rest_of({"free": None, "free@ana": 6.0}) is None


def test_a_user_who_is_not_among_the_heaviest_any_more_is_one_of_the_cell() -> None:
    assert rest_of({"free": 4.1, "free@ana": None}, memory=CellMemory(mean_rate=6.0)) == 4.1


@pytest.mark.parametrize("memory", [CellMemory(mean_rate=6.0), CellMemory(shed_rate=6.0)])
def test_while_users_cannot_be_seen_the_cell_is_not_taken_for_what_one_of_them_asked(memory: CellMemory) -> None:
    assert rest_of({"free": 10.0, "free@ana": None}, missing={"free@ana": "no"}, memory=memory) == 4.0


def test_a_users_rate_is_a_sample_or_nothing_or_missing() -> None:
    def rate(one: Policy, now: float = NOW) -> object:
        return user_rate(one, audience("free@ana"), now=now, within_seconds=WITHIN)

    found = rate(image())
    assert not isinstance(found, Missing | None)
    assert rate(image(heaviest={})) is None
    assert rate(image(heaviest=GONE)) == GONE
    assert rate(image(offered=GONE)) == GONE
    assert isinstance(rate(image(), NOW + WITHIN + 1), Missing)


@pytest.mark.parametrize(
    ("own", "cell", "has"),
    [
        (FIRST, FIRST, FIRST),
        (Level(2), FIRST, Level(2)),
        (FIRST, Level(1), Level(1)),
        (Level(1), Level(0, 40), Level(1)),
        (Level(1), Level(1, 40), Level(1, 40)),
    ],
)
def test_a_user_never_has_more_than_its_cell(own: Level, cell: Level, has: Level) -> None:
    assert beneath(own, cell) == has


def test_words_name_no_user() -> None:
    assert "ana" not in str(cell_key("image", "free/new-accounts@ana"))
    assert str(cell_key("image", "free@ana")) == "image for one user of free"
