"""`brownout flags serve` as a process of its own, and the stock clients that ask it."""

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.contrib.provider.flagd import FlagdProvider
from openfeature.contrib.provider.flagd.config import ResolverType
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import FlagEvaluationDetails

from support.waiting import wait_for

NOWHERE = """{"apiVersion": "v1", "kind": "Config", "current-context": "nowhere",
 "clusters": [{"name": "nowhere", "cluster": {"server": "http://127.0.0.1:1"}}],
 "users": [{"name": "nobody", "user": {}}],
 "contexts": [{"name": "nowhere", "context": {"cluster": "nowhere", "user": "nobody"}}]}"""
"""A kubeconfig of an API server that is not there."""


class Asked:
    """What answers HTTP on a port of this machine, asked plainly."""

    http_port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    def ask(
        self, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any, Mapping[str, str]]:
        """Status, decoded body and headers of a request: a POST where there is a body, else a GET."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, headers=dict(headers or {}))
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return response.status, _decoded(response.read()), dict(response.headers)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _decoded(error.read()), dict(error.headers)

    def metric(self, name: str, **labels: str) -> float:
        """The value of a metric; 0 where it is not there yet."""
        _, text, _ = self.ask("/metrics")
        wanted = name + ("{" + ",".join(f'{key}="{value}"' for key, value in labels.items()) + "}" if labels else "")
        for line in str(text).splitlines():
            series, _, value = line.rpartition(" ")
            if series == wanted:
                return float(value)
        return 0.0


class FlagServer(Asked):
    """A running flag server. The ports are free ones at first and stay the same through restarts.

    Its kubeconfig is named by KUBECONFIG; or, with a `home`, by nothing: then it is that of the home directory.
    """

    def __init__(
        self,
        *,
        kubeconfig: Path | None = None,
        home: Path | None = None,
        snapshot_dir: Path,
        namespaces: Sequence[str] = (),
        options: Sequence[str] = (),
        console: bool = False,
    ) -> None:
        self._console = console
        unset = {
            name: value for name, value in os.environ.items() if not name.startswith(("KUBECONFIG", "KUBERNETES_"))
        }
        self._environment = unset | ({"HOME": str(home)} if home is not None else {"KUBECONFIG": str(kubeconfig)})
        self._arguments = ["--snapshot-dir", str(snapshot_dir), *options]
        for namespace in namespaces:
            self._arguments += ["--namespace", namespace]
        self.http_port = 0
        self.grpc_port = 0
        self.console_port = 0
        self.lines: list[dict[str, Any]] = []
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def start(self) -> None:
        """Start it and wait until it listens."""
        ports = ["--http-port", str(self.http_port), "--grpc-port", str(self.grpc_port)]
        if self._console:
            ports += ["--console-port", str(self.console_port)]
        self.lines.clear()
        self._process = subprocess.Popen(
            [Path(sys.executable).with_name("brownout"), "flags", "serve", *ports, *self._arguments],
            env=self._environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()
        listening = wait_for(lambda: self._listening() or not self.running, "the flag server listens", seconds=30)
        assert isinstance(listening, dict), f"the flag server ended; it said {self._everything()}"
        self.http_port, self.grpc_port = listening["http"], listening["grpc"]
        self.console_port = listening.get("console", 0)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it and return its exit code."""
        assert self._process is not None
        assert self._reader is not None
        if self.running:
            self._process.send_signal(number)
        code = self._process.wait(timeout=20)
        self._reader.join(timeout=5)
        assert self._process.stderr is not None
        self._process.stderr.close()
        self._process = None
        return code

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _read(self, process: "subprocess.Popen[str]") -> None:
        assert process.stderr is not None
        for line in process.stderr:
            self.lines.append(json.loads(line) if line.startswith("{") else {"message": line.rstrip()})

    def _listening(self) -> dict[str, int]:
        found = {line["protocol"]: line["port"] for line in self.lines if line["message"] == "listening"}
        return found if {"http", "grpc", *(["console"] if self._console else [])} <= found.keys() else {}

    def _everything(self) -> list[str]:
        assert self._reader is not None
        self._reader.join(timeout=5)
        return [line["message"] for line in self.lines]


def _decoded(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return content.decode()


@contextmanager
def flag_server(*, snapshot_dir: Path, **settings: Any) -> Iterator[FlagServer]:
    """A flag server for a while; settings are those of FlagServer."""
    server = FlagServer(snapshot_dir=snapshot_dir, **settings)
    server.start()
    try:
        yield server
    finally:
        if server.running:
            server.end()


class Client:
    """A stock OpenFeature client: what an application would see."""

    def __init__(self, client: OpenFeatureClient) -> None:
        self._client = client

    def variant(self, key: str, **attributes: Any) -> str:
        """The variant that a user is served, or the error."""
        found = self.details(key, **attributes)
        return found.variant or f"{found.error_code}: {found.error_message}"

    def details(self, key: str, **attributes: Any) -> FlagEvaluationDetails[Any]:
        """All that the client says of a flag for a user."""
        user = EvaluationContext(attributes.pop("targetingKey", None), attributes)
        return self._client.get_object_details(key, {"code": "default"}, user)

    def value(self, key: str, **attributes: Any) -> Any:
        user = EvaluationContext(attributes.pop("targetingKey", None), attributes)
        return self._client.get_object_value(key, {"code": "default"}, user)


@contextmanager
def ofrep_client(server: Asked, namespace: str) -> Iterator[Client]:
    """The Python OFREP provider."""
    provider = OFREPProvider(f"{server.url}/{namespace}")
    domain = uuid4().hex
    api.set_provider_and_wait(provider, domain)
    try:
        yield Client(api.get_client(domain))
    finally:
        provider.session.close()


@contextmanager
def in_process_client(server: FlagServer, namespace: str) -> Iterator[Client]:
    """The Python flagd provider, which syncs the set and evaluates itself. Its default deadline of 500 ms is for a warm server."""
    provider = FlagdProvider(
        host="127.0.0.1",
        port=server.grpc_port,
        resolver_type=ResolverType.IN_PROCESS,
        selector=namespace,
        deadline_ms=15_000,
        retry_backoff_ms=100,
        retry_backoff_max_ms=500,
    )
    domain = uuid4().hex
    api.set_provider_and_wait(provider, domain)
    try:
        yield Client(api.get_client(domain))
    finally:
        provider.shutdown()
