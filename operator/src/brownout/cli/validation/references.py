"""The given objects against each other: what each refers to, by the very code that resolves references in the operator.

Manifests are often checked without what they refer to. So a reference is an error where objects of that kind are among the
given files and this one is not; where there are none at all, it is a warning.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from brownout.api.reasons import Reason
from brownout.api.resources import Key, Stored
from brownout.cli.validation.findings import Path, Problem
from brownout.decide.links import Links, link
from brownout.decide.snapshot import Policy, Pool, Scaler, Snapshot, Workload

Objects = Mapping[str, Mapping[Key, Stored[Any, Any]]]
"""Typed objects by kind and place."""

Found = tuple[str, Key, Problem]

_REFERS_TO = {"poolRef": "GPUPool", "tierRef": "UserTier", "scaler": "InferenceScaler", "policyRef": "FeaturePolicy"}
_PART = re.compile(r"\[(\d+)\]|([^.\[\]]+)")


def resolve(objects: Objects, namespaces: Mapping[str, dict[str, str]]) -> Links:
    """The objects tied together. `namespaces` has the labels of those that are given; workloads are taken to be there."""
    workload = Workload(replicas=1, gpus_per_replica=1)
    return link(
        Snapshot(
            pools={key: Pool(stored=stored) for key, stored in objects["GPUPool"].items()},
            scalers={
                key: Scaler(stored=stored, workload=workload) for key, stored in objects["InferenceScaler"].items()
            },
            tiers=dict(objects["UserTier"]),
            policies={
                key: Policy(stored=stored, offered={}, admitted={}) for key, stored in objects["FeaturePolicy"].items()
            },
            namespaces=dict(namespaces),
        )
    )


def problems(objects: Objects, links: Links, namespaces: Mapping[str, dict[str, str]]) -> Iterator[Found]:
    """References that lead nowhere, and objects that claim the same thing."""
    for (kind, key), verdict in links.ready.items():
        if verdict.status is not False:
            continue
        if verdict.reason == Reason.NOT_ADMITTED and key.namespace not in namespaces:
            continue  # its labels are not known here
        for sentence in verdict.message.split(f"; {kind} {key}: "):
            path, message = _parted(sentence.removeprefix(f"{kind} {key}: "))
            if "is not ready" not in message:  # said at that object already
                yield kind, key, Problem(path, *_weighed(path, message, kind=kind, objects=objects))
    for key, override in objects["FeatureOverride"].items():
        for problem in override_problems(key, override, objects):
            yield "FeatureOverride", key, problem


def override_problems(key: Key, override: Stored[Any, Any], objects: Objects) -> Iterator[Problem]:
    """What an override speaks of and is not there; `objects` has at least policies and tiers."""
    spec = override.spec
    policy = objects["FeaturePolicy"].get(Key(key.namespace, spec.policy_ref.name))
    if policy is None:
        path: Path = ("spec", "policyRef", "name")
        there = _names(k.name for k in objects["FeaturePolicy"] if k.namespace == key.namespace)
        message = f"no FeaturePolicy {spec.policy_ref.name!r} in {key.namespace}; write one that exists ({there})"
        yield Problem(path, *_weighed(path, message, kind="FeatureOverride", objects=objects))
        return
    variants = [variant.name for variant in policy.spec.variants]
    if spec.variant not in variants:
        yield Problem(
            ("spec", "variant"),
            f"{policy.key.name} has no variant {spec.variant!r}; write one of {', '.join(variants)}",
        )
    listed = {entry.tier_ref.name: entry.availability for entry in policy.spec.tiers}
    for index, cell in enumerate(spec.cells):
        if listed.get(cell.tier) == "Never":
            yield Problem(
                ("spec", "cells", index, "tier"),
                f"{policy.key.name} gives tier {cell.tier} no part in the feature (Never), which an override cannot change; "
                f"write one of {_names(name for name, availability in listed.items() if availability != 'Never')}",
            )
        elif cell.tier not in listed:
            yield Problem(
                ("spec", "cells", index, "tier"),
                f"{policy.key.name} lists no tier {cell.tier!r}; write one of {_names(listed)}",
            )
        elif tier := objects["UserTier"].get(Key(key.namespace, cell.tier)):
            cohorts = [cohort.name for cohort in tier.spec.cohorts]
            if cell.cohort and cell.cohort not in cohorts:
                yield Problem(
                    ("spec", "cells", index, "cohort"),
                    f"tier {cell.tier} has no cohort {cell.cohort!r}; "
                    + (f"write one of {_names(cohorts)}" if cohorts else "it has none, so leave the cohort out"),
                )


def referred_kind(path: Path) -> str | None:
    """The kind that a field refers to, None where it is no reference."""
    return next((_REFERS_TO[part] for part in path if isinstance(part, str) and part in _REFERS_TO), None)


def _weighed(path: Path, message: str, *, kind: str, objects: Objects) -> tuple[str, Any, str]:
    """The message with its severity and its reason."""
    wanted = referred_kind(path)
    if wanted is not None and not objects[wanted]:
        return (
            f"{message.split('; ')[0]} among these files; give the file that has it to check this",
            "warning",
            "NotGiven",
        )
    return (message, "warning", "Unreachable") if kind == "UserTier" else (message, "error", "")


def _parted(sentence: str) -> tuple[Path, str]:
    """`spec.tiers[0].tierRef.name: no UserTier ...` as path and message."""
    dotted, _, message = sentence.partition(": ")
    path = tuple(int(index) if index else name for index, name in _PART.findall(dotted))
    return path, message


def _names(names: Any) -> str:
    return ", ".join(sorted(names)) or "none"
