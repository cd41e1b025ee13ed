"""`brownout status`: what is taken from whom, and why, as the operator last wrote it."""

import argparse
import asyncio
import sys
from typing import TYPE_CHECKING, Any

from kubernetes.aio.client import ApiClient, CustomObjectsApi
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.config import ConfigException

from brownout.api.resources import RESOURCES, InvalidObject, Stored, decode
from brownout.api.schema import GROUP, VERSION, Resource
from brownout.cli.overview import Objects, overview
from brownout.run.connection import Connection

if TYPE_CHECKING:
    from brownout.cli.main import Subparsers

SHOWN = {"GPUPool", "InferenceScaler", "UserTier", "FeaturePolicy"}
TIMEOUT_SECONDS = 10.0


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
        objects = asyncio.run(_read(arguments.namespace))
    except ApiException as error:
        hint = "install the chart, or crds/" if error.status == 404 else "ask for the ClusterRole brownout-view"
        print(f"brownout status: the API server answered {error.status} {error.reason}; {hint}", file=sys.stderr)
        return 2
    except (ConfigException, OSError, TimeoutError) as error:
        print(f"brownout status: no way to the API server: {error}; set KUBECONFIG", file=sys.stderr)
        return 2
    print(overview(objects) or "There is no GPUPool, InferenceScaler or FeaturePolicy yet.")
    return 0


async def _read(namespace: str | None) -> Objects:
    connection = await Connection.connect()
    try:
        return {r.kind: await _list(connection.client, r, namespace) for r in RESOURCES if r.kind in SHOWN}
    finally:
        await connection.close()


async def _list(client: ApiClient, resource: Resource, namespace: str | None) -> list[Stored[Any, Any] | InvalidObject]:
    api = CustomObjectsApi(client)
    if namespace is not None and resource.namespaced:
        listed = await api.list_namespaced_custom_object(
            GROUP, VERSION, namespace, resource.plural, _request_timeout=TIMEOUT_SECONDS
        )
    else:
        listed = await api.list_cluster_custom_object(GROUP, VERSION, resource.plural, _request_timeout=TIMEOUT_SECONDS)
    return [decode(resource, body, 0.0) for body in listed["items"]]
