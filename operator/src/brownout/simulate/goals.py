"""What Brownout is to reach, judged by code: a goal, what was measured, and whether it is met.

Goals that need a scenario which was not run are not judged, and say so. Scenarios are known by their number, the part of the
name before the first dash.
"""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from brownout.simulate.beside import Beside
from brownout.simulate.results import Comparison, ControllerResult
from brownout.simulate.statistics import paired_difference
from brownout.simulate.tournament import HPA, IDEAL, OURS, Results

MEAN_SCORE, LEAST_SCORE = 0.90, 0.60
UNNEEDED_MINUTES_A_DAY = 1.0
TIERED_SECONDS, FIFO_SECONDS = 30.0, 90.0
WORST_REVERSALS, OF_IDEAL_UNAVAILABLE = 1.2, 1.5
PLAN_MILLISECONDS = 150.0
ROUNDING = 1e-9


class Goal(Struct, frozen=True, kw_only=True, rename="camel"):
    """`met` is None where it was not measured."""

    figure: str
    goal: str
    measured: str
    met: bool | None


class Judged(Struct, frozen=True, kw_only=True):
    """All that goals are judged on. `fifo`: scenarios once more, with servers that take no tier first; `unrestarted`: the twin of S8 without restarts;
    `plan_milliseconds`: of 1,000 scalers and policies, the slowest of its loads."""

    comparisons: Sequence[Comparison]
    results: Sequence[Results]
    fifo: Sequence[Results] = ()
    unrestarted: Results | None = None
    plan_milliseconds: float | None = None


def judge(judged: Judged) -> list[Goal]:
    """Every goal, in the order in which they are published."""
    ours = {_number(c.provenance.scenario): _of(c, OURS) for c in judged.comparisons}
    tiered = [one for one in judged.results if not _knows_no_tiers(one)]
    fifo = [*(one for one in judged.results if _knows_no_tiers(one)), *judged.fifo]
    return [
        *_scores(judged.comparisons),
        _ranks(judged.comparisons),
        *_daily(judged.comparisons, ours),
        _fits(judged.results),
        _stale(ours),
        _restart(judged),
        _protection("time to protect, p95 over seeds, tier-ordered servers", _p95(tiered), TIERED_SECONDS),
        _protection("time to protect, p95 over seeds, FIFO servers", _p95(fifo), FIFO_SECONDS),
        *_sawtooth(judged.results, ours),
        _inversions(ours),
        _speed(judged.plan_milliseconds),
    ]


def _knows_no_tiers(results: Results) -> bool:
    return any(workload.order == "FIFO" for workload in results.scenario.workloads.values())


def _number(name: str) -> str:
    return name.split("-")[0].upper()


def _of(comparison: Comparison, name: str) -> ControllerResult:
    return next(one for one in comparison.controllers if one.name == name)


def _goal(figure: str, goal: str, *, measured: str = "", met: bool | None = None) -> Goal:
    return Goal(figure=figure, goal=goal, measured=measured or "not measured", met=met)


def _scores(comparisons: Sequence[Comparison]) -> Iterator[Goal]:
    scores = {_number(c.provenance.scenario): s.mean for c in comparisons if (s := _of(c, OURS).score) is not None}
    left_out = [_number(c.provenance.scenario) for c in comparisons if c.excluded]
    if not scores:
        yield _goal("score", f"at least {MEAN_SCORE:.2f} in the mean, none under {LEAST_SCORE:.1f}")
        return
    mean = sum(scores.values()) / len(scores)
    least = min(scores, key=lambda name: scores[name])
    excluded = f"; excluded: {', '.join(left_out)}" if left_out else ""
    yield _goal(
        "score, mean over the scenarios",
        f"at least {MEAN_SCORE:.2f}",
        measured=f"{mean:.3f} over {len(scores)}{excluded}",
        met=mean >= MEAN_SCORE,
    )
    yield _goal(
        "score, the least of any scenario",
        f"not under {LEAST_SCORE:.1f}",
        measured=f"{scores[least]:.3f} in {least}",
        met=scores[least] >= LEAST_SCORE,
    )


def _ranks(comparisons: Sequence[Comparison]) -> Goal:
    places = {_number(c.provenance.scenario): _of(c, OURS).place for c in comparisons}
    behind = [f"{name} (rank {place.rank})" for name, place in places.items() if place and not place.first_or_within]
    first = sum(place is not None and place.rank == 1 for place in places.values())
    said = f"first in {first} of {len(places)}" + (f"; behind in {', '.join(behind)}" if behind else "")
    figure = "rank among all controllers, by V, in each scenario"
    return _goal(figure, "first, or within the interval of the first", measured=said, met=not behind)


def _daily(comparisons: Sequence[Comparison], ours: dict[str, ControllerResult]) -> Iterator[Goal]:
    minutes, hours = "S6: unneeded unavailable minutes a day", "S6: wasted GPU-hours"
    goals = f"at most {UNNEEDED_MINUTES_A_DAY:g}", "not above HPA's"
    if "S6" not in ours:
        yield from (_goal(minutes, goals[0]), _goal(hours, goals[1]))
        return
    hpa = next(_of(c, HPA) for c in comparisons if _number(c.provenance.scenario) == "S6")
    unneeded = ours["S6"].means["unneededUnavailableMinutes"].mean
    wasted, theirs = ours["S6"].means["wastedGpuHours"].mean, hpa.means["wastedGpuHours"].mean
    yield _goal(minutes, goals[0], measured=f"{unneeded:.3f}", met=unneeded <= UNNEEDED_MINUTES_A_DAY)
    yield _goal(hours, goals[1], measured=f"{wasted:.1f}, HPA {theirs:.1f}", met=wasted <= theirs)


