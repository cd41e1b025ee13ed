"""The demo's product on a real API server, with statuses as the operator would write them."""

import time
from pathlib import Path
from typing import Any

import yaml

from brownout.api.schema import API_VERSION
from brownout_localcluster import LocalCluster
from browser.pages import rfc3339
from support.cluster import Namespace
from support.operator import install_kinds

POLICIES = Path(__file__).parents[2] / "demo" / "policies"
POOL = "demo"


def stage(cluster: LocalCluster, namespace: Namespace) -> None:
    """The demo's policies, in a namespace."""
    install_kinds(cluster)
    for path in sorted(POLICIES.glob("*.yaml")):
        for manifest in yaml.safe_load_all(path.read_text()):
            cluster.objects.apply(manifest, namespace=namespace.name)


def say(namespace: Namespace, kind: str, name: str, **status: Any) -> None:
    """Write a part of a status."""
    namespace.patch(API_VERSION, kind, name, {"status": status}, part="status")


def say_pool(
    cluster: LocalCluster, *, percent: int | None, taken: int, saturated: bool | None, unknown: int = 0
) -> None:
    """Write the pool's status. None: it is not known."""
    condition = {
        "type": "Saturated",
        "status": "Unknown" if saturated is None else str(saturated),
        "reason": "Saturated" if saturated else "NotSaturated",
        "message": "",
        "lastTransitionTime": rfc3339(time.time()),
    }
    status = {
        "gpus": {"capacity": 12, "granted": 12, "held": 12, "free": 0},
        "saturation": {"percent": percent, "unknown": unknown, "scaler": "image" if saturated else ""},
        "ladder": {
            "taken": taken,
            "total": 8,
            "position": f"{taken}/8",
            "next": "image-generation free: lite -> denied",
        },
        "conditions": [condition],
    }
    cluster.objects.patch(API_VERSION, "GPUPool", POOL, {"status": status}, part="status")


def line(variant: str, percent: int = 100, *, tier: str = "free", cohort: str = "", **more: Any) -> dict[str, Any]:
    """A line of a policy's status."""
    usual = {"reason": "Capacity", "message": "image is 161 % full", "since": rfc3339(time.time())}
    return {"tier": tier, "cohort": cohort, "variant": variant, "percent": percent, **usual, **more}


def shortage(cluster: LocalCluster, namespace: Namespace) -> None:
    """Images are short: video is gone from new accounts, images are in part."""
    say_pool(cluster, percent=161, taken=3, saturated=True)
    say(namespace, "FeaturePolicy", "video-generation", cells=[line("denied", cohort="new-accounts")])
    images = [
        line("lite", 65, cohort="new-accounts", expectedReturn=rfc3339(time.time() + 600), refusedBy="Dwell"),
        line("full"),
    ]
    say(namespace, "FeaturePolicy", "image-generation", cells=images)
    decision = {"at": rfc3339(time.time()), "fromReplicas": 4, "toReplicas": 7, "rule": "Demand", "message": "8.4 GPUs"}
    say(
        namespace,
        "InferenceScaler",
        "image",
        replicas={"ready": 5, "desired": 7, "coming": 2, "demanded": 12},
        saturationPercent=161,
        demand={"offered": "8.40", "admitted": "6.10", "capacity": "5.00"},
        summary="Demand: 8.4 GPUs of load on 5 ready GPUs",
        decisions=[decision],
    )
