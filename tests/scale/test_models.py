"""A thousand models and ten thousand in one operator, on one processor and a real API server."""

import asyncio
import math
import os
import re
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from brownout.decide.evidence import Missing
from brownout.observe.ask import Ask
from brownout.observe.bundles import MOST_PARTS
from brownout.observe.prometheus import Prometheus
from brownout.observe.sources import Source
from support.many import Models, models
from support.operator import Operator
from support.process import MIB, pin, processor_seconds, resident_bytes
from support.size import WHOLE, sized
from support.waiting import wait_for

COUNTS = [pytest.param(count, id=f"{count}-models") for count in sized(bounded=[20], whole=[1000, 10_000])]
GOAL_SECONDS = {1000: 1.0, 10_000: 10.0}
RESTART_SECONDS = {1000: 10.0}
MEMORY_MIB = {1000: 300.0}
QUERIES_SECONDS = 1.0
MEASURED_SECONDS = sized(bounded=5.0, whole=180.0)
RESTARTS = sized(bounded=1, whole=5)
ROUNDS = sized(bounded=3, whole=60)
QUIET_SECONDS = sized(bounded=5.0, whole=60.0)
SETTLED_SECONDS = sized(bounded=60.0, whole=900.0)
LULL_SECONDS = sized(bounded=3.0, whole=20.0)
FIRST = {min(os.sched_getaffinity(0))}
BUCKET = re.compile(r'brownout_tick_duration_seconds_bucket\{le="([^"]+)"\} (\S+)')


@pytest.fixture(scope="module", params=COUNTS)
def made(request: pytest.FixtureRequest) -> Iterator[Models]:
    """So many models."""
    with models(request.param) as found:
        yield found


@contextmanager
def running(made: Models, folder: Path) -> Iterator[Operator]:
    """An operator for all of them on the first processor; it has begun to decide."""
    first, *others = [namespace.name for namespace in made.namespaces]
    with Operator(made.cluster, first, folder, tick_seconds=2.0, also=others, started=False) as operator:
        launch(operator, patience_seconds=SETTLED_SECONDS)  # nothing has a status yet
        yield operator


def launch(operator: Operator, *, patience_seconds: float = 120.0) -> tuple[float, float]:
    """Start it, and wait until its first tick is over. Returns how many seconds that took, and how many of a processor's."""
    began = time.monotonic()
    operator.launch()
    pin(operator.pid, FIRST)
    wait_for(operator.ready, "the operator decides", seconds=patience_seconds)
    return time.monotonic() - began, processor_seconds(operator.pid)


def test_many_models_on_one_processor(made: Models, tmp_path: Path, figures: list[Any]) -> None:
    from figure import Figure, spread

    count = made.count
    with running(made, tmp_path) as operator:
        settle(operator)
        before, began, used = Page(operator), time.monotonic(), processor_seconds(operator.pid)
        time.sleep(MEASURED_SECONDS)  # what a steady state costs shows in time alone
        used = processor_seconds(operator.pid) - used
        after, lasted = Page(operator), time.monotonic() - began
        memory, most = (resident_bytes(operator.pid, at_most=which) / MIB for which in (False, True))
        unchanged, writes = made.versions(), Page(operator).writes
        time.sleep(QUIET_SECONDS)
        changed = [name for name, version in made.versions().items() if unchanged[name] != version]
        written = Page(operator).writes - writes
        restarts = []
        for _ in range(RESTARTS):
            operator.kill()
            restarts.append(launch(operator))
        assert "Traceback" not in operator.log()
    p50, p95 = (quantile(before, after, share) for share in (0.5, 0.95))
    count_of_ticks = after.ticks - before.ticks
    mean = (after.seconds - before.seconds) / count_of_ticks
    goal = GOAL_SECONDS.get(count)
    figures += [
        Figure(
            name=f"a tick with {count:,} scalers and as many policies, p95",
            goal=f"under {goal:g} s" if goal else "",
            measured=f"at most {p95:g} s; half within {p50:g} s, mean {mean:.2f} s, of a processor {used / count_of_ticks:.2f} s; {count_of_ticks:.0f} ticks in {lasted:.0f} s",
            met=p95 <= goal if goal else None,
        ),
        Figure(
            name=f"writes in the steady state with {count:,}",
            goal="0 a minute" if count == 1000 else "",
            measured=f"{written:.0f} counted, {len(changed)} objects changed in {QUIET_SECONDS:.0f} s",
            met=not changed and not written if count == 1000 else None,
        ),
        Figure(
            name=f"memory with {count:,}",
            goal=f"under {MEMORY_MIB[count]:.0f} MiB" if count in MEMORY_MIB else "",
            measured=f"{memory:.0f} MiB, {most:.0f} at most",
            met=most < MEMORY_MIB[count] if count in MEMORY_MIB else None,
        ),
        Figure(
            name=f"restart with {count:,} until the first tick is over",
            goal=f"under {RESTART_SECONDS[count]:g} s" if count in RESTART_SECONDS else "",
            measured=f"{spread([lasted for lasted, _ in restarts])} s, of a processor {spread([used for _, used in restarts])} s",
            met=max(restarts)[0] < RESTART_SECONDS[count] if count in RESTART_SECONDS else None,
        ),
    ]
    assert changed == []
    assert written == 0
    if WHOLE:
        assert all(figure.met is not False for figure in figures), figures


