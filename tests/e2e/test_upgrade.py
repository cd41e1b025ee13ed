"""The previous revision is upgraded to this one and rolled back again, with policies present and users asking."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from brownout_localcluster.charts import install_chart, render_chart
from e2e.cluster import KindCluster
from e2e.conftest import Say
from e2e.images import Images, build_revision, extract, previous_revision
from e2e.product import DENIED, FOR_FREE, FOR_PRO, FULL, Product, sentences
from e2e.release import CHART, RELEASE, SYSTEM, values
from e2e.settings import Settings
from e2e.space import NodePort, wait_until_available
from flags.traffic import WrongAnswerError
from support.operator_world import FEATURE
from support.waiting import holds_for, wait_for

AFTER_SECONDS = 10.0


class Release(NamedTuple):
    """A chart and the tag of its image. `drains`: its flag servers answer until no proxy sends them anything new."""

    chart: Path
    tag: str

    @property
    def drains(self) -> bool:
        return "preStop" in render_chart(self.chart, RELEASE, namespace=SYSTEM)


@pytest.fixture
def previous(installed: KindCluster, images: Images, settings: Settings, tmp_path: Path, say: Say) -> Iterator[Release]:
    """The previous revision's, in the nodes; this revision is installed again afterwards."""
    revision = settings.previous or previous_revision()
    image = build_revision(revision, tmp_path / "sources", say)
    extract(revision, tmp_path / "chart", "charts/brownout")
    installed.load([image])
    yield Release(tmp_path / "chart" / "charts" / "brownout", image.rpartition(":")[2])
    _install(installed, Release(CHART, images.tag))


def _install(cluster: KindCluster, release: Release) -> None:
    install_chart(cluster.kubeconfig, release.chart, RELEASE, namespace=SYSTEM, values=values(release.tag))
    for part in ("operator", "flags"):
        wait_until_available(cluster, SYSTEM, f"{RELEASE}-{part}")


@pytest.fixture
def outside(installed: KindCluster) -> Iterator[NodePort]:
    """A way to the flag servers from outside that no chart changes."""
    name = "upgrade-outside"
    selector = {"app.kubernetes.io/instance": RELEASE, "app.kubernetes.io/component": "flags"}
    spec = {"type": "NodePort", "selector": selector, "ports": [{"name": "http", "port": 8080}]}
    meta = {"name": name, "namespace": SYSTEM}
    installed.objects.create({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec})
    try:
        yield NodePort(installed, SYSTEM, name)
    finally:
        installed.objects.delete("v1", "Service", name, namespace=SYSTEM)


def test_an_upgrade_and_the_way_back_flip_nothing_and_fail_no_evaluation(
    installed: KindCluster, previous: Release, images: Images, product: Product, outside: NodePort, say: Say
) -> None:
    _install(installed, previous)
    product.shed()
    before = _decided(product)
    this = Release(CHART, images.tag)
    with product.asked(outside) as traffic:
        wait_for(lambda: set(traffic.latest(FOR_FREE).values()) == {DENIED}, "free users are denied")
        for release, left in ((this, previous), (previous, this)):
            say(f"from {left.tag} to {release.tag}")
            failed = len(traffic.failures)
            _install(installed, release)
            holds_for(lambda: product.served("free") == ("denied", 100), "nothing flips", seconds=AFTER_SECONDS)
            failures = traffic.failures[failed:]
            if left.drains:
                assert not failures, sentences(failures)
            else:  # its pods end while proxies still send them users, who ask again
                wrong = [each for each in failures if WrongAnswerError.__name__ in each.sentence]
                assert not wrong, sentences(wrong)
    for way in product.ways(outside):
        assert {each.said for each in traffic.answers[way, FOR_FREE]} == {DENIED}
        assert {each.said for each in traffic.answers[way, FOR_PRO]} == {FULL}
    assert _decided(product) == before
    product.wait_until_decided_on()


def _decided(product: Product) -> list[tuple[str, str, str]]:
    """What each cell has, and since when."""
    cells = product.status("FeaturePolicy", FEATURE)["cells"]
    return [(cell["tier"], cell["variant"], cell["since"]) for cell in cells]
