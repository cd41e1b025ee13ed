"""Fixtures for tests of the operator on the real control plane: a small product, and an operator for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from brownout_localcluster import LocalCluster
from support.cluster import Namespace
from support.operator import Operator
from support.operator_world import World, calm_world


@pytest.fixture
def world(cluster: LocalCluster, namespace: Namespace) -> Iterator[World]:
    """A small product with a calm load."""
    with calm_world(cluster, namespace) as world:
        yield world


@pytest.fixture
def operator(world: World, tmp_path: Path) -> Iterator[Operator]:
    """An operator with the chart's rights, for this test's namespace; it runs."""
    with Operator(world.cluster, world.namespace.name, tmp_path) as operator:
        yield operator
