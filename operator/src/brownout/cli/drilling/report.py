"""What a drill came to: for each workload what it did before and meanwhile, what was saved, and what the plan had said."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean, stdev

from msgspec import Struct

from brownout.api.resources import Key
from brownout.cli.drilling.reading import Reading
from brownout.cli.durations import span

OFFERED_MOVED = 0.1
"""Where users asked for so much more or less than before, what was saved is not the rung's alone."""


class Phase(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Means over the readings of a phase, in GPU-seconds a second and percent; `spread` is the standard deviation of the first."""

    readings: int
    busy: float | None = None
    admitted: float | None = None
    saturation_percent: float | None = None
    spread: float | None = None

    @property
    def load(self) -> float | None:
        """What was measured best: work done, or else what was let through."""
        return self.admitted if self.busy is None else self.busy


class Saved(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One workload. `saved` and `predicted` in GPU-seconds a second; below 0 where it had more to do."""

    scaler: str
    before: Phase
    during: Phase
    saved: float | None = None
    predicted: float | None = None


class Report(Struct, frozen=True, kw_only=True, rename="camel"):
    """A whole drill. `lasted` in seconds; `ended`: how. `saved` and `predicted` are sums; `notes` say what to doubt."""

    feature: str
    namespace: str
    audience: str
    variant: str
    override: str
    lasted: float
    ended: str
    source: str
    saved: float | None
    predicted: float | None
    scalers: tuple[Saved, ...]
    notes: tuple[str, ...] = ()


def phase(readings: Sequence[Reading], scaler: Key) -> Phase:
    """The means of one workload; what was not known at any reading is left out of its mean."""
    loads = [reading.loads[scaler] for reading in readings if scaler in reading.loads]
    busy, admitted = _mean(load.busy for load in loads), _mean(load.admitted for load in loads)
    values = [v for load in loads if (v := load.admitted if busy is None else load.busy) is not None]
    return Phase(
        readings=len(loads),
        busy=busy,
        admitted=admitted,
        saturation_percent=_mean(load.saturation_percent for load in loads),
        spread=stdev(values) if len(values) > 1 else None,
    )


def saved(
    before: Sequence[Reading], during: Sequence[Reading], scalers: Sequence[Key], predicted: Mapping[Key, float]
) -> tuple[Saved, ...]:
    """Each workload's part. What could not be measured in the same way in both phases has no difference."""
    found = []
    for key in scalers:
        was, meanwhile = phase(before, key), phase(during, key)
        comparable = (was.busy is None) == (meanwhile.busy is None)
        difference = (
            was.load - meanwhile.load if comparable and was.load is not None and meanwhile.load is not None else None
        )
        found.append(
            Saved(scaler=str(key), before=was, during=meanwhile, saved=difference, predicted=predicted.get(key))
        )
    return tuple(found)


def notes(before: Sequence[Reading], during: Sequence[Reading]) -> Iterator[str]:
    """What to doubt of the figures."""
    if not during:
        yield "it ended before anything was measured"
        return
    was, meanwhile = _mean(r.offered for r in before), _mean(r.offered for r in during)
    if was and meanwhile is not None and abs(meanwhile - was) > OFFERED_MOVED * was:
        yield (
            f"users asked for {100 * (meanwhile - was) / was:+.0f} % of this feature meanwhile ({was:.2f} -> {meanwhile:.2f} requests/s): "
            "what was saved is not the rung's alone"
        )


def text(report: Report) -> str:
    """The report as a person reads it."""
    return "\n".join(_lines(report))


def _lines(report: Report) -> Iterator[str]:
    yield f"{report.feature} in {report.namespace}, {report.audience} on {report.variant} for {span(report.lasted)}; {report.ended}"
    yield f"  saved         {_gpus(report.saved)}" + _of(report.saved, report.predicted)
    yield f"  plan says     {_gpus(report.predicted)}"
    for one in report.scalers:
        yield f"  {one.scaler}"
        yield f"    {_what(one)}  {_change(one.before.load, one.during.load, one.during.spread)} ({one.before.readings} and {one.during.readings} readings)"
        if one.before.busy is not None:
            yield f"    admitted   {_change(one.before.admitted, one.during.admitted, None)}"
        if one.before.saturation_percent is not None and one.during.saturation_percent is not None:
            yield f"    saturation {one.before.saturation_percent:.0f} % -> {one.during.saturation_percent:.0f} %"
        if one.predicted is not None:
            yield f"    plan says  {one.predicted:+.2f} saved"
    yield f"  measured by   {report.source}"
    yield from (f"  note          {note}" for note in report.notes)


def _what(one: Saved) -> str:
    return "busy     " if one.before.busy is not None else "admitted "


def _gpus(value: float | None) -> str:
    return "not known" if value is None else f"{value:.2f} GPU-seconds a second"


def _of(value: float | None, predicted: float | None) -> str:
    return (
        f", {100 * value / predicted:.0f} % of what the plan says"
        if value is not None and predicted and predicted > 0.005
        else ""
    )


def _change(was: float | None, is_now: float | None, spread: float | None) -> str:
    one, other = ("?" if value is None else f"{value:.2f}" for value in (was, is_now))
    return f"{one} -> {other}" + (f" ± {spread:.2f}" if spread is not None else "")


def _mean(values: Iterator[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
