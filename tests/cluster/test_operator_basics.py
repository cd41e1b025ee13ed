"""The operator on a real control plane: it starts, scales, sheds, restores, and is quiet when nothing happens."""

import http.client
from contextlib import closing

from support.operator import Operator
from support.operator_world import API_VERSION, FEATURE, World
from support.waiting import holds_for, wait_for

pytest_plugins = ("support.operator_fixtures",)


def test_replicas_follow_demand_up_and_down(world: World, operator: Operator) -> None:
    world.wait_for_replicas(2)
    world.set_load(pro=1.5, free=1.8)
    world.wait_for_replicas(4)
    world.set_load(pro=0.5, free=0.5)
    world.wait_for_replicas(2)


def test_beyond_the_pool_features_go_from_the_free_tier_and_come_back(world: World, operator: Operator) -> None:
    world.set_load(pro=2, free=20)
    wait_for(lambda: world.served("free") != ("full", 100), "free users lose something")
    world.wait_for_replicas(4)
    assert world.served("pro") == ("full", 100)
    assert world.condition("FeaturePolicy", FEATURE, "Shedding")["status"] == "True"
    world.set_load(pro=0.5, free=0.5, admitted=0.05)
    world.wait_for_variant("free", "full", seconds=120)
    assert world.condition("FeaturePolicy", FEATURE, "Shedding")["status"] == "False"


def test_steady_state_writes_nothing(world: World, operator: Operator) -> None:
    world.wait_for_replicas(2)
    wait_for(lambda: world.status("InferenceScaler", "image")["replicas"]["ready"] == 2, "both replicas are ready")
    versions = quiet_versions(world)
    writes = operator.writes()
    holds_for(lambda: operator.writes() == writes, "nothing is written", seconds=12)
    assert object_versions(world) == versions


def test_noise_in_the_metrics_writes_nothing(world: World, operator: Operator) -> None:
    world.wait_for_replicas(2)
    quiet_versions(world)
    writes = operator.writes()
    for step in range(10):
        world.set_load(pro=0.5 + 0.04 * (step % 3), free=0.5 - 0.03 * (step % 2))
        holds_for(lambda: operator.writes() == writes, "nothing is written", seconds=1)


def test_sigterm_ends_it_gracefully_and_soon_though_somebody_keeps_a_connection(
    world: World, operator: Operator
) -> None:
    world.wait_for_replicas(2)
    with closing(http.client.HTTPConnection(operator.url.removeprefix("http://"), timeout=5)) as connection:
        connection.request("GET", "/metrics")
        connection.getresponse().read()
        assert operator.stop(seconds=4) == 0


def test_a_missing_prometheus_secret_is_said_and_nothing_moves(world: World, operator: Operator) -> None:
    world.wait_for_replicas(2)
    world.cluster.objects.patch(
        API_VERSION, "GPUPool", world.pool, {"spec": {"prometheus": {"secretRef": {"name": "nowhere"}}}}
    )
    wait_for(
        lambda: "no Secret" in world.condition("InferenceScaler", "image", "MetricsAvailable")["message"],
        "the condition names the Secret",
    )
    assert world.replicas() == 2


def object_versions(world: World) -> dict[str, str]:
    """The resourceVersion of everything that the operator may write."""
    kinds = ("InferenceScaler", "UserTier", "FeaturePolicy")
    objects = [o for kind in kinds for o in world.namespace.list(API_VERSION, kind)]
    objects.append(world.cluster.objects.get(API_VERSION, "GPUPool", world.pool))
    objects.append(world.namespace.get("apps/v1", "Deployment", "image"))
    return {f"{o['kind']}/{o['metadata']['name']}": o["metadata"]["resourceVersion"] for o in objects}


def quiet_versions(world: World) -> dict[str, str]:
    """The versions once nothing has changed for three seconds: the last decision's consequences are in."""
    seen = object_versions(world)

    def quiet() -> bool:
        nonlocal seen
        before, seen = seen, object_versions(world)
        return before == seen

    def quiet_for_long() -> bool:
        holds_for(quiet, "no version changes", seconds=3)
        return True

    wait_for(quiet_for_long, "no version changes for three seconds")
    return seen
