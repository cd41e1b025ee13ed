"""A small client for whole objects, for tests and scripts: no code generated for each kind, no event loop, no threads."""

import base64
import http.client
import json
import ssl
import threading
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from brownout_localcluster.errors import ApiError

Manifest = dict[str, Any]


class Objects:
    """Reads and writes objects of any kind, custom ones too, as the user of a kubeconfig."""

    def __init__(self, kubeconfig: Path) -> None:
        content = json.loads(kubeconfig.read_text())
        cluster, user = content["clusters"][0]["cluster"], content["users"][0]["user"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._context = ssl.create_default_context(cadata=authority)
        self._headers = {"Accept": "application/json"}
        if "client-key-data" in user:
            _load_certificate(self._context, kubeconfig.parent, user)
        if "tokenFile" in user:
            self._headers["Authorization"] = f"Bearer {Path(user['tokenFile']).read_text()}"
        self._at = urlsplit(cluster["server"])
        self._connection: http.client.HTTPSConnection | None = None
        self._lock = threading.Lock()
        self._kinds: dict[tuple[str, str], Manifest] = {}

    def close(self) -> None:
        """Closes the connection; the next call opens another."""
        with self._lock:
            self._close()

    def get(self, api_version: str, kind: str, name: str, *, namespace: str | None = None) -> Manifest:
        """Reads one object. Raises ApiError (status 404 if there is none)."""
        return self.call("GET", self.path(api_version, kind, name, namespace=namespace))

    def find(self, api_version: str, kind: str, name: str, *, namespace: str | None = None) -> Manifest | None:
        """Reads one object, or None."""
        try:
            return self.get(api_version, kind, name, namespace=namespace)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def list(
        self, api_version: str, kind: str, *, namespace: str | None = None, labels: dict[str, str] | None = None
    ) -> list[Manifest]:
        """Lists objects, of all namespaces if none is named."""
        selector = ",".join(f"{name}={value}" for name, value in (labels or {}).items())
        parameters = {"labelSelector": selector} if selector else {}
        return list(self.call("GET", self.path(api_version, kind, namespace=namespace), parameters=parameters)["items"])

    def create(self, manifest: Manifest, *, namespace: str | None = None) -> Manifest:
        """Creates an object; `namespace` is used where the manifest has none."""
        return self.call("POST", self._path_of(manifest, namespace, named=False), manifest)

    def apply(self, manifest: Manifest, *, namespace: str | None = None, manager: str = "tests") -> Manifest:
        """Creates or changes an object by server-side apply, taking over fields of others."""
        return self.call(
            "PATCH",
            self._path_of(manifest, namespace, named=True),
            manifest,
            content_type="application/apply-patch+yaml",
            parameters={"fieldManager": manager, "force": "true"},
        )

    def patch(
        self, api_version: str, kind: str, name: str, patch: Manifest, *, namespace: str | None = None, part: str = ""
    ) -> Manifest:
        """Merges `patch` into an object, or into its subresource `part` (`status`, `scale`)."""
        path = self.path(api_version, kind, name, namespace=namespace) + (f"/{part}" if part else "")
        return self.call("PATCH", path, patch, content_type="application/merge-patch+json")

    def delete(
        self, api_version: str, kind: str, name: str, *, namespace: str | None = None, grace_seconds: int | None = None
    ) -> None:
        """Deletes an object if it is there, with its own grace period unless another is given; does not wait."""
        parameters = {} if grace_seconds is None else {"gracePeriodSeconds": str(grace_seconds)}
        try:
            self.call("DELETE", self.path(api_version, kind, name, namespace=namespace), parameters=parameters)
        except ApiError as error:
            if error.status != 404:
                raise

    def path(self, api_version: str, kind: str, name: str | None = None, *, namespace: str | None = None) -> str:
        """The URL path of a kind, or of one object of it."""
        resource = self._resource(api_version, kind)
        parts = [_root(api_version)]
        if resource["namespaced"] and namespace:
            parts += ["namespaces", namespace]
        parts.append(resource["name"])
        if name:
            parts.append(quote(name))
        return "/".join(parts)

    def call(
        self,
        verb: str,
        path: str,
        body: Manifest | None = None,
        *,
        content_type: str = "application/json",
        parameters: dict[str, str] | None = None,
    ) -> Manifest:
        """Calls the API. Raises ApiError, or OSError if the server is away."""
        target = path + (f"?{urlencode(parameters)}" if parameters else "")
        payload = None if body is None else json.dumps(body).encode()
        status, text = self._send(verb, target, payload, self._headers | {"Content-Type": content_type})
        try:
            answer = json.loads(text)
        except ValueError:
            answer = {"message": text.decode(errors="replace")}
        if status >= 400:
            raise ApiError(status, answer.get("message", ""), answer)
        return dict(answer)

    def _send(self, verb: str, target: str, payload: bytes | None, headers: dict[str, str]) -> tuple[int, bytes]:
        with self._lock:
            reused = self._connection is not None
            try:
                return self._exchange(verb, target, payload, headers)
            except (http.client.HTTPException, OSError):
                self._close()
                if not reused:
                    raise
                return self._exchange(verb, target, payload, headers)  # the server had closed an idle connection

    def _exchange(self, verb: str, target: str, payload: bytes | None, headers: dict[str, str]) -> tuple[int, bytes]:
        if self._connection is None:
            self._connection = http.client.HTTPSConnection(
                str(self._at.hostname), self._at.port, context=self._context, timeout=30
            )
        self._connection.request(verb, target, payload, headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def _close(self) -> None:
        if self._connection:
            self._connection.close()
            self._connection = None

    def _path_of(self, manifest: Manifest, namespace: str | None, *, named: bool) -> str:
        metadata = manifest["metadata"]
        where = metadata.get("namespace", namespace)
        return self.path(manifest["apiVersion"], manifest["kind"], metadata["name"] if named else None, namespace=where)

    def _resource(self, api_version: str, kind: str) -> Manifest:
        if (api_version, kind) not in self._kinds:
            for resource in self.call("GET", _root(api_version))["resources"]:
                if "/" not in resource["name"]:
                    self._kinds[api_version, resource["kind"]] = resource
        if (api_version, kind) not in self._kinds:
            raise LookupError(f"the API server has no {kind} in {api_version}")
        return self._kinds[api_version, kind]


def _root(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


def _load_certificate(context: ssl.SSLContext, folder: Path, user: dict[str, str]) -> None:
    # The standard library reads keys from files only; they are there already, beside the kubeconfig.
    certificates = folder / "certificates"
    context.load_cert_chain(certificates / "admin.crt", certificates / "admin.key")
