"""The operator as a process of its own, with exactly the rights that the chart grants, to be watched, stopped and killed."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self
from urllib.error import HTTPError
from uuid import uuid4

import yaml
from prometheus_client.parser import text_string_to_metric_families

from brownout_localcluster import LocalCluster
from support.waiting import wait_for

CRDS = Path(__file__).parents[2] / "crds"
GROUP = "brownout.dev"
OURS = ("gpupools", "inferencescalers", "usertiers", "featurepolicies", "featureoverrides")
RULES: list[dict[str, Any]] = [
    {"apiGroups": [GROUP], "resources": list(OURS), "verbs": ["list", "watch"]},
    {"apiGroups": [GROUP], "resources": [f"{plural}/status" for plural in OURS], "verbs": ["patch"]},
    {"apiGroups": [""], "resources": ["nodes", "pods", "namespaces", "resourcequotas"], "verbs": ["list", "watch"]},
    {"apiGroups": ["apps"], "resources": ["deployments", "statefulsets"], "verbs": ["list", "watch"]},
    {"apiGroups": ["apps"], "resources": ["deployments/scale", "statefulsets/scale"], "verbs": ["get", "patch"]},
    {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]},
]
"""What the operator needs in the whole cluster, and no more."""
CLUSTER_WIDE = ("gpupools", "nodes", "pods", "namespaces", "resourcequotas")
"""What of it is not confined to the namespaces that are acted in."""
RBAC = "rbac.authorization.k8s.io"
OWN_RULES: list[dict[str, Any]] = [
    {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]},
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"]},
]
"""What it needs in its own namespace: Secrets of a Prometheus, and the Lease where leaders are elected."""


def install_kinds(cluster: LocalCluster) -> None:
    """The five kinds, served."""
    for file in sorted(CRDS.glob("*.yaml")):
        cluster.objects.apply(yaml.safe_load(file.read_text()))
    wait_for(lambda: _served(cluster) >= set(OURS), "the API server serves our kinds")


def _served(cluster: LocalCluster) -> set[str]:
    return {resource["name"] for resource in cluster.objects.call("GET", f"/apis/{GROUP}/v1alpha1")["resources"]}


def rights(cluster: LocalCluster, namespace: str) -> dict[str, Any]:
    """A ServiceAccount with the operator's rights, as a kubeconfig. Its namespace is the operator's own."""
    name, objects = f"operator-{namespace}", cluster.objects
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
    subject = {"kind": "ServiceAccount", "name": "brownout-operator", "namespace": namespace}
    api = "rbac.authorization.k8s.io/v1"
    meta = {"name": name, "namespace": namespace}
    objects.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta | {"name": subject["name"]}})
    objects.apply({"apiVersion": api, "kind": "ClusterRole", "metadata": {"name": name}, "rules": RULES})
    objects.apply(
        {
            "apiVersion": api,
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": role,
            "subjects": [subject],
        }
    )
    objects.apply({"apiVersion": api, "kind": "Role", "metadata": meta, "rules": OWN_RULES})
    objects.apply(
        {
            "apiVersion": api,
            "kind": "RoleBinding",
            "metadata": meta,
            "roleRef": role | {"kind": "Role"},
            "subjects": [subject],
        }
    )
    path = objects.path("v1", "ServiceAccount", subject["name"], namespace=namespace)
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
    token = objects.call("POST", f"{path}/token", request)["status"]["token"]
    kubeconfig: dict[str, Any] = json.loads(cluster.kubeconfig.read_text())
    kubeconfig["users"] = [{"name": kubeconfig["users"][0]["name"], "user": {"token": token}}]
    return kubeconfig


class Operator:
    """`brownout operator` for one test's namespace, for as long as a `with` block. `url` serves its health and metrics.

    `server` is the URL by which it reaches the API server, where that is not its own; `clock_ahead_seconds` is by how much its
    wall clock is wrong, until `set_clock`; `also` are further namespaces that it acts in, `only` those that it acts in instead of the
    test's.
    """

    def __init__(
        self,
        cluster: LocalCluster,
        namespace: str,
        folder: Path,
        *,
        tick_seconds: float = 0.5,
        started: bool = True,
        server: str | None = None,
        clock_ahead_seconds: float = 0.0,
        also: Sequence[str] = (),
        only: Sequence[str] = (),
    ) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._tick_seconds = tick_seconds
        self._started = started
        self._namespaces = tuple(only) or (namespace, *also)
        self._clock = folder / f"clock-{uuid4().hex[:8]}"
        self.set_clock(clock_ahead_seconds)
        self._log = folder / f"operator-{uuid4().hex[:8]}.log"
        self._kubeconfig = folder / f"kubeconfig-{uuid4().hex[:8]}"
        self._kubeconfig.write_text(json.dumps(_reached_by(server, rights(cluster, namespace))))
        self._kubeconfig.chmod(0o600)
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        if self._started:
            try:
                self.start()
            except BaseException:
                self.kill()
                raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self, *extra: str, prometheus_url: str | None = None) -> None:
        """Start it, and wait until it decides."""
        self.launch(*extra, prometheus_url=prometheus_url)
        wait_for(lambda: self.ended() or self.ready(), "the operator decides", seconds=60)
        assert not self.ended(), f"the operator ended: {self.log()[-3000:]}"

    def launch(self, *extra: str, prometheus_url: str | None = None) -> None:
        """Start it, and wait for nothing."""
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"
        command: Sequence[str] = [
            *(sys.executable, "-c", _program(self._clock), "operator"),
            *("--prometheus-url", self._cluster.prometheus.url if prometheus_url is None else prometheus_url),
            *("--namespace", self._namespace),
            *("--watch-namespaces", *self._namespaces),
            *("--tick-seconds", str(self._tick_seconds)),
            *("--http-port", str(port), *extra),
        ]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | {"KUBECONFIG": str(self._kubeconfig)},
            )

    @property
    def kubeconfig(self) -> Path:
        """The way in with its rights."""
        return self._kubeconfig

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    def ready(self) -> bool:
        """Whether it has begun to decide."""
        return self.state() == "deciding"

    def state(self) -> str:
        """What it says it is doing, once it is ready. Raises OSError before that."""
        return str(json.loads(self.get("/readyz"))["state"])

    def waits_for(self) -> str:
        """What it says that it lacks; empty once it decides."""
        try:
            self.get("/readyz")
        except HTTPError as answer:
            return answer.read().decode()
        return ""

    def forbid(self, *resources: str) -> None:
        """Leave it all rights but those on these resources."""
        self._set_rules(
            [
                rule | {"resources": left}
                for rule in RULES
                if (left := [r for r in rule["resources"] if r not in resources])
            ]
        )

    def confine(self, *namespaces: str) -> None:
        """Leave it rights to what is in namespaces in these alone, by a Role in each, as the chart does with `watchNamespaces`."""
        everywhere, within = [], []
        for rule in RULES:
            wide = [one for one in rule["resources"] if one.partition("/")[0] in CLUSTER_WIDE]
            if wide:
                everywhere.append(rule | {"resources": wide})
            if confined := [one for one in rule["resources"] if one not in wide]:
                within.append(rule | {"resources": confined})
        self._set_rules(everywhere)
        role = {"apiGroup": RBAC, "kind": "Role", "name": f"operator-{self._namespace}-watched"}
        subject = {"kind": "ServiceAccount", "name": "brownout-operator", "namespace": self._namespace}
        for namespace in namespaces:
            made = {"apiVersion": f"{RBAC}/v1", "metadata": {"name": role["name"], "namespace": namespace}}
            self._cluster.objects.apply({**made, "kind": "Role", "rules": within})
            self._cluster.objects.apply({**made, "kind": "RoleBinding", "roleRef": role, "subjects": [subject]})

    def grant(self, rule: dict[str, Any]) -> None:
        """Give it one more right."""
        self._set_rules([*RULES, rule])

    def _set_rules(self, rules: list[dict[str, Any]]) -> None:
        api, name = "rbac.authorization.k8s.io/v1", f"operator-{self._namespace}"
        self._cluster.objects.patch(api, "ClusterRole", name, {"rules": rules})

    def get(self, path: str) -> str:
        """A page of its own. Raises OSError where it does not answer with 200."""
        with urllib.request.urlopen(self.url + path, timeout=5) as response:
            return str(response.read().decode())

    def metric(self, name: str, **labels: str) -> float:
        """A number of its own, summed over the series that carry these labels."""
        return sum(
            sample.value
            for family in text_string_to_metric_families(self.get("/metrics"))
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def writes(self) -> float:
        """Everything that it has ever written: replicas, status and Events."""
        return self.metric("brownout_status_writes_total") + self.metric("brownout_scale_writes_total")

    def log(self) -> str:
        """What it has printed, over all its starts."""
        return self._log.read_text() if self._log.exists() else ""

    def set_clock(self, ahead_seconds: float) -> None:
        """Set its wall clock, also while it runs, to be ahead by so much."""
        new = self._clock.with_suffix(".new")
        new.write_text(str(ahead_seconds))
        new.rename(self._clock)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, as when a node dies."""
        self._end(signal.SIGKILL)

    def stop(self, *, seconds: float = 20.0) -> int:
        """SIGTERM; returns the exit code. Fails the test where it does not end within so long."""
        return self._end(signal.SIGTERM, seconds=seconds)

    def wait_for_end(self, *, seconds: float = 20.0) -> int:
        """Until it has ended by itself; returns the exit code."""
        process, self._process = self._process, None
        assert process is not None
        try:
            return process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"the operator did not end: {self.log()[-2000:]}") from None

    def log_lines(self) -> list[dict[str, Any]]:
        """What it has logged, over all its starts; what is no JSON is left out."""
        return [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]

    def ended(self) -> bool:
        """Whether it is no longer there."""
        return self._process is None or self._process.poll() is not None

    def _end(self, number: signal.Signals, *, seconds: float = 20.0) -> int:
        if self._process is None:
            return 0
        self._process.send_signal(number)
        return self.wait_for_end(seconds=seconds)


def _program(clock: Path) -> str:
    """What the interpreter runs: the command, with a wall clock that is ahead by as many seconds as a file says."""
    wrong = f"import time; right = time.time; time.time = lambda: right() + float(open({str(clock)!r}).read())\n"
    return f"{wrong}from brownout.cli.main import main; raise SystemExit(main())"


def _reached_by(server: str | None, kubeconfig: dict[str, Any]) -> dict[str, Any]:
    """A kubeconfig with another way to its API server."""
    if server:
        kubeconfig["clusters"][0]["cluster"]["server"] = server
    return kubeconfig


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
