"""`brownout drill`: a short override that shows what a rung saves, beside what the plan says that it would."""

import argparse
import asyncio
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

from brownout.cli.durations import seconds, span
from brownout.cli.failure import CommandError, failed
from brownout.cli.options import add_cluster_options, add_namespace_option, add_output_option, scope, where

if TYPE_CHECKING:
    from brownout.cli.drilling.run import Drill
    from brownout.cli.main import Subparsers

LONGEST_SECONDS, SHORTEST_SECONDS = 900.0, 10.0
LONGEST_BEFORE_SECONDS = 600.0
INTERRUPTED = 130


def register(subparsers: "Subparsers") -> None:
    """Add `drill`."""
    parser = subparsers.add_parser(
        "drill",
        help="take a rung for two minutes, and measure what it saves",
        description="Measures, puts a short override on one rung, measures again, ends it, and reports the GPU-seconds a second "
        "that were saved beside what the plan says. Real users have less meanwhile. Ctrl-C ends it at once; if the command dies, the "
        "override's expireTime ends it. Measures with a Prometheus where one is given, else by what status says; where neither "
        "tells, it takes nothing, and what it has taken it gives back at once. "
        "Needs the ClusterRole brownout-override. Exit codes: 0 done, 1 it could not be, 130 interrupted.",
    )
    parser.add_argument("feature", metavar="FEATURE", help="a FeaturePolicy's name, or its flag key")
    whom = parser.add_argument_group("the rung (default: the feature's next one to go)")
    whom.add_argument("--tier", default="", metavar="TIER", help="of this tier")
    whom.add_argument("--cohort", metavar="COHORT", help="only this cohort of it; '' is the rest of the tier")
    whom.add_argument("--variant", default="", metavar="VARIANT", help="what they get (default: the next lower one)")
    how = parser.add_argument_group("how long")
    how.add_argument("--for", dest="lasting", default="2m", metavar="2m", help="10s to 15m (default: 2m)")
    how.add_argument("--before", default="30s", metavar="30s", help="measured before, 10m at most (default: 30s)")
    how.add_argument(
        "--settle",
        metavar="20s",
        help="not measured at first: users notice, queues empty (default: a third, 20s at most)",
    )
    parser.add_argument("--reason", default="drill", metavar="TEXT", help="stands in the override (default: drill)")
    parser.add_argument(
        "--prometheus-url",
        default=os.environ.get("PROMETHEUS_URL", ""),
        metavar="URL",
        help="measure there (default: $PROMETHEUS_URL)",
    )
    add_namespace_option(parser)
    add_output_option(parser, "json", "yaml")
    add_cluster_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Drill, and print the report."""
    lasting = _seconds("--for", arguments.lasting, SHORTEST_SECONDS, LONGEST_SECONDS)
    before = _seconds("--before", arguments.before, 1.0, LONGEST_BEFORE_SECONDS)
    settle = min(20.0, lasting / 3)
    if arguments.settle is not None:
        settle = _seconds("--settle", arguments.settle, 0.0, lasting - 5.0)
    if arguments.cohort is not None and not arguments.tier:
        raise failed("--cohort is of a tier; write --tier too")
    return asyncio.run(_run(arguments, before=before, lasting=lasting, settle=settle))


def _seconds(option: str, text: str, least: float, most: float) -> float:
    try:
        found = seconds(text)
    except ValueError as error:
        raise failed(f"{option}: {error}") from None
    if not least <= found <= most:
        raise failed(f"{option}: found {text}; write {span(least)} to {span(most)}")
    return found


async def _run(arguments: argparse.Namespace, *, before: float, lasting: float, settle: float) -> int:
    from brownout.cli.cluster import connected
    from brownout.cli.drilling.report import text
    from brownout.cli.drilling.run import Drill

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    async with connected(where(arguments)) as cluster:
        drill = Drill(
            cluster,
            namespace=scope(arguments).one(cluster.namespace),
            where=where(arguments),
            prometheus_url=arguments.prometheus_url,
            stop=stop,
            say=_say,
        )
        await _choose(drill, arguments, lasting=lasting)
        report = await drill.run(before=before, settle=settle, lasting=lasting)
    if report is None:
        raise CommandError("error: interrupted before anything was changed", exit_code=INTERRUPTED)
    if arguments.output:
        from brownout.cli.output import document

        print(document(report, arguments.output))
    else:
        print(text(report))
    if drill.lost:
        _say(f"error: the drill was {report.ended}")
        return 1
    return INTERRUPTED if stop.is_set() else 0


async def _choose(drill: "Drill", arguments: argparse.Namespace, *, lasting: float) -> None:
    await drill.choose(
        arguments.feature,
        tier=arguments.tier,
        cohort=arguments.cohort,
        variant=arguments.variant,
        reason=arguments.reason,
        now=float(int(time.time())),
        lasting=lasting,
    )


def _say(line: str, *_: Any) -> None:
    """How it goes, beside the report."""
    print(line, file=sys.stderr, flush=True)
