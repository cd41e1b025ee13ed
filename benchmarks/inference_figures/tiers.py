"""What paying users feel of an overload by others."""

import sys
import time
from pathlib import Path
from statistics import median

from figure import Figure, percentile, spread
from flag_figures.processes import flag_server
from flag_figures.product import NAMESPACE

from inference_figures import flags
from inference_figures.load import Load
from inference_figures.saturation import BODY, PATH
from inference_figures.servers import ours

PRO_SHARE = 0.3
OVERLOAD = 3.0


def measure(folder: Path, *, batch: int, capacity: float, rounds: int, seconds: float) -> list[Figure]:
    """`pro` at 0.3 of the capacity, alone and while `free` asks for three times the capacity."""
    flags.keep(folder / "snapshot")
    alone, beside, free = [], [], []
    options = ["--flags-port", "28221", "--flags-selector", NAMESPACE, "--flags-required", "--max-batch", str(batch)]
    with flag_server(folder / "snapshot", port=28220), ours(28222, *options, log=folder / "tiers.log") as server:
        for number in range(rounds):
            kinds = {"path": PATH, "body": BODY, "seconds": seconds}
            calls = Load(server.url, rate=PRO_SHARE * capacity, seed=number, plan="pro", **kinds).calls()  # type: ignore[arg-type]
            alone.append(_p95(calls))
            flood = Load(server.url, rate=OVERLOAD * capacity, seed=number, plan="free", **kinds)  # type: ignore[arg-type]
            pro = Load(server.url, rate=PRO_SHARE * capacity, seed=100 + number, plan="pro", **kinds)  # type: ignore[arg-type]
            beside.append(_p95(pro.calls()))
            answered = [call for call in flood.calls() if call.status == 200]
            free.append(len(answered) / seconds / capacity)
            time.sleep(1)
    ratios = [loaded / idle for loaded, idle in zip(beside, alone, strict=True)]
    return [
        Figure(
            name="`pro` p95 at 3x overload by `free`, over its p95 alone",
            goal="at most 1.3x",
            measured=f"{spread(ratios):.2f}x: {spread([1000 * s for s in beside]):.0f} ms beside {spread([1000 * s for s in alone]):.0f} ms alone"
            f"; free had {100 * median(free):.0f} % of the capacity",
            met=median(ratios) <= 1.3,
            values={"alone": alone, "beside": beside},
        )
    ]


def _p95(calls: list) -> float:  # type: ignore[type-arg]
    if refused := [call.status for call in calls if call.status != 200]:
        print(f"pro was refused {len(refused)} of {len(calls)} times: {sorted(set(refused))}", file=sys.stderr)
    return percentile([call.seconds if call.status == 200 else float("inf") for call in calls], 95)
