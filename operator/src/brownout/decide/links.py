"""Which object means which: references resolved once a tick, and a sentence for each that leads nowhere.

A bad reference costs only what it names: the other costs of a policy, the other tiers, every other object go on.
"""

from collections.abc import Iterable

from msgspec import Struct

from brownout.api.pool import LabelSelector
from brownout.api.reasons import Condition, Reason
from brownout.api.resources import Key
from brownout.decide.evidence import Missing
from brownout.decide.outcome import Verdict
from brownout.decide.snapshot import Policy, Scaler, Snapshot, StoredTier


class Links(Struct, frozen=True, kw_only=True):
    """The snapshot's objects tied together. Only what is valid and in use is in `scalers_of`, `tiers_of`, `policies_of`."""

    scalers_of: dict[Key, tuple[Scaler, ...]]
    tiers_of: dict[str, tuple[StoredTier, ...]]
    policies_of: dict[Key, tuple[Policy, ...]]
    usable_policies: tuple[Policy, ...]
    ready: dict[tuple[str, Key], Verdict]


def not_admitted(pool: str, namespace: str) -> str:
    """What is said of whatever a pool carries nothing for."""
    return (
        f"GPUPool {pool} does not admit the namespace {namespace}; label the namespace as its spec.namespaceSelector asks, "
        f"or choose another pool"
    )


def selects(selector: LabelSelector, labels: dict[str, str]) -> bool:
    """Kubernetes' label selection; an empty selector selects everything."""
    if any(labels.get(key) != value for key, value in selector.match_labels.items()):
        return False
    for need in selector.match_expressions:
        found = labels.get(need.key)
        holds = {
            "In": found is not None and found in need.values,
            "NotIn": found is None or found not in need.values,
            "Exists": found is not None,
            "DoesNotExist": found is None,
        }
        if not holds.get(need.operator, False):
            return False
    return True


def link(snapshot: Snapshot) -> Links:
    """Resolve every reference of the snapshot."""
    ready: dict[tuple[str, Key], Verdict] = {}
    for kind, invalid in snapshot.invalid:
        ready[kind, invalid.key] = _not_ready(Reason.INVALID, invalid.message)

    tiers = _tiers_in_order(snapshot)
    for namespace in tiers.values():
        ready.update({("UserTier", t.key): verdict for t, verdict in _judge_tiers(namespace)})

    scalers = _judge_scalers(snapshot, ready)
    in_use = {key for pool in scalers.values() for key in (s.stored.key for s in pool)}
    policies = _judge_policies(snapshot, tiers, in_use, ready)
    for key in snapshot.pools:
        ready["GPUPool", key] = _accepted()

    policies_of: dict[Key, list[Policy]] = {}
    for policy in policies:
        for cost in (cost for variant in policy.stored.spec.variants for cost in variant.costs):
            using = policies_of.setdefault(Key(policy.stored.key.namespace, cost.scaler), [])
            if not using or using[-1] is not policy:
                using.append(policy)
    return Links(
        scalers_of=scalers,
        tiers_of=tiers,
        policies_of={key: tuple(using) for key, using in policies_of.items()},
        usable_policies=policies,
        ready=ready,
    )


def _accepted(message: str = "") -> Verdict:
    return Verdict(type=Condition.READY, status=True, reason=Reason.ACCEPTED, message=message)


def _not_ready(reason: Reason, message: str) -> Verdict:
    return Verdict(type=Condition.READY, status=False, reason=reason, message=message)


def names(keys: Iterable[str]) -> str:
    """The names that do exist, for a sentence about one that does not."""
    return ", ".join(sorted(keys)) or "none"


def _tiers_in_order(snapshot: Snapshot) -> dict[str, tuple[StoredTier, ...]]:
    """Tiers by namespace in the order in which they are tried: descending priority, then name."""
    by_namespace: dict[str, list[StoredTier]] = {}
    for tier in snapshot.tiers.values():
        by_namespace.setdefault(tier.key.namespace, []).append(tier)
    return {
        namespace: tuple(sorted(tiers, key=lambda t: (-t.spec.priority, t.key.name)))
        for namespace, tiers in by_namespace.items()
    }


def _judge_tiers(tiers: tuple[StoredTier, ...]) -> Iterable[tuple[StoredTier, Verdict]]:
    """A tier whose users an earlier one takes all of says so, whether by the same match or as a second default."""
    seen: list[StoredTier] = []
    for tier in tiers:
        earlier = next((t for t in seen if _covers(t, tier)), None)
        seen.append(tier)
        if earlier is None:
            yield tier, _accepted()
            continue
        what = "has no match either" if not tier.spec.match else "matches the same users"
        yield (
            tier,
            _not_ready(
                Reason.CONFLICT,
                f"UserTier {tier.key}: spec.match: {earlier.key.name} {what} and is tried first (by descending priority, "
                f"then name), so nobody reaches this tier; write a match that {earlier.key.name} does not have",
            ),
        )


