"""The chart over a matrix of values: every part that can be had, alone and together, rendered once in one process."""

from functools import cache
from typing import Any

import yaml

from brownout_localcluster.charts import render_all
from support.examples import REPOSITORY

CHART = REPOSITORY / "charts" / "brownout"
RELEASE, SYSTEM, PRODUCT = "brownout", "chart-system", "chart-product"

Manifest = dict[str, Any]
Values = dict[str, Any]

SCHEDULING: Values = {
    "priorityClassName": "system-cluster-critical",
    "nodeSelector": {"disk": "fast"},
    "tolerations": [{"key": "dedicated", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "Exists"}]}]
            }
        }
    },
}
SPREAD = [{"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule"}]
MORE: Values = {
    "extraEnv": [{"name": "EXTRA", "value": "1"}],
    "extraVolumes": [{"name": "ca", "configMap": {"name": "ca"}}],
    "extraVolumeMounts": [{"name": "ca", "mountPath": "/etc/ca", "readOnly": True}],
    "podAnnotations": {"team": "media"},
    "podLabels": {"team": "media"},
}
AUTH: Values = {
    "trustContext": False,
    "required": True,
    "apiKeys": {"secretRef": {"name": "gateways"}},
    "jwt": {"jwksUrl": "https://id.example.com/keys", "issuer": "https://id.example.com/", "audiences": ["flags"]},
}
IMAGE: Values = {"name": "image", "namespace": PRODUCT, "model": "image", "features": ["image-generation"]}
CHAT: Values = {
    "name": "chat",
    "model": "language",
    "features": ["chat"],
    "replicas": 2,
    "stepSeconds": 0.4,
    "gpus": 0,
    "flagsRequired": False,
    "deletionCostSeconds": 10,
    "resources": {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"memory": "4Gi"}},
    "podDisruptionBudget": {"enabled": False},
}

CASES: dict[str, Values] = {
    "as it is": {},
    "several operators": {"operator": {"replicas": 3, "leaderElection": {"enabled": True}}},
    "one flag server": {"flags": {"replicas": 1}},
    "some namespaces": {"watchNamespaces": [PRODUCT], "operator": {"featureFlag": "brownout"}},
    "some namespaces, default among them": {"watchNamespaces": [PRODUCT, "default"]},
    "no console": {"flags": {"console": {"enabled": False}}, "watchNamespaces": [PRODUCT]},
    "a public listener": {
        "flags": {
            "auth": AUTH,
            "publicUrl": "https://flags.example.com",
            "cors": {"origins": ["*"]},
            "service": {"type": "LoadBalancer", "annotations": {"example.com/internal": "true"}},
            "drainSeconds": 0,
            "statusPage": {"enabled": False},
        }
    },
    "quotas in your own Redis": {"flags": {"quotaStorage": {"secretRef": {"name": "redis"}}}},
    "quotas in Valkey": {"redis": {"enabled": True}},
    "quotas in Valkey on a volume": {
        "redis": {
            "enabled": True,
            "auth": {"secretRef": {"name": "valkey"}},
            "persistence": {"enabled": True, "storageClassName": "fast"},
            "extraArgs": ["--maxmemory", "200mb"],
            **SCHEDULING,
        }
    },
    "workloads": {"inference": {"workloads": [IMAGE, CHAT]}},
    "a workload with everything": {
        "inference": {
            "workloads": [
                IMAGE | MORE | SCHEDULING | {"runtimeClassName": "nvidia", "topologySpreadConstraints": SPREAD}
            ],
            "image": {"digest": f"sha256:{'0' * 64}"},
        }
    },
    "more on the pods": {
        "operator": MORE,
        "flags": MORE | {"service": {"annotations": {"team": "media"}}},
        "commonLabels": {"team": "media"},
    },
    "scheduling": {
        "operator": SCHEDULING | {"topologySpreadConstraints": SPREAD},
        "flags": SCHEDULING | {"topologySpreadConstraints": SPREAD},
    },
    "somebody else's accounts": {
        "rbac": {"create": False},
        "crds": {"enabled": False},
        "operator": {"serviceAccount": {"name": "mine"}},
        "flags": {"serviceAccount": {"name": "mine"}},
    },
    "an image by its digest": {
        "image": {
            "repository": "registry.example.com/brownout",
            "digest": f"sha256:{'0' * 64}",
            "pullPolicy": "Always",
            "pullSecrets": [{"name": "pull"}],
        }
    },
    "closed networks": {
        "networkPolicy": {
            "operator": {
                "from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
            },
            "flags": {"from": [{"namespaceSelector": {}}]},
            "inference": {"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]},
            "egress": {
                "enabled": True,
                "apiServer": {"cidrs": ["10.96.0.1/32"]},
                "to": [{"ports": [{"port": 9090, "protocol": "TCP"}]}],
            },
        },
        "redis": {"enabled": True},
        "inference": {"workloads": [IMAGE]},
    },
    "closed networks without workloads": {
        "networkPolicy": {"flags": {"from": [{"namespaceSelector": {"matchLabels": {"media": "true"}}}]}},
    },
    "open networks": {
        "networkPolicy": {"enabled": False},
        "redis": {"enabled": True},
        "inference": {"workloads": [IMAGE]},
    },
    "dashboards": {
        "dashboards": {"enabled": True, "namespace": PRODUCT, "annotations": {"grafana_folder": "Brownout"}}
    },
    "another name": {
        "fullnameOverride": "bo",
        "operator": {"replicas": 2, "leaderElection": {"enabled": True}},
        "redis": {"enabled": True},
        "watchNamespaces": [PRODUCT],
    },
}
"""Values by what they are about."""


@cache
def matrix() -> dict[str, dict[str, str]]:
    """For each case the texts by template."""
    made = {}
    for name, one in zip(CASES, render_all(CHART, RELEASE, namespace=SYSTEM, values=list(CASES.values())), strict=True):
        assert not isinstance(one, Exception), f"{name}: {one}"
        made[name] = one
    return made


@cache
def manifests(case: str) -> list[Manifest]:
    """The objects of a case, the test's pod among them."""
    texts = [text for path, text in matrix()[case].items() if not path.endswith(".txt")]
    return [one for text in texts for one in yaml.safe_load_all(text) if one]


def notes(case: str) -> str:
    """What whoever installs a case is told."""
    return next(text for path, text in matrix()[case].items() if path.endswith("NOTES.txt"))


def pod_of(manifest: Manifest) -> Manifest | None:
    """The pod that an object is, or makes: metadata and spec; None where it makes none."""
    match manifest["kind"]:
        case "Pod":
            return manifest
        case "Deployment" | "StatefulSet":
            template: Manifest = manifest["spec"]["template"]
            return template
    return None
