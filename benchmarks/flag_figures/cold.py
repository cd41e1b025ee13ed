"""A start without a control plane, and the memory of a large product."""

import json
import time
import urllib.request
from pathlib import Path

from figure import Figure, spread

from flag_figures import product
from flag_figures.processes import Server, flag_server

POLICIES = 50


def start(folder: Path, *, times: int) -> list[Figure]:
    """From the start of the process to the first evaluation answered, from the snapshot, the API server being away."""
    product.keep(folder, POLICIES)
    seconds, processor = [], []
    for n in range(times):
        began = time.perf_counter()
        with flag_server(folder, port=28380 + 2 * n) as server:
            _ask(server, "/ofrep/v1/evaluate/flags/feature-0010")
            seconds.append(time.perf_counter() - began)
            processor.append(server.cpu_seconds())
    found = spread(seconds)
    return [
        Figure(
            name="first answer after a cold start with the API server down",
            goal="under 1 s",
            measured=f"{found:.2f} s; {spread(processor):.2f} s of processor time",
            met=found.median < 1,
            values={"seconds": seconds, "processor_seconds": processor},
        )
    ]


def memory(folder: Path, *, policies: int) -> list[Figure]:
    """Resident memory once everybody of a tier and cohort has been answered."""
    product.keep(folder, policies)
    with flag_server(folder, port=28480) as server:
        for plan in product.TIERS:
            for created in (1_500_000_000, None):
                _ask(server, "/ofrep/v1/evaluate/flags", {"plan": plan, "accountCreatedAt": created})
        megabytes = server.memory_bytes() / 1e6
    return [
        Figure(
            name=f"memory, {policies:,} policies of {len(product.TIERS)} tiers",
            goal="under 250 MB",
            measured=f"{megabytes:.0f} MB",
            met=megabytes < 250,
            values={"megabytes": megabytes},
        )
    ]


def _ask(server: Server, path: str, more: dict[str, object] | None = None) -> None:
    body = json.dumps({"context": {**product.USER, **(more or {})}}).encode()
    request = urllib.request.Request(f"{server.url}/{product.NAMESPACE}{path}", data=body)
    with urllib.request.urlopen(request) as response:
        response.read()
