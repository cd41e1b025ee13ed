"""What would Brownout have done to us yesterday? A scenario from the metrics that a Prometheus still has.

The scenario is a folder like any other: scenario.yaml, its manifests, and a CSV file for each stream of users. It can be edited
and run again without a Prometheus.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from textwrap import wrap

import yaml
from msgspec import Struct

from brownout.simulate.past.history import Span, ask, source_of
from brownout.simulate.past.manifests import Body, choose, write_and_load
from brownout.simulate.past.readings import questions, read
from brownout.simulate.past.world import World, world
from brownout.simulate.record import Floats
from brownout.simulate.scenario import ScenarioError

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LEAST_MOMENTS = 10
MOST_SECONDS = 14 * 86400


class Past(Struct, frozen=True, kw_only=True):
    """A scenario that was written: its file, and in sentences what the metrics say and what they cannot."""

    file: Path
    known: tuple[str, ...]
    unknown: tuple[str, ...]


def seconds(text: str, option: str) -> float:
    """A time such as 30s, 90m, 24h or 2d; ScenarioError for anything else."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text.strip())
    if not found or not float(found[1]):
        raise ScenarioError(f"{option}: found {text!r}; write a time such as 30s, 90m, 24h or 2d")
    return float(found[1]) * UNITS[found[2]]


def from_prometheus(
    url: str, bodies: Sequence[Body], folder: Path, *, last: str, step: str, namespace: str, now: float
) -> Past:
    """Ask, and write the scenario of the time `last` before `now` (Unix seconds) into a folder.

    `bodies` are manifests of the namespace, others are left out. ScenarioError where there is no answer, or none that a scenario
    can be made of; OSError where the folder cannot be written.
    """
    length, each = seconds(last, "--last"), seconds(step, "--step")
    if not LEAST_MOMENTS * each <= length <= MOST_SECONDS:
        raise ScenarioError(f"--last: found {last}; write at least ten times --step ({step}), and 14d at most")
    span = Span(start=now - each * int(length / each), step=each, count=int(length / each) + 1)
    source = source_of(url)
    manifests = write_and_load(choose(bodies, namespace), folder, namespace)
    asked = questions(manifests)
    readings = read(manifests, asked, ask(source, asked.all, span), span)
    end = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d %H:%M UTC")
    found = world(
        manifests, readings, span, name=f"last-{last}", summary=f"The {last} until {end}, as {source.url} has them."
    )
    _write(found, folder, span)
    return Past(file=folder / "scenario.yaml", known=found.known, unknown=found.unknown)


def _write(found: World, folder: Path, span: Span) -> None:
    for file, rates in found.rates.items():
        (folder / file).write_text(_csv(rates, span))
    said = ["Read from Prometheus. What is known from its metrics:", *(f"- {line}" for line in found.known)]
    said += ["What is not, and what was assumed instead:", *(f"- {line}" for line in found.unknown)]
    header = "".join(f"# {line}\n" for sentence in said for line in wrap(sentence, 116, subsequent_indent="  "))
    (folder / "scenario.yaml").write_text(header + yaml.safe_dump(found.fields, sort_keys=False, width=160))


def _csv(rates: Floats, span: Span) -> str:
    rows = (f"{index * span.step:g},{rate:.6g}" for index, rate in enumerate(rates.tolist()))
    return "\n".join(["seconds,requests_per_second", *rows]) + "\n"
