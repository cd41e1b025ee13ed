"""The kind cluster of the session with Prometheus and the chart in it, a product for each test, and what is kept of a failed one."""

import shutil
import sys
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from brownout_localcluster.charts import install_chart
from e2e.cluster import KindCluster, kind_cluster
from e2e.collect import collect, folder_name
from e2e.hardening import manifests
from e2e.images import PROMETHEUS, Images, build
from e2e.product import Product
from e2e.release import CHART, MONITORING, RELEASE, SYSTEM, values
from e2e.settings import Settings, settings_from
from e2e.space import RESTRICTED, NodePort, Space, fresh_space, wait_until_available

CLUSTER = pytest.StashKey[KindCluster]()
Say = Callable[[str], None]


@pytest.fixture(scope="session")
def say(request: pytest.FixtureRequest) -> Say:
    """Prints at once, with the seconds since the start: builds take minutes."""
    began = time.monotonic()

    def speak(line: str) -> None:
        _past_capture(request.config, f"{time.monotonic() - began:6.1f} s  {line}")

    return speak


@pytest.fixture(scope="session")
def settings() -> Settings:
    return settings_from()


@pytest.fixture(scope="session")
def images(say: Say) -> Images:
    """This checkout's images, built."""
    return build(say)


@pytest.fixture(scope="session")
def kind(
    request: pytest.FixtureRequest,
    settings: Settings,
    images: Images,
    tmp_path_factory: pytest.TempPathFactory,
    say: Say,
) -> Iterator[KindCluster]:
    """The cluster, with the images in its nodes."""
    shutil.rmtree(settings.output, ignore_errors=True)
    with kind_cluster(settings, tmp_path_factory.mktemp("kind"), say) as cluster:
        request.config.stash[CLUSTER] = cluster
        say("loading the images into the nodes")
        cluster.load([images.brownout, images.inference, images.prometheus])
        yield cluster


@pytest.fixture(scope="session")
def monitoring(kind: KindCluster, images: Images, say: Say) -> None:
    """Prometheus, ready."""
    say("installing Prometheus")
    for manifest in manifests(Path(__file__).parent / "prometheus" / "manifests.yaml"):
        if manifest["kind"] == "Deployment":
            container = manifest["spec"]["template"]["spec"]["containers"][0]
            assert container["image"] == PROMETHEUS
            container["image"] = images.prometheus
        kind.objects.apply(manifest)
    wait_until_available(kind, MONITORING, "prometheus")


@pytest.fixture(scope="session")
def installed(kind: KindCluster, monitoring: None, images: Images, say: Say) -> KindCluster:
    """The cluster with the chart installed and everything ready."""
    say("installing the chart")
    kind.objects.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM, "labels": RESTRICTED}})
    install_chart(kind.kubeconfig, CHART, RELEASE, namespace=SYSTEM, values=values(images.tag))
    for part in ("operator", "flags"):
        wait_until_available(kind, SYSTEM, f"{RELEASE}-{part}")
    say("everything is ready")
    return kind


@pytest.fixture
def space(installed: KindCluster, images: Images) -> Iterator[Space]:
    """A namespace for this test alone."""
    with fresh_space(installed, images) as fresh:
        yield fresh


@pytest.fixture
def product(installed: KindCluster, space: Space) -> Iterator[Product]:
    """A product under a calm load, with everything given."""
    made = Product(installed, space)
    try:
        made.create()
        yield made
    finally:
        made.delete()


@pytest.fixture
def flags(installed: KindCluster) -> NodePort:
    """The flag servers' public Service."""
    return NodePort(installed, SYSTEM, f"{RELEASE}-flags-public")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Says at once what has failed, and keeps logs, events and objects of it before its fixtures take them away."""
    report = yield
    if report.failed:
        _past_capture(
            item.config, f"{item.name}: {report.when}: {getattr(report.longrepr, 'reprcrash', report.longrepr)}"
        )
    cluster = item.config.stash.get(CLUSTER, None)
    space = getattr(item, "funcargs", {}).get("space")
    if report.failed and report.when in ("setup", "call") and cluster is not None:
        folder = cluster.settings.output / folder_name(item.name)
        try:
            collect(cluster.objects, folder, [SYSTEM, MONITORING] + ([space.name] if space else []))
            report.sections.append(("kept", f"logs, events and objects are in {folder}"))
        except Exception as error:  # the cluster may be what has failed
            report.sections.append(("kept", f"nothing of the cluster could be had for {folder}: {error!r}"))
    return report


def _past_capture(config: pytest.Config, line: str) -> None:
    with config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(line, file=sys.stderr, flush=True)
