"""Beside LitServe and Ray Serve with dynamic batching, and FastAPI without, below and above what the machine can do.

What is compared is the steady state: only requests of a level's second half count, when queues have become as long as they will be, and the next level begins once nothing of the
one before is left to do. Users wait for some seconds and go. A server that refuses at once whom it cannot serve in time has short waits and few answers to nobody; one that takes everybody
in works for users who have gone. Ours holds half a second of work in its queue, which is enough to keep the batch full.
"""

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from figure import Figure, percentile, spread

from inference_figures.flags import OBJECTIVE_SECONDS
from inference_figures.load import Call, Load
from inference_figures.saturation import BODY, PATH
from inference_figures.servers import Running, is_idle_within, other, ours

LEVELS = (0.5, 0.8, 1.2, 2.0, 3.0)
OURS = "Brownout"
OTHERS = {"LitServe": "litserve_server", "Ray Serve": "ray_server", "FastAPI": "plain_fastapi"}

PATIENCE_SECONDS = 6.0
"""After this users go."""

IDLE_SECONDS = 20.0
"""A server that has not become idle within this is started anew."""

QUEUE_SECONDS = 0.5
LEVEL_WITHIN = 0.98
"""Of the best, where the load is so low that everybody can serve it."""

Seen = dict[tuple[str, float], list[list[Call]]]


@dataclass(frozen=True)
class Setting:
    """What is the same for all of a run."""

    folder: Path
    python: Path
    batch: int
    capacity: float
    seconds: float


def measure(setting: Setting, *, rounds: int) -> tuple[list[Figure], list[str]]:
    """The figures, and a table of all that was measured. In each round every server gets the same arrivals at every level, one server after the other."""
    seen: Seen = {}
    (setting.folder / "ours.yaml").write_text(
        f"features:\n  image-generation: {{objectiveSeconds: {OBJECTIVE_SECONDS}}}\n"
    )
    for number in range(rounds):
        for name in (OURS, *OTHERS):
            for level, calls in _levels(name, setting, seed=number):
                seen.setdefault((name, level), []).append(calls)
                said = f"{goodput(calls, setting.seconds):.0f}/s in time, p99 {p99(calls):.2f} s"
                print(f"  round {number + 1} of {rounds}: {name} at {level:g}x: {said}", file=sys.stderr, flush=True)
    return _figures(seen, setting.seconds), _table(seen, setting.seconds)


def _levels(name: str, setting: Setting, *, seed: int) -> Iterator[tuple[float, list[Call]]]:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(_server(name, setting))
        for level in LEVELS:
            if not is_idle_within(IDLE_SECONDS, server, PATH, BODY):
                stack.close()
                server = stack.enter_context(_server(name, setting))
                is_idle_within(IDLE_SECONDS, server, PATH, BODY)
            load = Load(
                server.url,
                rate=level * setting.capacity,
                seconds=setting.seconds,
                seed=seed,
                path=PATH,
                body=BODY,
                patience_seconds=PATIENCE_SECONDS,
            )
            yield level, steady(load.calls(), setting.seconds)


@contextlib.contextmanager
def _server(name: str, setting: Setting) -> Iterator[Running]:
    if name == OURS:
        options = ["--config", str(setting.folder / "ours.yaml"), "--max-batch", str(setting.batch)]
        options += ["--queue-places", "1024", "--queue-seconds", str(QUEUE_SECONDS)]
        with ours(28210, *options, log=setting.folder / "ours.log") as server:
            yield server
    else:
        port, script = 28211 + list(OTHERS).index(name), OTHERS[name]
        with other(script, setting.python, port, setting.batch, log=setting.folder / f"{script}.log") as server:
            yield server


def steady(calls: list[Call], seconds: float) -> list[Call]:
    """Those of the second half."""
    return [call for call in calls if call.sent >= seconds / 2]


def goodput(calls: list[Call], seconds: float) -> float:
    """Answers within the objective, for each second of the half that counts."""
    return sum(call.status == 200 and call.seconds <= OBJECTIVE_SECONDS for call in calls) / (seconds / 2)


def p99(calls: list[Call]) -> float:
    """Seconds that users waited for an answer, or until they gave up; who was refused did not wait."""
    return percentile([call.seconds for call in calls if call.status in (200, 0)] or [float("inf")], 99)


def _figures(seen: Seen, seconds: float) -> list[Figure]:
    behind, below = [], []
    for level in LEVELS:
        rates = {name: median(goodput(calls, seconds) for calls in seen[name, level]) for name in (OURS, *OTHERS)}
        tails = {name: median(map(p99, seen[name, level])) for name in rates}
        best = max(rates[name] for name in OTHERS)
        least = min(tails[name] for name in OTHERS)
        if level > 0.8:
            behind += [f"{level}x"] if rates[OURS] < best or tails[OURS] > least else []
        else:
            below += [f"{level}x"] if rates[OURS] < LEVEL_WITHIN * best else []
    answer = (
        "ahead in throughput within the objective and in p99 at all" if not behind else f"behind at {', '.join(behind)}"
    )
    level_below = "level" if not below else f"behind at {', '.join(below)}"
    return [
        Figure(
            name="throughput and p99 beside LitServe, Ray Serve and FastAPI, above 0.8x capacity",
            goal="ahead of all",
            measured=answer,
            met=not behind,
        ),
        Figure(name="the same, up to 0.8x", goal="level", measured=level_below, met=not below),
    ]


def _table(seen: Seen, seconds: float) -> list[str]:
    names = (OURS, *OTHERS)
    lines = [
        f"Answers within {OBJECTIVE_SECONDS:g} s for each second, and the p99 of the seconds that users waited for an answer or until they gave up ({PATIENCE_SECONDS:g} s), "
        f"in the second half of {seconds:g} s of load. Brownout has a queue of {QUEUE_SECONDS:g} s and refuses the others at once:",
        "",
        "| load, x capacity | " + " | ".join(names) + " |",
        "| --- |" + " --- |" * len(names),
    ]
    for level in LEVELS:
        cells = [
            f"{spread([goodput(calls, seconds) for calls in seen[name, level]]):.0f}/s; p99 {spread([p99(calls) for calls in seen[name, level]]):.2f}"
            for name in names
        ]
        lines.append(f"| {level:g} | " + " | ".join(cells) + " |")
    return lines
