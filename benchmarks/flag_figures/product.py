"""A made-up product: policies, tiers and who is shed, as objects of the cluster and as a snapshot on disk."""

from pathlib import Path
from typing import Any

from brownout.api.override import FEATURE_OVERRIDE
from brownout.api.policy import FEATURE_POLICY
from brownout.api.resources import Stored, decode
from brownout.api.schema import API_VERSION
from brownout.api.tier import USER_TIER
from brownout.flags.audience import Tier
from brownout.flags.cells import Policy
from brownout.flags.snapshot import encode, write

NAMESPACE = "media"
TIERS = {"pro": 100, "team": 80, "plus": 50, "edu": 40, "free": 10}
WEEK = 604_800
USER = {"targetingKey": "user-1", "plan": "free", "accountCreatedAt": 1_500_000_000, "country": "DE"}


def tier_manifest(name: str) -> dict[str, Any]:
    cohort = {
        "name": "new-accounts",
        "match": [{"key": "accountCreatedAt", "operator": "YoungerThan", "seconds": WEEK}],
    }
    return {
        "apiVersion": API_VERSION,
        "kind": "UserTier",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "priority": TIERS[name],
            "match": [{"key": "plan", "operator": "In", "values": [name]}],
            "cohorts": [cohort] if name == "free" else [],
        },
    }


def policy_manifest(number: int) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": "FeaturePolicy",
        "metadata": {"name": f"feature-{number:04}", "namespace": NAMESPACE},
        "spec": {
            "flagKey": f"feature-{number:04}",
            "variants": [
                {"name": "full", "value": {"enabled": True, "model": "xl", "steps": 30}},
                {"name": "lite", "value": {"enabled": True, "model": "small", "steps": 8}},
                {"name": "denied", "value": {"enabled": False}},
            ],
            "tiers": [{"tierRef": {"name": name}, "availability": "Auto"} for name in TIERS],
            "notices": [{"locale": "en", "when": "Denied", "text": "Limited while demand is high. It comes back."}],
        },
    }


def status(number: int, *, version: int = 1, percent: int | None = None) -> dict[str, Any]:
    """What the loop decided: of every fifth feature free users have a part, and new accounts nothing."""
    shed = number % 5 == 0
    cells = [
        {"tier": "free", "cohort": "new-accounts", "variant": "denied" if shed else "full"},
        {"tier": "free", "variant": "full", "percent": (40 if shed else 100) if percent is None else percent},
    ]
    return {"version": version, "cells": cells}


def objects(count: int) -> tuple[list[Policy], list[Tier]]:
    """`count` policies of five tiers."""
    policies = [stored(FEATURE_POLICY, {**policy_manifest(n), "status": status(n)}) for n in range(count)]
    return policies, [stored(USER_TIER, tier_manifest(name)) for name in TIERS]


def keep(directory: Path, count: int) -> None:
    """A snapshot of `count` policies on disk, as a flag server leaves it."""
    policies, tiers = objects(count)
    directory.mkdir(parents=True, exist_ok=True)
    found = {FEATURE_POLICY.plural: policies, USER_TIER.plural: tiers, FEATURE_OVERRIDE.plural: []}
    write(directory, NAMESPACE, encode(found, saved_at=0.0))


def stored(kind: Any, manifest: dict[str, Any]) -> Any:
    body = {**manifest, "metadata": {**manifest["metadata"], "uid": manifest["metadata"]["name"], "generation": 1}}
    found = decode(kind, body, 0.0)
    assert isinstance(found, Stored), found
    return found
