"""All watched objects at one moment, told apart: typed ones, unreadable ones, and kinds that vanished."""

from collections.abc import Callable, Collection
from typing import Any

from msgspec import Struct

from brownout.api.resources import InvalidObject, Key
from brownout.decide.links import selects
from brownout.decide.snapshot import StoredOverride, StoredPolicy, StoredPool, StoredScaler, StoredTier
from brownout.observe.facts import NamespaceFact, NodeFact, PodFact, QuotaFact, TargetFact
from brownout.observe.vanish import Vanishing


class Kinds(Struct, frozen=True, kw_only=True):
    """Every kind by key; `targets` by kind and key. `unseen` names the kinds whose objects here are only remembered.

    `elsewhere`: the names of pools that are left out, because they admit no namespace that is acted in.
    """

    pools: dict[Key, StoredPool]
    scalers: dict[Key, StoredScaler]
    tiers: dict[Key, StoredTier]
    policies: dict[Key, StoredPolicy]
    overrides: dict[Key, StoredOverride]
    nodes: dict[Key, NodeFact]
    pods: dict[Key, PodFact]
    namespaces: dict[Key, NamespaceFact]
    quotas: dict[Key, QuotaFact]
    targets: dict[tuple[str, Key], TargetFact]
    invalid: tuple[tuple[str, InvalidObject], ...]
    unseen: tuple[str, ...]
    elsewhere: frozenset[str] = frozenset()


def gather(
    facts: Callable[[str], dict[Key, Any]], *, vanishing: Vanishing, namespaces: Collection[str] | None, now: float
) -> Kinds:
    """Read every kind once. Where `namespaces` are given, our own kinds are taken from those alone, and pools that admit one of them.

    Two operators share the cluster's pools by that: each decides for those of its own namespaces, and writes no status of others.
    """
    unseen: list[str] = []
    invalid: list[tuple[str, InvalidObject]] = []

    def known(kind: str) -> dict[Key, Any]:
        found, held = vanishing.admit(kind, facts(kind), now=now)
        if held:
            unseen.append(kind)
        return found

    def typed(kind: str) -> dict[Key, Any]:
        valid = {}
        for key, fact in known(kind).items():
            if namespaces is not None and key.namespace and key.namespace not in namespaces:
                continue
            if isinstance(fact, InvalidObject):
                invalid.append((kind, fact))
            else:
                valid[key] = fact
        return valid

    pools: dict[Key, StoredPool] = typed("GPUPool")
    known_namespaces: dict[Key, NamespaceFact] = known("Namespace")
    ours = pools
    if namespaces is not None:
        labels = [fact.labels for key, fact in known_namespaces.items() if key.name in namespaces]
        ours = {
            key: pool for key, pool in pools.items() if any(selects(pool.spec.namespace_selector, of) for of in labels)
        }
    return Kinds(
        pools=ours,
        scalers=typed("InferenceScaler"),
        tiers=typed("UserTier"),
        policies=typed("FeaturePolicy"),
        overrides=typed("FeatureOverride"),
        nodes=known("Node"),
        pods=known("Pod"),
        namespaces=known_namespaces,
        quotas=known("ResourceQuota"),
        targets={(kind, key): fact for kind in ("Deployment", "StatefulSet") for key, fact in known(kind).items()},
        invalid=tuple(invalid),
        unseen=tuple(unseen),
        elsewhere=frozenset(key.name for key in pools.keys() - ours.keys()),
    )
