"""`watchNamespaces`, with Roles in each of them as the chart makes them: one that goes takes nobody else along, nor does one that comes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from brownout_localcluster import LocalCluster
from flags.process import flag_server
from support.cluster import Namespace, fresh_namespace
from support.operator import Operator
from support.operator_world import API_VERSION, World, calm_world
from support.waiting import holds_for, wait_for

LEFT_OUT = "brownout_namespace_left_out"


@pytest.fixture
def world(cluster: LocalCluster, namespace: Namespace) -> Iterator[World]:
    """A small product with a calm load."""
    with calm_world(cluster, namespace) as world:
        yield world


@pytest.fixture
def gone(namespace: Namespace) -> str:
    """The name of a namespace that does not exist."""
    return f"{namespace.name}-gone"


def create(cluster: LocalCluster, name: str) -> None:
    cluster.objects.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})


def delete(cluster: LocalCluster, name: str) -> None:
    cluster.objects.delete("v1", "Namespace", name)
    wait_for(lambda: cluster.objects.find("v1", "Namespace", name) is None, f"{name} is gone", seconds=60)


def test_a_namespace_that_does_not_exist_is_left_out_and_taken_up_once_it_is_there_and_may_be_read(
    world: World, gone: str, tmp_path: Path
) -> None:
    with Operator(world.cluster, world.namespace.name, tmp_path, started=False, also=(gone,)) as operator:
        operator.confine(world.namespace.name)
        operator.start()
        assert operator.metric(LEFT_OUT, namespace=gone, why="absent") == 1
        assert f"namespace {gone} does not exist and is left out" in operator.log()
        assert f"namespace {gone} does not exist" in operator.get("/readyz")
        world.wait_for_replicas(2)

        create(world.cluster, gone)
        try:
            wait_for(lambda: operator.metric(LEFT_OUT, why="forbidden") == 1, "it says that it may not be read")
            operator.confine(world.namespace.name, gone)
            wait_for(lambda: operator.metric(LEFT_OUT) == 0, "it is taken up", seconds=30)
            product = Namespace(world.cluster, gone)
            with calm_world(world.cluster, product) as other:
                other.wait_for_replicas(2)
            assert world.condition("FeaturePolicy", "image-generation", "Ready")["status"] == "True"
        finally:
            world.cluster.objects.delete("v1", "Namespace", gone)


def test_a_namespace_that_is_deleted_keeps_no_operator_that_is_replaced_from_deciding(
    world: World, gone: str, tmp_path: Path
) -> None:
    create(world.cluster, gone)
    with Operator(world.cluster, world.namespace.name, tmp_path, started=False, also=(gone,)) as operator:
        operator.confine(world.namespace.name, gone)
        operator.start()
        assert operator.metric(LEFT_OUT) == 0
        delete(world.cluster, gone)
        wait_for(lambda: operator.metric(LEFT_OUT, namespace=gone) == 1, "it is said", seconds=30)
        operator.kill()
        operator.start()
        world.set_load(pro=1, free=1)
        world.wait_for_replicas(3)
        assert operator.metric("brownout_tick_errors_total") == 0


def test_a_namespace_that_exists_and_may_not_be_read_is_waited_for_and_named(
    world: World, gone: str, tmp_path: Path
) -> None:
    create(world.cluster, gone)
    try:
        with Operator(world.cluster, world.namespace.name, tmp_path, started=False, also=(gone,)) as operator:
            operator.confine(world.namespace.name)
            operator.launch()
            sentence = f"the right to list and watch featurepolicies in namespace {gone}"
            wait_for(lambda: sentence in operator.waits_for(), "it says what it lacks, and where", seconds=60)
            operator.confine(world.namespace.name, gone)
            wait_for(operator.ready, "it decides", seconds=60)
    finally:
        world.cluster.objects.delete("v1", "Namespace", gone)


def test_where_no_namespace_exists_that_is_said(world: World, gone: str, tmp_path: Path) -> None:
    with Operator(world.cluster, world.namespace.name, tmp_path, started=False, only=(gone,)) as operator:
        operator.confine()
        operator.launch()
        sentence = f"of those that it is to watch ({gone}) none exists"
        wait_for(lambda: sentence in operator.waits_for(), "it says what it lacks", seconds=60)


def test_who_has_lost_the_only_namespace_takes_up_nothing_else_and_has_it_again_once_it_is_there(
    world: World, gone: str, tmp_path: Path
) -> None:
    create(world.cluster, gone)
    with Operator(world.cluster, world.namespace.name, tmp_path, started=False, only=(gone,)) as operator:
        operator.confine(gone)
        operator.start()
        delete(world.cluster, gone)
        wait_for(lambda: operator.metric(LEFT_OUT, namespace=gone) == 1, "it is said", seconds=30)
        ticks = operator.metric("brownout_tick_duration_seconds_count")
        wait_for(lambda: operator.metric("brownout_tick_duration_seconds_count") > ticks + 2, "it goes on")
        create(world.cluster, gone)
        try:
            operator.confine(gone)
            wait_for(lambda: operator.metric(LEFT_OUT) == 0, "it is taken up again", seconds=30)
            with calm_world(world.cluster, Namespace(world.cluster, gone)) as other:
                other.wait_for_replicas(2)
        finally:
            world.cluster.objects.delete("v1", "Namespace", gone)
        assert not world.cluster.objects.get(API_VERSION, "GPUPool", world.pool).get("status")
        assert operator.metric("brownout_tick_errors_total") == 0


def test_a_flag_server_is_ready_with_the_namespaces_that_it_may_list_and_serves_another_once_it_may(
    world: World, gone: str, tmp_path: Path
) -> None:
    product = world.namespace.name
    with Operator(world.cluster, product, tmp_path, started=False) as account:
        account.confine(product)
        with flag_server(
            kubeconfig=account.kubeconfig, snapshot_dir=tmp_path / "snapshots", namespaces=[product, gone]
        ) as server:
            wait_for(lambda: server.ask("/readyz")[0] == 200, "it is ready with what it may list", seconds=30)
            found = server.ask("/readyz")[1]
            assert (found["awaited"], list(found["sets"]), found["synced"]) == ([gone], [product], False)
            create(world.cluster, gone)
            try:
                account.confine(product, gone)
                wait_for(lambda: server.ask("/readyz")[1]["synced"], "it serves the other one too", seconds=60)
                assert sorted(server.ask("/readyz")[1]["sets"]) == sorted((product, gone))
            finally:
                world.cluster.objects.delete("v1", "Namespace", gone)


def test_the_pools_of_other_namespaces_are_left_alone(world: World, tmp_path: Path) -> None:
    with (
        fresh_namespace(world.cluster) as elsewhere,
        calm_world(world.cluster, elsewhere) as other,
        Operator(world.cluster, world.namespace.name, tmp_path),
    ):
        world.wait_for_replicas(2)
        pool = lambda name: world.cluster.objects.get(API_VERSION, "GPUPool", name)  # noqa: E731
        wait_for(lambda: pool(world.pool).get("status"), "its own pool has a status")
        holds_for(lambda: not pool(other.pool).get("status"), "the other has none", seconds=3.0)
