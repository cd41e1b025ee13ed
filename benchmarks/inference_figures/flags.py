"""Flags for the benchmark: one feature that everybody has, users of three tiers."""

from pathlib import Path

from flag_figures.product import NAMESPACE, policy_manifest, stored, tier_manifest

from brownout.api.override import FEATURE_OVERRIDE
from brownout.api.policy import FEATURE_POLICY
from brownout.api.tier import USER_TIER
from brownout.flags.snapshot import encode, write

FEATURE = "image-generation"
OBJECTIVE_SECONDS = 2.0


def keep(directory: Path) -> None:
    """A snapshot for `brownout flags serve`: pro, plus and free users have the feature at its best."""
    manifest = policy_manifest(0)
    manifest["metadata"]["name"] = FEATURE
    manifest["spec"] |= {
        "flagKey": FEATURE,
        "variants": [
            {"name": "full", "value": {"enabled": True, "steps": 8, "objectiveSeconds": OBJECTIVE_SECONDS}},
            {"name": "denied", "value": {"enabled": False}},
        ],
    }
    manifest["status"] = {
        "version": 1,
        "cells": [{"tier": tier, "variant": "full"} for tier in ("pro", "plus", "free")],
    }
    manifest["spec"]["tiers"] = [
        {"tierRef": {"name": tier}, "availability": "Auto"} for tier in ("pro", "plus", "free")
    ]
    tiers = [stored(USER_TIER, tier_manifest(name)) for name in ("pro", "plus", "free")]
    found = {
        FEATURE_POLICY.plural: [stored(FEATURE_POLICY, manifest)],
        USER_TIER.plural: tiers,
        FEATURE_OVERRIDE.plural: [],
    }
    directory.mkdir(parents=True, exist_ok=True)
    write(directory, NAMESPACE, encode(found, saved_at=0.0))