class Page:
    """What the operator's own metrics say at a moment. With ten thousand models the page has a quarter of a million lines."""

    def __init__(self, operator: Operator) -> None:
        with urllib.request.urlopen(f"{operator.url}/metrics", timeout=120) as answer:
            self._text = answer.read().decode()
        self.buckets = {float(bound): float(value) for bound, value in BUCKET.findall(self._text)}
        self.ticks = self._sum("brownout_tick_duration_seconds_count")
        self.seconds = self._sum("brownout_tick_duration_seconds_sum")
        self.writes = self._sum("brownout_status_writes_total") + self._sum("brownout_scale_writes_total")

    def _sum(self, name: str) -> float:
        return sum(float(value) for value in re.findall(rf"^{name}(?:\{{.*\}})? (\S+)$", self._text, re.MULTILINE))


def settle(operator: Operator) -> None:
    """Until nothing is written any more, for a while."""
    deadline, last = time.monotonic() + SETTLED_SECONDS, -1.0
    while (now := Page(operator).writes) != last:
        assert time.monotonic() < deadline, f"{now - last:.0f} writes in the last {LULL_SECONDS} s; nothing settles"
        last = now
        time.sleep(LULL_SECONDS)


def quantile(before: Page, after: Page, share: float) -> float:
    """The bound that this share of the ticks in between did not exceed."""
    total = after.ticks - before.ticks
    return next(
        bound for bound in sorted(after.buckets) if after.buckets[bound] - before.buckets[bound] >= share * total
    )


def test_every_query_of_many_models_is_answered_within_a_second(made: Models, figures: list[Any]) -> None:
    """Two of each scaler, each asked for twice: the client alone, on the operator's processor."""
    from figure import Figure, percentile, spread

    source = Source(url=made.cluster.prometheus.url)
    asks = [
        Ask(source=source, query=metric["query"], lookback_seconds=60, limit=2)
        for scaler in made.cluster.objects.list("brownout.dev/v1alpha1", "InferenceScaler")
        for metric in scaler["spec"]["metrics"]
    ]
    others = os.sched_getaffinity(0)
    os.sched_setaffinity(0, FIRST)
    try:
        seconds, requests = asyncio.run(asked([*asks, *asks]))
    finally:
        os.sched_setaffinity(0, others)
    assert requests == len(seconds) * math.ceil(len(asks) / MOST_PARTS)
    p95 = percentile(seconds, 95)
    figures.append(
        Figure(
            name=f"{len(asks):,} distinct queries, asked for twice each, from a local Prometheus",
            goal="asked once, 32 in flight, p95 under 1 s" if made.count == 1000 else "",
            measured=f"p95 {p95:.2f} s, {spread(seconds)} s; in {requests // len(seconds):,} requests",
            met=p95 < QUERIES_SECONDS if made.count == 1000 else None,
        )
    )
    if WHOLE and made.count == 1000:
        assert p95 < QUERIES_SECONDS


async def asked(asks: list[Ask]) -> tuple[list[float], int]:
    """How long each round of asking took, and how many requests there were in all of them."""
    seconds: list[float] = []
    results: list[str] = []
    prometheus = Prometheus(on_answer=lambda result, seconds: results.append(result))
    try:
        await prometheus.ask_all(asks)
        results.clear()
        for _ in range(max(3, ROUNDS * 4000 // max(4000, len(asks)))):
            began = time.perf_counter()
            found = await prometheus.ask_all(asks)
            seconds.append(time.perf_counter() - began)
            assert not any(isinstance(answer, Missing) for answer in found.values())
    finally:
        await prometheus.close()
    assert set(results) == {"answered"}
    return seconds, len(results)
