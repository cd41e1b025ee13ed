"""From a plan to the statuses that say it: one update for each object of the snapshot that the plan speaks of."""

from collections.abc import Iterable

from brownout.api.resources import Key
from brownout.decide.memory import Memory, ScalerMemory
from brownout.decide.outcome import Plan
from brownout.decide.snapshot import Snapshot
from brownout.publish.apply import Update
from brownout.publish.status import override_status, policy_status, pool_status, scaler_status, tier_status


def policy_updates(plan: Plan, memory: Memory, snapshot: Snapshot, *, now: float) -> Iterable[Update]:
    """What users are served rests on these, so they are written first."""
    for key, policy in plan.policies.items():
        stored = snapshot.policies[key].stored
        status = policy_status(policy, memory, stored, now)
        yield Update(kind="FeaturePolicy", key=key, uid=stored.uid, stored=stored.status, status=status)


def other_updates(plan: Plan, memory: Memory, snapshot: Snapshot, *, now: float) -> Iterable[Update]:
    """Scalers, pools, tiers and overrides."""
    for key, scaler in plan.scalers.items():
        stored = snapshot.scalers[key].stored
        yield Update(
            kind="InferenceScaler",
            key=key,
            uid=stored.uid,
            stored=stored.status,
            status=scaler_status(scaler, memory.scalers.get(key, ScalerMemory()), stored, now),
        )
    for key, pool in plan.pools.items():
        stored_pool = snapshot.pools[key].stored
        yield Update(
            kind="GPUPool",
            key=key,
            uid=stored_pool.uid,
            stored=stored_pool.status,
            status=pool_status(pool, stored_pool, now),
        )
    for key, tier in plan.tiers.items():
        stored_tier = snapshot.tiers[key]
        yield Update(
            kind="UserTier",
            key=key,
            uid=stored_tier.uid,
            stored=stored_tier.status,
            status=tier_status(tier, stored_tier, now),
        )
    for key, override in plan.overrides.items():
        stored_override = snapshot.overrides[key]
        yield Update(
            kind="FeatureOverride",
            key=key,
            uid=stored_override.uid,
            stored=stored_override.status,
            status=override_status(override, stored_override, now),
        )


def uids(snapshot: Snapshot) -> dict[tuple[str, Key], str]:
    """The uid of each of our objects, by kind and key; empty for those that cannot be read."""
    return {
        **{("GPUPool", key): pool.stored.uid for key, pool in snapshot.pools.items()},
        **{("InferenceScaler", key): scaler.stored.uid for key, scaler in snapshot.scalers.items()},
        **{("FeaturePolicy", key): policy.stored.uid for key, policy in snapshot.policies.items()},
        **{("UserTier", key): tier.uid for key, tier in snapshot.tiers.items()},
        **{("FeatureOverride", key): override.uid for key, override in snapshot.overrides.items()},
        **{(kind, invalid.key): "" for kind, invalid in snapshot.invalid},
    }
