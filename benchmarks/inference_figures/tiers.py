"""What paying users feel of an overload by others.

The load's processes share the cores with the server. Where there are few, the flood's would take from the server what in earnest its users' own machines have, so that one stands aside; that it asks for as
much as it should is told with the figure.
"""

import sys
import time
from pathlib import Path
from statistics import median

from figure import Figure, percentile, spread
from flag_figures.processes import flag_server
from flag_figures.product import NAMESPACE

from inference_figures import flags
from inference_figures.load import Load
from inference_figures.saturation import BODY, PATH, Capacity
from inference_figures.servers import ours

PRO_SHARE = 0.3
OVERLOAD = 3.0


def measure(folder: Path, *, capacity: Capacity, rounds: int, seconds: float) -> list[Figure]:
    """`pro` at 0.3 of the capacity, alone and while `free` asks for three times the capacity."""
    flags.keep(folder / "snapshot")
    alone, beside, free, asked = [], [], [], []
    options = [
        "--flags-port",
        "28221",
        "--flags-selector",
        NAMESPACE,
        "--flags-required",
        "--max-batch",
        str(capacity.short),
    ]
    with flag_server(folder / "snapshot", port=28220), ours(28222, *options, log=folder / "tiers.log") as server:
        for number in range(rounds):
            kinds = {"path": PATH, "body": BODY, "seconds": seconds}
            calls = Load(server.url, rate=PRO_SHARE * capacity.pictures, seed=number, plan="pro", **kinds).calls()  # type: ignore[arg-type]
            alone.append(_p95(calls))
            flood = Load(server.url, rate=OVERLOAD * capacity.pictures, seed=number, plan="free", aside=True, **kinds)  # type: ignore[arg-type]
            pro = Load(server.url, rate=PRO_SHARE * capacity.pictures, seed=100 + number, plan="pro", **kinds)  # type: ignore[arg-type]
            beside.append(_p95(pro.calls()))
            calls = flood.calls()
            lasted = max(call.sent for call in calls)
            asked.append(len(calls) / lasted / capacity.pictures)
            free.append(len([call for call in calls if call.status == 200]) / lasted / capacity.pictures)
            time.sleep(1)
    ratios = [loaded / idle for loaded, idle in zip(beside, alone, strict=True)]
    return [
        Figure(
            name=f"`pro` p95 at 3x overload by `free`, over its p95 alone (batches of {capacity.short})",
            goal="at most 1.3x",
            measured=f"{spread(ratios):.2f}x: {spread([1000 * s for s in beside]):.0f} ms beside {spread([1000 * s for s in alone]):.0f} ms alone"
            f"; free asked for {median(asked):.1f}x and had {100 * median(free):.0f} % of the capacity",
            met=median(ratios) <= 1.3,
            values={"alone": alone, "beside": beside, "asked": asked, "free": free},
        )
    ]


def _p95(calls: list) -> float:  # type: ignore[type-arg]
    if refused := [call.status for call in calls if call.status != 200]:
        print(f"pro was refused {len(refused)} of {len(calls)} times: {sorted(set(refused))}", file=sys.stderr)
    return percentile([call.seconds if call.status == 200 else float("inf") for call in calls], 95)
