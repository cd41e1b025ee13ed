"""Questions that are asked besides the looks: when each is due, whom it is asked with, and when a look waits for it again."""

from itertools import pairwise

from brownout.decide.evidence import Missing
from brownout.observe.answers import Series
from brownout.observe.ask import Ask
from brownout.observe.bundles import MOST_PARTS
from brownout.observe.overdue import (
    FIRST_PAUSE_SECONDS,
    FORGOTTEN_AFTER_SECONDS,
    LONGEST_PAUSE_SECONDS,
    Known,
    Overdue,
)
from brownout.observe.sources import Source

SOURCE = Source(url="http://a")
LATE = Known(Missing("no answer"), 0.0)
TWO = Known((Series({}, 2.0),), 7.0)


def ask(query: str = "up") -> Ask:
    """A small question."""
    return Ask(source=SOURCE, query=query, lookback_seconds=60, limit=2)


def queries(overdue: Overdue, *, now: float, hanging: bool = True, alone: tuple[Ask, ...] = ()) -> list[str]:
    """What is to be asked next."""
    bundle = overdue.take(SOURCE, hanging=hanging, alone=alone, now=now)
    return [part.query for part in bundle.parts] if bundle else []


def test_what_hangs_is_asked_again_after_pauses_that_grow_to_a_bound() -> None:
    overdue, now = Overdue(), 0.0
    asked_at: list[float] = []
    overdue.put(ask(), LATE, hangs=True, now=now)
    while len(asked_at) < 8:
        now += 0.5
        if queries(overdue, now=now):
            asked_at.append(now)
            overdue.put(ask(), LATE, hangs=True, now=now)
    pauses = [after - before for before, after in pairwise([0.0, *asked_at])]
    assert pauses[:3] == [FIRST_PAUSE_SECONDS, 2 * FIRST_PAUSE_SECONDS, 4 * FIRST_PAUSE_SECONDS]
    assert pauses[-1] == max(pauses) == LONGEST_PAUSE_SECONDS


def test_what_is_being_asked_is_not_asked_twice() -> None:
    overdue = Overdue()
    overdue.put(ask(), LATE, hangs=True, now=0.0)
    assert queries(overdue, now=10.0) == ["up"]
    assert queries(overdue, now=10.0) == []


def test_what_answers_late_is_asked_again_once_a_look_wants_it() -> None:
    overdue = Overdue()
    overdue.put(ask(), TWO, hangs=False, now=0.0)
    assert queries(overdue, now=100.0, hanging=False) == []
    assert overdue.wanted(ask(), now=100.0) == TWO
    assert queries(overdue, now=100.0, hanging=False) == ["up"]


def test_who_answers_promptly_is_waited_for_again_and_has_an_answer_until_then() -> None:
    overdue = Overdue()
    overdue.put(ask(), LATE, hangs=True, now=0.0)
    assert overdue.wanted(ask(), now=1.0) == LATE
    overdue.prompt(ask(), TWO)
    assert overdue.known(ask()) == TWO
    assert overdue.wanted(ask(), now=3.0) is None
    assert overdue.wanted(ask(), now=3.0) is None


def test_a_source_that_answers_again_is_asked_at_once_for_all_that_hung() -> None:
    overdue = Overdue()
    for query in ("a", "b", "c"):
        overdue.put(ask(query), LATE, hangs=True, now=0.0)
    overdue.prompt(ask("a"), TWO)
    assert queries(overdue, now=1.0) == []
    overdue.answers_again(SOURCE, now=1.0)
    assert queries(overdue, now=1.0) == ["b", "c"]


def test_those_that_hung_least_are_first_by_ten_and_alone_where_they_are_to_be() -> None:
    overdue = Overdue()
    for number in range(MOST_PARTS + 3):
        overdue.put(ask(f"q{number}"), LATE, hangs=True, now=0.0)
    overdue.put(ask("q0"), LATE, hangs=True, now=0.0)  # again
    assert queries(overdue, now=60.0, alone=(ask("q1"),)) == ["q1"]
    assert queries(overdue, now=60.0) == [f"q{number}" for number in range(2, MOST_PARTS + 2)]
    assert queries(overdue, now=60.0) == ["q12", "q0"]


def test_what_nobody_wants_any_more_is_forgotten_and_so_are_other_sources() -> None:
    overdue = Overdue()
    overdue.put(ask(), LATE, hangs=True, now=0.0)
    overdue.forget(keep=[SOURCE], now=FORGOTTEN_AFTER_SECONDS)
    assert overdue.sources() == [SOURCE]
    overdue.forget(keep=[SOURCE], now=FORGOTTEN_AFTER_SECONDS + 1)
    assert overdue.sources() == []
    overdue.put(ask(), LATE, hangs=True, now=0.0)
    overdue.forget(keep=[], now=0.0)
    assert overdue.sources() == []
