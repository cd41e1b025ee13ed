"""`brownout` as a process of its own, on a test's cluster."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

BROWNOUT = (sys.executable, "-m", "brownout.cli.main")


def environment(kubeconfig: Path) -> dict[str, str]:
    """This process's, with a kubeconfig and a width at which no line breaks."""
    return {**os.environ, "KUBECONFIG": str(kubeconfig), "COLUMNS": "200"}


def brownout(kubeconfig: Path, *words: str, seconds: float = 60.0) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end; what it printed is text."""
    return subprocess.run(
        [*BROWNOUT, *words],
        env=environment(kubeconfig),
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
    )


def printed_json(ran: subprocess.CompletedProcess[str]) -> Any:
    """What a command printed, as JSON; fails with what it complained of."""
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def start(kubeconfig: Path, *words: str) -> "subprocess.Popen[str]":
    """Starts a command and does not wait for it."""
    return subprocess.Popen(
        [*BROWNOUT, *words],
        env=environment(kubeconfig),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
