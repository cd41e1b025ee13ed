"""Prometheus' answers, read as evidence. Pure.

An answer is evidence only if it is exactly what was asked for; anything else is Missing, with words for the person who wrote
the query. The words never quote the answer: it may carry somebody else's data into a status that many can read.
"""

import math
import re

import msgspec
from msgspec import Struct

from brownout.api.policy import LONGEST_USER
from brownout.decide.evidence import Evidence, Missing, Sample
from brownout.decide.snapshot import Audience, Rates

MOST_SECONDS_OFF = 60.0
"""What an answer says to be of may differ from our clock by so much: clocks that are kept differ by milliseconds, and a query takes seconds."""
MAX_AUDIENCES = 1000
MAX_USERS = 5 * MAX_AUDIENCES
MOST_CHARACTERS_SHOWN = 300
HISTOGRAM = Missing("the query returns a histogram; write histogram_quantile or sum around it")
PARTIAL = Missing(
    "Prometheus answers with a part of the data alone; try the query in its own page, and mend what its warnings name"
)
HARMLESS = re.compile(r"PromQL (info|warning): |results truncated due to limit$")
"""Warnings that are about the query, by the words in which Prometheus begins them (util/annotations), and the one about `limit`, which
we ask for (web/api/v1). Any other tells of data that are not there: a store that did not answer, a remote read that failed, warnings
that were left out."""


class Series(Struct, frozen=True):
    """One series of an instant vector; `value` may be NaN or infinite."""

    labels: dict[str, str]
    value: float


class _Point(Struct):
    metric: dict[str, str] = {}
    value: tuple[float, str] | None = None


class _Data(Struct, rename="camel"):
    result_type: str
    result: msgspec.Raw


class _Body(Struct, rename="camel"):
    status: str
    data: _Data | None = None
    warnings: list[str] | None = None
    is_partial: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing from it. Thanos warns of a store that is away; VictoriaMetrics says isPartial."""
        return not self.is_partial and all(HARMLESS.match(warning) for warning in self.warnings or ())


_BODY = msgspec.json.Decoder(_Body)
_VECTOR = msgspec.json.Decoder(list[_Point])
_SCALAR = msgspec.json.Decoder(tuple[float, str])


def decode(body: bytes, *, now: float | None = None) -> tuple[Series, ...] | Missing:
    """The series of a successful answer to an instant query; Missing where by our clock (`now`, Unix seconds) it is of another time.

    Prometheus stamps an answer with the moment of evaluation. A stamp that is far off means that a cache answers for it, or that
    one of the clocks is wrong; either way nobody can say how old the numbers are.
    """
    try:
        answer = _BODY.decode(body)
        if answer.status != "success" or answer.data is None:
            return Missing("the answer is not one of Prometheus' API; check the url in the pool's Secret")
        if not answer.is_whole:
            return PARTIAL
        match answer.data.result_type:
            case "vector":
                points = _VECTOR.decode(answer.data.result)
                if any(point.value is None for point in points):
                    return HISTOGRAM
                off = _off(points[0].value[0], now) if points and points[0].value else None
                return off or tuple(Series(p.metric, float(p.value[1])) for p in points if p.value is not None)
            case "scalar":
                at, value = _SCALAR.decode(answer.data.result)
                return _off(at, now) or (Series({}, float(value)),)
            case "matrix":
                return Missing("the query returns a range; write a function such as rate(...) around it")
            case _:
                return Missing("the query returns no number; write one that does")
    except (msgspec.DecodeError, ValueError):
        return Missing("the answer is not one of Prometheus' API; check the url in the pool's Secret")


def _off(at: float, now: float | None) -> Missing | None:
    """The words for an answer of another time than ours; None where its time is ours."""
    if now is None or abs(at - now) <= MOST_SECONDS_OFF:
        return None
    how = f"{now - at:.0f} s old" if at < now else f"{at - now:.0f} s ahead"
    return Missing(
        f"Prometheus' answer is {how} by the operator's clock; set the clocks of both right, and ask Prometheus without a cache in between"
    )


def refused(status: int) -> Missing:
    """The words for an HTTP status that is no success."""
    match status:
        case 400:
            return Missing(
                "Prometheus does not understand the query (HTTP 400); try it in Prometheus' own page and mend it"
            )
        case 401 | 403:
            return Missing(f"Prometheus refuses us (HTTP {status}); check the credentials in the pool's Secret")
        case 404:
            return Missing("no Prometheus API at its url (HTTP 404); check the url in the pool's Secret")
        case 422:
            return Missing(
                "Prometheus cannot evaluate the query (HTTP 422); try it in Prometheus' own page, and make it lighter"
            )
        case _:
            return Missing(f"Prometheus answers with an error (HTTP {status}); see its log")


def single(series: tuple[Series, ...] | Missing, *, query: str, at: float) -> Evidence:
    """The one finite number that a metric's query returns, as of `at`."""
    if isinstance(series, Missing):
        return series
    if not series:
        return _nothing(query)
    if len(series) > 1:
        return Missing("the query returns more than one series; write sum(...) or max(...) around it")
    value = series[0].value
    if not math.isfinite(value):
        return Missing(f"the query returns {_unfit(value)}; look for a division by zero in it")
    return Sample(value, at)


