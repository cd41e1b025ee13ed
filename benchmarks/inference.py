"""The inference server's figures, each beside its reference in the same run.

    python benchmarks/inference.py --references PYTHON [--quick] [--only saturation overhead comparison tiers restarts memory]

A whole run takes three quarters of an hour: half of it the comparison (five rounds of four servers at five levels), nine minutes the memory. PYTHON is the interpreter of an
environment with LitServe and Ray Serve (`make bench-inference` makes one). Writes benchmarks/results/inference.md and inference.json. It needs `wrk` (Debian has it) for the memory's part.
"""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from figure import Figure
from inference_figures import comparison, memory, restarts, saturation, tiers
from report import print_figures, write_figures

PARTS = ("saturation", "overhead", "comparison", "tiers", "restarts", "memory")


def main() -> None:
    parser = argparse.ArgumentParser(description="The inference server's figures, each beside its reference.")
    parser.add_argument("--references", type=Path, help="the interpreter that has LitServe and Ray Serve")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds; the results are not kept")
    parser.add_argument("--only", nargs="+", choices=PARTS)
    args = parser.parse_args()
    wanted = set(args.only or PARTS)
    if "memory" in wanted and not shutil.which("wrk"):
        sys.exit(
            "benchmarks/inference.py: no wrk on the PATH; install it (Debian: apt-get install wrk), or leave memory out"
        )
    if "comparison" in wanted and not args.references:
        sys.exit(
            "benchmarks/inference.py: --references is missing; `make bench-inference` names it, or leave comparison out"
        )
    few = args.quick
    rounds, seconds = (2, 3.0) if few else (5, 8.0)
    figures: list[Figure] = []
    table: list[str] = []
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # the capacity is what the other parts refer to, so it is always measured
        print("saturation ...", file=sys.stderr, flush=True)
        found, capacity = saturation.measure(folder, rounds=rounds, seconds=seconds)
        figures += found
        parts = {
            "overhead": lambda: saturation.overhead(folder, rounds=rounds, requests=50 if few else 300),
            "tiers": lambda: tiers.measure(folder, capacity=capacity, rounds=rounds, seconds=2 * seconds),
            "restarts": lambda: restarts.measure(folder, restarts=4 if few else 20),
            "memory": lambda: (
                memory.many(folder, requests=20_000 if few else 1_000_000)
                + memory.flood(folder, connections=1_000 if few else 10_000)
            ),
        }
        for part, measure in parts.items():
            if part in wanted:
                print(f"{part} ...", file=sys.stderr, flush=True)
                figures += measure()
                print(f"  {figures[-1].measured}", file=sys.stderr, flush=True)
        if "comparison" in wanted:
            print("comparison ...", file=sys.stderr, flush=True)
            setting = comparison.Setting(
                folder=folder,
                python=args.references,
                batch=capacity.best,
                capacity=capacity.pictures,
                seconds=4.0 if few else 8.0,
            )
            found, table = comparison.measure(setting, rounds=1 if few else 5)
            figures += found
    minutes = (time.monotonic() - began) / 60
    print_figures(figures)
    print("\n".join(table))
    if not few and not args.only:
        write_figures(
            "inference",
            "The inference server's figures",
            figures,
            minutes,
            "One torch thread for each server. Medians of the rounds, with the least and the greatest in brackets. `make bench-inference` makes this page.",
            table,
        )


if __name__ == "__main__":
    main()
