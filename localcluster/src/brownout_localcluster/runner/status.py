"""What a pod's status says, from the state of its containers. Pure."""

import datetime
from dataclasses import dataclass, field
from typing import Any

Manifest = dict[str, Any]


def timestamp(now: datetime.datetime) -> str:
    """`now` as Kubernetes writes times: UTC, whole seconds."""
    return now.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(slots=True)
class ContainerState:
    """The observed state of one container, in the words of `containerStatuses`. `finished` means that it will not run again."""

    name: str
    image: str
    state: Manifest = field(default_factory=lambda: {"waiting": {"reason": "ContainerCreating"}})
    last_state: Manifest = field(default_factory=dict)
    restart_count: int = 0
    ready: bool = False
    started: bool = False
    finished: bool = False
    pid: int = 0

    def waiting(self, reason: str, message: str = "") -> None:
        """It does not run, for `reason`."""
        self._leave()
        self.state = {"waiting": {"reason": reason, "message": message}}

    def running(self, now: datetime.datetime, pid: int) -> None:
        """Its process `pid` has been started."""
        self._leave()
        self.pid = pid
        self.state = {"running": {"startedAt": timestamp(now)}}

    def restarting(self) -> None:
        """It is about to start once more; whoever reads the higher count finds in `lastState` how it ended."""
        self.waiting("ContainerCreating")
        self.restart_count += 1

    def terminated(
        self, exit_status: int, started: datetime.datetime, now: datetime.datetime, reason: str = "", message: str = ""
    ) -> None:
        """Its process has ended; a negative `exit_status` is the signal that ended it."""
        code = 128 - exit_status if exit_status < 0 else exit_status
        self._leave()
        self.state = {
            "terminated": {
                "exitCode": code,
                "reason": reason or ("Completed" if code == 0 else "Error"),
                "message": message,
                "startedAt": timestamp(started),
                "finishedAt": timestamp(now),
            }
        }

    @property
    def exit_code(self) -> int | None:
        """The code of the termination that `state` shows, if it shows one."""
        ended = self.state.get("terminated")
        return None if ended is None else int(ended["exitCode"])

    def _leave(self) -> None:
        if "terminated" in self.state:
            self.last_state = self.state
        self.ready = self.started = False


def phase(containers: list[ContainerState]) -> str:
    """The phase of a pod with these containers."""
    if all(container.finished for container in containers):
        return "Succeeded" if all(container.exit_code == 0 for container in containers) else "Failed"
    if all("waiting" in container.state and not container.last_state for container in containers):
        return "Pending"
    return "Running"


class Conditions:
    """A pod's conditions, which remember when each last changed."""

    def __init__(self) -> None:
        self._held: dict[str, Manifest] = {}

    def put(self, kind: str, status: bool, now: datetime.datetime, reason: str = "", message: str = "") -> None:
        """Sets one condition; its transition time moves only if its status changes."""
        word = "True" if status else "False"
        held = self._held.get(kind)
        since = held["lastTransitionTime"] if held and held["status"] == word else timestamp(now)
        self._held[kind] = {
            "type": kind,
            "status": word,
            "reason": "" if status else reason,
            "message": "" if status else message,
            "lastTransitionTime": since,
        }

    def all(self) -> list[Manifest]:
        """Every condition, in a stable order."""
        return [self._held[kind] for kind in sorted(self._held)]


def pod_status(
    *,
    containers: list[ContainerState],
    init_containers: list[ContainerState],
    conditions: Conditions,
    pod_ip: str,
    host_ip: str,
    started: datetime.datetime,
    now: datetime.datetime,
) -> Manifest:
    """The status of a pod, ready to be merged into the object; `conditions` is brought up to date."""
    current = phase(containers)
    not_ready = [container.name for container in containers if not container.ready]
    reason = "PodCompleted" if current in ("Succeeded", "Failed") else "ContainersNotReady"
    message = f"containers with unready status: [{' '.join(not_ready)}]"
    conditions.put("PodReadyToStartContainers", True, now)
    conditions.put(
        "Initialized",
        all(container.finished and container.exit_code == 0 for container in init_containers),
        now,
        "ContainersNotInitialized",
        "init containers have not completed",
    )
    conditions.put("ContainersReady", not not_ready, now, reason, message)
    conditions.put("Ready", not not_ready, now, reason, message)
    return {
        "phase": current,
        "conditions": conditions.all(),
        "hostIP": host_ip,
        "hostIPs": [{"ip": host_ip}],
        "podIP": pod_ip,
        "podIPs": [{"ip": pod_ip}],
        "startTime": timestamp(started),
        "containerStatuses": [_container_status(container) for container in containers],
        "initContainerStatuses": [_container_status(container) for container in init_containers],
    }


def _container_status(container: ContainerState) -> Manifest:
    return {
        "name": container.name,
        "image": container.image,
        "imageID": container.image,
        "containerID": f"process://{container.pid}",
        "state": container.state,
        "lastState": container.last_state,
        "restartCount": container.restart_count,
        "ready": container.ready,
        "started": container.started,
    }
