"""From a status written to who has to know: stock providers in process over gRPC, and open event streams.

The status is written to a real API server. A flip counts from the API server's acknowledgement, because from then on the decision
is taken; from the moment at which it is sent is told beside it.
"""

import asyncio
import contextlib
import gc
import resource
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from figure import Figure, percentile
from openfeature import api
from openfeature.contrib.provider.flagd import FlagdProvider
from openfeature.contrib.provider.flagd.config import ResolverType
from openfeature.event import EventDetails, ProviderEvent

from brownout.api.schema import API_VERSION
from brownout_localcluster import LocalCluster
from flag_figures import product
from flag_figures.processes import CORES, Server, flag_server

CRDS = Path(__file__).parents[2] / "crds"
POLICIES = 50
WATCHED = "feature-0000"
PAUSE_SECONDS = 0.05
WITHIN_SECONDS = 10.0


@contextlib.contextmanager
def _product(folder: Path, *, port: int) -> Iterator[tuple[LocalCluster, Server]]:
    """A control plane that has 50 policies of 5 tiers, and a flag server on a core of its own, as far as there are two."""
    with LocalCluster(nodes=[]) as cluster:
        cluster.kubectl("apply", "--server-side", "-f", str(CRDS))
        cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": product.NAMESPACE}}
        cluster.objects.create(namespace)
        for name in product.TIERS:
            cluster.objects.create(product.tier_manifest(name))
        for number in range(POLICIES):
            cluster.objects.create(product.policy_manifest(number))
            _write(cluster, f"feature-{number:04}", product.status(number))
        with flag_server(folder, port=port, kubeconfig=cluster.kubeconfig, core=CORES[0]) as server:
            yield cluster, server


def _write(cluster: LocalCluster, name: str, status: dict[str, Any]) -> None:
    cluster.objects.patch(
        API_VERSION, "FeaturePolicy", name, {"status": status}, namespace=product.NAMESPACE, part="status"
    )


def to_providers(folder: Path, *, flips: int) -> list[Figure]:
    """Flips of one cell until the stock Python provider says that its flags have changed."""
    with _product(folder, port=28180) as (cluster, server):
        had = threading.Event()
        moments: list[float] = []

        def changed(details: EventDetails) -> None:
            moments.append(time.perf_counter())
            had.set()

        provider = FlagdProvider(
            host="127.0.0.1",
            port=server.port + 1,
            resolver_type=ResolverType.IN_PROCESS,
            selector=product.NAMESPACE,
            deadline_ms=30_000,
        )
        api.set_provider_and_wait(provider, "figures")
        api.get_client("figures").add_handler(ProviderEvent.PROVIDER_CONFIGURATION_CHANGED, changed)
        gc.collect()
        gc.freeze()  # what this program has loaded to run a control plane is no part of a provider's process
        sent, acknowledged = [], []
        try:
            for flip in range(flips):
                time.sleep(PAUSE_SECONDS)
                had.clear()
                asked = time.perf_counter()
                _write(cluster, WATCHED, product.status(0, version=flip + 2, percent=1 + flip % 99))
                written = time.perf_counter()
                if not had.wait(WITHIN_SECONDS):
                    raise RuntimeError(f"flip {flip} never came")
                sent.append(1e3 * (moments[-1] - asked))
                acknowledged.append(1e3 * max(0.0, moments[-1] - written))
        finally:
            gc.unfreeze()
            provider.shutdown()
    p50, p99 = percentile(acknowledged, 50), percentile(acknowledged, 99)
    told = f"p50 {percentile(sent, 50):.1f} ms, p99 {percentile(sent, 99):.1f} ms from being sent to the API server"
    return [
        Figure(
            name=f"status written to a stock in-process provider having it, {flips} flips of {POLICIES} policies",
            goal="p50 under 10 ms, p99 under 50 ms",
            measured=f"p50 {p50:.1f} ms, p99 {p99:.1f} ms; {told}",
            met=p50 < 10 and p99 < 50,
            values={"acknowledged_ms": acknowledged, "sent_ms": sent},
        )
    ]


class _Listener(asyncio.Protocol):
    """A client of an event stream that does nothing but look at the clock."""

    request = (
        f"GET /{product.NAMESPACE}/ofrep/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n"
    ).encode()

    def __init__(self, moments: list[float]) -> None:
        self._moments = moments

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        if b"refetchEvaluation" in data:
            self._moments.append(time.perf_counter())


def to_streams(folder: Path, *, streams: int, flips: int) -> list[Figure]:
    """Denials of one cell until every one of many open event streams has its notice, and what a stream costs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 2 * streams + 1_000)), hard))
    with _product(folder, port=28280) as (cluster, server):
        return asyncio.run(_to_streams(cluster, server, streams=streams, flips=flips))


async def _to_streams(cluster: LocalCluster, server: Server, *, streams: int, flips: int) -> list[Figure]:
    loop = asyncio.get_running_loop()
    moments: list[float] = []
    before = server.memory_bytes()
    transports = []
    for _ in range(streams):
        transport, _ = await loop.create_connection(lambda: _Listener(moments), "127.0.0.1", server.port)
        transports.append(transport)
    await _until(lambda: len(moments) >= streams, 60)  # everybody is told once what is served
    each = (server.memory_bytes() - before) / streams
    moments.clear()
    await asyncio.to_thread(_write, cluster, WATCHED, product.status(0, version=2, percent=100))
    await _until(lambda: len(moments) >= streams, 60)  # something comes back: that is told spread out over some seconds
    gc.collect()
    gc.disable()
    waits: list[float] = []
    lasts: list[float] = []
    try:
        for flip in range(flips):
            await asyncio.sleep(1.0)
            moments.clear()
            status = product.status(
                0, version=flip + 2, percent=90 - flip
            )  # something is taken: everybody is told at once
            await asyncio.to_thread(_write, cluster, WATCHED, status)
            written = time.perf_counter()
            await _until(lambda: len(moments) >= streams, 60)
            waits += [moment - written for moment in moments]
            lasts.append(max(moments) - written)
    finally:
        gc.enable()
        for transport in transports:
            transport.abort()
    p99 = percentile(waits, 99)
    return [
        Figure(
            name=f"status written to a notice on {streams:,} open event streams of one replica, {flips} flips",
            goal="p99 under 1 s",
            measured=f"p50 {percentile(waits, 50):.2f} s, p99 {p99:.2f} s, the last of any {max(lasts):.2f} s",
            met=p99 < 1,
            values={"p99_s": p99, "last_s": lasts},
        ),
        Figure(
            name="its memory for each stream",
            goal="under 30 kB",
            measured=f"{each / 1000:.1f} kB",
            met=each < 30_000,
            values={"bytes": each},
        ),
    ]


async def _until(done: Any, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise RuntimeError(f"not within {seconds:.0f} s")
        await asyncio.sleep(0.01)
