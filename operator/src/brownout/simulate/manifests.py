"""The manifests that one applies to a cluster, read for a simulation, and what they say before anything happens."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from msgspec import Struct, structs

from brownout.api.resources import BY_KIND, InvalidObject, Key, Stored, decode
from brownout.decide.cells import Cell, build_cells
from brownout.decide.evidence import Missing
from brownout.decide.links import Links, link
from brownout.decide.outcome import CellKey
from brownout.decide.snapshot import (
    Audience,
    Node,
    Policy,
    Pool,
    Scaler,
    Snapshot,
    StoredPolicy,
    StoredPool,
    StoredScaler,
    StoredTier,
    Workload,
)
from brownout.simulate.scenario import Scenario, ScenarioError

NOT_YET = Missing("nothing has been measured yet")


class Manifests(Struct, frozen=True, kw_only=True):
    """One pool and what shares it. `cells` and `links` are those of the first moment."""

    pool: StoredPool
    scalers: Mapping[Key, StoredScaler]
    tiers: Mapping[Key, StoredTier]
    policies: Mapping[Key, StoredPolicy]
    namespaces: Mapping[str, dict[str, str]]
    cells: Mapping[CellKey, Cell]
    links: Links

    def scaler(self, name: str) -> StoredScaler:
        return next(s for key, s in self.scalers.items() if key.name == name)


def load(scenario: Scenario) -> Manifests:
    """The manifests that a scenario names, all of them in its namespace; ScenarioError where they do not fit together."""
    found: dict[str, dict[Key, Any]] = {kind: {} for kind in BY_KIND}
    for path in manifest_files(scenario):
        for stored, kind in _read(path, scenario.namespace):
            found[kind][stored.key] = _as_served(stored, scenario) if kind == "InferenceScaler" else stored
    pools = found["GPUPool"]
    if len(pools) != 1:
        names = ", ".join(key.name for key in pools) or "none"
        raise ScenarioError(f"scenario {scenario.name}: manifests: a scenario has one GPUPool; found {names}")
    pool: StoredPool = next(iter(pools.values()))
    labels = dict(pool.spec.namespace_selector.match_labels)
    snapshot = Snapshot(
        pools={pool.key: Pool(stored=pool, nodes=(Node(name="node", gpus=8),))},
        scalers={
            key: Scaler(stored=s, workload=Workload(replicas=1, gpus_per_replica=s.spec.gpus_per_replica or 1))
            for key, s in found["InferenceScaler"].items()
        },
        tiers=found["UserTier"],
        policies={
            key: Policy(stored=p, offered=NOT_YET, admitted=NOT_YET) for key, p in found["FeaturePolicy"].items()
        },
        namespaces={scenario.namespace: labels},
    )
    links = link(snapshot)
    for (kind, key), verdict in links.ready.items():
        if not verdict.status:
            raise ScenarioError(
                f"scenario {scenario.name}: manifests: {verdict.message or f'{kind} {key} cannot be used'}"
                f"; run brownout validate{''.join(f' -f {place}' for place in _places(scenario))}"
            )
    _check_tiers(scenario, {key.name for key in found["UserTier"]})
    return Manifests(
        pool=pool,
        scalers=found["InferenceScaler"],
        tiers=found["UserTier"],
        policies=found["FeaturePolicy"],
        namespaces={scenario.namespace: labels},
        cells=build_cells(links),
        links=links,
    )


def _check_tiers(scenario: Scenario, known: set[str]) -> None:
    """A misspelt tier would pay for nothing, or be worth nothing, and every figure would still look like one."""
    for field, named in (("paying", scenario.paying), ("weights.tiers", scenario.weights.tiers)):
        for tier in named:
            if tier not in known:
                raise ScenarioError(
                    f"scenario {scenario.name}: {field}: no UserTier {tier}; found {', '.join(sorted(known)) or 'none'}"
                )


def manifest_files(scenario: Scenario) -> list[Path]:
    """The files that a scenario names; ScenarioError where there is none."""
    return [file for place in _places(scenario) for file in _files(place)]


def _places(scenario: Scenario) -> list[Path]:
    named = (scenario.manifests,) if isinstance(scenario.manifests, str) else scenario.manifests
    return [Path(scenario.folder) / name for name in named]


def _as_served(scaler: StoredScaler, scenario: Scenario) -> StoredScaler:
    """A scaler that says how its server takes requests: whoever runs another server writes that line anew."""
    world = scenario.workloads.get(scaler.key.name)
    if world is None:
        return scaler
    queue = structs.replace(scaler.spec.queue, order=world.order)
    return structs.replace(scaler, spec=structs.replace(scaler.spec, queue=queue))


def _files(place: Path) -> list[Path]:
    if place.is_dir():
        return sorted([*place.glob("*.yaml"), *place.glob("*.yml")])
    if place.is_file():
        return [place]
    raise ScenarioError(f"manifests: {place}: no such file or folder; write a path relative to the scenario's file")


def _read(path: Path, namespace: str) -> list[tuple[Stored[Any, Any], str]]:
    """The objects of our kinds in a file; others (Deployments, Services) say nothing that a simulation needs."""
    found = []
    try:
        bodies = [body for body in yaml.safe_load_all(path.read_text()) if isinstance(body, dict)]
    except yaml.YAMLError as error:
        raise ScenarioError(f"{path}: is not YAML: {error}; run brownout validate -f {path}") from None
    for body in bodies:
        resource = BY_KIND.get(body.get("kind", ""))
        if resource is None or not str(body.get("apiVersion", "")).startswith("brownout.dev/"):
            continue
        meta = {**body.get("metadata", {}), "namespace": namespace if resource.namespaced else "", "generation": 1}
        stored = decode(resource, {**body, "metadata": meta}, 0.0)
        if isinstance(stored, InvalidObject):
            raise ScenarioError(f"{path}: {stored.message}; run brownout validate -f {path}")
        found.append((stored, resource.kind))
    return found


def cell_of(manifests: Manifests, scenario: Scenario, *, feature: str, tier: str, cohort: str) -> CellKey:
    """The cell that a stream of demand speaks of."""
    key = CellKey(Key(scenario.namespace, feature), Audience(tier, cohort))
    if key not in manifests.cells:
        known = ", ".join(str(cell) for cell in sorted(manifests.cells))
        raise ScenarioError(f"scenario {scenario.name}: demand: no cell {key}; the manifests have {known}")
    return key
