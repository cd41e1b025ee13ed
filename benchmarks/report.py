"""The table of a benchmark: on the terminal, and as a page and JSON in benchmarks/results."""

import json
import platform
from collections.abc import Sequence
from pathlib import Path

import msgspec
from figure import Figure
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"
VERDICTS = {True: "met", False: "**not met**", None: ""}


def machine() -> str:
    """The processors, the system and the interpreter."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return (
        f"{models[0] if models else platform.processor()}, {len(models)} processors, {platform.system()}"
        f" {platform.machine()}, Python {platform.python_version()}"
    )


def print_figures(figures: Sequence[Figure]) -> None:
    """The table on the terminal."""
    table = Table("figure", "goal", "measured", "")
    for figure in figures:
        table.add_row(figure.name, figure.goal, figure.measured, VERDICTS[figure.met].strip("*"))
    console = Console(width=160)
    console.print(machine())
    console.print(table)


def write_figures(
    name: str, title: str, figures: Sequence[Figure], minutes: float, how: str, more: Sequence[str] = ()
) -> None:
    """`NAME.md` and `NAME.json`; `how` says how it was measured, `more` are lines after the table."""
    lines = [
        f"# {title}",
        "",
        f"{machine()}; {minutes:.0f} minutes. {how}",
        "",
        "| figure | goal | measured |  |",
        "| --- | --- | --- | --- |",
        *(f"| {f.name} | {f.goal} | {f.measured} | {VERDICTS[f.met]} |" for f in figures),
        *(["", *more] if more else []),
    ]
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text("\n".join(lines) + "\n")
    content = {"machine": machine(), "minutes": round(minutes, 1), "figures": msgspec.to_builtins(list(figures))}
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
