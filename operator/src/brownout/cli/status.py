"""`brownout status`: what is taken from whom, and why, as the operator last wrote it."""

import argparse
from typing import TYPE_CHECKING

from brownout.cli.cluster import from_cluster
from brownout.cli.options import add_cluster_options, add_namespace_options, scope, where
from brownout.cli.overview import overview

if TYPE_CHECKING:
    from brownout.cli.main import Subparsers

SHOWN = {"GPUPool", "InferenceScaler", "UserTier", "FeaturePolicy"}


def register(subparsers: "Subparsers") -> None:
    """Add `status`."""
    parser = subparsers.add_parser(
        "status",
        help="say what is taken from whom, and why",
        description="Prints pools, features and scalers as the operator last wrote them. Reads the cluster that kubectl "
        "would. Exit codes: 0 printed, 1 the cluster could not be read.",
    )
    add_namespace_options(parser)
    add_cluster_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the overview."""
    objects = from_cluster(SHOWN, where(arguments), scope(arguments))
    print(overview(objects) or "There is no GPUPool, InferenceScaler or FeaturePolicy yet.")
    return 0
