"""The flag server's figures, each beside its reference in the same run.

    python benchmarks/flags.py [--quick] [--only throughput propagation events cold memory]

Writes benchmarks/results/flags.md and flags.json. It needs `wrk` (Debian has it) for the rates, Go for flagd's evaluator, and
the local cluster's binaries (`brownout-localcluster build`) for what is measured from a status written.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from figure import Figure
from flag_figures import cold, load, propagation, throughput
from report import print_figures, write_figures

HOW = (
    "Each server on one core, the load on another. Medians of the rounds, with the least and the greatest in brackets; a ratio is the"
    " median of the ratios of neighbouring rounds. The constant goes through all of aiohttp (parser, router, `web.Response`) and reads"
    " no body; every evaluation is evaluated, none is answered from a cache. `make bench-flags` makes this page."
)


def main() -> None:
    parser = argparse.ArgumentParser(description="The flag server's figures, each beside its reference.")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds; the results are not kept")
    parser.add_argument("--only", nargs="+", choices=["throughput", "propagation", "events", "cold", "memory"])
    args = parser.parse_args()
    if not load.available() and (args.only is None or "throughput" in args.only):
        sys.exit(
            "benchmarks/flags.py: no wrk on the PATH; install it (Debian: apt-get install wrk), or leave throughput out"
        )
    few = args.quick
    parts: dict[str, Callable[[Path], list[Figure]]] = {
        "throughput": lambda folder: throughput.measure(folder, rounds=2 if few else 9, seconds=2 if few else 5),
        "propagation": lambda folder: propagation.to_providers(folder, flips=30 if few else 300),
        "events": lambda folder: propagation.to_streams(
            folder, streams=1_000 if few else 10_000, flips=3 if few else 10
        ),
        "cold": lambda folder: cold.start(folder, times=3 if few else 15),
        "memory": lambda folder: cold.memory(folder, policies=1_000),
    }
    began = time.monotonic()
    figures: list[Figure] = []
    for name, part in parts.items():
        if args.only and name not in args.only:
            continue
        print(f"{name} ...", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            figures += part(Path(folder))
    minutes = (time.monotonic() - began) / 60
    print_figures(figures)
    if not few and not args.only:
        write_figures("flags", "The flag server's figures", figures, minutes, HOW)


if __name__ == "__main__":
    main()
