"""`brownout explain` on a real control plane: a shortage, told from what the operator wrote into status and no more."""

import json
import os
import subprocess
import sys
from typing import Any

from support.operator import Operator
from support.operator_world import FEATURE, World
from support.waiting import wait_for

pytest_plugins = ("support.operator_fixtures",)


def explain(world: World, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs the command on the cluster, for the world's namespace."""
    return subprocess.run(
        [sys.executable, "-m", "brownout.cli.main", "explain", *words, "-n", world.namespace.name],
        env={**os.environ, "KUBECONFIG": str(world.cluster.kubeconfig)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def cell(world: World) -> dict[str, Any]:
    told = explain(world, "policy", FEATURE, "--tier", "free", "--json")
    assert told.returncode == 0, told.stderr
    (found,) = json.loads(told.stdout)
    return dict(found)


def test_a_shortage_is_told_from_the_pool_to_what_was_taken_and_what_it_waits_for(
    world: World, operator: Operator
) -> None:
    world.set_load(pro=2, free=100)  # of which the least part is more than the pool has left
    world.wait_for_variant("free", "denied")
    world.wait_for_replicas(4)
    wait_for(
        lambda: world.condition("InferenceScaler", "image", "ScalingLimited")["status"] == "True",
        "the scaler is limited",
    )

    told = explain(world)

    where = world.namespace.name
    assert told.returncode == 0, told.stderr
    for words in (
        f"GPUPool {world.pool}",
        f"- FeaturePolicy {where}/{FEATURE} for free: ",
        f"- InferenceScaler {where}/image: ",
        f"the pool {world.pool} has ",
    ):
        assert words in told.stdout, told.stdout
    found = wait_for(
        lambda: found if "DoesNotFit" in (found := cell(world))["numbers"].get("not yet", "") else None,
        "the operator said which rule keeps the cell from coming back",
    )
    assert found["rule"] == "Capacity"
    assert "image is " in found["because"]
    assert found["since"]
    assert {need["what"]: need.get("met") for need in found["needs"]}["evidence is fresh"] is True
    assert any(need.get("met") is False for need in found["needs"]), found

    unknown = explain(world, "scaler", "picture")
    assert unknown.returncode == 1
    assert f"there is no InferenceScaler 'picture' in {where}; there are: image" in unknown.stderr
