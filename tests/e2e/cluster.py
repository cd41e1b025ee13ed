"""A kind cluster: real kubelets in containers of Docker, and hands inside the nodes for what only somebody there can do."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from e2e.commands import run
from e2e.objects import Manifest, Objects
from e2e.settings import Settings
from support.waiting import wait_for

CONFIG = Path(__file__).with_name("kind.yaml")
GPU = "nvidia.com/gpu"


class KindCluster:
    """A running cluster. `workers` are the names of the nodes that take pods."""

    def __init__(self, settings: Settings, kubeconfig: Path) -> None:
        self.settings = settings
        self.kubeconfig = kubeconfig
        self.objects = Objects(kubeconfig)
        nodes = self.objects.list("v1", "Node")
        self.workers = sorted(
            node["metadata"]["name"]
            for node in nodes
            if not any(taint["effect"] == "NoSchedule" and "control-plane" in taint["key"] for taint in _taints(node))
        )
        self.control_plane = next(
            node["metadata"]["name"]
            for node in nodes
            if "node-role.kubernetes.io/control-plane" in node["metadata"]["labels"]
        )

    def load(self, images: Sequence[str]) -> None:
        """Puts images of this machine's Docker into the workers; nothing where they are there already."""
        run(
            *(self.settings.kind, "load", "docker-image", *images, "--name", self.settings.cluster),
            *("--nodes", ",".join(self.workers)),
            seconds=600,
        )

    def address(self, node: str) -> str:
        """The address at which this machine reaches a node, and so the ports of its Services."""
        addresses = self.objects.get("v1", "Node", node)["status"]["addresses"]
        return next(str(each["address"]) for each in addresses if each["type"] == "InternalIP")

    def execute(self, node: str, *command: str, check: bool = True, seconds: float = 60.0) -> str:
        """Runs a program in a node, as root there."""
        return run("docker", "exec", node, *command, check=check, seconds=seconds)

    def process(self, pod: Manifest) -> int:
        """The process of a pod's first container, by its number in the pod's node."""
        identity = pod["status"]["containerStatuses"][0]["containerID"].removeprefix("containerd://")
        return int(json.loads(self.execute(pod["spec"]["nodeName"], "crictl", "inspect", identity))["info"]["pid"])

    def run_in(self, pod: Manifest, *command: str) -> str:
        """Runs a program in a pod's first container, and returns what it printed."""
        identity = pod["status"]["containerStatuses"][0]["containerID"].removeprefix("containerd://")
        return self.execute(pod["spec"]["nodeName"], "crictl", "exec", identity, *command)

    def signal(self, pod: Manifest, name: str) -> None:
        """Sends a signal to the first process of a pod's first container, which from within may ignore it and from outside may not."""
        self.execute(pod["spec"]["nodeName"], "kill", f"-{name}", str(self.process(pod)))

    @contextmanager
    def cut_off(self, pod: Manifest, address: str) -> Iterator[None]:
        """Drops every packet between a pod and an address, both ways, by iptables in the pod's own network.

        The network is the sandbox's and outlives the container: the pod stays cut off through restarts of it.
        """
        node = pod["spec"]["nodeName"]
        network = self._hold_network(node, self.process(pod))
        inside = ("nsenter", f"--net={network}", "iptables", "--wait")
        rules = [("OUTPUT", "--destination", address), ("INPUT", "--source", address)]
        for rule in rules:
            self.execute(node, *inside, "--insert", *rule, "--jump", "DROP")
        try:
            yield
        finally:
            for rule in rules:
                self.execute(node, *inside, "--delete", *rule, "--jump", "DROP", check=False)
            self.execute(node, "umount", network, check=False)

    def _hold_network(self, node: str, process: int) -> str:
        """A name for a process's network that stays where the process ends."""
        path = f"/run/e2e-net-{process}"
        self.execute(node, "touch", path)
        self.execute(node, "mount", "--bind", f"/proc/{process}/ns/net", path)
        return path

    def give_gpus(self) -> None:
        """So many GPUs to each worker, as the documentation on extended resources has it: no device, but the scheduler counts them."""
        gpus = str(self.settings.gpus_per_node)
        for name in self.workers:
            self.objects.patch("v1", "Node", name, {"metadata": {"labels": {"brownout.dev/gpu": "demo"}}})
            self.objects.patch("v1", "Node", name, {"status": {"capacity": {GPU: gpus}}}, part="status")
        wait_for(
            lambda: all(self._gpus(name) == gpus for name in self.workers), "the kubelets have taken over the GPUs"
        )

    def keep_pod_networks_inside(self) -> None:
        """Who asks for a pod that has gone is told so by its node, and not by whatever answers that address outside of the cluster."""
        for node in self.objects.list("v1", "Node"):
            self.execute(node["metadata"]["name"], "ip", "route", "replace", "unreachable", node["spec"]["podCIDR"])

    def _gpus(self, node: str) -> str:
        return str(self.objects.get("v1", "Node", node)["status"]["allocatable"].get(GPU))


@contextmanager
def kind_cluster(settings: Settings, folder: Path, say: Callable[[str], None]) -> Iterator[KindCluster]:
    """The cluster of that name, or a new one, which is then deleted afterwards unless it is to be kept."""
    there = settings.cluster in run(settings.kind, "get", "clusters", "--quiet").split()
    kubeconfig = folder / "kubeconfig"
    own = dict(os.environ) | {"KUBECONFIG": str(kubeconfig)}  # nobody's own is touched
    if there:
        say(f"kind cluster {settings.cluster} is there")
        run(settings.kind, "export", "kubeconfig", "--name", settings.cluster, "--quiet", environment=own)
    else:
        say(f"creating kind cluster {settings.cluster}")
        image = ("--image", settings.node_image) if settings.node_image else ()
        run(
            *(
                settings.kind,
                "create",
                "cluster",
                "--name",
                settings.cluster,
                "--config",
                str(CONFIG),
                "--wait",
                "180s",
            ),
            *image,
            environment=own,
            seconds=400,
        )
    cluster = KindCluster(settings, kubeconfig)
    try:
        wait_for(lambda: _all_ready(cluster.objects), "every node is ready", seconds=120)
        cluster.keep_pod_networks_inside()
        cluster.give_gpus()
        yield cluster
    finally:
        cluster.objects.close()
        if not there and not settings.keep:
            run(settings.kind, "delete", "cluster", "--name", settings.cluster, environment=own, seconds=120)


def _all_ready(objects: Objects) -> bool:
    return all(
        any(each["type"] == "Ready" and each["status"] == "True" for each in node["status"]["conditions"])
        for node in objects.list("v1", "Node")
    )


def _taints(node: Manifest) -> list[Manifest]:
    return list(node["spec"].get("taints") or ())
