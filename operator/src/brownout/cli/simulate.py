"""`brownout simulate`: what these manifests would do in a scenario, and what other controllers would have done.

Simulating needs the extra `simulate`; nothing of it is imported before it is asked for.
"""

import argparse
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from brownout.cli import past
from brownout.cli.failure import CommandError
from brownout.cli.past import UsageError

if TYPE_CHECKING:
    from brownout.cli.main import Subparsers
    from brownout.simulate.results import Comparison
    from brownout.simulate.scenario import Scenario
    from brownout.simulate.tournament import Progress, Results

NEEDED = ("numpy", "numba", "matplotlib")


def register(subparsers: "Subparsers") -> None:
    """Add `simulate`."""
    parser = subparsers.add_parser(
        "simulate",
        help="run manifests against a scenario in virtual time, beside other controllers",
        description="Runs the very decisions of the operator in virtual time, with users, queues, servers, GPUs and metrics "
        "as a scenario has them, and other controllers on the same users. Exit codes: 0 done, 2 cannot be run.",
    )
    parser.add_argument(
        "scenario",
        nargs="*",
        metavar="SCENARIO",
        help="a scenario's file, or one that comes along: S1, s01-viral-ramp, all",
    )
    parser.add_argument("--list", action="store_true", help="list the scenarios and controllers that come along")
    parser.add_argument(
        "--seeds", default="1-5", metavar="1-5", help="each draws its own users: 1-5, or 1,4 (default: 1-5)"
    )
    parser.add_argument(
        "--controllers",
        default="ours,hpa",
        metavar="NAMES",
        help="ours,hpa,..., or all (default: ours,hpa); hpa always runs",
    )
    parser.add_argument("--traces", type=Path, metavar="DIR", help="where traces are that are not beside the scenario")
    parser.add_argument("--json", metavar="FILE", help="write all figures there; - is standard output")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a report with plots of the first seed there")
    parser.add_argument("--jobs", type=int, metavar="N", help="processes (default: as many as there are processors)")
    past.add_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Simulate, print a table for each scenario; return the exit code."""
    if any(importlib.util.find_spec(module) is None for module in NEEDED):
        print("brownout simulate: needs more than is installed: pip install 'brownout[simulate]'", file=sys.stderr)
        return 2
    from brownout.simulate.scenario import ScenarioError

    try:
        if arguments.list:
            return _list()
        with past.scenario(arguments) as scenario:
            return _simulate(arguments, [scenario] if scenario else _scenarios(arguments))
    except (ScenarioError, UsageError) as error:
        print(f"brownout simulate: {error}", file=sys.stderr)
    except CommandError as error:
        print(error, file=sys.stderr)
    except OSError as error:
        print(f"brownout simulate: {error.filename or ''}: {error.strerror or error}", file=sys.stderr)
    return 2


def _simulate(arguments: argparse.Namespace, scenarios: "list[Scenario]") -> int:
    from brownout.simulate.comparisons import comparisons
    from brownout.simulate.controllers import CONTROLLERS
    from brownout.simulate.tournament import HPA, OURS, compare, entrants

    wanted = [OURS, *CONTROLLERS] if arguments.controllers == "all" else arguments.controllers.split(",")
    names = list(dict.fromkeys([*(name.strip() for name in wanted if name.strip()), HPA]))
    seeds = numbers(arguments.seeds)
    if arguments.jobs is not None and arguments.jobs < 1:
        raise UsageError(f"--jobs: found {arguments.jobs}; write 1 or more")
    field = entrants(names)
    _warn(scenarios)
    with _progress() as progress:
        results = compare(
            scenarios,
            field,
            seeds,
            traces=arguments.traces,
            jobs=arguments.jobs,
            keep=seeds[0] if arguments.html else None,
            progress=progress,
        )
    found = comparisons(results, arguments.traces)
    _write(arguments, results, found)
    return 0


def _warn(scenarios: "list[Scenario]") -> None:
    """Say once what is probably not meant, before anything runs."""
    from brownout.simulate.cautions import cautions
    from brownout.simulate.layout import Layout
    from brownout.simulate.manifests import load

    for scenario in scenarios:
        for sentence in cautions(Layout(scenario, load(scenario))):
            print(f"brownout simulate: warning: {sentence}", file=sys.stderr)


def _scenarios(arguments: argparse.Namespace) -> "list[Scenario]":
    """The scenarios that are asked for; UsageError where none is."""
    from brownout.simulate.rates import missing_traces
    from brownout.simulate.shipped import load, shipped, traced

    if not arguments.scenario:
        raise UsageError("no scenario; name a file, or one of those that --list shows")
    if arguments.scenario != ["all"]:
        return load(arguments.scenario)
    found = []
    for scenario in load([*shipped(), *traced()]):
        if missing := missing_traces(scenario, arguments.traces):
            print(
                f"brownout simulate: left out {scenario.name}: no {', '.join(missing)}; name its folder with --traces",
                file=sys.stderr,
            )
        else:
            found.append(scenario)
    return found


def _write(arguments: argparse.Namespace, results: "list[Results]", found: "list[Comparison]") -> None:
    import msgspec

    from brownout.cli.simulated import summary

    text = msgspec.json.format(msgspec.json.encode(found), indent=2).decode() + "\n"
    if arguments.json == "-":
        sys.stdout.write(text)
    else:
        print(summary(found))
    if arguments.json and arguments.json != "-":
        Path(arguments.json).write_text(text)
    if arguments.html:
        from brownout.simulate.report import write

        write(
            arguments.html,
            found,
            [record for one in results for record in one.records.values()],
            summaries={one.scenario.name: one.scenario.summary for one in results},
        )


def _list() -> int:
    from brownout.simulate.controllers import CONTROLLERS
    from brownout.simulate.scenario import read
    from brownout.simulate.shipped import shipped, traced

    for name, path in shipped().items():
        print(f"{name:24} {read(path).summary}")
    print("\nwith public traces, whose folder is named with --traces:")
    for name, path in traced().items():
        print(f"{name:24} {read(path).summary}")
    print(f"\ncontrollers: ours, {', '.join(CONTROLLERS)}")
    return 0


def numbers(text: str) -> list[int]:
    """Seeds: `3`, `1-5`, `1,4,8-10`. UsageError for anything else."""
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or (dash and int(last) < int(first)):
            raise UsageError(f"--seeds: found {text!r}; write numbers such as 1-5 or 1,4")
        found += range(int(first), int(last or first) + 1)
    return list(dict.fromkeys(found))


@contextmanager
def _progress() -> "Iterator[Progress]":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("simulating"), BarColumn(), MofNCompleteColumn(), TextColumn("runs,"), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
