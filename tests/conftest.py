"""The cluster that all tests of a session share, and a namespace for each test."""

import logging
import shutil
import signal
import sys
from collections.abc import Callable, Generator, Iterator

import pytest

from brownout_localcluster import GPUNode, LocalCluster, PrometheusSettings
from support.cluster import IMAGES, Namespace, describe_failure, fresh_namespace, nobody_waits_for_the_api_server

# A shell's background jobs have SIGINT ignored, and so would every process that a test starts and ends by it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """Whatever a test makes of the root logger ends with it: a handler whose stream is closed prints a traceback for each line."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[LocalCluster]:
    """A control plane with two nodes of eight GPUs (label gpu=h100) and a Prometheus that scrapes every second.

    If a test of the session failed, all its logs are in out/test-logs afterwards.
    """
    kept = request.config.rootpath / "out" / "test-logs"
    shutil.rmtree(kept, ignore_errors=True)
    with LocalCluster(
        nodes=[GPUNode(name=f"gpu-{number}", gpus=8, labels={"gpu": "h100"}) for number in (1, 2)],
        images=IMAGES,
        prometheus=PrometheusSettings(scrape_seconds=1, lookback_seconds=15),
        say=_past_capture(request.config),
    ) as running:
        yield running
        if request.session.testsfailed:
            shutil.copytree(running.layout.logs, kept, dirs_exist_ok=True)


@pytest.fixture
def namespace(cluster: LocalCluster) -> Iterator[Namespace]:
    """A namespace for this test alone, deleted afterwards without waiting."""
    with nobody_waits_for_the_api_server(cluster), fresh_namespace(cluster) as fresh:
        yield fresh


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds the pods of a failed test's namespace, and what they printed, to its report."""
    report = yield
    namespace = getattr(item, "funcargs", {}).get("namespace")
    if report.failed and report.when == "call" and isinstance(namespace, Namespace):
        report.sections.append((f"namespace {namespace.name}", describe_failure(namespace)))
    return report


def _past_capture(config: pytest.Config) -> Callable[[str], None]:
    """Prints at once: somebody waits minutes for a build, and pytest would show it only afterwards."""
    capture = config.pluginmanager.getplugin("capturemanager")

    def say(line: str) -> None:
        with capture.global_and_fixture_disabled():
            print(line, file=sys.stderr, flush=True)

    return say
