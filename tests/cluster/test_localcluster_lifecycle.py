"""Clusters share a machine, and leave nothing on it, whatever way they end."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from brownout_localcluster import ClusterError, GPUNode, LocalCluster, PrometheusSettings
from brownout_localcluster.charts import install_chart, uninstall_chart
from brownout_localcluster.main import main
from brownout_localcluster.processes import start_time
from brownout_localcluster.registry import end, running_clusters
from support.cluster import IMAGES, Namespace, container_status, fresh_namespace, python_pod
from support.waiting import wait_for

ONE_NODE = [GPUNode(name="lonely", gpus=3, labels={"gpu": "small"})]
PID = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"


def processes_in(folder: Path) -> list[str]:
    """The command lines of all processes that name `folder`, or hold their working directory in it."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            where = str((entry / "cwd").readlink())
        except OSError:
            continue
        if str(folder) in line or where.startswith(str(folder)):
            found.append(line)
    return found


def test_a_second_cluster_runs_beside_the_first(namespace: Namespace) -> None:
    with LocalCluster(nodes=ONE_NODE, images=IMAGES) as second:
        first = namespace.cluster
        assert second.state.endpoints.address != first.state.endpoints.address
        (node,) = second.objects.list("v1", "Node")
        assert node["metadata"]["labels"]["gpu"] == "small"
        assert node["status"]["allocatable"]["nvidia.com/gpu"] == "3"
        with fresh_namespace(second) as other:
            namespace.create(python_pod("same", PID))
            other.create(python_pod("same", PID))
            ours = namespace.wait_until_ready("same")["status"]["podIP"]
            theirs = other.wait_until_ready("same")["status"]["podIP"]
        assert ours != theirs
        folder = second.layout.root
        assert processes_in(folder)
    assert not folder.exists()
    assert processes_in(folder) == []
    assert first.objects.list("v1", "Node")


