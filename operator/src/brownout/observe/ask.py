"""One question to a Prometheus, and what counts as its answer."""

from msgspec import Struct

from brownout.decide.evidence import Missing
from brownout.observe.answers import Series
from brownout.observe.sources import Source

TOO_LARGE = Missing("the answer is larger than 1 MB; write a query that returns fewer series")


class Ask(Struct, frozen=True, kw_only=True):
    """One question. `limit` is how many series are of interest; `parameters` are sent beside the query."""

    source: Source
    query: str
    lookback_seconds: int
    limit: int
    parameters: tuple[tuple[str, str], ...] = ()


Answer = tuple[Series, ...] | Missing
