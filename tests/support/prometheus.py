"""A real Prometheus whose memory a test writes: samples of the past come in over OTLP, with the times that they are given."""

import json
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from brownout_localcluster.binaries import find_binaries
from support.waiting import wait_for

CONFIGURATION = "otlp: {translation_strategy: UnderscoreEscapingWithoutSuffixes}\n"
SAMPLES_IN_ONE_WRITE = 2000

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Remembering:
    """A running Prometheus; without a configuration of its own it scrapes nothing."""

    url: str

    def remember(self, samples: Sequence[tuple[float, str, Labels, float]], *, counter: bool) -> None:
        """Write samples: Unix seconds, name, labels, value. They must come in the order of time."""
        for first in range(0, len(samples), SAMPLES_IN_ONE_WRITE):
            metrics = [_metric(*sample, counter=counter) for sample in samples[first : first + SAMPLES_IN_ONE_WRITE]]
            self._post({"resourceMetrics": [{"scopeMetrics": [{"metrics": metrics}]}]})

    def get(self, path: str, **parameters: str) -> Any:
        """The data of an answer of its HTTP API. Fails the test with Prometheus' own words where it refuses."""
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{urlencode(parameters)}", timeout=10) as response:
                return json.load(response)["data"]
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(f"{path} {parameters}: {json.load(error)['error']}") from None

    def _post(self, body: object) -> None:
        request = urllib.request.Request(
            f"{self.url}/api/v1/otlp/v1/metrics",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            assert response.status == 200, response.read()


def _metric(at: float, name: str, labels: Labels, value: float, *, counter: bool) -> object:
    attributes = [{"key": key, "value": {"stringValue": text}} for key, text in labels.items()]
    points = [{"attributes": attributes, "timeUnixNano": str(int(at * 1e9)), "asDouble": value}]
    if counter:
        return {"name": name, "sum": {"aggregationTemporality": 2, "isMonotonic": True, "dataPoints": points}}
    return {"name": name, "gauge": {"dataPoints": points}}


@contextmanager
def prometheus(folder: Path, *, configuration: str = CONFIGURATION) -> Iterator[Remembering]:
    """Start one with its data in a folder, and end it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    (folder / "prometheus.yaml").write_text(configuration)
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [
                find_binaries()["prometheus"],
                f"--config.file={folder / 'prometheus.yaml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={address}",
                "--web.enable-otlp-receiver",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        running = Remembering(f"http://{address}")
        wait_for(lambda: _ready(running.url), f"Prometheus is ready; see {folder / 'log'}")
        yield running
    finally:
        process.terminate()
        process.wait(timeout=30)


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=2) as response:
            return response.status == 200
    except (urllib.error.URLError, OSError):
        return False


def counters(
    name: str, rates: Mapping[tuple[tuple[str, str], ...], Sequence[float]], *, end: float, every: float
) -> list[tuple[float, str, Labels, float]]:
    """Samples of counters whose rates (a value for each step, by labels) end at a moment, in the order of time."""
    totals = dict.fromkeys(rates, 0.0)
    steps = len(next(iter(rates.values())))
    samples = []
    for step in range(steps):
        for labels, of_steps in rates.items():
            totals[labels] += of_steps[step] * every
            samples.append((end - (steps - 1 - step) * every, name, dict(labels), totals[labels]))
    return samples
