"""One pod, from its binding to a node until its object is gone: what a kubelet does for it, in little."""

import asyncio
import contextlib
import datetime
import logging
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from brownout_localcluster.errors import ApiError
from brownout_localcluster.runner.client import ApiClient
from brownout_localcluster.runner.container import Container, Launch, Surroundings
from brownout_localcluster.runner.environment import (
    ConfigurationError,
    expand,
    place,
    resolve_environment,
    service_variables,
)
from brownout_localcluster.runner.images import entrypoint
from brownout_localcluster.runner.references import read_references
from brownout_localcluster.runner.services import Services
from brownout_localcluster.runner.status import Conditions, pod_status
from brownout_localcluster.runner.volumes import TOKEN_MOUNT, Volumes

Manifest = dict[str, Any]
log = logging.getLogger(__name__)

START_DELAY = "localcluster.brownout.dev/start-delay-seconds"
NEVER_READY = "localcluster.brownout.dev/never-ready"
FAIL = "localcluster.brownout.dev/fail"


@dataclass(frozen=True, slots=True)
class Host:
    """What all pods share."""

    client: ApiClient
    session: aiohttp.ClientSession
    services: Services
    server: str
    address: str
    images: dict[str, list[str]]
    environment: dict[str, str]
    folders: Path
    logs: Path
    authority: Path


