"""`LocalCluster`: a cluster that lives as long as a `with` block, and no longer than its process."""

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import msgspec

from brownout_localcluster.binaries import find_binaries
from brownout_localcluster.controlplane import node_manifest
from brownout_localcluster.objects import Objects
from brownout_localcluster.registry import Running, end, order, running_clusters
from brownout_localcluster.spec import ClusterSpec, ClusterState, GPUNode, Layout, PrometheusSettings, clusters_folder


class ClusterError(Exception):
    """The cluster did not start, or a command on it failed; the message says which part and what its log says."""


DEFAULT_NODES = (GPUNode(name="gpu-1", labels={"gpu": "h100"}), GPUNode(name="gpu-2", labels={"gpu": "h100"}))


class Component:
    """A process of the control plane that a test may take away: `cluster.component("kube-apiserver").pause()`."""

    def __init__(self, layout: Layout, name: str) -> None:
        self._layout = layout
        self.name = name

    @property
    def pid(self) -> int | None:
        """Its process id, None while it does not run."""
        return order(self._layout, "list").get(self.name)

    def start(self) -> None:
        """Starts it; does not wait until it serves."""
        order(self._layout, "start", self.name)

    def stop(self) -> None:
        """Kills it."""
        order(self._layout, "stop", self.name)

    def pause(self) -> None:
        """Makes it hang: connections are accepted, nothing is answered."""
        order(self._layout, "pause", self.name)

    def resume(self) -> None:
        """Ends a pause."""
        order(self._layout, "resume", self.name)


class Prometheus(Component):
    """The cluster's Prometheus."""

    def __init__(self, layout: Layout, url: str) -> None:
        super().__init__(layout, "prometheus")
        self.url = url

    def query(self, expression: str, *, timeout_seconds: float = 10) -> list[tuple[dict[str, str], float]]:
        """The labels and value of each series that an instant query gives now. Raises OSError if Prometheus is away."""
        url = f"{self.url}/api/v1/query?{urlencode({'query': expression})}"
        with urllib.request.urlopen(url, timeout=timeout_seconds) as answer:
            result = json.load(answer)["data"]["result"]
        return [(series["metric"], float(series["value"][1])) for series in result]


