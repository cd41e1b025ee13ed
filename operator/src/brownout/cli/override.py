"""`brownout override`: a person's word above the loop for a while, or its end."""

import argparse
import time
from typing import TYPE_CHECKING

from brownout.cli.durations import seconds
from brownout.cli.failure import failed
from brownout.cli.options import Help, add_cluster_options, add_namespace_option, add_output_option, scope, where

if TYPE_CHECKING:
    from brownout.cli.cluster import Cluster
    from brownout.cli.gates.answer import Product
    from brownout.cli.main import Subparsers
    from brownout.flags.cells import Override

SHOWN_AS = "featureoverride.brownout.dev"
READ = ("FeaturePolicy", "UserTier", "FeatureOverride")
EPILOG = """\
examples:
  brownout override image-generation --tier free --variant denied --for 1h --reason "incident 4711" -n media
  brownout override image-generation --tier free --cohort new-accounts --variant lite --for 30m --reason "launch"
  brownout override --end image-generation -n media
"""


def register(subparsers: "Subparsers") -> None:
    """Add `override`."""
    parser = subparsers.add_parser(
        "override",
        help="put a person's word above the loop for a while, or end it",
        description="Creates a FeatureOverride: its users get this variant, whatever the loop decides, until it ends by itself, "
        "after seven days at most. It cannot be changed; a newer one stands above it. With --end: deletes one before its time. "
        "Needs the ClusterRole brownout-override. Exit codes: 0 done, 1 it could not be.",
        epilog=EPILOG,
        formatter_class=Help,
    )
    parser.add_argument("feature", nargs="?", metavar="FEATURE", help="a FeaturePolicy's name, or its flag key")
    parser.add_argument(
        "--end", metavar="NAME|FEATURE", help="end the override of this name, or those in force of this feature"
    )
    whom = parser.add_argument_group("whom it is about")
    whom.add_argument("--tier", action="append", default=[], metavar="TIER", help="this tier; repeat it for more")
    whom.add_argument("--cohort", metavar="COHORT", help="of the one tier only this cohort; '' is the rest of it")
    whom.add_argument("--everybody", action="store_true", help="all tiers that have a part in the feature")
    what = parser.add_argument_group("what it says")
    what.add_argument("--variant", metavar="VARIANT", help="what they get: one of the policy's variants")
    what.add_argument("--for", dest="lasting", metavar="1h", help="how long: 90s, 15m, 1h30m, 2d; at most 7d")
    what.add_argument("--reason", metavar="TEXT", help="why, for whoever looks next; users do not see it")
    what.add_argument(
        "--name", default="", metavar="NAME", help="of the object (default: made of feature, tier and time)"
    )
    parser.add_argument(
        "--dry-run",
        nargs="?",
        const="client",
        choices=("client", "server", "none"),
        default="none",
        metavar="client|server",
        help="write nothing; `server` asks the API server whether it would take it (default: client, where it is given). "
        "With -o yaml it prints a manifest for a repository; -o alone creates the override too",
    )
    add_namespace_option(parser)
    add_output_option(parser, "json", "yaml", "name")
    add_cluster_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Create an override, or end some."""
    from brownout.cli.cluster import on_cluster

    if arguments.end is not None:
        _refuse_beside_end(arguments)
        on_cluster(where(arguments), lambda cluster: _end(cluster, arguments))
    else:
        _refuse_without(arguments)
        on_cluster(where(arguments), lambda cluster: _create(cluster, arguments))
    return 0


def _refuse_beside_end(arguments: argparse.Namespace) -> None:
    given = ("feature", "variant", "lasting", "reason", "cohort")
    if any(getattr(arguments, name) is not None for name in given) or arguments.everybody or arguments.name:
        raise failed("--end goes with --tier, -n and --dry-run alone; write: brownout override --end NAME|FEATURE")


def _refuse_without(arguments: argparse.Namespace) -> None:
    for option, value in {
        "FEATURE": arguments.feature,
        "--variant": arguments.variant,
        "--for": arguments.lasting,
        "--reason": arguments.reason,
    }.items():
        if not value:
            raise failed(f"{option} is missing; see brownout override --help")
    if bool(arguments.tier) == arguments.everybody:
        raise failed("whom is it about? write --tier TIER, or --everybody")
    if arguments.cohort is not None and len(arguments.tier) != 1:
        raise failed("--cohort is of one tier; write --tier once")


async def _create(cluster: "Cluster", arguments: argparse.Namespace) -> None:
    from brownout.api.override import FEATURE_OVERRIDE
    from brownout.cli.gates.answer import feature
    from brownout.cli.overriding.request import Asked, manifest, stored
    from brownout.cli.overriding.words import changed

    try:
        lasting = seconds(arguments.lasting)
    except ValueError as error:
        raise failed(f"--for: {error}") from None
    seen, now = await _seen(cluster, arguments), float(int(time.time()))
    policy = feature(seen.policies, arguments.feature, seen.namespace)
    asked = Asked(
        variant=arguments.variant,
        seconds=lasting,
        reason=arguments.reason,
        tiers=tuple(arguments.tier),
        cohort=arguments.cohort,
        name=arguments.name,
    )
    body = manifest(asked, policy, seen.tiers, now=now)
    if arguments.dry_run != "client":
        body = await cluster.create(FEATURE_OVERRIDE, seen.namespace, body, dry_run=arguments.dry_run == "server")
        body["metadata"].pop("managedFields", None)  # who owns which field, which kubectl does not print either
    word = stored(body, namespace=seen.namespace, now=now)
    if arguments.output in ("json", "yaml"):
        from brownout.cli.output import document

        print(document(body, arguments.output))
        return
    if arguments.output == "name":
        print(f"{SHOWN_AS}/{word.key.name}")
        return
    print(f"{SHOWN_AS}/{word.key.name} created{_dry(arguments)}")
    for line in changed(word, policy, seen.overrides, now=now):
        print(f"  {line}")
    if arguments.dry_run == "none":
        print(f"  to end it sooner: brownout override --end {word.key.name} -n {seen.namespace}")


async def _end(cluster: "Cluster", arguments: argparse.Namespace) -> None:
    from brownout.cli.overriding.words import left, to_end

    seen, now = await _seen(cluster, arguments), time.time()
    words = to_end(
        arguments.end, seen.policies, seen.overrides, tiers=arguments.tier, now=now, namespace=seen.namespace
    )
    for word in words:
        if arguments.dry_run != "client":
            await end(cluster, word, dry_run=arguments.dry_run == "server")
        print(f"{SHOWN_AS}/{word.key.name}" + ("" if arguments.output else f" deleted{_dry(arguments)}"))
    if arguments.output:
        return
    for policy in seen.policies:
        own = [word for word in words if word.spec.policy_ref.name == policy.key.name]
        for line in dict.fromkeys(
            left(policy, own, seen.overrides, now=now)
        ):  # two words may have been about the same users
            print(f"  {line}")


async def end(cluster: "Cluster", word: "Override", *, dry_run: bool = False) -> None:
    """Delete an override; one that is gone already has ended."""
    from kubernetes.aio.client.exceptions import ApiException

    from brownout.api.override import FEATURE_OVERRIDE

    try:
        await cluster.delete(FEATURE_OVERRIDE, word.key, dry_run=dry_run)
    except ApiException as error:
        if error.status != 404:
            raise


async def _seen(cluster: "Cluster", arguments: argparse.Namespace) -> "Product":
    from brownout.cli.cluster import read
    from brownout.cli.gates.answer import product

    namespace = scope(arguments).one(cluster.namespace)
    return product(await read(cluster, READ, namespace), namespace)


def _dry(arguments: argparse.Namespace) -> str:
    return {"client": " (dry run)", "server": " (server dry run)"}.get(arguments.dry_run, "")
