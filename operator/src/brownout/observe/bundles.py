"""Small questions of one source in one request. Pure.

A scaler's metric is a number, and to ask for it is more work than to compute it. So ten queries are sent as one: each is told from
the others by a label, and the answer is taken apart again. What a query means does not depend on its neighbours: only text that
is an expression by itself is put beside others, whoever wrote it, and where a bundle fails each of its parts is asked alone.
"""

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from functools import lru_cache

from msgspec import Struct, structs

from brownout.decide.evidence import Missing
from brownout.observe.answers import HISTOGRAM, PARTIAL, Series, refused
from brownout.observe.ask import TOO_LARGE, Answer, Ask

LABEL = "brownout_part"
MOST_PARTS = 10
SMALL = 2
"""A question about more series than this is no small one."""
MOST_SERIES = 1000
BY_ONE_QUERY = (TOO_LARGE, HISTOGRAM, refused(400), refused(422))
"""What a bundle is answered with where one of its queries is wrong, or asks for too much."""
FEW_LATE = 5

TOKENS = re.compile(
    r"""
    "(?:[^"\\\n]|\\[^\n])*" | '(?:[^'\\\n]|\\[^\n])*'  # texts
    | `(?:[^`\\]|\\[^`])*`                             # a raw text
    | \#[^\r\n]*(?=\r?(?:\n|\Z))                         # a comment
    | (?P<open>[(\[{]) | (?P<close>[)\]}]) | (?P<comma>,)
    | [\w:.+\-*/%^=!<>~@\ \t\r\n]+
    | (?P<doubtful>(?s:.))
    """,
    re.VERBOSE | re.ASCII,
)
"""What every language that answers here reads in the same way: Prometheus' (promql/parser/lex.go; Thanos and Mimir use the same), and
VictoriaMetrics' (metricsql/lexer.go). A comment ends at a carriage return in the first and at a line feed in the second; a backslash
before a backquote, and one outside of texts, mean something in the second alone. Such texts are doubtful."""


class Bundle(Struct, frozen=True):
    """A request for several questions; one part is asked as it is."""

    ask: Ask
    parts: tuple[Ask, ...]

    def taken_apart(self, answer: Answer) -> dict[Ask, Answer] | None:
        """The answer to each part, as if it had been asked alone; None where there may be more of it, or it does not say whose it is."""
        if isinstance(answer, Missing) or len(self.parts) == 1:
            return dict.fromkeys(self.parts, answer)
        found: dict[str, list[Series]] = {str(number): [] for number in range(len(self.parts))}
        for series in answer:
            labels = dict(series.labels)
            its = found.get(labels.pop(LABEL, ""))
            if its is None:
                return None
            its.append(Series(labels, series.value))
        if len(answer) >= MOST_SERIES:
            return None
        return {part: tuple(its) for part, its in zip(self.parts, found.values(), strict=True)}


def bundles(asks: Iterable[Ask], *, alone: Container[Ask] = ()) -> list[Bundle]:
    """Every ask in one bundle, in as few as ten parts each allow. Those that are to be `alone` are, as are those that are not small."""
    groups: dict[Ask, list[Ask]] = {}
    found = []
    for ask in asks:
        if ask.limit > SMALL or ask in alone or not is_expression(ask.query):
            found.append(Bundle(ask, (ask,)))
        else:
            groups.setdefault(structs.replace(ask, query=""), []).append(ask)
    for common, group in groups.items():
        for first in range(0, len(group), MOST_PARTS):
            parts = tuple(group[first : first + MOST_PARTS])
            beside = structs.replace(common, query=_beside(parts), limit=MOST_SERIES)
            found.append(Bundle(beside if len(parts) > 1 else parts[0], parts))
    return found


def take_apart(sent: Sequence[Bundle], answered: Mapping[Ask, Answer]) -> tuple[dict[Ask, Answer], list[Ask]]:
    """The answers to the parts, and the parts that have to be asked again, each alone: a neighbour of theirs may be to blame.

    A bundle that Prometheus itself gave up, or answered in part, may have had one query that is slow or asks of what is away. Where most
    were, it is Prometheus, and asking ten times as often would not help it.
    """
    troubled = (refused(503), PARTIAL)
    count = sum(answered[bundle.ask] in troubled for bundle in sent)
    by_one_query = BY_ONE_QUERY + (troubled if count <= FEW_LATE or count * 2 <= len(sent) else ())
    found: dict[Ask, Answer] = {}
    again: list[Ask] = []
    for bundle in sent:
        answer = answered[bundle.ask]
        apart = None if len(bundle.parts) > 1 and answer in by_one_query else bundle.taken_apart(answer)
        if apart is None:
            again += bundle.parts
        else:
            found |= apart
    return found, again


@lru_cache(maxsize=50_000)  # the same texts come at each tick
def is_expression(query: str) -> bool:
    """Whether a text can stand in brackets and mean there what it means alone, if it means anything. False where that is in doubt.

    Brackets close what was opened, texts end, and no comma stands outside: so nothing of it ends up outside of the brackets.
    """
    opened: list[str] = []
    for token in TOKENS.finditer(query):
        if token["doubtful"] or (token["comma"] and not opened):
            return False
        if token["open"]:
            opened.append(token["open"])
        elif token["close"] and (not opened or opened.pop() + token["close"] not in ("()", "[]", "{}")):
            return False
    return not opened and bool(query.strip())


def _beside(parts: Iterable[Ask]) -> str:
    # A query may end with a comment, which ends with its line.
    return " or ".join(
        f'label_replace(\n{part.query}\n, "{LABEL}", "{number}", "__name__", ".*")' for number, part in enumerate(parts)
    )
