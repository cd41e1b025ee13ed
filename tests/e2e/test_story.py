"""The demo's flood on real kubelets: its policies, workloads and users, and the same sentences that `make demo` is judged by."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import pytest

from brownout_demo.crowd import Crowd
from brownout_demo.figures import report
from brownout_demo.records import Record
from brownout_demo.story import tell
from brownout_demo.witness import Witness
from e2e.cluster import KindCluster
from e2e.conftest import Say
from e2e.hardening import hardened, manifests
from e2e.images import Images
from e2e.objects import Manifest
from e2e.release import RELEASE, SYSTEM
from e2e.settings import ROOT, Settings
from e2e.space import NodePort, Space, fresh_space, wait_until_available
from support.waiting import wait_for

DEMO = ROOT / "demo"
WORKLOADS = ("chat", "image", "video")
MINUTES = 4.0
"""The shortest that leaves paying users time to be well again before the flood ends."""
ORDER = "Video goes from new accounts first, then from the other free users; no image is touched before."


@dataclass(frozen=True, slots=True)
class Seen:
    """What the demo's witness asks for: the objects of one namespace, and the pool that is for it."""

    cluster: KindCluster
    namespace: str

    def list(self, api_version: str, kind: str) -> list[Manifest]:
        pool = kind == "GPUPool"
        found = self.cluster.objects.list(api_version, kind, namespace=None if pool else self.namespace)
        return [each for each in found if each["metadata"]["name"] == self.namespace] if pool else found


@pytest.fixture
def space(installed: KindCluster, images: Images) -> Iterator[Space]:
    """A namespace with everything of the demo: its pool bears the namespace's name, and has the workers' GPUs."""
    with fresh_space(installed, images) as fresh:
        label = {"brownout.dev/pool": fresh.name}
        installed.objects.patch("v1", "Namespace", fresh.name, {"metadata": {"labels": label}})
        source = {
            "FLAGD_HOST": f"{RELEASE}-flags.{SYSTEM}",
            "FLAGD_SYNC_PORT": "8015",
            "FLAGD_SOURCE_SELECTOR": fresh.name,
        }
        fresh.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "flags"}, "data": source})
        for path in sorted((DEMO / "policies").glob("*.yaml")):
            for manifest in manifests(path):
                installed.objects.apply(_for(manifest, fresh.name), namespace=fresh.name)
        for name in WORKLOADS:
            for manifest in manifests(DEMO / "workloads" / f"{name}.yaml"):
                if manifest["kind"] == "Service":
                    manifest["spec"]["type"] = "NodePort"
                installed.objects.apply(hardened(manifest, images), namespace=fresh.name)
        try:
            yield fresh
        finally:
            installed.objects.delete("brownout.dev/v1alpha1", "GPUPool", fresh.name)


def _for(manifest: Manifest, pool: str) -> Manifest:
    """The sample with another pool's name: pools are the cluster's, and each test has its own."""
    if manifest["kind"] == "GPUPool":
        manifest["metadata"]["name"] = pool
        manifest["spec"]["namespaceSelector"]["matchLabels"]["brownout.dev/pool"] = pool
    elif manifest["kind"] == "InferenceScaler":
        manifest["spec"]["poolRef"]["name"] = pool
    return manifest


def test_a_flood_takes_features_and_gives_them_back_and_payers_are_spared(
    installed: KindCluster, space: Space, settings: Settings, say: Say
) -> None:
    for name in WORKLOADS:
        wait_until_available(installed, space.name, name, seconds=180)
    policies = [manifest["metadata"]["name"] for manifest in manifests(DEMO / "policies" / "40-features.yaml")]
    for name in policies:
        wait_for(
            lambda name=name: space.get("brownout.dev/v1alpha1", "FeaturePolicy", name).get("status", {}).get("cells"),
            f"{name} is decided on",
        )
    say("users come to the demo's services")
    record = asyncio.run(_flood(installed, space, settings.seed))
    sentences = tell(record)
    spared = ORDER if _pods_were_coming(record) else ""
    for sentence in sentences:
        mark = "yes" if sentence.true else "(no)" if sentence.text == spared else "NO"
        say(f"{mark:4} {sentence.text}  {sentence.seen}")
    told = [{"sentence": each.text, "true": each.true, "seen": each.seen} for each in sentences]
    settings.output.mkdir(parents=True, exist_ok=True)
    (settings.output / "story.json").write_text(json.dumps(report(record, seed=settings.seed, story=told), indent=2))
    untrue = [each for each in sentences if not each.true and each.text != spared]
    assert not untrue, untrue


def _pods_were_coming(record: Record) -> bool:
    """Whether GPUs were still free when an image was first touched: pods then come slower than the load, and taking videos helps nobody."""
    first = next((flip.at for flip in record.flips if flip.down and flip.feature == "image-generation"), 0.0)
    before = [moment for moment in record.moments if moment.at <= first and moment.gpus and moment.held is not None]
    return bool(before) and before[-1].held < before[-1].gpus


async def _flood(cluster: KindCluster, space: Space, seed: int) -> Record:
    record = Record(minutes=MINUTES)
    hosts = {}
    for name in WORKLOADS:
        at = NodePort(cluster, space.name, name)
        hosts[name] = f"{at.host}:{at.http_port}"
    started, wall = time.monotonic(), time.time()
    witness = Witness(Seen(cluster, space.name), record, now=lambda: time.monotonic() - started, started=wall)
    crowd = Crowd(hosts, minutes=MINUTES, seed=seed, record=record.outcomes.append, started=started)
    watching = asyncio.create_task(witness.watch())
    try:
        await crowd.come()
        await witness.look()
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
    return record
