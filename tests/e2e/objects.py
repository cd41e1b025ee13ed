"""Whole objects of any kind through the `kubernetes` client, by the names that the tests on the local cluster use too."""

from pathlib import Path
from typing import Any

from kubernetes import config
from kubernetes.client import CoreV1Api, PolicyV1Api
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import NotFoundError, ResourceNotFoundError

Manifest = dict[str, Any]


class Objects:
    """Reads and writes as the user of a kubeconfig. `core` and `policy` are the typed clients, for logs and evictions."""

    def __init__(self, kubeconfig: Path) -> None:
        self._api = config.new_client_from_config(str(kubeconfig))
        self._client = DynamicClient(self._api, cache_file=str(kubeconfig.with_suffix(".discovery")))
        self.core = CoreV1Api(self._api)
        self.policy = PolicyV1Api(self._api)

    def close(self) -> None:
        """Closes its connections."""
        self._api.close()

    def get(self, api_version: str, kind: str, name: str, *, namespace: str | None = None) -> Manifest:
        """Reads one object. Raises NotFoundError."""
        return self._plain(self._kind(api_version, kind).get(name=name, namespace=namespace))

    def find(self, api_version: str, kind: str, name: str, *, namespace: str | None = None) -> Manifest | None:
        """Reads one object, or None."""
        try:
            return self.get(api_version, kind, name, namespace=namespace)
        except NotFoundError:
            return None

    def list(
        self, api_version: str, kind: str, *, namespace: str | None = None, labels: dict[str, str] | None = None
    ) -> list[Manifest]:
        """Lists objects, of all namespaces if none is named."""
        selector = ",".join(f"{name}={value}" for name, value in (labels or {}).items())
        found = self._kind(api_version, kind).get(namespace=namespace, label_selector=selector)
        return list(self._plain(found)["items"])

    def create(self, manifest: Manifest, *, namespace: str | None = None) -> Manifest:
        """Creates an object; `namespace` is used where the manifest has none."""
        return self._plain(self._kind_of(manifest).create(body=manifest, namespace=_namespace(manifest, namespace)))

    def apply(self, manifest: Manifest, *, namespace: str | None = None, manager: str = "e2e") -> Manifest:
        """Creates or changes an object by server-side apply, taking over fields of others."""
        applied = self._kind_of(manifest).server_side_apply(
            body=manifest,
            name=manifest["metadata"]["name"],
            namespace=_namespace(manifest, namespace),
            field_manager=manager,
            force_conflicts=True,
        )
        return self._plain(applied)

    def patch(
        self, api_version: str, kind: str, name: str, patch: Manifest, *, namespace: str | None = None, part: str = ""
    ) -> Manifest:
        """Merges `patch` into an object, or into its subresource `part` (`status`, `scale`)."""
        resource = self._kind(api_version, kind)
        target = resource.subresources[part] if part else resource
        patched = target.patch(body=patch, name=name, namespace=namespace, content_type="application/merge-patch+json")
        return self._plain(patched)

    def delete(
        self, api_version: str, kind: str, name: str, *, namespace: str | None = None, grace_seconds: int | None = None
    ) -> None:
        """Deletes an object if it is there, with its own grace period unless another is given; does not wait."""
        options = {} if grace_seconds is None else {"gracePeriodSeconds": grace_seconds}
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background", **options}
        try:
            self._kind(api_version, kind).delete(name=name, namespace=namespace, body=body)
        except NotFoundError:
            return

    def evict(self, name: str, *, namespace: str) -> bool:
        """Asks for a pod's eviction, as `kubectl drain` does; False where a PodDisruptionBudget forbids it now."""
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": namespace}}
        try:
            self.core.create_namespaced_pod_eviction(name=name, namespace=namespace, body=body)
        except ApiException as error:
            if error.status == 429:
                return False
            if error.status != 404:
                raise
        return True

    def logs(self, name: str, *, namespace: str, container: str | None = None, previous: bool = False) -> str:
        """What a pod's container has printed since it started, or before it last did; why there is nothing, where there is nothing."""
        try:
            return str(
                self.core.read_namespaced_pod_log(
                    name, namespace, container=container, previous=previous, tail_lines=5000
                )
            )
        except ApiException as error:
            return f"(no log: {error.reason})\n"

    def _kind_of(self, manifest: Manifest) -> Any:
        return self._kind(manifest["apiVersion"], manifest["kind"])

    def _kind(self, api_version: str, kind: str) -> Any:
        try:
            return self._client.resources.get(api_version=api_version, kind=kind)
        except ResourceNotFoundError:  # a definition that was installed since
            self._client.resources.invalidate_cache()
            return self._client.resources.get(api_version=api_version, kind=kind)

    @staticmethod
    def _plain(found: Any) -> Manifest:
        return dict(found.to_dict())


def _namespace(manifest: Manifest, otherwise: str | None) -> str | None:
    return manifest["metadata"].get("namespace", otherwise)
