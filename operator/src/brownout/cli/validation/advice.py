"""What is allowed and yet hardly meant: tiers without the feature, users in two tiers, ladders that save nothing."""

from collections.abc import Iterator, Sequence
from typing import Any

from brownout.api.policy import FeaturePolicySpec, Variant
from brownout.api.resources import Stored
from brownout.api.schema import number
from brownout.api.tier import Match
from brownout.cli.validation.findings import Path, Problem
from brownout.cli.validation.references import Found, Objects
from brownout.decide.evidence import Missing
from brownout.decide.links import Links
from brownout.observe.engine_packs import query


def problems(objects: Objects, links: Links) -> Iterator[Found]:
    """Warnings, and signals that no engine pack has."""
    for namespace, tiers in links.tiers_of.items():
        yield from _shared_users(tiers)
        listed_for = {key: stored for key, stored in objects["FeaturePolicy"].items() if key.namespace == namespace}
        for key, policy in listed_for.items():
            listed = {entry.tier_ref.name for entry in policy.spec.tiers}
            for tier in tiers:
                if tier.key.name not in listed:
                    yield (
                        "FeaturePolicy",
                        key,
                        _warning(
                            ("spec", "tiers"),
                            f"tier {tier.key.name} is not listed, so its users never have this feature; "
                            f"write - {{tierRef: {{name: {tier.key.name}}}, availability: Never}} if that is meant",
                            "TierNotListed",
                        ),
                    )
    for key, policy in objects["FeaturePolicy"].items():
        for problem in (*_ladder(policy.spec), *_costs(policy.spec), *_quotas(policy.spec)):
            yield "FeaturePolicy", key, problem
    for key, scaler in objects["InferenceScaler"].items():
        for problem in _signals(scaler):
            yield "InferenceScaler", key, problem
        if key in links.policies_of:
            continue
        if scaler.spec.metrics and scaler.spec.min_replicas == 0 and all(m.engine for m in scaler.spec.metrics):
            yield (
                "InferenceScaler",
                key,
                _warning(
                    ("spec", "minReplicas"),
                    "at 0 replicas no engine is there to be measured, and no policy names the scaler in costs, so nothing brings it back; "
                    "write minReplicas: 1, costs in a policy, or a metric whose query asks those who send requests",
                    "StaysAtZero",
                ),
            )
        if not scaler.spec.metrics:
            yield (
                "InferenceScaler",
                key,
                _warning(
                    ("spec",),
                    "nothing drives it: it has no metrics, and no policy names it in costs; write metrics, or costs in a policy",
                    "NothingDrivesIt",
                ),
            )


def _signals(scaler: Stored[Any, Any]) -> Iterator[Problem]:
    for index, metric in enumerate(scaler.spec.metrics):
        if metric.engine is None:
            continue
        answer = query(metric.engine, labels=dict(metric.engine.labels), namespace=scaler.key.namespace)
        if isinstance(answer, Missing):
            field, _, message = answer.message.partition(": ")
            yield Problem(("spec", "metrics", index, *field.split(".")), message)


def _quotas(spec: FeaturePolicySpec) -> Iterator[Problem]:
    for index, entry in enumerate(spec.tiers):
        if entry.quota is None:
            continue
        if entry.availability == "Never":
            yield _warning(
                ("spec", "tiers", index, "quota"),
                "this tier never has the feature, so nothing is counted; remove the quota, or write availability: Auto",
            )
        elif entry.quota.limit == 0:
            yield _warning(
                ("spec", "tiers", index, "quota", "limit"),
                "nobody of this tier may use the feature once; write availability: Never, or a limit of 1 or more",
            )


MOST_GPU_SECONDS = 86_400
"""A request that takes more is hardly meant: a GPU for a day, or two dozen for the longest queue that one may ask for, an hour."""


def _costs(spec: FeaturePolicySpec) -> Iterator[Problem]:
    for index, variant in enumerate(spec.variants):
        for at, cost in enumerate(variant.costs):
            if number(cost.gpu_seconds_per_request) > MOST_GPU_SECONDS:
                yield _warning(
                    ("spec", "variants", index, "costs", at, "gpuSecondsPerRequest"),
                    f"found {cost.gpu_seconds_per_request}: one request takes a GPU for more than a day; "
                    f"write GPU-seconds, such as 12 or 700m (m is a thousandth, M a million)",
                    "TakesMoreThanADay",
                )


def _ladder(spec: FeaturePolicySpec) -> Iterator[Problem]:
    if not spec.tiers:
        yield _warning(
            ("spec", "tiers"), "no tier is listed, so nobody has this feature; list those that do", "NobodyHasIt"
        )
    for index, entry in enumerate(spec.tiers):
        if entry.availability == "Auto" and entry.lowest == spec.variants[0].name:
            yield _warning(
                ("spec", "tiers", index, "lowest"),
                "this is the first variant, so nothing is ever taken; write availability: Always, or a later variant",
                "NothingToTake",
            )
    if all(entry.availability != "Auto" for entry in spec.tiers):
        return  # nothing is ever shed
    for index, (better, worse) in enumerate(zip(spec.variants, spec.variants[1:], strict=False)):
        if not _saves(better, worse):
            yield _warning(
                ("spec", "variants", index + 1),
                f"shedding from {better.name} to {worse.name} saves no GPU time on any workload; "
                f"write costs for {better.name}, lower ones for {worse.name}, or remove one of them",
                "SavesNothing",
            )


def _saves(better: Variant, worse: Variant) -> bool:
    left = {cost.scaler: number(cost.gpu_seconds_per_request) for cost in worse.costs}
    return any(number(cost.gpu_seconds_per_request) > left.get(cost.scaler, 0.0) for cost in better.costs)


def _shared_users(tiers: Sequence[Stored[Any, Any]]) -> Iterator[Found]:
    """Pairs of tiers in the order in which they are tried, with a user that both match and neither match takes in whole."""
    for index, second in enumerate(tiers):
        for first in tiers[:index]:
            user = _user_of_both(first.spec.match, second.spec.match)
            if user:
                words = ", ".join(f"{key}: {value}" for key, value in sorted(user.items()))
                yield (
                    "UserTier",
                    second.key,
                    _warning(
                        ("spec", "match"),
                        f"a user with {words} matches {first.key.name} too, which is tried first; "
                        f"take the value from one of them if that is not meant",
                        "SharedUsers",
                    ),
                )


def _user_of_both(first: Sequence[Match], second: Sequence[Match]) -> dict[str, str]:
    """Attributes that pass both, where both ask for values of the same attributes and neither holds all of the other's."""
    asked = [
        {match.key: set(match.values) for match in matches if match.operator == "In"} for matches in (first, second)
    ]
    if any(len(values) != len(matches) for values, matches in zip(asked, (first, second), strict=True)):
        return {}
    if not first or asked[0].keys() != asked[1].keys():
        return {}
    both = {key: asked[0][key] & asked[1][key] for key in asked[0]}
    whole = all(asked[1][key] <= asked[0][key] for key in both)  # then nobody reaches it, which is said elsewhere
    return {} if whole or not all(both.values()) else {key: min(values) for key, values in both.items()}


def _warning(path: Path, message: str, reason: str = "") -> Problem:
    return Problem(path, message, "warning", reason)
