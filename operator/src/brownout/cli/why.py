"""`brownout why`: which gate gives a user what they have of a feature, and on what evidence."""

import argparse
import shutil
import sys
import time
from typing import TYPE_CHECKING

from brownout.cli.options import (
    Help,
    add_cluster_options,
    add_files_option,
    add_namespace_option,
    add_output_option,
    scope,
    where,
)

if TYPE_CHECKING:
    from brownout.cli.gates.answer import Product
    from brownout.cli.gates.model import Why
    from brownout.cli.main import Subparsers

EPILOG = """\
examples:
  brownout why targetingKey=u-17 plan=free accountCreatedAt=1790000000 image-generation -n media
  brownout why '{"targetingKey": "u-17", "plan": "free"}' image-generation -n media -o json
  brownout why @context.json image-generation -f policies/
"""


def register(subparsers: "Subparsers") -> None:
    """Add `why`."""
    parser = subparsers.add_parser(
        "why",
        help="say which gate gives a user what they have, on what evidence",
        description="Asks every gate that stands between a user and a feature, in the flag server's order: tier, cohort, plan, "
        "override, mode, capacity, percentage; says what each rests on, and what the flag server answers. Evaluates with the "
        "flag server's own code, from the cluster's objects or from files. Exit codes: 0 told, 1 it could not be.",
        epilog=EPILOG,
        formatter_class=Help,
    )
    parser.add_argument(
        "user",
        nargs="+",
        metavar="USER-CONTEXT",
        help="the OpenFeature evaluation context: JSON, @FILE, or pairs such as targetingKey=u-17 plan=free",
    )
    parser.add_argument("feature", metavar="FEATURE", help="a FeaturePolicy's name, or its flag key")
    add_namespace_option(parser)
    add_files_option(
        parser, reads="read objects there instead of in the cluster; - is standard input; repeat it for more"
    )
    add_output_option(parser, "json", "yaml")
    add_cluster_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print why. Warns where the gates and the flag server do not agree."""
    from brownout.cli.gates.person import context

    user = context(arguments.user)
    seen = _from_files(arguments) if arguments.filename else _from_cluster(arguments)
    then = "`brownout validate -f` says what to write" if arguments.filename else "the flag server keeps what it had"
    for message in seen.unreadable:
        print(f"warning: {message}; {then}", file=sys.stderr)
    found = _why(seen, arguments.feature, user)
    if found.disagreement:
        print(f"warning: {found.disagreement}", file=sys.stderr)
    if arguments.output:
        from brownout.cli.output import document

        print(document(found, arguments.output))
    else:
        from brownout.cli.gates.text import text

        print(text(found, width=shutil.get_terminal_size((120, 24)).columns))
    return 0


def _why(seen: "Product", name: str, user: dict[str, object]) -> "Why":
    from brownout.cli.failure import failed
    from brownout.cli.gates.answer import feature, why
    from brownout.cli.gates.matches import Person
    from brownout.flags.classify import UnknownLogicError

    try:
        return why(seen, feature(seen.policies, name, seen.namespace), Person(user, time.time()))
    except UnknownLogicError as error:
        raise failed(f"the flag server takes no such tier: {error}") from None


def _from_files(arguments: argparse.Namespace) -> "Product":
    from brownout.cli.gates.answer import NEEDED, product
    from brownout.cli.saved import from_files

    namespace = arguments.namespace or "default"
    objects = from_files(arguments.filename, NEEDED, None, default_namespace=namespace, now=time.time())
    if arguments.namespace is None:  # files that speak of one namespace leave no doubt
        named = {one.key.namespace for one in objects["FeaturePolicy"]}
        namespace = named.pop() if len(named) == 1 else namespace
    return product(objects, namespace)


def _from_cluster(arguments: argparse.Namespace) -> "Product":
    from brownout.cli.cluster import Cluster, on_cluster, read
    from brownout.cli.gates.answer import NEEDED, product

    async def reading(cluster: Cluster) -> "Product":
        namespace = scope(arguments).one(cluster.namespace)
        return product(await read(cluster, NEEDED, namespace), namespace)

    return on_cluster(where(arguments), reading)
