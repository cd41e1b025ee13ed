"""The manifests that a scenario of the past is run with: those of one namespace and its pool, as they are applied."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from brownout.api.resources import RESOURCES
from brownout.simulate.manifests import Manifests, load
from brownout.simulate.scenario import Scenario, ScenarioError, Weights

NEEDED = ("GPUPool", "InferenceScaler", "UserTier", "FeaturePolicy")
FOLDER = "manifests"

Body = dict[str, Any]


def read_bodies(place: Path) -> list[Body]:
    """The objects of our kinds in a file, or in the files of a folder, lists unfolded. ScenarioError for what is not YAML."""
    if not place.exists():
        raise ScenarioError(f"--manifests: {place}: no such file or folder")
    paths = sorted([*place.glob("*.yaml"), *place.glob("*.yml")]) if place.is_dir() else [place]
    found: list[Body] = []
    for path in paths:
        try:
            for body in yaml.safe_load_all(path.read_text()):
                items = body.get("items", [body]) if isinstance(body, dict) else []
                found += [item for item in items if isinstance(item, dict) and _ours(item)]
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ScenarioError(f"--manifests: {path}: is not YAML: {error}") from None
    if not found:
        raise ScenarioError(
            f"--manifests: {place}: no object of brownout.dev in it; write the folder that you apply, "
            "or the file of `kubectl get gpupools,inferencescalers,usertiers,featurepolicies -o yaml`"
        )
    return found


def _ours(body: Body) -> bool:
    return str(body.get("apiVersion", "")).startswith("brownout.dev/") and body.get("kind") in NEEDED


def choose(bodies: Iterable[Body], namespace: str) -> list[Body]:
    """Those of a namespace (an object that names none is of any), and the pools that its scalers name; without status."""
    namespaced = {resource.kind for resource in RESOURCES if resource.namespaced}
    kept, others = [], set()
    for body in bodies:
        own = body.get("metadata", {}).get("namespace", namespace)
        if body["kind"] in namespaced and own != namespace:
            others.add(own)
            continue
        meta = {"name": body.get("metadata", {}).get("name", "")}
        kept.append(
            {"apiVersion": body["apiVersion"], "kind": body["kind"], "metadata": meta, "spec": body.get("spec", {})}
        )
    pools = {b["spec"].get("poolRef", {}).get("name") for b in kept if b["kind"] == "InferenceScaler"}
    kept = [b for b in kept if b["kind"] != "GPUPool" or b["metadata"]["name"] in pools]
    for kind in NEEDED:
        if not any(body["kind"] == kind for body in kept):
            elsewhere = (
                f"; there are objects in {', '.join(sorted(others))}: name it with --namespace" if others else ""
            )
            raise ScenarioError(f"no {kind} in namespace {namespace}{elsewhere}")
    return kept


def write_and_load(bodies: Sequence[Body], folder: Path, namespace: str) -> Manifests:
    """Write the manifests into a scenario's folder, and read them as the simulator will. ScenarioError where they don't fit."""
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    for kind in NEEDED:
        own = [body for body in bodies if body["kind"] == kind]
        (folder / FOLDER / f"{kind.lower()}s.yaml").write_text(yaml.safe_dump_all(own, sort_keys=False, width=120))
    return load(
        Scenario(
            name="past",
            manifests=FOLDER,
            namespace=namespace,
            seconds=1,
            workloads={},
            demand=(),
            weights=Weights(tiers={}),
            paying=(),
            folder=str(folder),
        )
    )
