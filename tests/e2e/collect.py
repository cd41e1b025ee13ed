"""What a failed test leaves behind for whoever reads it later: logs, events and objects, a file each."""

import re
from collections.abc import Iterable
from pathlib import Path

import yaml

from brownout.api.resources import RESOURCES
from e2e.objects import Manifest, Objects

ALWAYS = ("Pod", "Deployment", "Event")
API_VERSIONS = {"Pod": "v1", "Deployment": "apps/v1", "Event": "v1"}


def collect(objects: Objects, folder: Path, namespaces: Iterable[str]) -> None:
    """Writes into `folder`: NAMESPACE/KIND.yaml, NAMESPACE/POD.CONTAINER.log (and .previous.log), nodes.yaml, pools.yaml."""
    _write(folder / "nodes.yaml", objects.list("v1", "Node"))
    _write(folder / "gpupools.yaml", objects.list("brownout.dev/v1alpha1", "GPUPool"))
    for namespace in namespaces:
        here = folder / namespace
        for kind in ALWAYS:
            _write(here / f"{kind.lower()}s.yaml", objects.list(API_VERSIONS[kind], kind, namespace=namespace))
        for resource in RESOURCES:
            if resource.kind != "GPUPool":
                found = objects.list("brownout.dev/v1alpha1", resource.kind, namespace=namespace)
                _write(here / f"{resource.plural}.yaml", found)
        for pod in objects.list("v1", "Pod", namespace=namespace):
            _logs(objects, here, pod)


def _logs(objects: Objects, folder: Path, pod: Manifest) -> None:
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    for container in pod["spec"]["containers"]:
        for previous, ending in ((False, "log"), (True, "previous.log")):
            text = objects.logs(name, namespace=namespace, container=container["name"], previous=previous)
            if not previous or not text.startswith("(no log"):
                (folder / f"{name}.{container['name']}.{ending}").write_text(text)


def _write(path: Path, found: list[Manifest]) -> None:
    if found:
        path.parent.mkdir(parents=True, exist_ok=True)
        for each in found:
            each["metadata"].pop("managedFields", None)
        path.write_text(yaml.safe_dump_all(found, sort_keys=False))


def folder_name(test: str) -> str:
    """A test's name as that of a folder."""
    return re.sub(r"[^\w.-]+", "-", test)
