"""From a plan to the statuses that say it: one update for each object of the snapshot that the plan speaks of."""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from brownout.api.resources import Key, Stored
from brownout.api.scaler import InferenceScalerStatus
from brownout.api.schema import Object
from brownout.decide.memory import Memory, ScalerMemory
from brownout.decide.outcome import Plan, ScalePlan
from brownout.decide.snapshot import Snapshot, StoredScaler
from brownout.publish.apply import Update
from brownout.publish.decisions import Decisions
from brownout.publish.status import override_status, policy_status, pool_status, scaler_status, tier_status

P = TypeVar("P")
S = TypeVar("S", bound=Object)
T = TypeVar("T", bound=Object)


def policy_updates(
    plan: Plan, memory: Memory, snapshot: Snapshot, *, now: float, decisions: Decisions
) -> Iterable[Update]:
    """What users are served rests on these, so they are written first."""
    return _updates(
        "FeaturePolicy",
        plan.policies,
        lambda key: snapshot.policies[key].stored,
        lambda policy, stored: policy_status(policy, memory, stored, now, decision=decisions.made(policy, stored)),
    )


def other_updates(plan: Plan, memory: Memory, snapshot: Snapshot, *, now: float) -> Iterable[Update]:
    """Scalers, pools, tiers and overrides."""

    def of_scaler(scaler: ScalePlan, stored: StoredScaler) -> InferenceScalerStatus:
        return scaler_status(scaler, memory.scalers.get(scaler.key, ScalerMemory()), stored, now)

    yield from _updates("InferenceScaler", plan.scalers, lambda key: snapshot.scalers[key].stored, of_scaler)
    yield from _updates(
        "GPUPool",
        plan.pools,
        lambda key: snapshot.pools[key].stored,
        lambda pool, stored: pool_status(pool, stored, now),
    )
    yield from _updates(
        "UserTier", plan.tiers, snapshot.tiers.__getitem__, lambda tier, stored: tier_status(tier, stored, now)
    )
    yield from _updates(
        "FeatureOverride",
        plan.overrides,
        snapshot.overrides.__getitem__,
        lambda override, stored: override_status(override, stored, now),
    )


def _updates(
    kind: str, plans: Mapping[Key, P], stored_of: Callable[[Key], Stored[S, T]], status: Callable[[P, Stored[S, T]], T]
) -> Iterable[Update]:
    """An update for each plan of one kind: onto the object that is stored under its key, what `status` makes of the two."""
    for key, plan in plans.items():
        stored = stored_of(key)
        yield Update(kind=kind, key=key, uid=stored.uid, stored=stored.status, status=status(plan, stored))


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
