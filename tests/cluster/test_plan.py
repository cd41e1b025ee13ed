"""`brownout plan` on a real control plane: what files would change, by the operator's own look and plan, and nothing written."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support.command import brownout
from support.operator_world import API_VERSION, FEATURE, World
from support.waiting import wait_for

pytest_plugins = ("support.operator_fixtures",)


def plan(world: World, folder: Path, *manifests: dict[str, Any], words: tuple[str, ...] = ()) -> Any:
    """Runs it on files of these manifests."""
    for number, manifest in enumerate(manifests):
        (folder / f"{number}.json").write_text(json.dumps(manifest))
    of = ("-f", str(folder), "-n", world.namespace.name, "--prometheus-url", world.cluster.prometheus.url)
    return brownout(world.cluster.kubeconfig, "plan", *of, *words)


def changes(told: "subprocess.CompletedProcess[str]") -> dict[str, tuple[str, str]]:
    return {f"{one['kind']} {one['what']}": (one["was"], one["becomes"]) for one in json.loads(told.stdout)}


def versions(world: World) -> list[str]:
    kinds = ("InferenceScaler", "UserTier", "FeaturePolicy", "FeatureOverride")
    found = [o["metadata"]["resourceVersion"] for kind in kinds for o in world.namespace.list(API_VERSION, kind)]
    return [*found, world.namespace.get("apps/v1", "Deployment", "image")["metadata"]["resourceVersion"]]


@pytest.fixture
def seen(world: World) -> World:
    """A world whose load Prometheus knows."""

    def known() -> bool:
        query = f'sum(offered{{namespace="{world.namespace.name}"}})'
        return bool(world.cluster.prometheus.query(query))

    wait_for(known, "Prometheus has the load", seconds=40)
    wait_for(
        lambda: world.namespace.get("apps/v1", "Deployment", "image")["status"].get("readyReplicas"), "image is ready"
    )
    return world


def test_files_as_they_are_applied_change_nothing(seen: World, tmp_path: Path) -> None:
    told = plan(seen, tmp_path, seen.policy(), seen.scaler())
    assert (told.returncode, told.stdout) == (0, "Nothing would change.\n"), told.stderr


def test_replicas_and_cells_that_would_differ_are_told_and_nothing_is_written(seen: World, tmp_path: Path) -> None:
    before, where = versions(seen), seen.namespace.name

    told = plan(seen, tmp_path, seen.scaler(minReplicas=4), words=("-o", "json"))
    assert told.returncode == 1, told.stderr
    assert changes(told)[f"scaler {where}/image"] == ("2 replicas", "4 replicas")

    seen.set_load(pro=2, free=100)
    tiers = [{"tierRef": {"name": tier}, "availability": "Always"} for tier in ("pro", "free")]

    def protected() -> bool:
        told = plan(seen, tmp_path, seen.policy(tiers=tiers), words=("-o", "json"))
        return changes(told).get(f"cell {where}/{FEATURE} for free", ("", ""))[1] == "full"

    wait_for(protected, "free would lose less", seconds=40)
    (tmp_path / "0.json").unlink()
    told = plan(seen, tmp_path, seen.policy(tiers=tiers))
    assert told.returncode == 1
    assert f"~ cell {where}/{FEATURE} for free: " in told.stdout
    assert versions(seen) == before


def test_what_would_not_be_in_use_is_told_with_the_reason(seen: World, tmp_path: Path) -> None:
    lost = seen.scaler(poolRef={"name": "nowhere"})
    told = plan(seen, tmp_path, lost)
    assert told.returncode == 1, told.stderr
    assert f"~ InferenceScaler {seen.namespace.name}/image: in use -> not in use" in told.stdout
    assert "no GPUPool 'nowhere'" in told.stdout


def test_what_cannot_be_planned_is_two_and_a_sentence(seen: World, tmp_path: Path) -> None:
    wrong = plan(seen, tmp_path, seen.scaler(minReplicas=-1))
    assert wrong.returncode == 2
    assert "found -1; write a number" in wrong.stderr
    (tmp_path / "0.json").write_text(json.dumps(seen.scaler()))
    blind = brownout(
        seen.cluster.kubeconfig, "plan", "-f", str(tmp_path), "-n", seen.namespace.name, "--prometheus-url", ""
    )
    assert blind.returncode == 0, blind.stderr
    assert "warning: " in blind.stderr
