"""Fixtures for tests of the operator on the real control plane: a small product, and an operator for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from brownout_localcluster import LocalCluster
from support.cluster import Namespace
from support.operator import Operator, install_kinds
from support.operator_world import World


@pytest.fixture
def world(cluster: LocalCluster, namespace: Namespace) -> Iterator[World]:
    """A small product with a calm load: two of the pool's four GPUs are needed."""
    install_kinds(cluster)
    world = World(cluster, namespace)
    world.create()
    world.set_load(pro=0.5, free=0.5)
    yield world
    world.delete()


@pytest.fixture
def operator(world: World, tmp_path: Path) -> Iterator[Operator]:
    """An operator with the chart's rights, for this test's namespace; it runs."""
    with Operator(world.cluster, world.namespace.name, tmp_path) as operator:
        yield operator