def rates(
    series: tuple[Series, ...] | Missing, *, query: str, tier_label: str, cohort_label: str, at: float
) -> Rates | Missing:
    """Requests a second by tier and cohort. An audience whose value is no rate is left out: it has not been measured."""
    if isinstance(series, Missing):
        return series
    if not series:
        return _nothing(query)
    if len(series) > MAX_AUDIENCES:
        return Missing(f"the query returns more than {MAX_AUDIENCES} series; write sum by (tier, cohort) around it")
    found: dict[Audience, Sample] = {}
    for one in series:
        tier = one.labels.get(tier_label)
        if not tier:
            return Missing(f"a series has no label {tier_label!r}; write sum by ({tier_label}, {cohort_label})")
        audience = Audience(tier, one.labels.get(cohort_label, ""))
        if audience in found:
            return Missing(f"two series for {audience}; write sum by ({tier_label}, {cohort_label}) around the query")
        if math.isfinite(one.value) and one.value >= 0:
            found[audience] = Sample(one.value, at)
    return found or Missing("no series of the query is a finite rate; look for a division by zero in it")


def users(
    series: tuple[Series, ...] | Missing, *, tier_label: str, cohort_label: str, user_label: str, at: float
) -> Rates | Missing:
    """Requests a second of the heaviest users, by tier, cohort and user.

    Nothing at all is an answer here: nobody is heavy, or nobody counts users. A user without a rate, or with a name that no
    targetingKey of ours can be (empty, too long, with characters that nobody can see), is left out: left alone.
    """
    if isinstance(series, Missing):
        return series
    by = f"sum by ({tier_label}, {cohort_label}, {user_label})"
    if len(series) > MAX_USERS:
        return Missing(
            f"the query returns more than {MAX_USERS} series; write topk by ({tier_label}, {cohort_label}) (5, ...)"
        )
    found: dict[Audience, Sample] = {}
    for one in series:
        tier, user = one.labels.get(tier_label), one.labels.get(user_label, "")
        if not tier:
            return Missing(f"a series has no label {tier_label!r}; write {by}")
        audience = Audience(tier, one.labels.get(cohort_label, ""), user)
        if audience in found:
            return Missing(f"two series for {audience}; write {by} around the query")
        nameable = 0 < len(user) <= LONGEST_USER and user.isprintable()
        if nameable and math.isfinite(one.value) and one.value >= 0:
            found[audience] = Sample(one.value, at)
    return found


def _nothing(query: str) -> Missing:
    """The only words that show the query: it may be an engine pack's or a default, and so be written nowhere else."""
    shown = query if len(query) <= MOST_CHARACTERS_SHOWN else f"{query[:MOST_CHARACTERS_SHOWN]}..."
    return Missing(f"the query returns nothing; check that its metric exists and is scraped: {shown}")


def _unfit(value: float) -> str:
    return "NaN" if math.isnan(value) else "infinity"
