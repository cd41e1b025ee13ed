"""Reads the ConfigMaps and Secrets that a pod names, before it is started: everything after that is pure."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from brownout_localcluster.errors import ApiError
from brownout_localcluster.runner.client import ApiClient

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class References:
    """The data of the ConfigMaps and Secrets of a pod, by name. Values are bytes, as files want them."""

    config_maps: dict[str, dict[str, bytes]] = field(default_factory=dict)
    secrets: dict[str, dict[str, bytes]] = field(default_factory=dict)

    def config_map(self, name: str) -> dict[str, str] | None:
        """The data of a ConfigMap as text, or None."""
        return _text(self.config_maps.get(name))

    def secret(self, name: str) -> dict[str, str] | None:
        """The data of a Secret as text, or None."""
        return _text(self.secrets.get(name))


async def read_references(client: ApiClient, pod: Manifest) -> References:
    """Reads what the pod's containers and volumes name. What does not exist is left out; other errors are raised."""
    namespace = pod["metadata"]["namespace"]
    found = References()
    for kind, name in sorted(set(_named(pod["spec"]))):
        plural = "configmaps" if kind == "ConfigMap" else "secrets"
        try:
            answer = await client.get(f"/api/v1/namespaces/{namespace}/{plural}/{name}")
        except ApiError as error:
            if error.status == 404:
                continue
            raise
        binary = {key: base64.b64decode(value) for key, value in (answer.get("binaryData") or {}).items()}
        if kind == "ConfigMap":
            found.config_maps[name] = {
                key: value.encode() for key, value in (answer.get("data") or {}).items()
            } | binary
        else:
            found.secrets[name] = {key: base64.b64decode(value) for key, value in (answer.get("data") or {}).items()}
    return found


def _named(spec: Manifest) -> Iterator[tuple[str, str]]:
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        for source in container.get("envFrom", []):
            yield from _of(source, config_map="configMapRef", secret="secretRef")
        for entry in container.get("env", []):
            yield from _of(entry.get("valueFrom", {}), config_map="configMapKeyRef", secret="secretKeyRef")
    for volume in spec.get("volumes", []):
        if "configMap" in volume:
            yield "ConfigMap", volume["configMap"]["name"]
        if "secret" in volume:
            yield "Secret", volume["secret"]["secretName"]
        for source in volume.get("projected", {}).get("sources", []):
            yield from _of(source, config_map="configMap", secret="secret")


def _of(source: Manifest, *, config_map: str, secret: str) -> Iterator[tuple[str, str]]:
    if config_map in source:
        yield "ConfigMap", source[config_map]["name"]
    if secret in source:
        yield "Secret", source[secret]["name"]


def _text(found: dict[str, bytes] | None) -> dict[str, str] | None:
    return None if found is None else {key: value.decode(errors="replace") for key, value in found.items()}
