"""Names that the cluster has, for completion: quickly, or none at all."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

from brownout.cli.completing.candidates import Given
from brownout.cli.failure import CommandError
from brownout.cli.options import Scope, Where

PATIENCE_SECONDS = 3.0
"""A person waits at the prompt."""

KIND_OF = {
    "FEATURE": ("FeaturePolicy",),
    "VARIANT": ("FeaturePolicy",),
    "TIER": ("UserTier",),
    "COHORT": ("UserTier",),
    "NAME|FEATURE": ("FeaturePolicy", "FeatureOverride"),
    "NS": ("FeaturePolicy",),
    "NAME": ("GPUPool", "InferenceScaler", "FeaturePolicy"),
}
WORDS = {"KIND": ("pool", "scaler", "policy")}


def of_cluster(metavar: str, given: Given, positional: Sequence[str]) -> list[str]:
    """The names for a metavar, sorted; none where the cluster does not answer in time."""
    if metavar in WORDS:
        return list(WORDS[metavar])
    if metavar not in KIND_OF or (metavar == "NAME" and not positional):
        return []
    import brownout.cli.cluster  # noqa: F401  which takes its time, on a machine that has much to do longer than an answer

    with contextlib.suppress(CommandError, TimeoutError):
        return asyncio.run(asyncio.wait_for(_names(metavar, given, positional), PATIENCE_SECONDS))
    return []


async def _names(metavar: str, given: Given, positional: Sequence[str]) -> list[str]:
    from brownout.cli.cluster import connected, read

    async with connected(Where(given.get("--kubeconfig"), given.get("--context"))) as cluster:
        namespace = None if metavar == "NS" else Scope(given.get("--namespace")).one(cluster.namespace)
        objects = await read(cluster, _kinds(metavar, positional), namespace)
    stored = [one for found in objects.values() for one in found]
    return sorted({name for one in stored for name in _of(metavar, one, given, positional)})


def _kinds(metavar: str, positional: Sequence[str]) -> Sequence[str]:
    if metavar != "NAME":
        return KIND_OF[metavar]
    from brownout.cli.explanation.chosen import NotThereError, kind_of

    with contextlib.suppress(NotThereError):
        return (kind_of(positional[0]),)
    return ()


def _of(metavar: str, one: Any, given: Given, positional: Sequence[str]) -> list[str]:
    spec = getattr(one, "spec", None)
    if metavar == "NS":
        return [one.key.namespace]
    if metavar == "VARIANT":
        wanted = positional[-1] if positional else ""
        known = spec is not None and wanted in ("", one.key.name, spec.flag_key)
        return [variant.name for variant in spec.variants] if known and spec is not None else []
    if metavar == "COHORT":
        known = spec is not None and given.get("--tier") in (None, one.key.name)
        return [cohort.name for cohort in spec.cohorts] if known and spec is not None else []
    return [one.key.name]
