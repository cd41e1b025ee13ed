"""Makes the samples' pods fit Kubernetes' restricted Pod Security Standard, with a read-only root: the images have to bear it."""

import copy
from pathlib import Path
from typing import Any

import yaml

from e2e.images import Images

Manifest = dict[str, Any]

POD = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
CONTAINER = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
CLUSTER = "10.0.0.0/8,172.16.0.0/12"
"""Where kind has its pods and nodes: users come through a Service, and their identity is believed."""
TMP_MIB = 64
"""How much a pod may write to its /tmp; the kubelet evicts who writes more."""


def hardened(manifest: Manifest, images: Images) -> Manifest:
    """A copy whose pods are restricted, have a /tmp of their own and run these images: `python` is the interpreter in ours."""
    manifest = copy.deepcopy(manifest)
    spec = manifest["spec"] if manifest["kind"] == "Pod" else manifest.get("spec", {}).get("template", {}).get("spec")
    if spec is None:
        return manifest
    spec["securityContext"] = POD
    spec.setdefault("volumes", []).append({"name": "tmp", "emptyDir": {"sizeLimit": f"{TMP_MIB}Mi"}})
    for container in spec["containers"]:
        container["securityContext"] = CONTAINER
        container.setdefault("volumeMounts", []).append({"name": "tmp", "mountPath": "/tmp"})
        if container["image"] == "python":
            container |= {"image": images.brownout, "command": ["python"]}
        elif container["image"].startswith("brownout/inference"):
            container["image"] = images.inference
            container["args"] = [*container["args"], f"--trusted-gateways={CLUSTER}"]
    return manifest


def manifests(path: Path) -> list[Manifest]:
    """The objects of a file."""
    return [each for each in yaml.safe_load_all(path.read_text()) if each]
