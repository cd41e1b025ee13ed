"""Follows pods and Services, and runs a `Pod` for each that is bound to a node."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import aiohttp

from brownout_localcluster.addresses import PodAddresses
from brownout_localcluster.runner.client import ApiClient, Mirror
from brownout_localcluster.runner.images import default_images
from brownout_localcluster.runner.logs import LogServer
from brownout_localcluster.runner.pod import Host, Pod
from brownout_localcluster.runner.services import Services
from brownout_localcluster.spec import ClusterSpec, Endpoints, Layout

Manifest = dict[str, Any]
log = logging.getLogger(__name__)


class Runner:
    """The kubelet of all nodes. One event loop, one connection to the API server."""

    def __init__(self, spec: ClusterSpec, layout: Layout, at: Endpoints) -> None:
        self._client = ApiClient(at.server, layout.certificates)
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True))
        self._pods = Mirror(self._client, "/api/v1/pods", self._on_pod)
        self._services = Services(self._pods_of)
        self._service_mirror = Mirror(self._client, "/api/v1/services", self._services.on_change)
        self._addresses = PodAddresses(at.pods)
        self._at = at
        self._log_server = LogServer(layout.logs / "pods", layout.certificates)
        self._running: dict[str, Pod] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._host = Host(
            client=self._client,
            session=self._session,
            services=self._services,
            server=at.server,
            address=at.address,
            images=default_images() | spec.images,
            environment=spec.environment,
            folders=Path(layout.pods),
            logs=layout.logs / "pods",
            authority=layout.certificates / "ca.crt",
        )

    async def run(self) -> None:
        """Runs until cancelled."""
        await self._log_server.start(self._at.address, self._at.kubelet)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._service_mirror.follow())
            group.create_task(self._services.serve())
            await self._service_mirror.listed.wait()  # a pod finds the Services that are older than it
            group.create_task(self._pods.follow())

    async def stop(self, grace_seconds: float) -> None:
        """Ends every pod's processes at once, and the connections."""
        await asyncio.gather(*(pod.kill(grace_seconds) for pod in self._running.values()))
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await self._log_server.stop()
        await self._session.close()
        await self._client.close()

    def _pods_of(self, namespace: str) -> list[Manifest]:
        return [pod for (where, _), pod in self._pods.objects.items() if where == namespace]

    def _on_pod(self, change: str, manifest: Manifest) -> None:
        try:
            self._take_up(change, manifest)
        except Exception:  # one pod that we do not understand must not end the cluster
            log.exception("pod %s/%s", manifest["metadata"]["namespace"], manifest["metadata"]["name"])

    def _take_up(self, change: str, manifest: Manifest) -> None:
        uid = manifest["metadata"]["uid"]
        pod = self._running.get(uid)
        if change == "DELETED":
            if pod:
                pod.vanish()
        elif pod:
            pod.update(manifest)
        elif self._is_ours(manifest):
            pod = Pod(manifest, address=self._addresses.take(), host=self._host)
            self._running[uid] = pod
            self._tasks[uid] = asyncio.create_task(self._run(uid, pod))

    def _is_ours(self, manifest: Manifest) -> bool:
        return bool(manifest["spec"].get("nodeName")) and manifest.get("status", {}).get("phase") not in (
            "Succeeded",
            "Failed",
        )

    async def _run(self, uid: str, pod: Pod) -> None:
        try:
            await pod.run()
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("pod %s", uid)
        finally:
            self._addresses.give_back(pod.address)
            self._running.pop(uid, None)
            self._tasks.pop(uid, None)
