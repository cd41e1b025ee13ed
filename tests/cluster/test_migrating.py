"""The steps of docs/migrating.md on a real control plane, whose controller manager runs real HPAs: no replica is lost on the way."""

from brownout_localcluster import LocalCluster
from support.operator import Operator
from support.operator_world import API_VERSION, World
from support.waiting import holds_for, wait_for

pytest_plugins = ("support.operator_fixtures",)

HPA = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "image"},
    "spec": {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "image"},
        "minReplicas": 3,
        "maxReplicas": 4,
    },
}
"""Without a metrics API it can do no more than keep its minimum, which is what is needed here."""


def test_from_an_hpa_to_a_scaler_no_replica_is_lost_and_none_is_fought_over(
    world: World, operator: Operator, cluster: LocalCluster
) -> None:
    mode = lambda mode: world.namespace.patch(API_VERSION, "InferenceScaler", "image", {"spec": {"mode": mode}})  # noqa: E731
    desired = lambda: world.status("InferenceScaler", "image")["replicas"].get("desired")  # noqa: E731
    mode("Advise")
    world.set_load(pro=0.5, free=2.0)
    world.namespace.create(HPA)
    world.wait_for_replicas(3, seconds=60)
    wait_for(lambda: desired() == 3, "the scaler says that it would have as many")
    holds_for(lambda: world.replicas() == 3, "the scaler advises, and the HPA alone scales", seconds=3)

    world.namespace.delete("autoscaling/v2", "HorizontalPodAutoscaler", "image")
    wait_for(lambda: not world.namespace.list("autoscaling/v2", "HorizontalPodAutoscaler"), "the HPA is gone")
    holds_for(lambda: world.replicas() == 3, "nobody scales, and nothing changes", seconds=3)
    mode("Auto")
    holds_for(lambda: world.replicas() >= 3, "no replica that is needed goes", seconds=6)

    world.set_load(pro=0.5, free=2.9)
    world.wait_for_replicas(4)
