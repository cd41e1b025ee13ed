"""Services without kube-proxy: a listener on each ClusterIP that forwards to the ready pods behind it."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

Manifest = dict[str, Any]
log = logging.getLogger(__name__)

_CONNECT_SECONDS = 3.0


class Services:
    """All Services of the cluster. `pods` gives the pods of a namespace."""

    def __init__(self, pods: Callable[[str], list[Manifest]]) -> None:
        self._pods = pods
        self._known: dict[tuple[str, str], Manifest] = {}
        self._listeners: dict[tuple[str, int], asyncio.Server] = {}
        self._turn = 0
        self._changes: asyncio.Queue[None] = asyncio.Queue()

    def on_change(self, change: str, service: Manifest) -> None:
        """A Service was added, changed or removed."""
        key = (service["metadata"]["namespace"], service["metadata"]["name"])
        if change == "DELETED":
            self._known.pop(key, None)
        else:
            self._known[key] = service
        self._changes.put_nowait(None)

    def address(self, namespace: str, name: str) -> str | None:
        """The ClusterIP of a Service, if it has one."""
        address = self._known.get((namespace, name), {}).get("spec", {}).get("clusterIP", "None")
        return None if address in ("", "None") else str(address)

    def of_namespace(self, namespace: str) -> list[Manifest]:
        """The Services of a namespace."""
        return [service for key, service in self._known.items() if key[0] == namespace]

    async def serve(self) -> None:
        """Keeps a listener for each port of each ClusterIP, until cancelled."""
        try:
            while True:
                await self._changes.get()
                await self._adjust()
        finally:
            for listener in self._listeners.values():
                listener.close()

    async def _adjust(self) -> None:
        wanted = {
            (address, port["port"]): (key, port["port"])
            for key, service in self._known.items()
            if (address := self.address(*key)) and service["spec"].get("selector")
            for port in service["spec"].get("ports", [])
            if port.get("protocol", "TCP") == "TCP"
        }
        for place in self._listeners.keys() - wanted.keys():
            self._listeners.pop(place).close()
        for place in wanted.keys() - self._listeners.keys():
            key, port = wanted[place]
            try:
                self._listeners[place] = await asyncio.get_running_loop().create_server(
                    lambda key=key, port=port: _Forward(lambda: self.backends(key, port)),  # type: ignore[misc]
                    *place,
                )
            except OSError as error:
                # Ports below 1024 need a privilege; the rest of the cluster does not depend on this one.
                log.warning("Service %s/%s: nobody listens on %s:%d: %s", *key, *place, error)

    def backends(self, key: tuple[str, str], port_number: int) -> list[tuple[str, int]]:
        """The addresses of the ready pods behind a port of a Service, beginning with another one each time."""
        service = self._known.get(key)
        if service is None:
            return []
        port = next(port for port in service["spec"]["ports"] if port["port"] == port_number)
        ready = [
            (pod["status"]["podIP"], number)
            for pod in self._pods(key[0])
            if selected(pod, service["spec"]["selector"]) and serves(pod)
            if (number := target_port(pod, port.get("targetPort", port_number)))
        ]
        self._turn += 1
        start = self._turn % len(ready) if ready else 0
        return sorted(ready)[start:] + sorted(ready)[:start]


def selected(pod: Manifest, selector: dict[str, str]) -> bool:
    """Whether the labels of a pod match a Service's selector."""
    labels = pod["metadata"].get("labels", {})
    return all(labels.get(name) == value for name, value in selector.items())


def serves(pod: Manifest) -> bool:
    """Whether a pod is ready and not on its way out."""
    conditions = pod.get("status", {}).get("conditions", [])
    ready = any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]


def target_port(pod: Manifest, port: int | str) -> int | None:
    """The number of a Service's targetPort in a pod; None for a name that no container of it has."""
    if isinstance(port, int):
        return port
    for container in pod["spec"]["containers"]:
        for declared in container.get("ports", []):
            if declared.get("name") == port:
                return int(declared["containerPort"])
    return None


class _Forward(asyncio.Protocol):
    """One client's connection. Bytes that arrive before a backend is found wait in the socket."""

    def __init__(self, backends: Callable[[], list[tuple[str, int]]]) -> None:
        self._backends = backends
        self._client: asyncio.Transport | None = None
        self._backend: asyncio.Transport | None = None
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._client = transport
        transport.pause_reading()
        self._connecting = asyncio.create_task(self._connect(transport))

    async def _connect(self, client: asyncio.Transport) -> None:
        for address in self._backends():
            try:
                async with asyncio.timeout(_CONNECT_SECONDS):
                    backend, _ = await asyncio.get_running_loop().create_connection(
                        lambda: _Return(client), address[0], address[1]
                    )
            except (OSError, TimeoutError):
                continue
            self._backend = backend
            if client.is_closing():
                backend.close()
            else:
                client.resume_reading()
            return
        client.abort()  # as a ClusterIP without endpoints: refused

    def data_received(self, data: bytes) -> None:
        if self._backend:
            self._backend.write(data)

    def eof_received(self) -> bool:
        if self._backend and self._backend.can_write_eof():
            self._backend.write_eof()
        return True

    def pause_writing(self) -> None:
        if self._backend:
            self._backend.pause_reading()

    def resume_writing(self) -> None:
        if self._backend and not self._backend.is_closing():
            self._backend.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._backend:
            self._backend.close()


class _Return(asyncio.Protocol):
    """The way back, from a pod to the client."""

    def __init__(self, client: asyncio.Transport) -> None:
        self._client = client

    def data_received(self, data: bytes) -> None:
        self._client.write(data)

    def eof_received(self) -> bool:
        if self._client.can_write_eof() and not self._client.is_closing():
            self._client.write_eof()
        return True

    def pause_writing(self) -> None:
        self._client.pause_reading()

    def resume_writing(self) -> None:
        if not self._client.is_closing():
            self._client.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._client.close()
