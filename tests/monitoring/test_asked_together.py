"""Queries that are asked together of a real Prometheus have the answers that they have alone, whatever their neighbours are."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from brownout.decide.evidence import Missing
from brownout.observe.answers import PARTIAL, Series
from brownout.observe.ask import Answer, Ask
from brownout.observe.bundles import LABEL
from brownout.observe.prometheus import Prometheus
from brownout.observe.sources import Source
from support.prometheus import CONFIGURATION, Remembering, prometheus
from support.waiting import wait_for

INNOCENT = "sum(load)"
QUERIES = (
    INNOCENT,
    "load",
    'load{pod="a"} # the first of them )',
    "load > 1e9",
    "sum by (pod) (load)",
    "load / 0 - load / 0",
    "vector(4)",
    "scalar(vector(5))",
    "6",
    "time() * 0",
    "load[1m]",
    "sum(",
    "sum(load))",
    "load or on (pod) load",
    "load * on (job) load",
    'label_replace(load, "x", "y", "", "")',
    f'vector(7), "{LABEL}", "0", "__name__", ".*") or label_replace(vector(8)',
    f'vector(7) #\r, "{LABEL}", "0", "__name__", ".*") or label_replace(vector(0), "{LABEL}", "1", "__name__", ".*") or label_replace(vector(8)',
    "vector(7) # a line that Windows ends\r\n",
    '"a text"',
    "absent(nothing)",
    "nothing",
    "{__name__=~'lo.*'}",
)
LABELLED = f', "{LABEL}", "0", "__name__", ".*")'
"""What ends a part, as the client writes it."""
PIECES = (
    "vector(7)",
    LABELLED,
    " or label_replace(",
    "label_replace(",
    "(",
    ")",
    ",",
    '"',
    "'",
    "`",
    "\\",
    "#",
    "\n",
    "\r",
    "{",
    "}",
)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remembering]:
    """A Prometheus with two series of a metric."""
    with prometheus(tmp_path_factory.mktemp("prometheus")) as running:
        now = time.time()
        running.remember([(now, "load", {"pod": "a"}, 1.0), (now, "load", {"pod": "b"}, 2.0)], counter=False)
        wait_for(lambda: running.get("query", query="load")["result"], "it remembers")
        yield running


def asks(seen: Remembering, queries: Sequence[str]) -> list[Ask]:
    source = Source(url=seen.url)
    return [Ask(source=source, query=query, lookback_seconds=600, limit=2) for query in queries]


def on(act: Callable[[Prometheus], Coroutine[Any, Any, dict[Ask, Answer]]]) -> dict[Ask, Answer]:
    """What a client of its own is answered."""

    async def acting() -> dict[Ask, Answer]:
        client = Prometheus()
        try:
            return await act(client)
        finally:
            await client.close()

    return asyncio.run(acting())


def order(answer: Answer) -> Answer:
    """An answer whose series stand in one order; NaN equals NaN."""
    if isinstance(answer, Missing):
        return answer
    return tuple(sorted((Series(s.labels, s.value if s.value == s.value else -1.0) for s in answer), key=repr))


@pytest.mark.parametrize("query", QUERIES)
def test_two_have_the_answers_that_they_have_alone(seen: Remembering, query: str) -> None:
    two = asks(seen, [INNOCENT, query])
    alone = on(lambda client: client.ask_more(two))
    for asked in (two, two[::-1]):
        together = on(lambda client, asked=asked: client.ask_all(asked))
        assert {ask.query: order(together[ask]) for ask in two} == {ask.query: order(alone[ask]) for ask in two}


def test_those_that_are_asked_together_are_asked_less_often(seen: Remembering) -> None:
    told: list[str] = []

    async def asking() -> dict[Ask, Answer]:
        client = Prometheus(on_answer=lambda result, seconds: told.append(result))
        try:
            return await client.ask_all(asks(seen, [f"sum(load) + {number}" for number in range(20)]))
        finally:
            await client.close()

    found = asyncio.run(asking())
    assert sorted(answer[0].value for answer in found.values() if not isinstance(answer, Missing)) == [*range(3, 23)]
    assert told == ["answered", "answered"]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(st.sampled_from(PIECES), min_size=1, max_size=14))
def test_nobody_can_change_a_neighbours_answer(seen: Remembering, pieces: list[str]) -> None:
    innocent, other = asks(seen, [INNOCENT, "".join(pieces)])
    for asked in ([innocent, other], [other, innocent]):
        found = on(lambda client, asked=asked: client.ask_all(asked))
        assert found[innocent] == (Series({}, 3.0),)


@pytest.mark.parametrize("query", ["quantile(2, load)", "rate(load[5m]) or vector(1)", "load", "load or vector(9)"])
def test_what_prometheus_says_of_a_query_makes_its_answer_no_part(seen: Remembering, query: str) -> None:
    """It warns of the first, informs of the second, and cuts the last one short at the limit of two series."""
    (ask,) = asks(seen, [query])
    assert not isinstance(on(lambda client: client.ask_more([ask]))[ask], Missing)


def test_a_remote_read_that_fails_is_no_evidence(tmp_path: Path) -> None:
    """Prometheus answers with what it has itself, and warns; nobody listens at the other end."""
    remote = f"remote_read: [{{url: 'http://127.0.0.1:9/', read_recent: true}}]\n{CONFIGURATION}"
    with prometheus(tmp_path, configuration=remote) as running:
        running.remember([(time.time(), "load", {"pod": "a"}, 1.0)], counter=False)
        whole, part = asks(running, ["vector(1)", "sum(load)"])
        found = on(lambda client: client.ask_all([whole, part]))
    assert found == {whole: (Series({}, 1.0),), part: PARTIAL}
