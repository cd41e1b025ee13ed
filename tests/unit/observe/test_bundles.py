"""Small questions in one request: who is put together, how the answer is taken apart, and when each is asked alone."""

import pytest

from brownout.decide.evidence import Missing
from brownout.observe.answers import HISTOGRAM, PARTIAL, Series, refused
from brownout.observe.ask import TOO_LARGE, Answer, Ask
from brownout.observe.bundles import (
    FEW_LATE,
    LABEL,
    MOST_PARTS,
    MOST_SERIES,
    Bundle,
    bundles,
    is_expression,
    take_apart,
)
from brownout.observe.sources import Source

GIVEN_UP = refused(503)


def ask(query: str = "up", *, url: str = "http://a", limit: int = 2, lookback_seconds: int = 60) -> Ask:
    return Ask(source=Source(url=url), query=query, lookback_seconds=lookback_seconds, limit=limit)


def many(count: int, **more: str) -> list[Ask]:
    return [ask(f"q{number}", **more) for number in range(count)]  # type: ignore[arg-type]


def of(number: int, value: float) -> Series:
    """A series of the part with this number."""
    return Series({LABEL: str(number), "a": "b"}, value)


def test_ten_small_questions_of_a_source_are_one_request() -> None:
    asked = many(25)
    sent = bundles(asked)
    assert [len(bundle.parts) for bundle in sent] == [MOST_PARTS, MOST_PARTS, 5]
    assert [part for bundle in sent for part in bundle.parts] == asked


def test_a_request_is_of_one_source_and_one_lookback() -> None:
    asked = [ask("a"), ask("b", url="http://b"), ask("c", lookback_seconds=30), ask("d")]
    assert sorted(tuple(part.query for part in bundle.parts) for bundle in bundles(asked)) == [
        ("a", "d"),
        ("b",),
        ("c",),
    ]


def test_a_question_without_company_is_asked_as_it_is() -> None:
    large, alone, torn = ask("large", limit=1001), ask("alone"), ask("sum(")
    sent = bundles([large, alone, torn, ask("a")], alone=[alone])
    assert sorted((bundle.ask.query, len(bundle.parts)) for bundle in sent) == [
        ("a", 1), ("alone", 1), ("large", 1), ("sum(", 1),
    ]  # fmt: skip


def test_an_answer_is_taken_apart_as_if_each_had_been_asked_alone() -> None:
    (bundle,) = sent = bundles(many(3))
    found, again = take_apart(sent, {bundle.ask: (of(2, 7.0), of(0, 1.0), of(0, 2.0))})
    assert [found[part] for part in bundle.parts] == [
        (Series({"a": "b"}, 1.0), Series({"a": "b"}, 2.0)),
        (),
        (Series({"a": "b"}, 7.0),),
    ]
    assert again == []


@pytest.mark.parametrize(
    "answer",
    [
        refused(400),
        refused(422),
        TOO_LARGE,
        HISTOGRAM,
        GIVEN_UP,
        PARTIAL,
        tuple(of(0, 1.0) for _ in range(MOST_SERIES)),
        (Series({}, 1.0),),
        (of(3, 1.0),),
    ],
    ids=["400", "422", "large", "histogram", "given up", "partial", "many series", "no label", "another's label"],
)
def test_where_one_may_be_to_blame_each_is_asked_alone(answer: Answer) -> None:
    (bundle,) = sent = bundles(many(3))
    assert take_apart(sent, {bundle.ask: answer}) == ({}, list(bundle.parts))


def test_who_was_asked_alone_is_not_asked_again() -> None:
    (bundle,) = sent = bundles([ask()])
    assert take_apart(sent, {bundle.ask: refused(400)}) == ({bundle.ask: refused(400)}, [])


@pytest.mark.parametrize("answer", [refused(401), refused(502), Missing("Prometheus cannot be reached")])
def test_what_is_nobodys_fault_is_everybodys_answer(answer: Missing) -> None:
    (bundle,) = sent = bundles(many(3))
    assert take_apart(sent, {bundle.ask: answer}) == (dict.fromkeys(bundle.parts, answer), [])


def test_a_prometheus_that_is_slow_altogether_is_not_asked_ten_times_as_often() -> None:
    sent: list[Bundle] = bundles(many(MOST_PARTS * (FEW_LATE + 1)))
    _, again = take_apart(sent, {bundle.ask: GIVEN_UP for bundle in sent})
    assert again == []
    _, again = take_apart(sent, {b.ask: GIVEN_UP if b in sent[:2] else () for b in sent})
    assert again == [*sent[0].parts, *sent[1].parts]


@pytest.mark.parametrize(
    "query",
    [
        "up",
        "sum by (a, b) (rate(x{a='),(', b=\"#\"}[5m:1m]))",
        "up # a comment )",
        "`)`",
        '"a\\")"',
        'x{a=~`"`} or vector(1)',
        "up # a comment )\r\n+ 1",
        "sum(up) # the last line\r",
        "'\r'",
        r"x{a=~`a\.b\\`}",
        '{"größe.of"="ö"} # ü',
        "sum(rate(a:b_total{c!~'d'}[5m:1m] offset -1.5e-3s @ start()))\t^ 2 % 0x1F",
    ],
)
def test_what_ends_where_it_began_is_an_expression(query: str) -> None:
    assert is_expression(query)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "  ",
        "up)",
        "(up",
        "up) or (up",
        "a, b",
        "'",
        '"a',
        "`a",
        "(]",
        "x{a=')}",
        '"\\',
        'up), "a", "b", "c", "d") or (up',
        "'\n'",
        "'\\\n'",
        'vector(1) #\r, "brownout_part", "0", "__name__", ".*") or label_replace(vector(0)',
        "(#\r)\n",
        "up # a comment\r+ 1",
        r"`a\`",
        r"up\(",
        "$up",
        "größe",
        "up\0",
        "up\x0b",
        "up;",
    ],
)
def test_what_would_reach_out_of_its_brackets_is_none(query: str) -> None:
    assert not is_expression(query)
