"""A product that fits on a page, for simulations of seconds: one feature on one workload, two tiers, one node."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from brownout.simulate.controller import Action, Controller, Observation
from brownout.simulate.record import Record
from brownout.simulate.run import Prepared
from brownout.simulate.scenario import Scenario, read

MANIFESTS = """
apiVersion: brownout.dev/v1alpha1
kind: GPUPool
metadata: {name: pool}
spec: {namespaceSelector: {matchLabels: {pool: small}}, capacity: {gpus: 64}}
---
apiVersion: brownout.dev/v1alpha1
kind: InferenceScaler
metadata: {name: image}
spec:
  poolRef: {name: pool}
  scaleTargetRef: {name: image}
  gpusPerReplica: 1
  minReplicas: 1
  maxReplicas: 16
  metrics: [{name: queue, role: Backlog, query: "q"}]
---
apiVersion: brownout.dev/v1alpha1
kind: UserTier
metadata: {name: pro}
spec: {priority: 100, match: [{key: plan, operator: In, values: [pro]}]}
---
apiVersion: brownout.dev/v1alpha1
kind: UserTier
metadata: {name: free}
spec: {priority: 10}
---
apiVersion: brownout.dev/v1alpha1
kind: FeaturePolicy
metadata: {name: image}
spec:
  flagKey: image
  variants:
    - {name: full, value: {enabled: true}, costs: [{scaler: image, gpuSecondsPerRequest: "1"}]}
    - {name: lite, value: {enabled: true}, costs: [{scaler: image, gpuSecondsPerRequest: "0.5"}]}
    - {name: denied, value: {enabled: false}}
  tiers:
    - {tierRef: {name: pro}, availability: Always}
    - {tierRef: {name: free}}
"""

WORLD: dict[str, Any] = {
    "name": "small",
    "manifests": "product.yaml",
    "seconds": 300,
    "pool": {"nodes": 1, "gpusPerNode": 8},
    "workloads": {"image": {"objectiveSeconds": 20, "costSpread": 0, "startReplicas": 4, "coldStartSeconds": 30}},
    "demand": [
        {"feature": "image", "tier": "pro", "rate": {"base": 0.5}, "users": 50},
        {"feature": "image", "tier": "free", "rate": {"base": 1.5}, "users": 200},
    ],
    "weights": {"tiers": {"pro": 10, "free": 1}},
    "paying": ["pro"],
}


def written(folder: Path, *, manifests: str = MANIFESTS, **changes: Any) -> Path:
    """The scenario's file beside its manifests, in a folder; changed fields replace whole ones, `image` those of the workload."""
    body = {**WORLD, "workloads": {"image": {**WORLD["workloads"]["image"], **changes.pop("image", {})}}, **changes}
    (folder / "product.yaml").write_text(manifests)
    file = folder / f"{body['name']}.yaml"
    file.write_text(yaml.safe_dump(body))
    return file


def small(folder: Path, **changes: Any) -> Scenario:
    return read(written(folder, **changes))


def demand(
    *, pro: Mapping[str, Any] | float = 0.5, free: Mapping[str, Any] | float = 1.5, **of_free: Any
) -> list[dict[str, Any]]:
    """Two streams, each of a rate in requests a second or of a shape."""

    def rate(given: Mapping[str, Any] | float) -> dict[str, Any]:
        return {"base": given} if isinstance(given, int | float) else dict(given)

    return [
        {"feature": "image", "tier": "pro", "rate": rate(pro), "users": 50},
        {"feature": "image", "tier": "free", "rate": rate(free), "users": 200, **of_free},
    ]


class Scripted:
    """Does what a function of what it sees says, and keeps what it saw."""

    def __init__(self, script: Callable[[Observation], Action] | None = None) -> None:
        self._script = script or (lambda seen: Action())
        self.seen: list[Observation] = []
        self.restarted_at: list[int] = []

    def decide(self, seen: Observation) -> Action:
        self.seen.append(seen)
        return self._script(seen)

    def restart(self) -> None:
        self.restarted_at.append(len(self.seen))


def run(
    scenario: Scenario, controller: Controller | None = None, *, seed: int = 1, traces: Path | None = None
) -> Record:
    """One run, by default with nobody who changes anything."""
    return Prepared(scenario, traces).run(controller or Scripted(), name="scripted", seed=seed)
