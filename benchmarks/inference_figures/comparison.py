"""Beside LitServe and Ray Serve with dynamic batching, and FastAPI without, below and above what the machine can do."""

import contextlib
from pathlib import Path
from statistics import median

from figure import Figure, percentile, spread

from inference_figures.flags import OBJECTIVE_SECONDS
from inference_figures.load import Call, Load
from inference_figures.saturation import BODY, PATH
from inference_figures.servers import other, ours

LEVELS = (0.5, 0.8, 1.0, 1.5, 2.0, 3.0)
OTHERS = {"LitServe": "litserve_server", "Ray Serve": "ray_server", "FastAPI": "plain_fastapi"}


def measure(
    folder: Path, *, python: Path, batch: int, capacity: float, rounds: int, seconds: float
) -> tuple[list[Figure], list[str]]:
    """The figures, and a table of all that was measured. In each round every server gets the same arrivals at every level, one server after the other."""
    seen: dict[tuple[str, float], list[list[Call]]] = {}
    config = folder / "ours.yaml"
    config.write_text(f"features:\n  image-generation: {{objectiveSeconds: {OBJECTIVE_SECONDS}}}\n")
    for number in range(rounds):
        for name in ("Brownout", *OTHERS):
            with _server(name, folder, python=python, batch=batch, config=config) as server:
                for level in LEVELS:
                    load = Load(server.url, rate=level * capacity, seconds=seconds, seed=number, path=PATH, body=BODY)
                    seen.setdefault((name, level), []).append(load.calls())
    return _figures(seen, seconds), _table(seen, seconds)


@contextlib.contextmanager
def _server(name: str, folder: Path, *, python: Path, batch: int, config: Path):  # type: ignore[no-untyped-def]
    if name == "Brownout":
        with ours(
            28210, "--config", str(config), "--max-batch", str(batch), "--queue-places", "1024", log=folder / "ours.log"
        ) as server:
            yield server
    else:
        port = 28211 + list(OTHERS).index(name)
        with other(OTHERS[name], python, port, batch, log=folder / f"{OTHERS[name]}.log") as server:
            yield server


def goodput(calls: list[Call], seconds: float) -> float:
    """Answers within the objective, for each second of load."""
    return sum(call.status == 200 and call.seconds <= OBJECTIVE_SECONDS for call in calls) / seconds


def p99(calls: list[Call]) -> float:
    """Of those that were answered, in seconds."""
    return percentile([call.seconds for call in calls if call.status == 200] or [float("inf")], 99)


def _figures(seen: dict[tuple[str, float], list[list[Call]]], seconds: float) -> list[Figure]:
    behind, below = [], []
    for level in LEVELS:
        rates = {name: median(goodput(calls, seconds) for calls in seen[name, level]) for name in ("Brownout", *OTHERS)}
        tails = {name: median(map(p99, seen[name, level])) for name in rates}
        best = max(rates[name] for name in OTHERS)
        least = min(tails[name] for name in OTHERS)
        if level > 0.8:
            behind += [f"{level}x"] if rates["Brownout"] < best or tails["Brownout"] > least else []
        else:
            below += [f"{level}x"] if rates["Brownout"] < 0.98 * best else []
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


def _table(seen: dict[tuple[str, float], list[list[Call]]], seconds: float) -> list[str]:
    names = ("Brownout", *OTHERS)
    lines = [
        f"Answers within {OBJECTIVE_SECONDS:g} s for each second, and p99 of all that was answered, in seconds:",
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
