"""Starts, stops and waits for the processes of the control plane, in one event loop."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp

from brownout_localcluster.components import COMPONENTS
from brownout_localcluster.errors import ApiError
from brownout_localcluster.processes import Process
from brownout_localcluster.runner.client import ApiClient
from brownout_localcluster.spec import ClusterSpec, Endpoints, GPUNode, Layout

START_SECONDS = 90.0


class StartError(Exception):
    """A part of the cluster did not come up; the message ends with the last lines of its log."""


class ControlPlane:
    """The processes of one cluster by name, and orders for each."""

    def __init__(self, spec: ClusterSpec, layout: Layout, at: Endpoints) -> None:
        self._spec = spec
        self._layout = layout
        self._at = at
        self._processes: dict[str, Process] = {}

    def start(self, name: str) -> None:
        """Starts a process that does not run."""
        if name in self._processes and self._processes[name].alive:
            return
        if name not in COMPONENTS or (name == "prometheus" and "prometheus" not in self._spec.binaries):
            raise StartError(f"there is no process {name!r}; there are {', '.join(COMPONENTS)}")
        command = COMPONENTS[name](self._spec, self._layout, self._at)
        # Half of Go's usual heap growth: ten of these share a laptop.
        environment = {"PATH": os.defpath, "HOME": str(self._layout.root), "GOGC": "75"}
        self._processes[name] = Process.start(
            command, log=self._log(name), environment=environment, folder=self._layout.root
        )

    async def stop(self, name: str, grace_seconds: float = 0.0) -> None:
        """Ends a process; one that is not running is no error."""
        if process := self._processes.pop(name, None):
            process.signal(signal.SIGCONT)
            await process.stop(grace_seconds)

    def signal(self, name: str, number: int) -> None:
        """Sends a signal to a process that runs."""
        if name not in self._processes:
            raise StartError(f"{name} does not run")
        self._processes[name].signal(number)

    async def stop_all(self) -> None:
        """Ends everything at once: nobody wants what they hold."""
        await asyncio.gather(*(self.stop(name) for name in list(self._processes)))

    @property
    def pids(self) -> dict[str, int]:
        """The process ids of those that run."""
        return {name: process.pid for name, process in self._processes.items() if process.alive}

    async def wait_for(self, condition: Callable[[], Awaitable[bool]], what: str, *, needs: list[str]) -> None:
        """Waits until `condition` holds. Raises StartError if one of the processes `needs` ends, or time does."""
        deadline = asyncio.get_running_loop().time() + START_SECONDS
        while True:
            try:
                if await condition():
                    return
            except (ApiError, aiohttp.ClientError, TimeoutError, ConnectionError):
                pass
            for name in needs:
                if not self._processes[name].alive:
                    raise StartError(f"{name} ended while the cluster was starting.\n{self._tail(name)}")
            if asyncio.get_running_loop().time() > deadline:
                tails = "\n".join(self._tail(name) for name in needs)
                raise StartError(f"{what}: not so after {START_SECONDS:.0f} s.\n{tails}")
            await asyncio.sleep(0.05)

    def _log(self, name: str) -> Path:
        return self._layout.logs / f"{name}.log"

    def _tail(self, name: str) -> str:
        lines = self._log(name).read_text(errors="replace").splitlines()[-8:]
        return f"The log of {name} ends with:\n" + "\n".join(f"    {line[:800]}" for line in lines)


async def bring_up(plane: ControlPlane, spec: ClusterSpec, layout: Layout, at: Endpoints) -> None:
    """Starts every process in order and registers the nodes. Raises StartError."""
    plane.start("etcd")
    plane.start("kube-apiserver")
    client = ApiClient(at.server, layout.certificates)
    try:
        await plane.wait_for(client.is_ready, "the API server is ready", needs=["etcd", "kube-apiserver"])
        for name in ("kube-controller-manager", "kube-scheduler", "kwok"):
            plane.start(name)
        if spec.prometheus:
            plane.start("prometheus")
        for node in spec.nodes:
            await client.post("/api/v1/nodes", node_manifest(node, at))
        await plane.wait_for(
            lambda: _settled(client, len(spec.nodes)),
            "the nodes are ready and namespaces have a ServiceAccount",
            needs=["kube-controller-manager", "kube-scheduler", "kwok"],
        )
        if spec.prometheus:
            await plane.wait_for(
                lambda: _answers(f"{at.prometheus_url}/-/ready"), "Prometheus is ready", needs=["prometheus"]
            )
    finally:
        await client.close()


async def _answers(url: str) -> bool:
    async with aiohttp.ClientSession() as session, session.get(url, timeout=aiohttp.ClientTimeout(total=2)) as answer:
        return answer.status == 200


async def _settled(client: ApiClient, nodes: int) -> bool:
    listed = (await client.get("/api/v1/nodes"))["items"]
    usable = [node for node in listed if _is_ready(node) and not node["spec"].get("taints")]
    await client.get("/api/v1/namespaces/default/serviceaccounts/default")
    return len(usable) >= nodes


def _is_ready(node: dict[str, Any]) -> bool:
    conditions = node["status"].get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def node_manifest(node: GPUNode, at: Endpoints) -> dict[str, Any]:
    """The Node object: kwok keeps it ready, and `kubectl logs` finds the runner behind it."""
    capacity = {"cpu": node.cpu, "memory": node.memory, "pods": "500"}
    if node.gpus:
        capacity["nvidia.com/gpu"] = str(node.gpus)
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": node.name,
            "labels": {"kubernetes.io/hostname": node.name, "kubernetes.io/os": "linux"} | node.labels,
        },
        "status": {
            "capacity": capacity,
            "allocatable": capacity,
            "addresses": [{"type": "InternalIP", "address": at.address}, {"type": "Hostname", "address": node.name}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": at.kubelet}},
            "nodeInfo": {
                "kubeletVersion": "v1.36.3",
                "kubeProxyVersion": "",
                "containerRuntimeVersion": "process://1",
                "operatingSystem": "linux",
                "architecture": os.uname().machine.replace("x86_64", "amd64").replace("aarch64", "arm64"),
                "kernelVersion": os.uname().release,
                "osImage": "Brownout local cluster",
                "bootID": "",
                "machineID": "",
                "systemUUID": "",
            },
        },
    }
