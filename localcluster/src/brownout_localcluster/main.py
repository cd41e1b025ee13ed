"""`brownout-localcluster`: a cluster from the command line, which stays until it is told to go."""

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from typing import Any

from brownout_localcluster.binaries import ALL, find_binaries
from brownout_localcluster.build import BuildError
from brownout_localcluster.cluster import ClusterError, LocalCluster, end_cluster
from brownout_localcluster.errors import ApiError
from brownout_localcluster.objects import Objects
from brownout_localcluster.processes import resident_bytes
from brownout_localcluster.registry import OrderRefusedError, Running, order, running_clusters
from brownout_localcluster.spec import GPUNode, PrometheusSettings

MEBIBYTE = 2**20


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except (ClusterError, BuildError, OrderRefusedError, ApiError, OSError) as error:
        print(f"brownout-localcluster: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="brownout-localcluster",
        description="A real Kubernetes control plane on loopback, with GPU nodes that kwok plays and pods that are processes.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    build = commands.add_parser("build", help="find the control plane's programs, and build those that are missing")
    build.set_defaults(run=_build)

    up = commands.add_parser("up", help="start a cluster and print how to reach it")
    up.add_argument("--nodes", type=_positive, default=2, metavar="N", help="number of GPU nodes (%(default)s)")
    up.add_argument("--gpus", type=_positive, default=8, metavar="N", help="GPUs of each node (%(default)s)")
    up.add_argument("--label", type=_pair, action="append", metavar="KEY=VALUE", help="node label (gpu=h100)")
    up.add_argument(
        "--image", type=_pair, action="append", default=[], metavar="NAME=COMMAND", help="what a pod's image stands for"
    )
    up.add_argument("--no-prometheus", action="store_true", help="start no Prometheus")
    up.add_argument("--scrape-seconds", type=_positive, default=1, metavar="N", help="how often it asks (%(default)s)")
    up.set_defaults(run=_up)

    down = commands.add_parser("down", help="end a cluster and remove its files")
    down.add_argument("--all", action="store_true", help="end every cluster of yours on this machine")
    down.set_defaults(run=_down)

    status = commands.add_parser("status", help="show the clusters that run: processes, memory, pods")
    status.set_defaults(run=_status)

    for command in (up, down):
        command.add_argument("--name", default="default", help="name of the cluster (%(default)s)")
    for command in (up, status):
        command.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _build(options: argparse.Namespace) -> int:
    find_binaries(ALL, say=lambda words: print(words, flush=True))
    return 0


def _up(options: argparse.Namespace) -> int:
    labels = dict(options.label or [("gpu", "h100")])
    cluster = LocalCluster(
        name=options.name,
        nodes=[GPUNode(name=f"gpu-{n}", gpus=options.gpus, labels=labels) for n in range(1, options.nodes + 1)],
        images={image: shlex.split(command) for image, command in options.image},
        prometheus=False if options.no_prometheus else PrometheusSettings(scrape_seconds=options.scrape_seconds),
    )
    cluster.start(detached=True)
    at = cluster.state.endpoints
    kubectl = cluster.binaries["kubectl"]
    prometheus = None if options.no_prometheus else at.prometheus_url
    if options.json:
        print(
            json.dumps(
                {
                    "name": cluster.name,
                    "kubeconfig": str(cluster.kubeconfig),
                    "kubectl": kubectl,
                    "server": at.server,
                    "prometheus": prometheus,
                    "logs": str(cluster.layout.logs),
                }
            )
        )
        return 0
    print(f"export KUBECONFIG={shlex.quote(str(cluster.kubeconfig))}")
    print(f"# kubectl:    {kubectl}")
    if prometheus:
        print(f"# Prometheus: {prometheus}")
    print(f"# logs:       {cluster.layout.logs}")
    print(f"# the end:    brownout-localcluster down{'' if cluster.name == 'default' else f' --name {cluster.name}'}")
    return 0


def _down(options: argparse.Namespace) -> int:
    names = [cluster.state.name for cluster in running_clusters()] if options.all else [options.name]
    for name in names:
        if end_cluster(name):
            print(f"ended {name}")
        else:
            print(f"there is no cluster named {name!r}", file=sys.stderr)
            return 1
    return 0


def _status(options: argparse.Namespace) -> int:
    clusters = [_describe(cluster) for cluster in running_clusters()]
    if options.json:
        print(json.dumps(clusters))
        return 0
    if not clusters:
        print("no cluster runs; `brownout-localcluster up` starts one")
    for cluster in clusters:
        since = "starting" if cluster["starting"] else f"since {cluster['startedAt']}"
        print(f"{cluster['name']}: {cluster['server']}, {since}, {cluster['folder']}")
        for process in cluster["processes"]:
            print(f"  {process['name']:<26} pid {process['pid']:>8} {process['mebibytes']:>6} MiB")
        print(f"  {'together':<26} {'':>12} {sum(p['mebibytes'] for p in cluster['processes']):>6} MiB")
        for pod in cluster["pods"]:
            ready = "ready" if pod["ready"] else "not ready"
            print(
                f"  pod {pod['namespace']}/{pod['name']}: {pod['phase']}, {ready}, {pod['restarts']} restarts, on {pod['node']}"
            )
    return 0


def _describe(cluster: Running) -> dict[str, Any]:
    pids = {"supervisor": cluster.state.pid}
    pods = []
    starting = not cluster.layout.control_socket.exists()
    if not starting:
        pids |= order(cluster.layout, "list")
        pods = _pods(cluster)
    return {
        "name": cluster.state.name,
        "folder": str(cluster.layout.root),
        "kubeconfig": str(cluster.layout.kubeconfig),
        "server": cluster.state.endpoints.server,
        "prometheus": cluster.state.endpoints.prometheus_url if "prometheus" in pids else None,
        "starting": starting,
        "startedAt": cluster.state.started_at.isoformat(timespec="seconds"),
        "processes": [
            {"name": name, "pid": pid, "mebibytes": resident_bytes(pid) // MEBIBYTE} for name, pid in pids.items()
        ],
        "pods": pods,
    }


def _pods(cluster: Running) -> list[dict[str, Any]]:
    objects = Objects(cluster.layout.kubeconfig)
    try:
        return [_pod(pod) for pod in objects.list("v1", "Pod")]
    finally:
        objects.close()


def _pod(pod: dict[str, Any]) -> dict[str, Any]:
    status = pod["status"]
    return {
        "namespace": pod["metadata"]["namespace"],
        "name": pod["metadata"]["name"],
        "phase": status.get("phase"),
        "ready": any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", [])),
        "restarts": sum(container["restartCount"] for container in status.get("containerStatuses", [])),
        "node": pod["spec"].get("nodeName"),
        "address": status.get("podIP"),
    }


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return number


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


if __name__ == "__main__":
    sys.exit(main())
