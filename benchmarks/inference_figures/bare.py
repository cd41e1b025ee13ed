"""The bare torch loop: batches of one size, one after the other, with nothing around them.

    python bare.py SECONDS BATCH [BATCH ...]

Prints one line of JSON: pictures a second by batch size, each with its PNG.
"""

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "references"))


def main() -> None:
    from pictures import Pictures

    seconds, *sizes = sys.argv[1:]
    pictures = Pictures()
    rates = {}
    for size in map(int, sizes):
        prompts = [f"a {number % 10}" for number in range(size)]
        pictures(prompts)
        made, began = 0, time.perf_counter()
        while (spent := time.perf_counter() - began) < float(seconds):
            made += len(pictures(prompts))
        rates[size] = made / spent
    print(json.dumps(rates))


if __name__ == "__main__":
    main()