class LocalCluster:
    """A control plane, GPU nodes, and pods that are processes.

    `images` maps an image's name to the command that it stands for, besides this project's own; `prometheus` is True or settings;
    `environment` is set in every pod; `keep_logs` is a folder that receives the logs when the cluster ends; `audit` has the API server
    write down what ServiceAccounts ask of it; `say` is told about builds of missing binaries. `name` is what
    `brownout-localcluster status` calls it.
    """

    def __init__(
        self,
        *,
        nodes: Sequence[GPUNode] = DEFAULT_NODES,
        images: Mapping[str, Sequence[str]] | None = None,
        prometheus: bool | PrometheusSettings = False,
        environment: Mapping[str, str] | None = None,
        keep_logs: Path | None = None,
        audit: bool = False,
        name: str | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self._nodes = tuple(nodes)
        self._images = {image: list(command) for image, command in (images or {}).items()}
        self._settings = PrometheusSettings() if prometheus is True else prometheus or None
        self._environment = dict(environment or {})
        self._keep_logs = str(keep_logs.absolute()) if keep_logs else None
        self._audit = audit
        self._say = say
        self.name = name or f"cluster-{secrets.token_hex(4)}"
        self.layout = Layout(clusters_folder() / self.name)
        self._binaries: dict[str, str] = {}
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._objects: Objects | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, *, detached: bool = False) -> None:
        """Starts the cluster and returns when it takes pods. A detached one outlives this process.

        Raises ClusterError, or BuildError if a binary could not be built.
        """
        if sys.platform != "linux":
            raise ClusterError(
                "the local cluster needs Linux: loopback addresses, /proc, and signals at a parent's death"
            )
        if any(cluster.state.name == self.name for cluster in running_clusters()):
            named = "" if self.name == "default" else f" --name {self.name}"
            raise ClusterError(
                f"a cluster named {self.name!r} runs already, with KUBECONFIG={self.layout.kubeconfig}; "
                f"`brownout-localcluster down{named}` ends it, `up --name OTHER` starts one beside it"
            )
        self._binaries = {program: str(path) for program, path in find_binaries(say=self._say).items()}
        self.layout.logs.mkdir(parents=True)
        self.layout.root.chmod(0o700)
        spec = ClusterSpec(
            name=self.name,
            nodes=self._nodes,
            binaries=self._binaries,
            images=self._images,
            prometheus=self._settings,
            environment=self._environment,
            keep_logs=self._keep_logs,
            audit=self._audit,
        )
        self.layout.spec.write_bytes(msgspec.json.encode(spec))
        with (self.layout.logs / "supervisor.log").open("ab") as log:
            self._supervisor = subprocess.Popen(
                [sys.executable, "-m", "brownout_localcluster.supervisor", str(self.layout.root)]
                + (["--detached"] if detached else []),
                stdin=subprocess.DEVNULL if detached else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise
        if detached and self._supervisor.stdout:
            self._supervisor.stdout.close()
            # It is nobody's child to wait for from here on, and Popen would warn of one that it has not seen end.
            self._supervisor.returncode = 0

    def stop(self) -> None:
        """Ends every process of the cluster and removes its files."""
        if self._objects:
            self._objects.close()
            self._objects = None
        supervisor, self._supervisor = self._supervisor, None
        if supervisor:
            for pipe in (supervisor.stdin, supervisor.stdout):
                if pipe:
                    pipe.close()
            supervisor.terminate()
            try:
                supervisor.wait(timeout=20)
            except subprocess.TimeoutExpired:
                supervisor.kill()
                supervisor.wait()
        shutil.rmtree(self.layout.root, ignore_errors=True)

    @property
    def state(self) -> ClusterState:
        """Where the parts of the cluster listen."""
        return msgspec.json.decode(self.layout.state.read_bytes(), type=ClusterState)

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.layout.kubeconfig

    @property
    def binaries(self) -> Mapping[str, str]:
        """The path of each program of the cluster, kubectl among them."""
        return self._binaries

    def asked(self) -> list[dict[str, Any]]:
        """What ServiceAccounts have asked of the API server so far, as events of audit.k8s.io/v1. Empty without `audit`."""
        if not self.layout.audit.exists():
            return []
        whole, _, _ = self.layout.audit.read_text().rpartition("\n")  # the last line may be half written
        return [json.loads(line) for line in whole.splitlines()]

    @property
    def objects(self) -> Objects:
        """A client for objects, as the administrator."""
        if self._objects is None:
            self._objects = Objects(self.kubeconfig)
        return self._objects

    @property
    def prometheus(self) -> Prometheus:
        """The cluster's Prometheus; it runs if it was asked for, or once it is started."""
        return Prometheus(self.layout, self.state.endpoints.prometheus_url)

    def add_node(self, node: GPUNode) -> None:
        """Adds a node, as a node autoscaler would; kwok makes it ready in a moment."""
        self.objects.create(node_manifest(node, self.state.endpoints))

    def component(self, name: str) -> Component:
        """A process of the control plane: etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kwok."""
        return Component(self.layout, name)

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """Runs kubectl as the administrator and returns what it printed. Raises ClusterError with its error."""
        ran = subprocess.run(
            [self._binaries["kubectl"], *arguments],
            input=stdin,
            env=os.environ
            | {"KUBECONFIG": str(self.kubeconfig), "KUBECACHEDIR": str(self.layout.root / "kubectl-cache")},
            capture_output=True,
            text=True,
            check=False,
        )
        if check and ran.returncode != 0:
            raise ClusterError(f"kubectl {' '.join(arguments)}: {ran.stderr.strip()}")
        return ran.stdout

    def pod_logs(self, namespace: str, name: str, *, container: str | None = None) -> str:
        """Everything that the pods of this name have printed, restarts in order, as far as the cluster still has it."""
        folders = (self.layout.logs / "pods").glob(f"{namespace}_{name}_*")
        files = [file for folder in sorted(folders) for file in folder.glob(f"{container or '*'}/*.log")]
        ordered = sorted(files, key=lambda file: (file.parent, int(file.stem)))
        return "".join(file.read_text(errors="replace") for file in ordered)

    def _wait_until_ready(self) -> None:
        assert self._supervisor is not None
        assert self._supervisor.stdout is not None
        for line in self._supervisor.stdout:
            with contextlib.suppress(ValueError):
                said: dict[str, Any] = json.loads(line)
                if said.get("ready"):
                    return
                if "failed" in said:
                    raise ClusterError(said["failed"])
        raise ClusterError("the cluster's supervisor ended without a word; set keep_logs to see its log")


def end_cluster(name: str) -> bool:
    """Ends the cluster of that name, whoever started it; returns whether there was one."""
    for cluster in running_clusters():
        if cluster.state.name == name:
            end(cluster)
            return True
    return False


__all__ = ["ClusterError", "Component", "LocalCluster", "Prometheus", "Running", "end_cluster"]
