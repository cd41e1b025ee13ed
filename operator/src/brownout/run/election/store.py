"""The Lease at the API server: read it, and write it only in the place of the version that was read.

A look and a write that do not come through say why, and change nothing of what is believed.
"""

from datetime import UTC, datetime
from typing import Any

from kubernetes.aio.client import ApiClient

from brownout.rest import JSON_BOTH_WAYS, send
from brownout.run.election.rules import Lease

API = "coordination.k8s.io/v1"


class LeaseError(Exception):
    """No answer, or one that is none; the message says which, and for a missing right what to grant."""


class ChangedError(LeaseError):
    """Somebody else wrote the Lease first."""


class NoAnswerError(LeaseError):
    """The API server is away."""


class LeaseStore:
    """One Lease. Give it a client of its own: a renewal must not wait behind other requests.

    What others put on the object, labels for one, stays on it.
    """

    def __init__(self, client: ApiClient, *, namespace: str, name: str) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name
        self._path = f"/apis/{API}/namespaces/{namespace}/leases"
        self._stored: dict[str, Any] = {}

    def __str__(self) -> str:
        return f"Lease {self._namespace}/{self._name}"

    async def read(self, *, timeout_seconds: float) -> Lease | None:
        """The Lease as it is stored; None where there is none. Raises LeaseError."""
        status, body = await self._ask("GET", f"{self._path}/{self._name}", None, timeout_seconds)
        if status == 404 and (body.get("details") or {}).get("name"):
            return None
        if status != 200:
            raise self._error("read", status, body)
        self._stored = body
        return _lease(body)

    async def write(self, lease: Lease, *, timeout_seconds: float) -> Lease:
        """Put it in the place of the version that it names, or make it. Returns it as stored. Raises LeaseError."""
        verb, path = ("PUT", f"{self._path}/{self._name}") if lease.version else ("POST", self._path)
        status, body = await self._ask(verb, path, self._document(lease), timeout_seconds)
        if status == 409 or (status == 404 and lease.version):
            raise ChangedError(f"{self} was changed by somebody else")
        if status not in (200, 201):
            raise self._error("written", status, body)
        self._stored = body
        return _lease(body)

    def _document(self, lease: Lease) -> dict[str, Any]:
        stored = self._stored if lease.version else {}
        times = {"acquireTime": lease.acquired_at} if lease.acquired_at else {}
        metadata = {"name": self._name, "namespace": self._namespace}
        spec = {
            "holderIdentity": lease.holder,
            "leaseDurationSeconds": lease.lease_seconds,
            "leaseTransitions": lease.transitions,
            "renewTime": wall_time(),
        }
        return {
            "apiVersion": API,
            "kind": "Lease",
            "metadata": stored.get("metadata", {})
            | metadata
            | ({"resourceVersion": lease.version} if lease.version else {}),
            "spec": (stored.get("spec") or {}) | spec | times,
        }

    async def _ask(
        self, verb: str, path: str, body: dict[str, Any] | None, timeout_seconds: float
    ) -> tuple[int, dict[str, Any]]:
        try:
            response = await send(
                self._client,
                verb,
                path,
                query=[("timeout", f"{timeout_seconds:.3f}s")],
                headers=JSON_BOTH_WAYS,
                body=body,
                timeout_seconds=timeout_seconds,
            )
        except Exception as error:
            raise NoAnswerError(f"{self}: the API server does not answer ({type(error).__name__})") from error
        return response.status, response.document

    def _error(self, what: str, status: int, body: dict[str, Any]) -> LeaseError:
        if status == 403:
            return LeaseError(
                f"{self} may not be {what} (HTTP 403); grant the operator get, create and update of leases in {self._namespace}"
            )
        if status == 404:
            return LeaseError(f"{self} cannot be {what}: {body.get('message') or 'HTTP 404'}")
        return LeaseError(f"{self} cannot be {what} (HTTP {status})")


def _lease(body: dict[str, Any]) -> Lease:
    spec = body.get("spec") or {}
    return Lease(
        version=str(body["metadata"]["resourceVersion"]),
        holder=str(spec.get("holderIdentity") or ""),
        lease_seconds=int(spec.get("leaseDurationSeconds") or 0),
        transitions=int(spec.get("leaseTransitions") or 0),
        acquired_at=str(spec.get("acquireTime") or ""),
    )


def wall_time() -> str:
    """The time for people, as Kubernetes writes it in a Lease."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
