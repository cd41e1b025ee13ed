"""The bare torch loop: batches of one size, one after the other, with nothing around them.

    python bare.py SECONDS BATCH [BATCH ...] [--idle SECONDS]

Prints one line of JSON: pictures a second by batch size, each with its PNG. With `--idle` the processor rests for so long before each batch, as it does before a request that comes alone, and the
median batch counts, without the rest: one that has rested makes the first steps slower.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent / "references"))


def main() -> None:
    from pictures import Pictures

    parser = argparse.ArgumentParser()
    parser.add_argument("seconds", type=float)
    parser.add_argument("sizes", type=int, nargs="+")
    parser.add_argument("--idle", type=float, default=0.0)
    told = parser.parse_args()
    pictures = Pictures()
    rates = {}
    for size in told.sizes:
        prompts = [f"a {number % 10}" for number in range(size)]
        pictures(prompts)
        took, end = [], time.perf_counter() + told.seconds
        while time.perf_counter() < end:
            if told.idle:
                time.sleep(told.idle)
            began = time.perf_counter()
            pictures(prompts)
            took.append(time.perf_counter() - began)
        rates[size] = size / (median(took) if told.idle else sum(took) / len(took))
    print(json.dumps(rates))


if __name__ == "__main__":
    main()
