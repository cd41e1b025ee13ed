"""Facts and objects for tests, each in a line."""

from typing import Any

from brownout.api.policy import Cost, FeaturePolicySpec, FeaturePolicyStatus, Variant
from brownout.api.pool import Capacity, GPUPoolSpec, GPUPoolStatus, LabelSelector, NodeCapacity, QuotaRef
from brownout.api.resources import Key, Stored
from brownout.api.scaler import InferenceScalerSpec, InferenceScalerStatus, ScaleTargetRef
from brownout.api.schema import Ref
from brownout.decide.snapshot import StoredPolicy, StoredPool, StoredScaler
from brownout.observe.facts import NodeFact, PodFact, TargetFact

GPU = "nvidia.com/gpu"


def node(name: str, gpus: int = 8, *, usable: bool = True, **labels: str) -> NodeFact:
    """A node with GPUs."""
    return NodeFact(key=Key("", name), labels=labels, allocatable={GPU: gpus}, usable=usable)


def pod(name: str, *, gpus: int = 1, node: str | None = "a", namespace: str = "media", **labels: str) -> PodFact:
    """A ready pod that asks for GPUs."""
    return PodFact(
        key=Key(namespace, name),
        labels=labels,
        requests={GPU: gpus} if gpus else {},
        created_at=0.0,
        node=node,
        ready_at=1.0,
        terminating=False,
        failed=False,
    )


def target(name: str = "image", *, replicas: int = 2, gpus: int | None = 1) -> TargetFact:
    """A Deployment whose pods carry `app`; `gpus` None where no template is known."""
    return TargetFact(
        key=Key("media", name),
        replicas=replicas,
        selector=LabelSelector(match_labels={"app": name}),
        requests=None if gpus is None else {GPU: gpus},
    )


def stored(spec: Any, status: Any, name: str, namespace: str = "media") -> Any:
    """An object as it is stored."""
    return Stored(key=Key(namespace, name), uid=f"uid-{name}", generation=1, created_at=0.0, spec=spec, status=status)


def pool(*, nodes: NodeCapacity | None = None, quotas: tuple[QuotaRef, ...] = (), **spec: Any) -> StoredPool:
    """The pool `h100`."""
    capacity = Capacity(nodes=nodes, quotas=quotas, gpus=None if nodes or quotas else 8)
    found: StoredPool = stored(GPUPoolSpec(capacity=capacity, **spec), GPUPoolStatus(), "h100", "")
    return found


def scaler(name: str = "image", *, pool: str = "h100", **spec: Any) -> StoredScaler:
    """A scaler of the Deployment of the same name."""
    fields = {"pool_ref": Ref(name=pool), "scale_target_ref": ScaleTargetRef(name=name)} | spec
    found: StoredScaler = stored(InferenceScalerSpec(**fields), InferenceScalerStatus(), name)
    return found


def policy(name: str = "images", *, scaler: str = "image", **spec: Any) -> StoredPolicy:
    """A feature with one good variant that costs a scaler something."""
    variants = (
        Variant(name="full", costs=(Cost(scaler=scaler, gpu_seconds_per_request="1"),)),
        Variant(name="denied"),
    )
    found: StoredPolicy = stored(
        FeaturePolicySpec(flag_key=name, variants=variants, **spec), FeaturePolicyStatus(), name
    )
    return found