def _covers(first: StoredTier, second: StoredTier) -> bool:
    """Whether everybody whom `second` matches is matched by `first`, as far as it can be seen: single In tests on one key."""
    if not first.spec.match and not second.spec.match:
        return True
    if first.spec.match == second.spec.match:
        return True
    if len(first.spec.match) != 1 or first.spec.match[0].operator != "In":
        return False
    wide = first.spec.match[0]
    return any(
        m.key == wide.key and m.operator == "In" and set(m.values) <= set(wide.values) for m in second.spec.match
    )


def _judge_scalers(snapshot: Snapshot, ready: dict[tuple[str, Key], Verdict]) -> dict[Key, tuple[Scaler, ...]]:
    pools = {key.name: pool for key, pool in snapshot.pools.items()}
    claimed: dict[tuple[str, str, str, str], Key] = {}
    by_pool: dict[Key, list[Scaler]] = {}
    for scaler in sorted(snapshot.scalers.values(), key=lambda s: (s.stored.created_at, s.stored.key)):
        key, spec = scaler.stored.key, scaler.stored.spec
        where = f"InferenceScaler {key}: spec"
        pool = pools.get(spec.pool_ref.name)
        target = (
            key.namespace,
            spec.scale_target_ref.api_version,
            spec.scale_target_ref.kind,
            spec.scale_target_ref.name,
        )
        if pool is None and spec.pool_ref.name not in snapshot.elsewhere:
            verdict = _not_ready(
                Reason.NOT_FOUND,
                f"{where}.poolRef.name: no GPUPool {spec.pool_ref.name!r}; write the name of one that exists "
                f"({names(pools)}), or create it",
            )
        elif pool is None or not selects(
            pool.stored.spec.namespace_selector, snapshot.namespaces.get(key.namespace, {})
        ):
            verdict = _not_ready(
                Reason.NOT_ADMITTED,
                f"{where}.poolRef.name: {not_admitted(spec.pool_ref.name, key.namespace)}",
            )
        elif target in claimed:
            verdict = _not_ready(
                Reason.CONFLICT,
                f"{where}.scaleTargetRef: InferenceScaler {claimed[target].name} scales {target[2]} {target[3]} already; "
                f"delete one of the two",
            )
        elif isinstance(scaler.workload, Missing):
            claimed[target] = key
            verdict = _not_ready(Reason.NOT_FOUND, scaler.workload.message)
        else:
            claimed[target] = key
            by_pool.setdefault(pool.stored.key, []).append(scaler)
            verdict = _accepted()
        ready["InferenceScaler", key] = verdict
    return {key: tuple(sorted(scalers, key=lambda s: s.stored.key)) for key, scalers in by_pool.items()}


def _judge_policies(
    snapshot: Snapshot,
    tiers: dict[str, tuple[StoredTier, ...]],
    scalers_in_use: set[Key],
    ready: dict[tuple[str, Key], Verdict],
) -> tuple[Policy, ...]:
    flag_keys: dict[tuple[str, str], Key] = {}
    usable: list[Policy] = []
    tier_names = {namespace: {t.key.name for t in found} for namespace, found in tiers.items()}
    scaler_names: dict[str, set[str]] = {}
    for scaler in snapshot.scalers:
        scaler_names.setdefault(scaler.namespace, set()).add(scaler.name)
    for policy in sorted(snapshot.policies.values(), key=lambda p: (p.stored.created_at, p.stored.key)):
        key, spec = policy.stored.key, policy.stored.spec
        where = f"FeaturePolicy {key}: spec"
        owner = flag_keys.setdefault((key.namespace, spec.flag_key), key)
        if owner != key:
            ready["FeaturePolicy", key] = _not_ready(
                Reason.CONFLICT,
                f"{where}.flagKey: FeaturePolicy {owner.name} has the flag {spec.flag_key!r} already; write another key",
            )
            continue
        known_tiers = tier_names.get(key.namespace, set())
        known_scalers = scaler_names.get(key.namespace, set())
        problems = [
            f"{where}.tiers[{i}].tierRef.name: no UserTier {entry.tier_ref.name!r} in {key.namespace}; "
            f"write one that exists ({names(known_tiers)}), or create it"
            for i, entry in enumerate(spec.tiers)
            if entry.tier_ref.name not in known_tiers
        ]
        for i, variant in enumerate(spec.variants):
            for j, cost in enumerate(variant.costs):
                at = f"{where}.variants[{i}].costs[{j}].scaler"
                if cost.scaler not in known_scalers:
                    problems.append(
                        f"{at}: no InferenceScaler {cost.scaler!r} in {key.namespace}; "
                        f"write one that exists ({names(known_scalers)}), or create it"
                    )
                elif Key(key.namespace, cost.scaler) not in scalers_in_use:
                    problems.append(
                        f"{at}: InferenceScaler {cost.scaler} is not ready; its own Ready condition says why"
                    )
        usable.append(policy)
        ready["FeaturePolicy", key] = _not_ready(Reason.NOT_FOUND, "; ".join(problems)) if problems else _accepted()
    return tuple(usable)
