"""What is observed at one moment: typed objects as stored, and the facts beside them. Nothing in it is a decision.

Times are seconds on the clock that also gives `now`: Unix time that flows evenly. Where it is set because the machine's clock was,
the memory is moved along (moments.py), so that no duration changes.
"""

from msgspec import Struct

from brownout.api.override import FeatureOverrideSpec, FeatureOverrideStatus
from brownout.api.policy import FeaturePolicySpec, FeaturePolicyStatus
from brownout.api.pool import GPUPoolSpec, GPUPoolStatus
from brownout.api.resources import InvalidObject, Key, Stored
from brownout.api.scaler import InferenceScalerSpec, InferenceScalerStatus
from brownout.api.tier import UserTierSpec, UserTierStatus
from brownout.decide.evidence import Evidence, Missing, Sample

StoredPool = Stored[GPUPoolSpec, GPUPoolStatus]
StoredScaler = Stored[InferenceScalerSpec, InferenceScalerStatus]
StoredTier = Stored[UserTierSpec, UserTierStatus]
StoredPolicy = Stored[FeaturePolicySpec, FeaturePolicyStatus]
StoredOverride = Stored[FeatureOverrideSpec, FeatureOverrideStatus]


class Audience(Struct, frozen=True, order=True, gc=False, cache_hash=True):
    """A tier and one of its cohorts; the remainder of a tier has the cohort "". With `user`: one user of it alone.

    The words name no user: they go to many places, and a targetingKey only where it is needed.
    """

    tier: str
    cohort: str = ""
    user: str = ""

    def __str__(self) -> str:
        cell = f"{self.tier}/{self.cohort}" if self.cohort else self.tier
        return f"one user of {cell}" if self.user else cell


class Node(Struct, frozen=True, kw_only=True):
    """GPUs of one schedulable, ready node: all of them, and those that pods of no scaler of the pool hold."""

    name: str
    gpus: int
    gpus_of_others: int = 0


class Quota(Struct, frozen=True, kw_only=True):
    """A ResourceQuota's hard limit on the pool's GPUs, and what the quota's namespace uses beyond our scalers' pods."""

    namespace: str
    name: str
    gpus: int
    gpus_of_others: int = 0


class Pool(Struct, frozen=True, kw_only=True):
    """A pool and its sources of GPUs. A source that the spec names and that could not be read is Missing."""

    stored: StoredPool
    nodes: tuple[Node, ...] | Missing | None = None
    quotas: tuple[Quota, ...] | Missing = ()


class Pod(Struct, frozen=True, kw_only=True, gc=False):
    """One pod of a workload. `ready_at` is None while it loads; `failed` means it will not become ready as it is."""

    name: str
    created_at: float
    ready_at: float | None = None
    node: str | None = None
    terminating: bool = False
    failed: bool = False


class Workload(Struct, frozen=True, kw_only=True):
    """What stands behind scaleTargetRef: replicas as its spec says, GPUs of one replica, and its pods."""

    replicas: int
    gpus_per_replica: int
    pods: tuple[Pod, ...] = ()


class Scaler(Struct, frozen=True, kw_only=True):
    """A scaler, its workload, and the last answer to each of its metrics by name."""

    stored: StoredScaler
    workload: Workload | Missing
    metrics: dict[str, Evidence] = {}


Rates = dict[Audience, Sample]
"""Requests a second by tier and cohort. An audience that is absent has not been measured."""


class Policy(Struct, frozen=True, kw_only=True):
    """A policy and its demand. `heaviest`: what the heaviest users of each cell ask for, by audience with `user`.

    A user who is absent from it asks for less than those, or nobody counts users.
    """

    stored: StoredPolicy
    offered: Rates | Missing
    admitted: Rates | Missing
    heaviest: Rates | Missing = {}


class Snapshot(Struct, frozen=True, kw_only=True):
    """Everything one tick knows.

    `namespaces` maps a namespace to its labels. `invalid` are objects that could not be decoded, by kind. `unseen` names
    the kinds whose objects are not known: never listed, or gone all at once; nothing changes while there are any. `elsewhere` are
    the names of pools that admit no namespace that is acted in: they are somebody else's to decide for. `unwritten` are policies
    whose status the API server keeps refusing, and in what words: until it is tried again their cells stay as they are, as with
    mode: Paused, and the others on the ladder go on without them.
    """

    pools: dict[Key, Pool] = {}
    scalers: dict[Key, Scaler] = {}
    tiers: dict[Key, StoredTier] = {}
    policies: dict[Key, Policy] = {}
    overrides: dict[Key, StoredOverride] = {}
    namespaces: dict[str, dict[str, str]] = {}
    rate_window_seconds: float = 30.0
    invalid: tuple[tuple[str, InvalidObject], ...] = ()
    unseen: tuple[str, ...] = ()
    elsewhere: frozenset[str] = frozenset()
    unwritten: dict[Key, str] = {}
