"""`make screenshots`: the pages as they are while a real flood is answered, into docs/images.

It runs the demo (a real control plane, the operator, torch servers under load), waits until features have been taken from some, and
photographs both pages in Chromium. Then it ends the demo.
"""

import argparse
import io
import json
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from playwright.sync_api import Browser  # noqa: E402

from brownout_localcluster.objects import Objects  # noqa: E402
from browser.chromium import chromium  # noqa: E402 - the tests' browser, as they start it

CONSOLE = "http://127.0.0.1:8081/console"
RUNGS_TAKEN = 4
HOLDS_SECONDS = 20.0
PATIENCE_SECONDS = 420.0
COLOURS = 192


@contextmanager
def demo(minutes: float, seed: int) -> Iterator[Path]:
    """The demo, running; gives its kubeconfig."""
    options = ("--headless", "--minutes", str(minutes), "--seed", str(seed))
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen([sys.executable, "-u", "-m", "brownout_demo.main", *options], stdout=said, cwd=ROOT)
        try:
            yield _kubeconfig(process, said)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=120)


def _kubeconfig(process: "subprocess.Popen[bytes]", said: IO[str]) -> Path:
    """Where the demo says that it is, once users come."""
    while process.poll() is None:
        time.sleep(1)
        said.seek(0)
        text = said.read()
        if "users come" in text and (found := re.search(r"KUBECONFIG=([^;\s]+)", text)):
            return Path(found[1])
    said.seek(0)
    raise SystemExit(f"the demo ended before it began; it said {said.read()[-2000:]}")


def wait_until_short() -> None:
    """Until enough has been taken from somebody, and for a while."""
    deadline, since = time.monotonic() + PATIENCE_SECONDS, None
    while since is None or time.monotonic() - since < HOLDS_SECONDS:
        if time.monotonic() > deadline:
            raise SystemExit(f"not {RUNGS_TAKEN} rungs were taken in {PATIENCE_SECONDS:.0f} s")
        time.sleep(1)
        taken = rungs_taken()
        if taken < RUNGS_TAKEN:
            since = None
        elif since is None:
            since = time.monotonic()
            print(f"{taken} rungs are taken; waiting for {HOLDS_SECONDS:.0f} s more", flush=True)


def rungs_taken() -> int:
    try:
        with urllib.request.urlopen(f"{CONSOLE}/state.json", timeout=5) as response:
            state: dict[str, Any] = json.load(response)["state"]
    except OSError:
        return 0
    return sum(pool["ladder"]["taken"] for pool in state["pools"])


def photograph(browser: Browser, address: str, to: Path, *, scheme: Any, width: int, height: int) -> None:
    """A page as a PNG of few colours, from its top to `height`, or to its end where that comes first."""
    context = browser.new_context(
        color_scheme=scheme, viewport={"width": width, "height": height}, locale="en-GB", device_scale_factor=1.5
    )
    page = context.new_page()
    page.goto(address)
    page.wait_for_timeout(4000)  # for the plots, and for whatever comes by the stream
    tall = min(height, int(page.evaluate("Math.ceil(document.body.getBoundingClientRect().bottom)")))
    page.set_viewport_size({"width": width, "height": tall})
    page.wait_for_timeout(500)
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(to, optimize=True)
    print(f"{to.relative_to(ROOT)}: {to.stat().st_size // 1024} kB")
    context.close()


def main() -> None:
    """Write docs/images/status.png and docs/images/console.png."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="how long the demo's load is planned (5)")
    parser.add_argument("--seed", type=int, default=3, help="of the users' arrivals")
    options = parser.parse_args()
    folder = ROOT / "docs" / "images"
    folder.mkdir(exist_ok=True)
    with demo(options.minutes, options.seed) as kubeconfig, chromium() as browser:
        wait_until_short()
        flags = Objects(kubeconfig).get("v1", "Service", "brownout-flags", namespace="brownout-system")
        status = f"http://{flags['spec']['clusterIP']}:8080/media/status"
        photograph(browser, status, folder / "status.png", scheme="light", width=900, height=1400)
        photograph(browser, CONSOLE, folder / "console.png", scheme="dark", width=1440, height=2200)


if __name__ == "__main__":
    main()
