"""`brownout status`: what is taken from whom, and why, as the operator last wrote it."""

import argparse
import sys
from typing import TYPE_CHECKING

from brownout.cli.cluster import from_cluster
from brownout.cli.overview import overview
from brownout.cli.saved import NoObjectsError

if TYPE_CHECKING:
    from brownout.cli.main import Subparsers

SHOWN = {"GPUPool", "InferenceScaler", "UserTier", "FeaturePolicy"}


def register(subparsers: "Subparsers") -> None:
    """Add `status`."""
    parser = subparsers.add_parser(
        "status",
        help="say what is taken from whom, and why",
        description="Prints pools, features and scalers as the operator last wrote them. Reads the cluster that kubectl "
        "would. Exit codes: 0 printed, 2 the cluster could not be read.",
    )
    parser.add_argument("-n", "--namespace", help="of one product; pools are always shown (default: all)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the overview. Returns 2, with a sentence, where the cluster cannot be read."""
    try:
        objects = from_cluster(SHOWN, arguments.namespace)
    except NoObjectsError as error:
        print(f"brownout status: {error}", file=sys.stderr)
        return 2
    print(overview(objects) or "There is no GPUPool, InferenceScaler or FeaturePolicy yet.")
    return 0
