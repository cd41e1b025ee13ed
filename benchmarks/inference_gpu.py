"""The engines on a GPU: steps by batch size, saturation beside bare loops, and where memory ends.

    python benchmarks/inference_gpu.py [--out FOLDER] [--minutes 5.5] [--only PART ...] [--tiny]

Needs torch, transformers, diffusers and the server's own dependencies; no network: models are made where they run, with random weights. Each part runs in a process of its own
and is ended when its time is over; what was found until then is kept. Writes inference_gpu.json and inference_gpu.md after every part. `--tiny` makes every model
tiny, to try the script without a GPU.
"""

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "inference" / "src")]

PARTS = {
    "language": ("gpu_figures.language", "measure", 0.34),
    "pictures": ("gpu_figures.pictures", "measure", 0.31),
    "language-memory": ("gpu_figures.language", "measure_memory", 0.08),
    "pictures-memory": ("gpu_figures.pictures", "measure_memory", 0.16),
    "shipped": ("gpu_figures.shipped", "measure", 0.11),
}
"""Where each part's measurement is, and its share of the time; what one part leaves the next ones have."""

MARK = "FIGURE "


def main() -> None:
    parser = argparse.ArgumentParser(description="The engines on a GPU.")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    parser.add_argument("--minutes", type=float, default=5.5, help="how long all parts may take together")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--part", choices=PARTS, help="run this part here, and print its figures")
    args = parser.parse_args()
    if args.part:
        module, function, _ = PARTS[args.part]
        getattr(importlib.import_module(module), function)(args.tiny)
        return
    args.out.mkdir(parents=True, exist_ok=True)
    figures: list[dict[str, Any]] = []
    about = _machine()
    print(json.dumps(about), flush=True)
    end = time.monotonic() + 60 * args.minutes
    shares = sum(PARTS[part][2] for part in args.only)
    for part in args.only:
        share = PARTS[part][2]
        seconds = (end - time.monotonic()) * share / shares
        shares -= share
        began = time.monotonic()
        print(f"== {part}, {seconds:.0f} s at most", flush=True)
        try:
            figures += _run(part, tiny=args.tiny, seconds=seconds)
        except Exception:
            traceback.print_exc()
        print(f"== {part} took {time.monotonic() - began:.0f} s", flush=True)
        _write(args.out, about, figures)


def _run(part: str, *, tiny: bool, seconds: float) -> list[dict[str, Any]]:
    command = [sys.executable, "-u", str(Path(__file__).resolve()), "--part", part, *(["--tiny"] if tiny else [])]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "PYTORCH_ALLOC_CONF": "expandable_segments:True"}
    found: list[dict[str, Any]] = []
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    timer = threading.Timer(seconds, running.kill)
    timer.start()
    try:
        assert running.stdout is not None
        for line in running.stdout:
            print(line, end="", flush=True)
            if line.startswith(MARK):
                found.append({"part": part, **json.loads(line.removeprefix(MARK))})
        status = running.wait()
    finally:
        timer.cancel()
        running.kill()
    if status:
        found.append({"part": part, "name": "ended", "note": f"with status {status}; its time was {seconds:.0f} s"})
    return found


def _machine() -> dict[str, Any]:
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return {"gpu": gpu, "torch": torch.__version__, "python": platform.python_version(), "cores": os.cpu_count()}


def _write(folder: Path, about: dict[str, Any], figures: list[dict[str, Any]]) -> None:
    (folder / "inference_gpu.json").write_text(json.dumps({"machine": about, "figures": figures}, indent=1) + "\n")
    lines = [
        "# The engines on a GPU",
        "",
        f"{about['gpu']}, torch {about['torch']}, Python {about['python']}. Medians of repeated runs, with the least and the most.",
        "",
        "| part | what | setting | found |",
        "|---|---|---|---|",
    ]
    for figure in figures:
        known = {"part", "name", "unit", "value", "low", "high", "note"}
        setting = ", ".join(f"{name} {value}" for name, value in figure.items() if name not in known)
        found = figure.get("note") or (
            f"{figure['value']:.4g} {figure['unit']} ({figure['low']:.4g} to {figure['high']:.4g})"
        )
        lines.append(f"| {figure['part']} | {figure['name']} | {setting} | {found} |")
    (folder / "inference_gpu.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
