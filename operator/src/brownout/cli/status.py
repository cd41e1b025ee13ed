"""`brownout status`: what is taken from whom, and why, as the operator last wrote it; once, or live."""

import argparse
import asyncio
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from brownout.cli.options import add_cluster_options, add_namespace_options, add_output_option, scope, where

if TYPE_CHECKING:
    from brownout.cli.main import Subparsers
    from brownout.cli.overview import Objects
    from brownout.cli.overview.model import Overview

NAMESPACED = ("InferenceScaler", "UserTier", "FeaturePolicy", "FeatureOverride")
TOGETHER_SECONDS = 0.2
"""Changes come in bursts, one for each object that a tick decided on; what comes within this is one page."""

FIRST_LIST_SECONDS = 30.0
NOTHING = "No GPUPool, InferenceScaler or FeaturePolicy found"


def register(subparsers: "Subparsers") -> None:
    """Add `status`."""
    parser = subparsers.add_parser(
        "status",
        help="say what is taken from whom, and why",
        description="Shows pools, features, overrides in force and scalers as the operator last wrote them; with --watch anew "
        "whenever the API server tells of a change. Exit codes: 0 shown, 1 the cluster could not be read.",
    )
    parser.add_argument("-w", "--watch", action="store_true", help="stay, and show what changes; Ctrl-C ends it")
    add_namespace_options(parser)
    add_output_option(parser, "json", "yaml", "wide", "name")
    add_cluster_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the overview, once or until Ctrl-C."""
    with suppress(*[KeyboardInterrupt] if arguments.watch else []):  # which is how watching ends
        asyncio.run(_run(arguments))
    return 0


async def _run(arguments: argparse.Namespace) -> None:
    from brownout.cli.cluster import connected, read_allowed
    from brownout.cli.deciding import nobody_decides

    async with connected(where(arguments)) as cluster:
        namespace = scope(arguments).wide(cluster.namespace)
        objects, kinds = await read_allowed(cluster, ("GPUPool", *NAMESPACED), namespace)
        if arguments.output in (None, "wide") and (sentence := await nobody_decides(cluster.client)):
            print(f"warning: {sentence}", file=sys.stderr)
    if not arguments.watch:
        _print(_overview(objects), arguments, namespace)
    elif sys.stdout.isatty() and arguments.output in (None, "wide"):
        await _live(arguments, kinds, namespace)
    else:
        await _follow(arguments, kinds, namespace)


def _overview(objects: "Objects") -> "Overview":
    from brownout.cli.overview.model import overview

    return overview(objects, now=time.time())


def _print(seen: "Overview", arguments: argparse.Namespace, namespace: str | None) -> None:
    if arguments.output in ("json", "yaml", "name"):
        print(_document(seen, arguments.output))
    elif not any((seen.pools, seen.features, seen.scalers, seen.troubles)):
        print(f"{NOTHING}{f' in {namespace} namespace' if namespace else ''}.", file=sys.stderr)
    elif sys.stdout.isatty():
        from rich.console import Console

        from brownout.cli.overview.terminal import drawn

        Console(highlight=False).print(drawn(seen, wide=arguments.output == "wide"))
    else:
        from brownout.cli.overview.tables import page

        print(page(seen, wide=arguments.output == "wide"))
    _say_if_empty(seen, arguments, namespace)


def _say_if_empty(seen: "Overview", arguments: argparse.Namespace, namespace: str | None) -> None:
    """A namespace without anything of its own, beside pools that everybody sees, may be a wrong one."""
    if namespace and not arguments.output and seen.pools and not any((seen.features, seen.scalers, seen.troubles)):
        print(f"No features or scalers in {namespace} namespace; -A shows those of all.", file=sys.stderr)


def _document(seen: "Overview", format: str) -> str:  # noqa: A002  kubectl's own word
    if format == "name":
        names = [f"gpupool.brownout.dev/{row.name}" for row in seen.pools]
        names += dict.fromkeys(f"featurepolicy.brownout.dev/{row.feature}" for row in seen.features)
        names += [f"featureoverride.brownout.dev/{row.name}" for row in seen.overrides]
        names += [f"inferencescaler.brownout.dev/{row.name}" for row in seen.scalers]
        return "\n".join(names)
    from brownout.cli.output import document

    return document(seen, format)


async def _follow(arguments: argparse.Namespace, kinds: tuple[str, ...], namespace: str | None) -> None:
    """A page for each change: JSON a line each, YAML a document each, text under the moment."""
    import msgspec

    shown = ""

    def show(seen: "Overview", lost: str) -> None:
        nonlocal shown
        if lost:
            print(f"warning: not up to date: {lost}", file=sys.stderr, flush=True)
        if arguments.output == "json":
            text = msgspec.json.encode(seen).decode()
        elif arguments.output in ("yaml", "name"):
            text = f"---\n{_document(seen, arguments.output)}"
        else:
            from brownout.cli.overview.tables import page

            text = page(seen, wide=arguments.output == "wide")
        if text == shown:
            return
        shown = text
        if arguments.output in (None, "wide"):
            text = f"--- {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}\n{text}"
        print(text, flush=True)

    await _each_change(arguments, kinds, namespace, show)


async def _live(arguments: argparse.Namespace, kinds: tuple[str, ...], namespace: str | None) -> None:
    """One page that changes in place, on the terminal's other screen; the last one stays on the first."""
    from rich.console import Console
    from rich.live import Live

    from brownout.cli.overview.terminal import headed

    console = Console(highlight=False)
    wide, of = arguments.output == "wide", namespace or "all namespaces"
    last: Overview | None = None

    def show(seen: "Overview", lost: str) -> None:
        nonlocal last
        last = seen
        live.update(headed(seen, at=datetime.now(UTC), where=of, lost=lost, wide=wide), refresh=True)

    try:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            await _each_change(arguments, kinds, namespace, show, tick=True)
    finally:
        if last is not None:
            console.print(headed(last, at=datetime.now(UTC), where=of, lost="", wide=wide))


async def _each_change(
    arguments: argparse.Namespace,
    kinds: tuple[str, ...],
    namespace: str | None,
    show: "Callable[[Overview, str], None]",
    *,
    tick: bool = False,
) -> None:
    """Call `show` for every burst of changes; with `tick` also once a second, for the clock. For ever."""
    from brownout.cli.failure import failed
    from brownout.cli.following import following

    async with following(kinds, where(arguments), namespace) as followed:
        deadline = time.monotonic() + FIRST_LIST_SECONDS
        while not followed.complete:
            await followed.change(seconds=1.0)
            if time.monotonic() > deadline:
                raise failed(f"the API server was not heard: {followed.unheard or 'it does not answer'}")
        while True:
            show(_overview(followed.objects), followed.unheard)
            if await followed.change(seconds=1.0 if tick else 3600.0):
                await asyncio.sleep(TOGETHER_SECONDS)
