"""The previous revision is upgraded to this one and rolled back again, with policies present and users asking."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from brownout_localcluster.charts import install_chart
from e2e.cluster import KindCluster
from e2e.conftest import Say
from e2e.images import Images, build_revision, extract
from e2e.product import DENIED, FOR_FREE, FOR_PRO, FULL, Product, sentences
from e2e.release import CHART, RELEASE, SYSTEM, values
from e2e.settings import Settings
from e2e.space import NodePort, wait_until_available
from support.waiting import holds_for, wait_for

AFTER_SECONDS = 10.0


@pytest.fixture
def previous(
    installed: KindCluster, images: Images, settings: Settings, tmp_path: Path, say: Say
) -> Iterator[tuple[Path, str]]:
    """The chart of the previous revision, and its image's tag, in the nodes; this revision is installed again afterwards."""
    image = build_revision(settings.previous, tmp_path / "sources", say)
    extract(settings.previous, tmp_path / "chart", "charts/brownout")
    installed.load([image])
    yield tmp_path / "chart" / "charts" / "brownout", image.rpartition(":")[2]
    _install(installed, CHART, images.tag)


def _install(cluster: KindCluster, chart: Path, tag: str) -> None:
    install_chart(cluster.kubeconfig, chart, RELEASE, namespace=SYSTEM, values=values(tag))
    for part in ("operator", "flags"):
        wait_until_available(cluster, SYSTEM, f"{RELEASE}-{part}")


def test_an_upgrade_and_the_way_back_flip_nothing_and_fail_no_evaluation(
    installed: KindCluster,
    previous: tuple[Path, str],
    images: Images,
    product: Product,
    flags: NodePort,
    say: Say,
) -> None:
    _install(installed, *previous)
    product.shed()
    before = product.status("FeaturePolicy", "image-generation")["cells"]
    with product.asked(flags) as traffic:
        wait_for(lambda: set(traffic.latest(FOR_FREE).values()) == {DENIED}, "free users are denied")
        for words, chart, tag in (("up", CHART, images.tag), ("back", *previous)):
            say(f"{words}: to {tag}")
            _install(installed, chart, tag)
            holds_for(
                lambda: product.served("free") == ("denied", 100),
                f"nothing flips on the way {words}",
                seconds=AFTER_SECONDS,
            )
    assert not traffic.failures, sentences(traffic.failures)
    for way in product.ways(flags):
        assert {each.said for each in traffic.answers[way, FOR_FREE]} == {DENIED}
        assert {each.said for each in traffic.answers[way, FOR_PRO]} == {FULL}
    after = product.status("FeaturePolicy", "image-generation")["cells"]
    assert [(c["tier"], c["variant"], c["since"]) for c in after] == [
        (c["tier"], c["variant"], c["since"]) for c in before
    ]
    product.calm_down()