def _besides(results: Sequence[Results], number: str, name: str = OURS) -> list[Beside]:
    found = next((one for one in results if _number(one.scenario.name) == number), None)
    return [] if found is None else [found.besides[name][seed] for seed in sorted(found.besides[name])]


def _fits(results: Sequence[Results]) -> Goal:
    figure, goal = "S13: minutes with something shed, once ready GPUs carry all for 5 minutes", "0 in every seed"
    minutes = [one.shed_minutes_once_it_fits for one in _besides(results, "S13")]
    if not minutes:
        return _goal(figure, goal)
    said = f"mean {sum(minutes) / len(minutes):.2f}, worst {max(minutes):.2f}"
    return _goal(figure, goal, measured=said, met=max(minutes) <= ROUNDING)


def _stale(ours: dict[str, ControllerResult]) -> Goal:
    figure, goal = "S7: changes made on stale data", "0 in every seed"
    if "S7" not in ours:
        return _goal(figure, goal)
    changes = [one.changes_on_stale_data for one in ours["S7"].figures.values()]
    said = f"mean {sum(changes) / len(changes):.2f}, worst {max(changes)}"
    return _goal(figure, goal, measured=said, met=max(changes) == 0)


def _restart(judged: Judged) -> Goal:
    """Against the same users without restarts: what turns round anyhow is not the restart's doing."""
    figure, goal = (
        "S8: reversals caused by restarts, against the same seeds without them",
        "0, or told from 0 by no interval",
    )
    own, twin = _besides(judged.results, "S8"), judged.unrestarted
    if not own or twin is None:
        return _goal(figure, goal)
    turns = [float(one.turns) for one in own]
    without = [float(twin.besides[OURS][seed].turns) for seed in sorted(twin.besides[OURS])]
    more = paired_difference(turns, without)
    said = f"{more.mean:+.2f} a run ({more.low:+.2f} to {more.high:+.2f})"
    return _goal(figure, goal, measured=said, met=more.low <= ROUNDING)


def _p95(results: Sequence[Results]) -> dict[str, float]:
    """By scenario that has episodes, the worse where one is there twice: the 95th percentile over seeds of the worst episode's seconds."""
    found: dict[str, float] = {}
    for one in results:
        worst = sorted(max(f.seconds_to_protect) for f in one.figures[OURS].values() if f.seconds_to_protect)
        if worst:
            place = 0.95 * (len(worst) - 1)
            low = int(place)
            high = min(low + 1, len(worst) - 1)
            name = _number(one.scenario.name)
            found[name] = max(found.get(name, 0.0), worst[low] + (place - low) * (worst[high] - worst[low]))
    return found


def _protection(figure: str, p95: dict[str, float], most: float) -> Goal:
    goal = f"at most {most:g} s in every scenario"
    if not p95:
        return _goal(figure, goal)
    over = {name: seconds for name, seconds in p95.items() if seconds > most}
    named = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in over.items())
    said = f"{len(p95) - len(over)} of {len(p95)} within" + (
        f"; {named}" if over else f", worst {max(p95.values()):.0f} s"
    )
    return _goal(figure, goal, measured=said, met=not over)


def _sawtooth(results: Sequence[Results], ours: dict[str, ControllerResult]) -> Iterator[Goal]:
    first, goal = "S3: reversals, worst cell", f"at most {WORST_REVERSALS:g}"
    second, times = "S3: unavailable minutes over O3's", f"at most {OF_IDEAL_UNAVAILABLE:g}"
    if "S3" not in ours:
        yield from (_goal(first, goal), _goal(second, times))
        return
    reversals = ours["S3"].means["reversals"]
    said = f"{reversals.mean:.2f} ({reversals.low:.2f} to {reversals.high:.2f})"
    yield _goal(first, goal, measured=said, met=reversals.mean <= WORST_REVERSALS)
    own = sum(one.unavailable_minutes for one in _besides(results, "S3"))
    ideal = sum(one.unavailable_minutes for one in _besides(results, "S3", IDEAL))
    ratio = own / ideal if ideal else float("inf") if own else 1.0
    yield _goal(second, times, measured=f"{ratio:.2f}", met=ratio <= OF_IDEAL_UNAVAILABLE)


def _inversions(ours: dict[str, ControllerResult]) -> Goal:
    means = {name: one.means["priorityInversionMinutes"].mean for name, one in ours.items()}
    some = {name: minutes for name, minutes in means.items() if minutes > ROUNDING}
    named = ", ".join(f"{name} {minutes:.2f} min" for name, minutes in some.items())
    return _goal(
        "priority inversion after the first 30 s of an episode",
        "0 minutes in every scenario",
        measured=f"none in {len(means) - len(some)} of {len(means)}" + (f"; {named}" if some else ""),
        met=not some,
    )


def _speed(milliseconds: float | None) -> Goal:
    figure, goal = (
        "`plan()` for 1,000 scalers and 1,000 policies of 5 tiers",
        f"under {PLAN_MILLISECONDS:g} ms on one core",
    )
    if milliseconds is None:
        return _goal(figure, goal)
    return _goal(figure, goal, measured=f"{milliseconds:.0f} ms", met=milliseconds < PLAN_MILLISECONDS)
