"""`brownout diagnose`: everything that whoever helps will ask for, in one file without secrets, and what looks wrong on one page."""

import argparse
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from brownout.cli import durations
from brownout.cli.failure import CommandError, failed
from brownout.cli.options import add_cluster_options, add_namespace_options, scope, where

if TYPE_CHECKING:
    from brownout.cli.cluster import Cluster
    from brownout.cli.diagnosing.bundle import Bundle
    from brownout.cli.diagnosing.found import Found
    from brownout.cli.main import Subparsers


def register(subparsers: "Subparsers") -> None:
    """Add `diagnose`."""
    parser = subparsers.add_parser(
        "diagnose",
        help="gather what helps to find out what is wrong, without secrets",
        description="Writes a bundle: our objects and what they decided, the workloads that they scale with pods and Events, logs, "
        "metrics and rights of the operator and the flag servers, versions, and what Prometheus answers to each query. "
        "Secrets are never read; values of environment variables, tokens, Authorization headers, credentials in URLs and PEM "
        "blocks are taken out. It reads with your rights, and writes nothing to the cluster; what it may not read is listed in "
        "errors.txt. Exit codes: 0 written, 1 it could not be.",
    )
    add_namespace_options(parser)
    parser.add_argument(
        "--since", default="1h", metavar="1h", help="how old logs and Events may be: 15m, 1h, 2d (default: 1h)"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE.tar.gz|DIR",
        help="where to write it (default: brownout-TIME.tar.gz in this folder)",
    )
    parser.add_argument(
        "--prometheus-url",
        default=os.environ.get("PROMETHEUS_URL", ""),
        metavar="URL",
        help="is asked every query once (default: $PROMETHEUS_URL, or nobody is asked)",
    )
    parser.add_argument(
        "--operator-namespace",
        default="brownout-system",
        metavar="NS",
        help="where the operator and the flag servers are, if you may not look everywhere (default: brownout-system)",
    )
    add_cluster_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the bundle and print the page."""
    from brownout.cli.cluster import on_cluster
    from brownout.cli.diagnosing.findings import findings
    from brownout.cli.diagnosing.summary import summary

    try:
        since_seconds = durations.seconds(arguments.since)
    except ValueError as error:
        raise failed(f"--since: {error}") from None
    path: Path = arguments.output or Path(f"brownout-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.tar.gz")
    if path.exists() and not path.is_dir():
        raise failed(f"{path} is there already; name another place by -o")
    found, bundle = on_cluster(where(arguments), lambda cluster: _gather(cluster, arguments, since_seconds))
    found.errors += bundle.errors
    page = summary(found, findings(found), where=str(path))
    bundle.last("errors.txt", "".join(f"{error}\n" for error in dict.fromkeys(found.errors)))
    bundle.last("summary.txt", page + "\n")
    bundle.write(path)
    print(bundle.files["summary.txt"].decode(), end="")
    if not found.bodies and not found.server_version:
        raise CommandError("error: nothing could be read of the cluster; errors.txt says why")
    return 0


async def _gather(cluster: "Cluster", arguments: argparse.Namespace, since_seconds: float) -> "tuple[Found, Bundle]":
    from importlib.metadata import version

    from brownout.cli.diagnosing.gathering import gather
    from brownout.cli.diagnosing.parts import Asked

    asked = Asked(
        namespace=scope(arguments).wide(cluster.namespace),
        since_seconds=since_seconds,
        operator_namespace=arguments.operator_namespace,
        prometheus_url=arguments.prometheus_url,
    )
    return await gather(cluster.client, asked, cli_version=version("brownout"))
