"""`make demo`: sets the stage, lets the users come, and says whether the story came true."""

import argparse
import asyncio
import json
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table

from brownout_demo import stage
from brownout_demo.crowd import Crowd
from brownout_demo.figures import report
from brownout_demo.live import line, picture, screen
from brownout_demo.memory import weigh
from brownout_demo.page import serve
from brownout_demo.records import Record
from brownout_demo.schedule import MINUTES
from brownout_demo.story import Sentence, tell
from brownout_demo.witness import Witness
from brownout_localcluster import LocalCluster

LEAST_MINUTES = 3.0
SECOND = 1.0
HEADLESS_COLUMNS = 160
WEIGH_SECONDS = 15.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo. Returns 0 if the story came true, 1 if not, 130 after Ctrl-C."""
    options = _parser().parse_args(arguments)
    console = Console(width=HEADLESS_COLUMNS if options.headless else None, soft_wrap=options.headless)
    # SIGTERM ends it as Ctrl-C does, so that nothing is left running either way.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return _run(options, console)
    except KeyboardInterrupt:
        console.print("ended; nothing is left running")
        return 130
    except stage.StageError as error:
        console.print(f"[red]{error}[/red]")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="brownout-demo", description=__doc__)
    parser.add_argument("--headless", action="store_true", help="lines instead of the live view")
    parser.add_argument("--report", type=Path, metavar="DIR", help="write report.json, plot.png and the logs there")
    parser.add_argument(
        "--minutes", type=_minutes, default=MINUTES, help=f"how long the load runs (default {MINUTES:g})"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the users' arrivals")
    return parser


def _minutes(text: str) -> float:
    minutes = float(text)
    if minutes < LEAST_MINUTES:
        raise argparse.ArgumentTypeError(f"{text} is too short for the story; write {LEAST_MINUTES:g} or more")
    return minutes


def _run(options: argparse.Namespace, console: Console) -> int:
    began = time.monotonic()

    def say(words: str) -> None:
        console.print(f"{time.monotonic() - began:6.1f} s  {words}", highlight=False, markup=False)

    logs = options.report / "logs" if options.report else None
    if logs:
        logs.mkdir(parents=True, exist_ok=True)
    say("starting the local cluster: API server, controllers, scheduler, etcd, kwok, Prometheus")
    with stage.cluster(say, keep_logs=logs) as running:
        stage.install(running, say)
        stage.wait_until_ready(running, say)
        alias = "" if shutil.which("kubectl") else f"; alias kubectl={running.binaries['kubectl']}"
        say(f"kubectl works against it: export KUBECONFIG={running.kubeconfig}{alias}")
        record = Record(minutes=options.minutes, versions=stage.versions(running))
        asyncio.run(_play(running, record, options, console, say))
    say("the cluster is gone" + (f"; its logs are in {logs}" if logs else ""))
    sentences = tell(record)
    if options.report:
        _write(record, sentences, options)
    _summary(record, sentences, console)
    return 0 if all(sentence.true for sentence in sentences) else 1


async def _play(
    running: LocalCluster, record: Record, options: argparse.Namespace, console: Console, say: stage.Say
) -> None:
    started, wall = time.monotonic(), time.time()

    def now() -> float:
        return time.monotonic() - started

    witness = Witness(running.objects, record, now=now, started=wall)
    crowd = Crowd(
        stage.hosts(running), minutes=options.minutes, seed=options.seed, record=record.outcomes.append, started=started
    )
    async with serve(lambda: picture(record, now())) as page:
        say(f"users come; the page: {page}")
        watching = asyncio.create_task(witness.watch())
        weighing = asyncio.create_task(_weigh(record))
        showing = asyncio.create_task(
            _headless(record, say, now) if options.headless else _show(record, console, page, now)
        )
        try:
            await crowd.come()
            await witness.look()
        finally:
            for task in (watching, weighing, showing):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task


async def _weigh(record: Record) -> None:
    """Keeps the heaviest that the whole has been."""
    while True:
        weights = await asyncio.to_thread(weigh)
        if weights["total"] > record.memory_mib.get("total", 0.0):
            record.memory_mib = weights
        await asyncio.sleep(WEIGH_SECONDS)


async def _show(record: Record, console: Console, page: str, now: Callable[[], float]) -> None:
    with Live(console=console, refresh_per_second=2, screen=False, vertical_overflow="crop") as live:
        while True:
            live.update(screen(record, now(), page=page))
            await asyncio.sleep(SECOND)


async def _headless(record: Record, say: stage.Say, now: Callable[[], float]) -> None:
    """A line for each change, and one for each quarter of a minute."""
    flips = scalings = 0
    spoke = -15.0
    while True:
        for flip in record.flips[flips:]:
            who = f"{flip.tier}/{flip.cohort}" if flip.cohort else flip.tier
            say(
                f"{flip.feature} for {who}: {flip.from_variant} {flip.from_percent} % -> {flip.to_variant} {flip.percent} %: {flip.message}"
            )
        for scaling in record.scalings[scalings:]:
            say(f"{scaling.scaler} {scaling.from_replicas} -> {scaling.to_replicas}: {scaling.rule}: {scaling.message}")
        flips, scalings = len(record.flips), len(record.scalings)
        if now() - spoke >= 15.0:
            spoke = now()
            say(line(picture(record, spoke)))
        await asyncio.sleep(SECOND)


def _write(record: Record, sentences: list[Sentence], options: argparse.Namespace) -> None:
    from brownout_demo.plot import draw

    told = [{"sentence": s.text, "true": s.true, "seen": s.seen} for s in sentences]
    content = json.dumps(report(record, seed=options.seed, story=told), indent=2)
    (options.report / "report.json").write_text(content + "\n")
    draw(record, options.report / "plot.png")


def _summary(record: Record, sentences: list[Sentence], console: Console) -> None:
    content = report(record, seed=0, story=[])
    for name in ("overload_started_at", "first_shed_at", "fully_restored_at", "gpus", "max_gpus_granted"):
        console.print(f"{name}: {content[name]}", highlight=False)
    console.print(f"memory: {record.memory_mib.get('total', 0):.0f} MiB at most", highlight=False)
    table = Table("", "feature/tier", "asked", "served", "in time", "refused", "failed", "p95")
    for when, rows in content["slo"].items():
        for name, row in rows.items():
            numbers = [str(row[key]) for key in ("offered", "served", "within_objective", "refused", "failed")]
            table.add_row(when, name, *numbers, "-" if row["p95_seconds"] is None else f"{row['p95_seconds']} s")
    console.print(table)
    for sentence in sentences:
        mark = "[green]yes[/green]" if sentence.true else "[red]NO [/red]"
        console.print(f"{mark}  {sentence.text}  [dim]{sentence.seen}[/dim]", highlight=False)


if __name__ == "__main__":
    sys.exit(main())
