"""The tables of `decisions.md`, in Markdown: goals, scores, V by scenario, and what the controllers were tuned to."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from brownout.simulate.goals import Goal
from brownout.simulate.results import Comparison, ControllerResult
from brownout.simulate.tournament import HPA, IDEAL, OURS
from brownout.simulate.tuning import ROUNDS, Tuned

NAMES = {OURS: "**Brownout**", IDEAL: "O3: Brownout, told the truth", HPA: "HPA"}
ALSO = (
    ("secondsToProtectP95", "protect s, p95", 0),
    ("paidBreachMinutes", "breach min", 1),
    ("unneededUnavailableMinutes", "unneeded min", 2),
    ("reversals", "reversals", 2),
    ("priorityInversionMinutes", "inversion min", 1),
    ("secondsToRestore", "restore s", 0),
    ("wastedGpuHours", "wasted GPU-h", 1),
    ("podsCreated", "pods", 0),
    ("fairness", "fairness", 2),
    ("apiWrites", "writes", 0),
)


class Made(Struct, frozen=True, kw_only=True, rename="camel"):
    """How a comparison was made, and which goals it meets. `seconds` by part of the work; `processorSeconds` of all processes."""

    machine: str
    python: str
    seeds: tuple[int, ...]
    quick: bool
    seconds: dict[str, float]
    processor_seconds: float
    tuned_on: tuple[str, ...]
    tuned: dict[str, Tuned]
    goals: tuple[Goal, ...]


def page(made: Made, comparisons: Sequence[Comparison]) -> str:
    """The whole page."""
    return "\n\n".join(filter(None, _parts(made, comparisons))) + "\n"


def _parts(made: Made, comparisons: Sequence[Comparison]) -> Iterator[str]:
    yield "# Decisions, compared"
    seeds = f"{made.seeds[0]} to {made.seeds[-1]}" if len(made.seeds) > 1 else str(made.seeds[0])
    minutes = sum(made.seconds.values()) / 60
    parts = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in made.seconds.items())
    yield (
        f"{made.machine}; Python {made.python}; {len(made.seeds)} seeds ({seeds}); {minutes:.1f} minutes ({parts}), "
        f"{made.processor_seconds / 60:.1f} of processor time. "
        "Every controller meets the same users. Intervals are 95 %, by bootstrap over the seeds."
    )
    if made.quick:
        yield "**A quick look, for development: few seeds, nothing tuned, no S6. Not for publication.**"
    yield "## Goals"
    yield _table(("figure", "goal", "measured", ""), (_goal(goal) for goal in made.goals))
    yield "## Score by scenario"
    yield (
        "0 is the HPA; 1 is the best of the programme with foresight (O2) and of every controller. A dash: HPA and the best "
        "are less than 0.05 of V apart, so the scenario tells nobody apart."
    )
    yield _scores(comparisons)
    yield "## V by scenario"
    for comparison in comparisons:
        yield _scenario(comparison, len(made.seeds))
    if made.tuned:
        yield "## What the controllers were tuned to"
        rounds = "; then ".join(f"{seeds[0]} to {seeds[-1]}" for seeds in ROUNDS)
        yield (
            f"Successive halving on {', '.join(made.tuned_on)}: all settings of a controller's grid on seeds {rounds}; the "
            "highest mean V wins. Choice 1 is the published setting."
        )
        yield _table(
            ("controller", "choice", "of", "V while tuning", "setting"), (_tuned(n, t) for n, t in made.tuned.items())
        )
    yield "## Made of"
    yield _table(("scenario", "SHA-256"), (_hashes(one) for one in comparisons))


def _goal(goal: Goal) -> tuple[str, ...]:
    verdict = {True: "met", False: "**not met**", None: "not measured"}[goal.met]
    return (goal.figure, goal.goal, goal.measured, verdict)


def _scores(comparisons: Sequence[Comparison]) -> str:
    numbers = [one.provenance.scenario.split("-")[0] for one in comparisons]
    names = list(dict.fromkeys(result.name for one in comparisons for result in one.controllers))
    rows: list[tuple[float, tuple[str, ...]]] = []
    for name in names:
        scores = [next((r.score for r in one.controllers if r.name == name), None) for one in comparisons]
        known = [score.mean for score in scores if score is not None]
        mean = sum(known) / len(known) if known else 0.0
        cells = ("–" if score is None else f"{score.mean:.2f}" for score in scores)
        rows.append((-mean, (NAMES.get(name, name), f"{mean:.2f}" if known else "–", *cells)))
    return _table(("", "mean", *numbers), (row for _, row in sorted(rows)))


def _scenario(comparison: Comparison, seeds: int) -> str:
    shown = [
        (name, head, digits) for name, head, digits in ALSO if any(name in r.means for r in comparison.controllers)
    ]
    bounds = ", ".join(
        f"{name.upper()} {sum(by_seed.values()) / len(by_seed):.4f}" for name, by_seed in comparison.bounds.items()
    )
    heads = ("controller", "rank", "V", "score", *(head for _, head, _ in shown))
    rows = (_result(result, shown) for result in comparison.controllers)
    notes = " Left out of the score." if comparison.excluded else ""
    notes += f" {len(comparison.seeds)} seeds." if len(comparison.seeds) != seeds else ""
    return f"### {comparison.provenance.scenario}\n\nBounds: {bounds}.{notes}\n\n{_table(heads, rows)}"


def _result(result: ControllerResult, shown: Iterable[tuple[str, str, int]]) -> tuple[str, ...]:
    value, score = result.means["value"], result.score
    return (
        NAMES.get(result.name, result.name),
        "" if result.place is None else str(result.place.rank),
        f"{value.mean:.4f} ({value.low:.4f} to {value.high:.4f})",
        "–" if score is None else f"{score.mean:.2f} ({score.low:.2f} to {score.high:.2f})",
        *(f"{result.means[name].mean:.{digits}f}" if name in result.means else "–" for name, _, digits in shown),
    )


def _tuned(name: str, tuned: Tuned) -> tuple[str, ...]:
    return (name, str(tuned.choice + 1), str(tuned.candidates), f"{tuned.value:.4f}", _setting(tuned.parameters))


def _setting(parameters: Any) -> str:
    """Fields and values, nested ones in brackets."""
    if not isinstance(parameters, Struct):
        return f"{parameters:g}" if isinstance(parameters, float) else str(parameters)
    fields = (f"{f.name} {_setting(getattr(parameters, f.name))}" for f in msgspec.structs.fields(parameters))
    return f"[{', '.join(fields)}]"


def _hashes(comparison: Comparison) -> tuple[str, str]:
    made = comparison.provenance
    return (
        made.scenario,
        ", ".join([made.scenario_hash, *(f"{name}: {digest}" for name, digest in made.traces.items())]),
    )


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
