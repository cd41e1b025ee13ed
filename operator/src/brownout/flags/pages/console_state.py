"""All that the console shows, as one JSON document: pools, scalers, cells in the order of the ladder, decisions. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from brownout.api.override import FEATURE_OVERRIDE, ends_at
from brownout.api.pool import GPUPoolSpec, GPUPoolStatus
from brownout.api.resources import Stored
from brownout.api.schema import Conditions
from brownout.flags.cells import in_force
from brownout.flags.pages.console_cells import CellRow, cell_rows
from brownout.flags.pages.console_decisions import Decision, StoredScaler, decisions
from brownout.flags.snapshot import Objects

StoredPool = Stored[GPUPoolSpec, GPUPoolStatus]

GOOD_WHEN_TRUE = frozenset({"Ready", "MetricsAvailable"})
WORTH_SAYING = frozenset({"Ready", "MetricsAvailable", "ScalingLimited", "Held"})
"""Conditions that are shown where they are not as they should be; the others are shown as what they are about."""


class State(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is known. Statuses are as the operator wrote them."""

    namespaces: list[str]
    pools: list[dict[str, Any]]
    scalers: list[dict[str, Any]]
    cells: list[CellRow]
    overrides: list[dict[str, Any]]
    decisions: list[Decision]


def state(
    products: Mapping[str, Objects],
    pools: Sequence[StoredPool],
    scalers: Sequence[StoredScaler],
    flips: Sequence[Decision],
    *,
    now: float,
) -> State:
    """The state of everything at `now` (Unix seconds)."""
    pool_of = {scaler.key: scaler.spec.pool_ref.name for scaler in scalers}
    return State(
        namespaces=sorted({*products, *(scaler.key.namespace for scaler in scalers)}),
        pools=[_pool(pool) for pool in pools],
        scalers=[_scaler(scaler) for scaler in scalers],
        cells=cell_rows(products, pool_of, now=now),
        overrides=_overrides(products, now),
        decisions=decisions(scalers, flips),
    )


def _pool(pool: StoredPool) -> dict[str, Any]:
    status = pool.status
    return {
        "name": pool.key.name,
        "gpus": status.gpus,
        "holders": status.holders,
        "saturation": status.saturation,
        "saturated": _is(status.conditions, "Saturated"),
        "ladder": status.ladder,
        "restorePercent": pool.spec.saturation.restore_percent,
        "troubles": _troubles(status.conditions),
    }


def _scaler(scaler: StoredScaler) -> dict[str, Any]:
    spec, status = scaler.spec, scaler.status
    return {
        "namespace": scaler.key.namespace,
        "name": scaler.key.name,
        "pool": spec.pool_ref.name,
        "target": f"{spec.scale_target_ref.kind}/{spec.scale_target_ref.name}",
        "mode": spec.mode,
        "replicas": status.replicas,
        "minReplicas": spec.min_replicas,
        "maxReplicas": spec.max_replicas,
        "saturationPercent": status.saturation_percent,
        "saturated": _is(status.conditions, "Saturated"),
        "demand": status.demand,
        "limitedBy": status.limited_by,
        "comingReadyAt": status.coming_ready_at,
        "summary": status.summary,
        "troubles": _troubles(status.conditions),
    }


def _overrides(products: Mapping[str, Objects], now: float) -> list[dict[str, Any]]:
    """The overrides in force, those that end first before the others."""
    found = [
        {
            "namespace": word.key.namespace,
            "name": word.key.name,
            "policy": word.spec.policy_ref.name,
            "variant": word.spec.variant,
            "cells": [f"{cell.tier}/{cell.cohort}" if cell.cohort else cell.tier for cell in word.spec.cells],
            "reason": word.spec.reason,
            "since": word.created_at,
            "until": ends_at(word.spec, created_at=word.created_at),
        }
        for objects in products.values()
        for word in in_force(objects.get(FEATURE_OVERRIDE.plural, ()), now)
    ]
    return sorted(found, key=lambda one: (one["until"], one["namespace"], one["name"]))


def _is(conditions: Conditions, kind: str) -> bool:
    return any((one.type, one.status) == (kind, "True") for one in conditions)


def _troubles(conditions: Conditions) -> list[dict[str, str]]:
    return [
        {"type": one.type, "reason": one.reason, "message": one.message}
        for one in conditions
        if one.type in WORTH_SAYING and (one.status == "True") != (one.type in GOOD_WHEN_TRUE)
    ]
