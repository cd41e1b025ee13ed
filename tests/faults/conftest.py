"""A small product, an operator that reaches the API server by a proxy, and both in a surge."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from brownout_localcluster import LocalCluster
from support.api_proxy import ApiProxy
from support.cluster import Namespace
from support.operator import Operator
from support.operator_world import World, calm_world


@pytest.fixture
def world(cluster: LocalCluster, namespace: Namespace) -> Iterator[World]:
    """A small product with a calm load."""
    with calm_world(cluster, namespace) as world:
        yield world


@pytest.fixture
def api(cluster: LocalCluster) -> Iterator[ApiProxy]:
    """The way to the API server."""
    with ApiProxy(cluster) as proxy:
        yield proxy


@pytest.fixture
def operator(world: World, api: ApiProxy, tmp_path: Path) -> Iterator[Operator]:
    """An operator with the chart's rights, for this test's namespace; it runs, and reaches the API server by the proxy."""
    with Operator(world.cluster, world.namespace.name, tmp_path, server=api.url) as operator:
        yield operator
