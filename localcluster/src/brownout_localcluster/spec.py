"""What a cluster is made of, and where its files lie. The supervisor reads this; whoever starts a cluster writes it."""

import datetime
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import msgspec


class GPUNode(msgspec.Struct, frozen=True, kw_only=True):
    """A node that offers `gpus` units of `nvidia.com/gpu`."""

    name: str
    gpus: int = 8
    labels: dict[str, str] = {}
    cpu: str = "64"
    memory: str = "512Gi"


class PrometheusSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the cluster's Prometheus scrapes pods that carry the `prometheus.io/*` annotations.

    `template` is the path of a configuration file to use instead of ours; ${kubeconfig} and ${scrape_interval} are replaced in it.
    """

    scrape_seconds: int = 1
    lookback_seconds: int = 15
    template: str | None = None


class ClusterSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the supervisor needs to know.

    `images` maps an image's repository to the command that it stands for; `environment` is set in every pod; the logs are copied to
    `keep_logs` before the cluster's folder is removed; with `audit` the API server writes down what ServiceAccounts ask of it.
    """

    name: str
    nodes: tuple[GPUNode, ...]
    binaries: dict[str, str]
    images: dict[str, list[str]] = {}
    prometheus: PrometheusSettings | None = None
    environment: dict[str, str] = {}
    keep_logs: str | None = None
    audit: bool = False


class Endpoints(msgspec.Struct, frozen=True, kw_only=True):
    """Where the parts of a running cluster listen."""

    address: str
    pods: str
    services: str
    api_server: int
    controller_manager: int
    scheduler: int
    etcd: int
    etcd_peer: int
    kwok: int
    kubelet: int
    prometheus: int

    @property
    def server(self) -> str:
        """The URL of the API server."""
        return f"https://{self.address}:{self.api_server}"

    @property
    def prometheus_url(self) -> str:
        """The URL of Prometheus, whether it runs or not."""
        return f"http://{self.address}:{self.prometheus}"


class ClusterState(msgspec.Struct, frozen=True, kw_only=True):
    """Who runs a cluster. `pid` and `start_time` (clock ticks since boot) identify the supervisor for good."""

    name: str
    pid: int
    start_time: int
    started_at: datetime.datetime
    endpoints: Endpoints


@dataclass(frozen=True, slots=True)
class Layout:
    """The folder of one cluster. It is removed, logs and all, when the cluster ends."""

    root: Path

    @property
    def spec(self) -> Path:
        """What the cluster is to be."""
        return self.root / "spec.json"

    @property
    def state(self) -> Path:
        """Who runs it, and where it listens."""
        return self.root / "state.json"

    @property
    def control_socket(self) -> Path:
        """The socket on which the supervisor takes orders."""
        return self.root / "control.sock"

    @property
    def certificates(self) -> Path:
        """Keys and certificates."""
        return self.root / "certificates"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.root / "kubeconfig"

    @property
    def logs(self) -> Path:
        """A log for each process; those of pods are in `pods/NAMESPACE_NAME_UID/CONTAINER/RESTART.log`."""
        return self.root / "logs"

    @property
    def audit(self) -> Path:
        """What ServiceAccounts asked of the API server, an event of audit.k8s.io/v1 in each line; where it was asked for."""
        return self.root / "logs" / "audit.log"

    @property
    def pods(self) -> Path:
        """A folder for each pod: its volumes and its token."""
        return self.root / "pods"


def clusters_folder() -> Path:
    """The folder, private to this user, that holds one folder for each cluster."""
    folder = Path(tempfile.gettempdir()) / f"brownout-localcluster-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to another user; remove it, or set TMPDIR to a folder of your own")
    return folder