class Pod:
    """Runs one pod. `run` returns when the object is gone, or when nothing is left to run and it is to be kept."""

    def __init__(self, manifest: Manifest, *, address: str, host: Host) -> None:
        self._manifest = manifest
        self._host = host
        self.address = address
        metadata = manifest["metadata"]
        self._path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        annotations = metadata.get("annotations", {})
        name = f"{metadata['namespace']}_{metadata['name']}_{metadata['uid'][:8]}"
        self._folder = host.folders / name
        self._logs = host.logs / name
        self._volumes = Volumes(self._folder, manifest, authority=host.authority, server=host.server)
        self._around = Surroundings(
            address=address,
            restart_policy=manifest["spec"].get("restartPolicy", "Always"),
            logs=self._logs,
            never_ready=annotations.get(NEVER_READY) == "true",
            fails=annotations.get(FAIL) == "true",
            session=host.session,
            prepare=self._prepare,
            changed=lambda: self._dirty.set(),
        )
        self._containers = [Container(spec, self._around) for spec in manifest["spec"]["containers"]]
        self._init_containers = [
            Container(spec, self._init_surroundings()) for spec in manifest["spec"].get("initContainers", [])
        ]
        self._launches: dict[str, Launch] = {}
        self._conditions = Conditions()
        self._started = datetime.datetime.now(datetime.UTC)
        self._dirty = asyncio.Event()
        self._leaving = asyncio.Event()
        self._gone = asyncio.Event()

    def update(self, manifest: Manifest) -> None:
        """A newer version of the object; one that is being deleted starts the end."""
        self._manifest = manifest
        if "deletionTimestamp" in manifest["metadata"]:
            self._leaving.set()

    def vanish(self) -> None:
        """The object has been removed without waiting for us."""
        self._gone.set()
        self._leaving.set()

    async def run(self) -> None:
        """Runs the pod until its object is deleted."""
        self.update(self._manifest)
        work = [asyncio.create_task(part) for part in (self._live(), self._publish())]
        try:
            await self._leaving.wait()
            work[0].cancel()
            await asyncio.gather(work[0], return_exceptions=True)
            await self._end()
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
            shutil.rmtree(self._folder, ignore_errors=True)

    async def kill(self, grace_seconds: float) -> None:
        """Ends its processes because the cluster ends; the object stays."""
        await asyncio.gather(*(c.stop(grace_seconds) for c in [*self._init_containers, *self._containers]))

    async def _live(self) -> None:
        self._dirty.set()
        with contextlib.suppress(ConfigurationError):
            await asyncio.sleep(self._start_delay())
        renewal: asyncio.Task[None] | None = None
        try:
            for container in self._init_containers:
                await container.run()
                if container.state.exit_code != 0:
                    return
            tasks = [asyncio.create_task(container.run()) for container in self._containers]
            renewal = asyncio.create_task(self._volumes.renew(self._host.client))
            try:
                await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("pod %s", self._path)
            raise
        finally:
            if renewal:
                renewal.cancel()

    async def _end(self) -> None:
        metadata = self._manifest["metadata"]
        grace = 0.0 if self._gone.is_set() else float(metadata.get("deletionGracePeriodSeconds", 30))
        stopping = asyncio.create_task(self.kill(grace))
        vanished = asyncio.create_task(self._gone.wait())
        await asyncio.wait([stopping, vanished], return_when=asyncio.FIRST_COMPLETED)
        if not stopping.done():
            await self.kill(0)
        await stopping
        vanished.cancel()
        while not self._gone.is_set():
            try:
                await self._host.client.patch_status(self._path, self._status())
                await self._host.client.delete_now(self._path, metadata["uid"])
                return
            except ApiError as error:
                if error.status in (404, 409):
                    return
                log.warning("%s: not removed: %s", self._path, error)
            except (aiohttp.ClientError, TimeoutError) as error:
                log.warning("%s: not removed: %r", self._path, error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._gone.wait(), 1)

    def _start_delay(self) -> float:
        """The seconds that stand for the cold start. Raises ConfigurationError."""
        text = self._manifest["metadata"].get("annotations", {}).get(START_DELAY, "0")
        try:
            return float(text)
        except ValueError:
            raise ConfigurationError(f"annotation {START_DELAY} is a number of seconds, not {text!r}") from None

    def _status(self) -> Manifest:
        return pod_status(
            containers=[container.state for container in self._containers],
            init_containers=[container.state for container in self._init_containers],
            conditions=self._conditions,
            pod_ip=self.address,
            host_ip=self._host.address,
            started=self._started,
            now=datetime.datetime.now(datetime.UTC),
        )

    async def _publish(self) -> None:
        """Writes the status whenever it has changed; changes while a write is under way make one more write."""
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            try:
                await self._host.client.patch_status(self._path, self._status())
            except ApiError as error:
                if error.status == 404:
                    return
                log.warning("%s: status refused: %s", self._path, error)
            except (aiohttp.ClientError, TimeoutError) as error:
                log.info("%s: status not written: %r", self._path, error)
                self._dirty.set()
                await asyncio.sleep(0.5)

    def _init_surroundings(self) -> Surroundings:
        # An init container that fails is tried again unless the pod is never restarted; one that succeeds is done.
        policy = "Never" if self._around.restart_policy == "Never" else "OnFailure"
        return Surroundings(
            address=self._around.address,
            restart_policy=policy,
            logs=self._around.logs,
            never_ready=False,
            fails=False,
            session=self._around.session,
            prepare=self._around.prepare,
            changed=self._around.changed,
        )

    async def _prepare(self, container: Manifest) -> Launch:
        """Finds the command and environment of a container. Raises UnknownImageError or ConfigurationError.

        Where the API server is away, a container starts again with what it was started with before, as under a kubelet.
        """
        try:
            launch = await self._fresh_launch(container)
        except (ApiError, aiohttp.ClientError, TimeoutError):
            if container["name"] not in self._launches:
                raise
            return self._launches[container["name"]]
        self._launches[container["name"]] = launch
        return launch

    async def _fresh_launch(self, container: Manifest) -> Launch:
        self._start_delay()  # a delay that is no number is refused like the rest of the configuration
        command = container.get("command") or entrypoint(container["image"], self._host.images)
        references = await read_references(self._host.client, self._manifest)
        await self._volumes.fill(self._host.client, references, pod_ip=self.address)
        mounts = self._volumes.mounts(container)
        base = self._base_environment(mounts)
        environment = resolve_environment(
            container,
            pod=self._manifest | {"status": {"hostIP": self._host.address}},
            pod_ip=self.address,
            base=base,
            config_map=references.config_map,
            secret=references.secret,
        )

        def here(text: str) -> str:
            return place(text, mounts=mounts, service_address=self._host.services.address)

        # What is ours names real folders already, which may lie below something that the container mounts.
        environment = {name: value if value == base.get(name) else here(value) for name, value in environment.items()}
        command = [here(expand(part, environment)) for part in [*command, *container.get("args", [])]]
        # A path of the image that is the name of a program of ours, such as /usr/bin/brownout, is that program.
        found = shutil.which(command[0], path=environment["PATH"]) or shutil.which(
            Path(command[0]).name, path=environment["PATH"]
        )
        folder = Path(here(container["workingDir"])) if "workingDir" in container else self._volumes.home
        folder = folder if folder.is_dir() else self._volumes.home
        return Launch([found or command[0], *command[1:]], environment, folder, here)

    def _base_environment(self, mounts: dict[str, str]) -> dict[str, str]:
        namespace = self._manifest["metadata"]["namespace"]
        host, _, port = self._host.server.removeprefix("https://").partition(":")
        environment = service_variables(self._host.services.of_namespace(namespace)) | {
            "PATH": f"{Path(sys.executable).parent}:{os.defpath}",
            "HOME": str(self._volumes.home),
            "TMPDIR": mounts.get("/tmp", str(self._volumes.home)),
            "HOSTNAME": self._manifest["metadata"]["name"],
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "KUBERNETES_SERVICE_HOST": host,
            "KUBERNETES_SERVICE_PORT": port,
        }
        environment |= self._host.environment
        if TOKEN_MOUNT in mounts:
            environment["KUBECONFIG"] = str(self._volumes.kubeconfig)
        return environment