@pytest.fixture
def abandoned(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds a cluster with one pod, and prints the cluster's folder and the pod's process id."""
    program = f"""
import sys, time
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from brownout_localcluster import GPUNode, LocalCluster
from support.cluster import IMAGES, fresh_namespace, python_pod
from support.waiting import wait_for
with LocalCluster(nodes=[GPUNode(name="n")], images=IMAGES) as cluster, fresh_namespace(cluster) as namespace:
    namespace.create(python_pod("left", {PID!r}))
    pid = wait_for(lambda: namespace.logs("left").strip(), "the pod says its pid")
    print(cluster.layout.root, pid, flush=True)
    time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_a_cluster_ends_when_its_starter_is_killed(abandoned: "subprocess.Popen[str]") -> None:
    assert abandoned.stdout is not None
    folder, pod = abandoned.stdout.readline().split()
    abandoned.kill()
    wait_for(lambda: not Path(folder).exists(), "the folder is gone", seconds=15)
    wait_for(lambda: not processes_in(Path(folder)) and start_time(int(pod)) is None, "no process is left")


def test_nothing_runs_on_when_the_supervisor_itself_is_killed(abandoned: "subprocess.Popen[str]") -> None:
    assert abandoned.stdout is not None
    folder, pod = abandoned.stdout.readline().split()
    (supervisor,) = [cluster for cluster in running_clusters() if str(cluster.layout.root) == folder]
    os.kill(supervisor.state.pid, signal.SIGKILL)
    wait_for(lambda: start_time(int(pod)) is None, "the pod's process is gone")
    wait_for(lambda: not processes_in(Path(folder)), "no process is left")
    assert supervisor.state.name not in [cluster.state.name for cluster in running_clusters()]
    assert not Path(folder).exists()


def test_the_command_line_starts_shows_and_ends_a_cluster(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    name = f"test-{os.getpid()}"
    try:
        assert main(["up", "--name", name, "--nodes", "1", "--gpus", "5", "--no-prometheus"]) == 0
        said = capsys.readouterr().out
        assert said.startswith("export KUBECONFIG=")
        kubeconfig = said.splitlines()[0].partition("=")[2]
        (running,) = [cluster for cluster in running_clusters() if cluster.state.name == name]
        kubectl = json.loads(running.layout.spec.read_text())["binaries"]["kubectl"]
        asked = subprocess.run(
            [kubectl, "get", "nodes", "-o", "jsonpath={.items[*].status.allocatable.nvidia\\.com/gpu}"],
            env={"KUBECONFIG": kubeconfig, "KUBECACHEDIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert asked.stdout == "5"
        assert main(["up", "--name", name]) == 1
        refused = capsys.readouterr().err
        assert f"runs already, with KUBECONFIG={kubeconfig};" in refused
        assert f"down --name {name}` ends it" in refused
        assert main(["status", "--json"]) == 0
        (shown,) = [cluster for cluster in json.loads(capsys.readouterr().out) if cluster["name"] == name]
        assert {"supervisor", "etcd", "kube-apiserver", "kube-scheduler"} <= {p["name"] for p in shown["processes"]}
        assert all(process["mebibytes"] > 0 for process in shown["processes"])
    finally:
        ended = main(["down", "--name", name])
    assert ended == 0
    assert not running.layout.root.exists()
    assert processes_in(running.layout.root) == []
    assert main(["down", "--name", name]) == 1


def test_an_ended_cluster_is_never_mistaken_for_a_later_process_with_its_pid(cluster: LocalCluster) -> None:
    (running,) = [known for known in running_clusters() if known.state.name == cluster.name]
    stale = running.state.__class__(
        name="stale",
        pid=os.getpid(),  # somebody else's by now: ours
        start_time=1,
        started_at=running.state.started_at,
        endpoints=running.state.endpoints,
    )
    folder = running.layout.root.parent / "stale"
    end(type(running)(type(running.layout)(folder), stale))  # would end this very test run


def test_the_api_server_can_be_taken_away_and_given_back(namespace: Namespace) -> None:
    server = namespace.cluster.component("kube-apiserver")
    namespace.create(python_pod("survivor", PID))
    namespace.wait_until_ready("survivor")
    pid = namespace.logs("survivor").strip()
    server.stop()
    with pytest.raises(OSError, match=r"refused|reset|closed"):
        namespace.pod("survivor")
    assert start_time(int(pid)) is not None
    server.start()
    wait_for(lambda: namespace.wait_until_ready("survivor"), "the API server is back", seconds=60)
    namespace.create(python_pod("successor", PID))
    namespace.wait_until_ready("successor")
    assert namespace.logs("survivor").strip() == pid


def test_a_container_starts_again_while_the_api_server_is_away(namespace: Namespace) -> None:
    server = namespace.cluster.component("kube-apiserver")
    namespace.create(python_pod("phoenix", PID, container={"env": [{"name": "KEPT", "value": "yes"}]}))
    namespace.wait_until_ready("phoenix")
    first = int(wait_for(lambda: namespace.logs("phoenix").strip(), "the pod says its pid"))
    server.stop()
    os.kill(first, signal.SIGKILL)
    try:
        wait_for(lambda: len(namespace.logs("phoenix").split()) == 2, "the pod runs again")
    finally:
        server.start()
        wait_for(lambda: namespace.pod("phoenix"), "the API server is back", seconds=60)
    status = wait_for(
        lambda: next(filter(lambda seen: seen["restartCount"], [container_status(namespace.pod("phoenix"))]), None),
        "the restart is counted",
    )
    assert status["containerID"] == f"process://{namespace.logs('phoenix').split()[1]}"


def test_a_node_can_be_added_and_takes_pods(namespace: Namespace) -> None:
    cluster = namespace.cluster
    name = f"extra-{namespace.name}"
    cluster.add_node(GPUNode(name=name, gpus=1, labels={"extra": namespace.name}))
    try:
        namespace.create(python_pod("guest", PID, gpus=1, nodeSelector={"extra": namespace.name}))
        assert namespace.wait_until_ready("guest")["spec"]["nodeName"] == name
    finally:
        cluster.objects.delete("v1", "Node", name)


def test_prometheus_can_be_made_to_hang(cluster: LocalCluster) -> None:
    prometheus = cluster.prometheus

    def hangs() -> bool:
        try:
            prometheus.query("up", timeout_seconds=1)
        except TimeoutError:
            return True
        return False

    prometheus.pause()
    try:
        wait_for(hangs, "Prometheus hangs")  # a thread that is running may answer once more before it stops
    finally:
        prometheus.resume()
    wait_for(lambda: prometheus.query("vector(1)"), "Prometheus answers again")


def test_a_cluster_that_cannot_start_says_which_part_failed_and_leaves_nothing(tmp_path: Path) -> None:
    template = tmp_path / "prometheus.yaml"
    template.write_text("scrape_configs: nonsense\n")
    broken = LocalCluster(nodes=ONE_NODE, prometheus=PrometheusSettings(template=str(template)))
    with pytest.raises(ClusterError, match=r"(?s)prometheus ended while.*cannot unmarshal"):
        broken.start()
    assert not broken.layout.root.exists()


def test_a_chart_is_installed_upgraded_and_removed(namespace: Namespace, tmp_path: Path) -> None:
    chart = tmp_path / "greeting"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("{apiVersion: v2, name: greeting, version: 0.1.0}")
    (chart / "values.yaml").write_text("word: hello")
    (chart / "templates" / "map.yaml").write_text(
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: greeting}, data: {word: '{{ .Values.word }}'}}"
    )
    kubeconfig = namespace.cluster.kubeconfig
    install_chart(kubeconfig, chart, "greeting", namespace=namespace.name)
    assert namespace.get("v1", "ConfigMap", "greeting")["data"] == {"word": "hello"}
    install_chart(kubeconfig, chart, "greeting", namespace=namespace.name, values={"word": "goodbye"})
    assert namespace.get("v1", "ConfigMap", "greeting")["data"] == {"word": "goodbye"}
    uninstall_chart(kubeconfig, "greeting", namespace=namespace.name)
    assert namespace.find("v1", "ConfigMap", "greeting") is None
