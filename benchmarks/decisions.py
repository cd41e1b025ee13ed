"""How good the decisions are: every scenario, every controller, 30 seeds, in closed loop and virtual time.

    python benchmarks/decisions.py [--scenario S1 S2] [--seeds 11-40] [--controllers ours,hpa] [--jobs N] [--quick]

First the other controllers are tuned on seeds 1 to 10 (`brownout.simulate.tuning`); then all run on seeds that tuning has not
seen, on the same users. Beside that Brownout alone runs some scenarios with servers that know no tiers (FIFO), and S8 without
its restarts. Writes decisions.json, decisions.md and plots into benchmarks/results. `make bench-decisions` is all of it: about
half an hour of processor time.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import msgspec
from decision_tables import Made, page
from msgspec import structs
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from brownout.cli.past import UsageError
from brownout.cli.simulate import numbers
from brownout.simulate.comparisons import comparisons
from brownout.simulate.controllers import CONTROLLERS
from brownout.simulate.goals import Judged, judge
from brownout.simulate.report import write, write_values
from brownout.simulate.results import Comparison, means
from brownout.simulate.scenario import Scenario, ScenarioError
from brownout.simulate.shipped import load, shipped
from brownout.simulate.tournament import HPA, OURS, Results, compare, entrants
from brownout.simulate.tuning import Tuned, tune

RESULTS = Path(__file__).parent / "results"
TUNED_ON = ("S1", "S3", "S5", "S12")
"""Scenarios on which controllers are tuned: a ramp, a sawtooth, lost GPUs, and a workload that starves another."""
DAY, DAY_SEEDS = 86400.0, 10
"""A day is 24 times as long as the other scenarios, so it has a third of the seeds: ten days."""
FIFO_TOO = ("S1", "S5", "S12")
FIFO, UNRESTARTED = "-fifo", "-without"


def fifo(scenario: Scenario) -> Scenario:
    """The same with servers that take requests in the order in which they come."""
    workloads = {name: structs.replace(one, order="FIFO") for name, one in scenario.workloads.items()}
    return structs.replace(scenario, name=f"{scenario.name}{FIFO}", workloads=workloads)


def unrestarted(scenario: Scenario) -> Scenario:
    """The same without faults."""
    return structs.replace(scenario, name=f"{scenario.name}{UNRESTARTED}", faults=())


def number(scenario: Scenario) -> str:
    return scenario.name.split("-")[0].upper()


def plan_milliseconds() -> float:
    """`plan()` for 1,000 scalers, the slower of the loads in which most is decided."""
    from plan_speed import measure

    return max(float(str(measure(1000, load, 5)["median_ms"])) for load in ("waves", "full"))


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare controllers in simulated scenarios.")
    parser.add_argument("--scenario", nargs="+", metavar="NAME", help="a file, or such as S1 (default: all)")
    parser.add_argument("--seeds", metavar="11-40", help="(default: 11-40, quickly 11-14)")
    parser.add_argument("--controllers", default="all", metavar="NAMES", help="such as ours,hpa (default: all)")
    parser.add_argument("--jobs", type=int, metavar="N", help="processes (default: as many as there are processors)")
    parser.add_argument("--traces", type=Path, metavar="DIR", help="where the scenarios' traces are")
    parser.add_argument("--quick", action="store_true", help="four seeds, no S6, nothing is tuned, plan() is not timed")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR", help="(default: benchmarks/results)")
    parser.add_argument(
        "--html", type=Path, metavar="FILE", help="also write the report with plots of the first seed there"
    )
    args = parser.parse_args()
    try:
        return compared(args)
    except (ScenarioError, UsageError) as error:
        print(f"decisions: {error}", file=sys.stderr)
        return 2


def compared(args: argparse.Namespace) -> int:
    seeds = numbers(args.seeds or ("11-14" if args.quick else "11-40"))
    names = [OURS, *CONTROLLERS] if args.controllers == "all" else [*args.controllers.split(","), HPA]
    names = [one.name for one in entrants(list(dict.fromkeys(names)))]
    scenarios = load(args.scenario or list(shipped()))
    if args.quick and not args.scenario:
        scenarios = [one for one in scenarios if number(one) != "S6"]
    stages = Stages()
    tuned: dict[str, Tuned] = {}
    if not args.quick:
        with stages.stage("tuning") as progress:
            tuned = tune(names, load(list(TUNED_ON)), traces=args.traces, jobs=args.jobs, progress=progress)
    with stages.stage("comparing") as progress:
        field = entrants(names, {name: one.parameters for name, one in tuned.items()})
        results = compare(
            scenarios,
            field,
            seeds,
            traces=args.traces,
            jobs=args.jobs,
            keep=seeds[0],
            progress=progress,
            seeds_of={one.name: seeds[:DAY_SEEDS] for one in scenarios if one.seconds >= DAY},
        )
    with stages.stage("FIFO, and no restarts") as progress:
        variants = [fifo(one) for one in scenarios if number(one) in FIFO_TOO]
        variants += [unrestarted(one) for one in scenarios if number(one) == "S8"]
        beside = compare(
            variants, entrants([OURS]), seeds, traces=args.traces, jobs=args.jobs, ideal=False, progress=progress
        )
    milliseconds = None
    if not args.quick:
        with stages.stage("plan()") as progress:
            milliseconds = plan_milliseconds()
            progress(1, 1)
    found = comparisons(results, args.traces)
    fifos = [one for one in beside if one.scenario.name.endswith(FIFO)]
    goals = judge(
        Judged(
            comparisons=found,
            results=results,
            fifo=fifos,
            unrestarted=next((one for one in beside if one.scenario.name.endswith(UNRESTARTED)), None),
            plan_milliseconds=milliseconds,
        )
    )
    made = Made(
        machine=found[0].provenance.machine,
        python=found[0].provenance.python,
        seeds=tuple(seeds),
        quick=args.quick,
        seconds={name: round(seconds, 1) for name, seconds in stages.seconds.items()},
        processor_seconds=round(sum(os.times()[:4]), 1),
        tuned_on=TUNED_ON,
        tuned=tuned,
        goals=tuple(goals),
    )
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "decisions.json").write_bytes(as_json(made, found, fifos))
    (args.out / "decisions.md").write_text(page(made, found))
    write_values(args.out / "decisions.svg", found)
    records = [record for one in results for name, record in one.records.items() if name in (OURS, HPA)]
    if args.html:
        write(args.html, found, records, summaries={one.name: one.summary for one in scenarios})
    print(page(made, found))
    return 0


class Stages:
    """A progress bar for each part of the work, and how long it took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[Callable[[int, int], None]]:
        began = monotonic()
        columns = (TextColumn(name), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task("", total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
        self.seconds[name] = monotonic() - began


def as_json(made: Made, found: Sequence[Comparison], fifos: Sequence[Results]) -> bytes:
    """What it came to; of the single seeds V alone, for all of their figures would be some megabytes."""
    values = {
        one.provenance.scenario: {
            result.name: [round(figures.value, 6) for figures in result.figures.values()] for result in one.controllers
        }
        for one in found
    }
    lean = [
        structs.replace(one, controllers=tuple(structs.replace(result, figures={}) for result in one.controllers))
        for one in found
    ]
    fifo_means = {one.scenario.name: means(list(one.figures[OURS].values())) for one in fifos}
    whole = {"made": made, "comparisons": lean, "values": values, "fifo": fifo_means}
    return msgspec.json.format(msgspec.json.encode(whole), indent=1) + b"\n"


if __name__ == "__main__":
    sys.exit(main())
