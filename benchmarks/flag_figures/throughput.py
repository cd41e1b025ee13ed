"""Answers a second on one core: single evaluations, bulk answers and 304s, beside a constant and beside flagd's evaluator."""

import contextlib
import json
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from figure import Figure, spread

from brownout.flags.render import render
from flag_figures import product
from flag_figures.load import Seen, drive, script
from flag_figures.processes import Server, flag_server, running, wait_until_idle

POLICIES = 50
SINGLE = "/ofrep/v1/evaluate/flags/feature-0010"
BULK = "/ofrep/v1/evaluate/flags"
HERE = Path(__file__).parent
BODY = json.dumps({"context": product.USER}).encode()


def measure(folder: Path, *, rounds: int, seconds: int) -> list[Figure]:
    """Rounds of a few seconds each, all kinds in every round, so that what disturbs the machine disturbs them alike."""
    product.keep(folder / "snapshot", POLICIES)
    seen: dict[str, list[Seen]] = {}
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(flag_server(folder / "snapshot", port=28080))
        single, etag, size = _answers(ours)
        (folder / "single.json").write_bytes(single)
        command = [sys.executable, str(HERE / "constant.py"), "28083", str(folder / "single.json")]
        constant = stack.enter_context(running(command, 28083, ready="/ready"))
        plain, conditional = script(folder, BODY, {}), script(folder, BODY, {"If-None-Match": etag})
        flagd = stack.enter_context(_flagd(folder))
        base = f"/{product.NAMESPACE}"
        kinds = {
            "constant": (constant, "/constant", plain),
            "single": (ours, base + SINGLE, plain),
            "bulk": (ours, base + BULK, plain),
            "bulk-304": (ours, base + BULK, conditional),
        }
        if flagd is not None:
            kinds |= {"flagd-single": (flagd, SINGLE, plain), "flagd-bulk": (flagd, BULK, plain)}
        wait_until_idle(ours)
        for server, path, what in kinds.values():
            drive(server, path, what, seconds=1)
        for _ in range(rounds):
            for name, (server, path, what) in kinds.items():
                seen.setdefault(name, []).append(drive(server, path, what, seconds=seconds))
    return _figures(seen, size)


def _answers(server: Server) -> tuple[bytes, str, int]:
    """The single answer, the bulk answer's ETag, and its size."""
    base = f"{server.url}/{product.NAMESPACE}"
    headers = {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(base + SINGLE, data=BODY, headers=headers)) as response:
        single = response.read()
    with urllib.request.urlopen(urllib.request.Request(base + BULK, data=BODY, headers=headers)) as response:
        return single, response.headers["ETag"], len(response.read())


def _figures(seen: dict[str, list[Seen]], size: int) -> list[Figure]:
    constant = seen["constant"]
    values = {name: {"rounds": each} for name, each in seen.items()}

    def rate(name: str) -> str:
        return f"{spread([one.per_second for one in seen[name]]):,.0f}/s, {median(o.cpu_us for o in seen[name]):.1f} µs each"

    def ratio(name: str) -> tuple[float, float]:
        """Of the constant's rate: by the clock, and by processor time, which other work on the machine disturbs less."""
        pairs = list(zip(seen[name], constant, strict=True))
        return (
            median(one.per_second / other.per_second for one, other in pairs),
            median(other.cpu_us / one.cpu_us for one, other in pairs),
        )

    def beside(name: str, least: float, goal: str) -> Figure:
        by_clock, by_cpu = ratio(name)
        text = f"{by_clock:.0%} by the clock, {by_cpu:.0%} by processor time: {rate(name)}"
        return Figure(name=NAMES[name], goal=goal, measured=text, met=by_clock >= least, values=dict(values[name]))

    p99 = median(one.p99_ms for one in seen["single"])
    found = [
        Figure(
            name="the same aiohttp server, a constant (the reference)",
            measured=rate("constant"),
            values=dict(values["constant"]),
        ),
        beside("single", 0.75, "at least 75 % of the constant"),
        Figure(
            name="its p99 at that load",
            goal="under 6 ms",
            measured=f"{p99:.1f} ms; the constant's {median(one.p99_ms for one in constant):.1f} ms",
            met=p99 < 6,
        ),
        beside("bulk-304", 0.40, "at least 40 % of the constant"),
        Figure(
            name=f"bulk of {POLICIES + 1} flags, {size / 1000:.1f} kB",
            measured=rate("bulk"),
            values=dict(values["bulk"]),
        ),
    ]
    for name in ("single", "bulk"):
        if theirs := seen.get(f"flagd-{name}"):
            pairs = list(zip(seen[name], theirs, strict=True))
            times = median(one.per_second / other.per_second for one, other in pairs)
            by_cpu = median(other.cpu_us / one.cpu_us for one, other in pairs)
            found.append(
                Figure(
                    name=f"{name}, beside flagd's evaluator (Go, one core)",
                    goal="faster",
                    measured=f"{times:.1f} times by the clock, {by_cpu:.1f} by processor time; flagd's {rate(f'flagd-{name}')}",
                    met=times > 1,
                    values=dict(values[f"flagd-{name}"]),
                )
            )
    if "flagd-single" not in seen:
        found.append(
            Figure(name="beside flagd's evaluator", measured="not measured: there is no Go here to build it with")
        )
    return found


NAMES = {
    "single": "OFREP single evaluation, one core, 32 connections",
    "bulk-304": f"bulk of {POLICIES + 1} flags, answered 304, on the same terms",
}


@contextlib.contextmanager
def _flagd(folder: Path) -> Iterator[Server | None]:
    """flagd's evaluator with the same set, on one core; None where it cannot be built."""
    go = shutil.which("go") or shutil.which("go", path=str(Path(sys.executable).parent))
    if go is None:
        yield None
        return
    policies, tiers = product.objects(POLICIES)
    flags = folder / "flags.json"
    flags.write_text(render(product.NAMESPACE, policies=policies, tiers=tiers, overrides=[], now=time.time()).document)
    binary = folder / "flagd-core"
    built = subprocess.run([go, "build", "-o", binary, "."], cwd=HERE / "flagd_core", capture_output=True, text=True)
    if built.returncode:
        print(f"flagd's evaluator cannot be built:\n{built.stderr[-2000:]}", file=sys.stderr)
        yield None
        return
    command = [str(binary), "127.0.0.1:28085", str(flags)]
    with running(command, 28085, ready="/", environment={"GOMAXPROCS": "1"}) as server:
        yield server
