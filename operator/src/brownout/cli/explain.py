"""`brownout explain`: why an object or a cell is as it is, and what has to happen for it to be otherwise."""

import argparse
import sys
import time
from typing import TYPE_CHECKING

from brownout.cli.explanation.chosen import Asked, NotThereError, explain, kind_of
from brownout.cli.explanation.seen import Seen, see, troubles
from brownout.cli.explanation.text import text
from brownout.cli.failure import CommandError, failed
from brownout.cli.options import add_cluster_options, add_files_option, add_namespace_options, scope, where
from brownout.cli.output import document
from brownout.cli.saved import from_files

if TYPE_CHECKING:
    from brownout.cli.main import Subparsers
    from brownout.cli.overview import Objects

READ = ("GPUPool", "InferenceScaler", "UserTier", "FeaturePolicy", "FeatureOverride")


def register(subparsers: "Subparsers") -> None:
    """Add `explain`."""
    parser = subparsers.add_parser(
        "explain",
        help="say which rule decided, on what numbers, and what it waits for",
        description="Explains a pool, a scaler, a policy or one of its cells from what the operator wrote into status: which "
        "rule decided, on what numbers, since when, what has to happen, and when it is expected. Without arguments: the "
        "whole chain of the present shortage. Exit codes: 0 explained, 1 there is no such thing, 2 nothing could be read.",
    )
    parser.add_argument("kind", nargs="?", default="", metavar="KIND", help="pool, scaler or policy; or KIND/NAME")
    parser.add_argument("name", nargs="?", default="", metavar="NAME", help="one of them (default: all of the kind)")
    add_namespace_options(parser)
    parser.add_argument("--tier", help="of a policy: the cells of this tier")
    parser.add_argument("--cohort", help="of a tier: this cohort; '' is the rest of the tier")
    add_files_option(
        parser,
        reads="read what `kubectl get brownout -A -o yaml` wrote instead of the cluster; - is standard input",
    )
    parser.add_argument("-o", "--output", choices=("json", "yaml"), metavar="json|yaml", help="a list of explanations")
    parser.add_argument("--json", dest="output", action="store_const", const="json", help="the same as -o json")
    add_cluster_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the explanations. Returns the exit code."""
    try:
        asked = _asked(arguments)
        seen = _seen(arguments, asked)
        found = explain(seen, asked)
    except NotThereError as error:
        raise failed(str(error)) from None
    except CommandError as error:
        raise CommandError(str(error), exit_code=2) from None
    for message in seen.unreadable:
        print(f"warning: {message}", file=sys.stderr)
    if arguments.output:
        print(document(found, arguments.output))
    else:
        print(text(found) or _nothing(seen))
    return 0


def _nothing(seen: Seen) -> str:
    """That nothing is short, as far as that can be told: what is not in use or cannot be measured is not shown to be well."""
    everything = [(f"GPUPool {key}", pool.status.conditions) for key, pool in sorted(seen.pools.items())]
    everything += [(f"InferenceScaler {key}", scaler.status.conditions) for key, scaler in sorted(seen.scalers.items())]
    everything += [(f"FeaturePolicy {key}", policy.status.conditions) for key, policy in sorted(seen.policies.items())]
    if not everything:
        return "No GPUPool, InferenceScaler or FeaturePolicy found."
    lines = [
        f"  {name}: {sentence.removeprefix(f'{name}: ')}" for name, own in everything for sentence in troubles(own)
    ]
    if not lines and not seen.pools:
        return "Nothing is known to be short: everybody has what it is for, and no pool can be seen."
    if not lines:
        return "Nothing is short: every pool carries what it admits, and everybody has what it is for."
    return "\n".join(["Nothing is known to be short, but not everything can be seen; look at:", *dict.fromkeys(lines)])


def _seen(arguments: argparse.Namespace, asked: Asked) -> Seen:
    if arguments.filename:
        found = from_files(arguments.filename, READ, arguments.namespace)  # of all, where none is named
        if not found["FeatureOverride"]:  # they may be in force, and not among the files
            found = {kind: of_kind for kind, of_kind in found.items() if kind != "FeatureOverride"}
        return see(found)
    # its client takes a second to import, which files need not wait for
    from brownout.cli.cluster import Cluster, on_cluster, read, read_allowed

    async def reading(cluster: Cluster) -> "Objects":
        namespace = scope(arguments).wide(cluster.namespace)
        if asked.kind == "GPUPool":
            return await read(cluster, READ, namespace)
        return (await read_allowed(cluster, READ, namespace))[0]

    return see(on_cluster(where(arguments), reading), now=time.time())


def _asked(arguments: argparse.Namespace) -> Asked:
    word, _, name = arguments.kind.partition("/")
    kind = kind_of(word) if word else ""
    if arguments.tier is not None and kind != "FeaturePolicy":
        raise NotThereError("--tier is of a policy; write: brownout explain policy NAME --tier TIER")
    if arguments.cohort is not None and arguments.tier is None:
        raise NotThereError("--cohort is of a tier; write --tier too")
    return Asked(
        kind=kind,
        name=name or arguments.name,
        namespace=arguments.namespace,
        tier=arguments.tier,
        cohort=arguments.cohort,
    )
