"""A pod's volumes as ordinary folders, and its ServiceAccount's token as a kubeconfig."""

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from brownout_localcluster.certificates import kubeconfig
from brownout_localcluster.errors import ApiError
from brownout_localcluster.runner.client import ApiClient
from brownout_localcluster.runner.environment import ConfigurationError, field
from brownout_localcluster.runner.references import References

Manifest = dict[str, Any]
log = logging.getLogger(__name__)

TOKEN_MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
_SHORTEST_TOKEN_SECONDS = 600  # the API server gives none for less
_ROOT_CERTIFICATES = "kube-root-ca.crt"


@dataclass(frozen=True, slots=True)
class Token:
    """A ServiceAccount token that a volume holds: its file, and how it is asked for."""

    path: Path
    audience: str | None
    seconds: int


class Volumes:
    """The folders of one pod, under `root`."""

    def __init__(self, root: Path, pod: Manifest, *, authority: Path, server: str) -> None:
        self._root = root
        self._pod = pod
        self._authority = authority
        self._server = server
        self.tokens: list[Token] = []

    def folder(self, volume: str) -> Path:
        """The folder of a volume."""
        return self._root / "volumes" / volume

    @property
    def home(self) -> Path:
        """The pod's HOME."""
        return self._root / "home"

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig with the pod's token, for client libraries that look for a token only at its in-cluster path."""
        return self._root / "kubeconfig"

    def mounts(self, container: Manifest) -> dict[str, str]:
        """The real folder or file for each mountPath of a container."""
        folders = {}
        for mount in container.get("volumeMounts", []):
            source = next(v for v in self._pod["spec"].get("volumes", []) if v["name"] == mount["name"])
            folder = Path(source["hostPath"]["path"]) if "hostPath" in source else self.folder(mount["name"])
            folders[mount["mountPath"]] = str(folder / mount["subPath"]) if "subPath" in mount else str(folder)
        return folders

    async def fill(self, client: ApiClient, references: References, *, pod_ip: str) -> None:
        """Makes the folders and writes what belongs in them. Raises ConfigurationError, or ApiError for a token."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.tokens = []
        for volume in self._pod["spec"].get("volumes", []):
            folder = self.folder(volume["name"])
            folder.mkdir(parents=True, exist_ok=True)
            if "configMap" in volume:
                source = volume["configMap"]
                self._write("ConfigMap", source["name"], references.config_maps, folder, source)
            elif "secret" in volume:
                source = volume["secret"]
                self._write("Secret", source["secretName"], references.secrets, folder, source)
            elif "projected" in volume:
                for source in volume["projected"].get("sources", []):
                    self._project(source, references, folder, pod_ip)
            elif "downwardAPI" in volume:
                self._downward(volume["downwardAPI"], folder, pod_ip)
            elif "emptyDir" not in volume and "hostPath" not in volume:
                raise ConfigurationError(
                    f"volume {volume['name']}: the local cluster knows emptyDir, configMap, secret, projected, downwardAPI "
                    f"and hostPath, not {', '.join(key for key in volume if key != 'name')}"
                )
        for token in self.tokens:
            await self._write_token(client, token)

    async def renew(self, client: ApiClient) -> None:
        """Replaces each token when four fifths of the time of the shortest are over, until cancelled."""
        while True:
            await asyncio.sleep(0.8 * min((token.seconds for token in self.tokens), default=_SHORTEST_TOKEN_SECONDS))
            for token in self.tokens:
                try:
                    await self._write_token(client, token)
                except (ApiError, aiohttp.ClientError, TimeoutError) as error:
                    log.warning("%s: token not renewed: %s", self._pod["metadata"]["name"], error)

    def _project(self, source: Manifest, references: References, folder: Path, pod_ip: str) -> None:
        if "serviceAccountToken" in source:
            wanted = source["serviceAccountToken"]
            self.tokens.append(
                Token(folder / wanted["path"], wanted.get("audience"), wanted.get("expirationSeconds", 3600))
            )
        elif "configMap" in source:
            name = source["configMap"]["name"]
            if name == _ROOT_CERTIFICATES:  # ours is at hand; the ConfigMap of a new namespace takes a moment
                (folder / "ca.crt").write_bytes(self._authority.read_bytes())
            else:
                self._write("ConfigMap", name, references.config_maps, folder, source["configMap"])
        elif "secret" in source:
            self._write("Secret", source["secret"]["name"], references.secrets, folder, source["secret"])
        elif "downwardAPI" in source:
            self._downward(source["downwardAPI"], folder, pod_ip)

    def _downward(self, source: Manifest, folder: Path, pod_ip: str) -> None:
        for item in source.get("items", []):
            if "fieldRef" in item:
                path = folder / item["path"]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(field(self._pod, item["fieldRef"]["fieldPath"], pod_ip=pod_ip))

    def _write(self, kind: str, name: str, known: dict[str, dict[str, bytes]], folder: Path, source: Manifest) -> None:
        content = known.get(name)
        if content is None:
            if source.get("optional"):
                return
            raise ConfigurationError(f'{kind} "{name}" not found')
        paths = {item["key"]: item["path"] for item in source.get("items", [])} or {key: key for key in content}
        for key, path in paths.items():
            if key not in content:
                raise ConfigurationError(f"couldn't find key {key} in {kind} {name}")
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content[key])

    async def _write_token(self, client: ApiClient, token: Token) -> None:
        metadata, spec = self._pod["metadata"], self._pod["spec"]
        account = spec.get("serviceAccountName", "default")
        answer = await client.post(
            f"/api/v1/namespaces/{metadata['namespace']}/serviceaccounts/{account}/token",
            {
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenRequest",
                "spec": {
                    "audiences": [token.audience] if token.audience else [],
                    "expirationSeconds": token.seconds,
                    "boundObjectRef": {
                        "apiVersion": "v1",
                        "kind": "Pod",
                        "name": metadata["name"],
                        "uid": metadata["uid"],
                    },
                },
            },
        )
        fresh = token.path.with_name(f".{token.path.name}.fresh")
        fresh.touch(mode=0o600)
        fresh.write_text(answer["status"]["token"])
        fresh.replace(token.path)
        if token.audience is None:
            self.kubeconfig.write_text(
                kubeconfig(
                    server=self._server,
                    authority=self._authority,
                    user={"tokenFile": str(token.path)},
                    namespace=metadata["namespace"],
                )
            )
