"""`brownout simulate --from-prometheus`: the options, and the scenario that they ask for."""

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import msgspec

from brownout.api.resources import InvalidObject

if TYPE_CHECKING:
    from brownout.simulate.scenario import Scenario


class UsageError(ValueError):
    """Options that cannot be understood, in one sentence."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what the past is asked with."""
    group = parser.add_argument_group("what would it have done to us yesterday?")
    group.add_argument(
        "--from-prometheus",
        metavar="URL",
        help="simulate what users asked for as this Prometheus remembers it; http://USER:PASSWORD@HOST where it wants a password",
    )
    group.add_argument("--last", default="24h", metavar="24h", help="how much of it: 90m, 24h, 2d (default: 24h)")
    group.add_argument("--step", default="30s", metavar="30s", help="a value for each (default: 30s)")
    group.add_argument(
        "--manifests",
        type=Path,
        metavar="DIR",
        help="a folder or file with the pool, scalers, tiers and policies (default: those of the cluster that kubectl reads)",
    )
    group.add_argument("--namespace", "-n", default="default", metavar="NS", help="of the product (default: default)")
    group.add_argument(
        "--save",
        type=Path,
        metavar="DIR",
        help="keep the scenario there, to edit and run again: scenario.yaml and CSV files",
    )


@contextmanager
def scenario(arguments: argparse.Namespace) -> "Iterator[Scenario | None]":
    """The scenario of the past; None where none is asked for. UsageError, ScenarioError, CommandError, OSError."""
    if arguments.from_prometheus is None:
        for option in ("save", "manifests"):
            if getattr(arguments, option) is not None:
                raise UsageError(f"--{option} goes with --from-prometheus URL")
        yield None
        return
    if arguments.scenario:
        raise UsageError(f"--from-prometheus makes a scenario of its own; leave out {' '.join(arguments.scenario)}")
    with ExitStack() as kept:
        folder = arguments.save or Path(kept.enter_context(TemporaryDirectory(prefix="brownout-")))
        yield _made(arguments, folder)


def _made(arguments: argparse.Namespace, folder: Path) -> "Scenario":
    from brownout.simulate.from_prometheus import from_prometheus
    from brownout.simulate.past.manifests import read_bodies
    from brownout.simulate.scenario import read

    if (folder / "scenario.yaml").exists():
        raise UsageError(f"--save: {folder / 'scenario.yaml'} is there already; name another folder, or remove it")
    bodies = _applied(arguments.namespace) if arguments.manifests is None else read_bodies(arguments.manifests)
    made = from_prometheus(
        arguments.from_prometheus,
        bodies,
        folder,
        last=arguments.last,
        step=arguments.step,
        namespace=arguments.namespace,
        now=time.time(),
    )
    print("Known from metrics:", *(f"- {line}" for line in made.known), sep="\n", file=sys.stderr)
    print("Not known, and assumed:", *(f"- {line}" for line in made.unknown), sep="\n", file=sys.stderr)
    if arguments.save is not None:
        print(f"To change that: edit {made.file}, then brownout simulate {made.file}", file=sys.stderr)
    return read(made.file)


def _applied(namespace: str) -> list[dict[str, Any]]:
    """The objects as the cluster has them. UsageError where one of them cannot be read."""
    from brownout.api.schema import GROUP, VERSION
    from brownout.cli.cluster import from_cluster
    from brownout.cli.options import Scope, Where
    from brownout.simulate.past.manifests import NEEDED

    bodies = []
    for kind, objects in from_cluster(NEEDED, Where(), Scope(namespace)).items():
        for one in objects:
            if isinstance(one, InvalidObject):
                raise UsageError(f"{kind} {one.key}: {one.message}")
            spec = msgspec.to_builtins(one.spec)
            meta = {"name": one.key.name}
            bodies.append({"apiVersion": f"{GROUP}/{VERSION}", "kind": kind, "metadata": meta, "spec": spec})
    return bodies
