"""Stored objects from the cluster that kubectl would read."""

import asyncio
from collections.abc import Iterable
from typing import Any

from kubernetes.aio.client import ApiClient, CustomObjectsApi
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.config import ConfigException

from brownout.api.resources import RESOURCES, InvalidObject, Stored, decode
from brownout.api.schema import GROUP, VERSION, Resource
from brownout.cli.overview import Objects
from brownout.cli.saved import NoObjectsError
from brownout.run.connection import Connection

TIMEOUT_SECONDS = 10.0


def from_cluster(kinds: Iterable[str], namespace: str | None) -> Objects:
    """The objects of these kinds in a namespace (None: in all), and all that are cluster-scoped. Raises NoObjectsError."""
    try:
        return asyncio.run(_from_cluster(set(kinds), namespace))
    except ApiException as error:
        hint = "install the chart, or crds/" if error.status == 404 else "ask for the ClusterRole brownout-view"
        raise NoObjectsError(f"the API server answered {error.status} {error.reason}; {hint}") from None
    except (ConfigException, OSError, TimeoutError) as error:
        raise NoObjectsError(f"no way to the API server: {error}; set KUBECONFIG") from None


async def _from_cluster(kinds: set[str], namespace: str | None) -> Objects:
    connection = await Connection.connect()
    try:
        return {r.kind: await _list(connection.client, r, namespace) for r in RESOURCES if r.kind in kinds}
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
