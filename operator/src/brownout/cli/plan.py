"""`brownout plan`: what these files would change now, if they were applied."""

import argparse
import os
import sys
import time
from typing import TYPE_CHECKING

from brownout.cli.failure import CommandError, failed
from brownout.cli.options import A_MANIFEST, add_cluster_options, add_files_option, add_output_option, scope, where

if TYPE_CHECKING:
    from brownout.cli.cluster import Cluster
    from brownout.cli.main import Subparsers
    from brownout.cli.planning.looking import Looked
    from brownout.cli.validation.manifests import Manifest

SHOWN_MISSING = 5


def register(subparsers: "Subparsers") -> None:
    """Add `plan`."""
    parser = subparsers.add_parser(
        "plan",
        help="say what files would change now, if they were applied",
        description="Reads the cluster as the operator does, puts these files in the place of what is there, and runs the "
        "operator's own plan on both. Shows which replicas and cells differ, and writes nothing. Without a Prometheus demand is "
        "not known, and what rests on it is held. What is short now counts as short for long. "
        "Exit codes, as of `kubectl diff`: 0 nothing would change, 1 something would, 2 it could not be told.",
    )
    add_files_option(parser, reads=A_MANIFEST, required=True)
    parser.add_argument(
        "-n", "--namespace", metavar="NS", help="of objects that name none (default: the context's, or else `default`)"
    )
    parser.add_argument(
        "--prometheus-url",
        default=os.environ.get("PROMETHEUS_URL", ""),
        metavar="URL",
        help="asked in place of every pool's own (default: $PROMETHEUS_URL, or what the pools' Secrets say)",
    )
    parser.add_argument(
        "--operator-namespace",
        default="brownout-system",
        metavar="NS",
        help="where the pools' Secrets are (default: brownout-system)",
    )
    add_output_option(parser, "json", "yaml")
    add_cluster_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the differences; return 1 where there are any."""
    from brownout.cli.cluster import on_cluster
    from brownout.cli.planning.differences import differences, text
    from brownout.cli.saved import manifests

    try:
        given = manifests(arguments.filename)
        before, after = on_cluster(where(arguments), lambda cluster: _look(cluster, given, arguments))
    except CommandError as error:
        raise CommandError(str(error), exit_code=2) from None
    _warn(after)
    found = differences(before, after)
    if arguments.output:
        from brownout.cli.output import document

        print(document(found, arguments.output))
    else:
        print(text(found) or "Nothing would change.")
    return 1 if found else 0


async def _look(cluster: "Cluster", given: "list[Manifest]", arguments: argparse.Namespace) -> "tuple[Looked, Looked]":
    from brownout.cli.planning.facts import listed, replaced
    from brownout.cli.planning.looking import look

    namespace, now = scope(arguments).one(cluster.namespace), time.time()
    _refuse_wrong(given, namespace)
    facts = await listed(cluster.client)
    before, after = await look(
        cluster.client,
        [facts, replaced(facts, given, namespace=namespace, now=now)],
        prometheus_url=arguments.prometheus_url,
        operator_namespace=arguments.operator_namespace,
        now=now,
    )
    return before, after


def _refuse_wrong(given: "list[Manifest]", namespace: str) -> None:
    """What the API server would not take is not planned with. A reference may lead into the cluster, and is told by the plan."""
    from brownout.cli.validation.findings import dotted
    from brownout.cli.validation.objects import is_ours, key_of, problems

    ours = [manifest for manifest in given if is_ours(manifest.body)]
    if not ours:
        raise failed("there is no object of brownout.dev in these files")
    wrong = [
        f"{manifest.file}:{manifest.line(problem.path)}: {manifest.body.get('kind')} "
        f"{key_of(manifest.body, namespace=namespace)}: {dotted(problem.path)}: {problem.message}"
        for manifest in ours
        for problem in problems(manifest.body)
    ]
    if wrong:
        raise failed("\n".join(wrong))


def _warn(looked: "Looked") -> None:
    missing = looked.missing
    for sentence in missing[:SHOWN_MISSING]:
        print(f"warning: {sentence}", file=sys.stderr)
    if (more := len(missing) - SHOWN_MISSING) > 0:
        print(f"warning: and {more} more that could not be seen; what rests on them is held", file=sys.stderr)
