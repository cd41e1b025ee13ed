"""Others who touch what the operator works with: an HPA, a person, whoever takes kinds or namespaces away."""

from pathlib import Path

from support.api_proxy import ApiProxy
from support.chronicle import chronicle
from support.cluster import fresh_namespace
from support.operator import Operator, install_kinds
from support.operator_world import API_VERSION, World, calm_world
from support.size import sized
from support.surge import converges, lasting_surge
from support.waiting import holds_for, wait_for

EDIT_SECONDS = sized(bounded=0.0, whole=10.0)
EDITS = sized(bounded=3, whole=18)
CONTESTED = "somebody else keeps changing the replicas of Deployment image"


def contested(world: World) -> None:
    """The scaler says that it is not alone."""
    found = world.wait_for_sentence("InferenceScaler", "image", "Ready", CONTESTED, "mode: Paused", seconds=90)
    assert (found["status"], found["reason"]) == ("False", "Contested")


def test_an_hpa_on_the_same_target_is_said_and_changes_no_feature(world: World, operator: Operator) -> None:
    world.wait_for_replicas(2)
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "image"}
    hpa = {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 1}
    with chronicle(world) as seen:
        world.namespace.create(
            {
                "apiVersion": "autoscaling/v2",
                "kind": "HorizontalPodAutoscaler",
                "metadata": {"name": "image"},
                "spec": hpa,
            }
        )
        contested(world)
        world.namespace.delete("autoscaling/v2", "HorizontalPodAutoscaler", "image")
        world.wait_for_replicas(2)
    assert len(seen.served) == 1
    assert ("free", "", "full", 100) in seen.served[0]


def test_somebody_who_edits_replicas_by_hand_all_the_time_is_overruled_and_said(
    world: World, operator: Operator
) -> None:
    lasting_surge(world)
    with chronicle(world) as seen:
        for _ in range(EDITS):
            world.namespace.patch("apps/v1", "Deployment", "image", {"spec": {"replicas": 1}})
            world.wait_for_replicas(4)
            holds_for(lambda: world.replicas() == 4, "it is overruled", seconds=EDIT_SECONDS)
        contested(world)
    assert len(seen.served) == 1
    converges(world)


def test_kinds_that_are_taken_away_and_put_back_end_nothing_for_good(world: World, operator: Operator) -> None:
    """With the kind of the policies their objects go too. The operator ends rather than see none; its next life waits for the kind."""
    lasting_surge(world)
    name = "featurepolicies.brownout.dev"
    world.cluster.objects.delete("apiextensions.k8s.io/v1", "CustomResourceDefinition", name)
    try:
        wait_for(operator.ended, "the operator ends rather than see nothing", seconds=60)
        assert "start it again" in operator.log()
        assert world.replicas() == 4
        operator.launch()
        wait_for(lambda: "the kind FeaturePolicy" in operator.waits_for(), "it says what it lacks", seconds=60)
        assert world.replicas() == 4
    finally:
        wait_for(
            lambda: world.cluster.objects.find("apiextensions.k8s.io/v1", "CustomResourceDefinition", name) is None,
            "the kind is gone",
            seconds=60,
        )
        install_kinds(world.cluster)
    wait_for(operator.ready, "it decides", seconds=60)
    world.namespace.create(world.policy())
    lasting_surge(world)
    assert world.replicas() == 4
    converges(world)


def test_a_namespace_that_is_deleted_in_mid_surge_takes_only_itself_along(
    world: World, api: ApiProxy, tmp_path: Path
) -> None:
    with (
        fresh_namespace(world.cluster) as other_namespace,
        calm_world(world.cluster, other_namespace) as other,
        Operator(
            world.cluster, world.namespace.name, tmp_path, server=api.url, also=(other_namespace.name,)
        ) as operator,
    ):
        lasting_surge(other)
        lasting_surge(world)
        with chronicle(world) as seen:
            world.cluster.objects.delete("v1", "Namespace", other_namespace.name)
            wait_for(
                lambda: not world.cluster.objects.list(API_VERSION, "FeaturePolicy", namespace=other_namespace.name),
                "its objects are gone",
                seconds=60,
            )
            wait_for(lambda: operator.metric("brownout_kind_unseen") == 0, "every kind is known")
        seen.nothing_changed()
        converges(world)
        assert operator.metric("brownout_tick_errors_total") == 0
        assert "Traceback" not in operator.log()
