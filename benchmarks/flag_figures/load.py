"""Load from `wrk`, a closed loop over kept connections, and what it saw."""

import re
import shutil
import subprocess
from pathlib import Path

import msgspec

from flag_figures.processes import CLIENT_CORE, Server

CONNECTIONS = 32
UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


class Seen(msgspec.Struct, frozen=True):
    """Requests a second, the 99th percentile of the time to an answer, and the server's processor time for each."""

    per_second: float
    p99_ms: float
    cpu_us: float


def available() -> bool:
    return shutil.which("wrk") is not None


def script(folder: Path, body: bytes, headers: dict[str, str]) -> Path:
    """What wrk sends: the same POST for ever."""
    lines = [
        'wrk.method = "POST"',
        f"wrk.body = {_lua(body.decode())}",
        'wrk.headers["Content-Type"] = "application/json"',
    ]
    lines += [f"wrk.headers[{_lua(name)}] = {_lua(value)}" for name, value in headers.items()]
    path = folder / f"post-{len(headers)}.lua"
    path.write_text("\n".join(lines) + "\n")
    return path


def drive(server: Server, path: str, script: Path, *, seconds: int, accepted: bool = True) -> Seen:
    """Send the script's request over 32 connections from the other core. Raises RuntimeError on any error answer."""
    before = server.cpu_seconds()
    command = [
        "taskset",
        "-c",
        str(CLIENT_CORE),
        "wrk",
        "-t1",
        f"-c{CONNECTIONS}",
        f"-d{seconds}s",
        "--latency",
        "--timeout",
        "10s",
    ]
    output = subprocess.run(
        [*command, "-s", str(script), server.url + path], check=True, capture_output=True, text=True
    ).stdout
    spent = server.cpu_seconds() - before
    if accepted and ("Non-2xx" in output or "Socket errors" in output):
        raise RuntimeError(f"{path} was refused under load:\n{output}")
    count = int(_found(r"(\d+) requests in", output)[1])
    p99 = _found(r"99%\s+([\d.]+)(us|ms|s)", output)
    return Seen(
        per_second=float(_found(r"Requests/sec:\s+([\d.]+)", output)[1]),
        p99_ms=float(p99[1]) * UNITS[p99[2]],
        cpu_us=1e6 * spent / count,
    )


def _found(pattern: str, output: str) -> re.Match[str]:
    found = re.search(pattern, output)
    if found is None:
        raise RuntimeError(f"wrk printed no {pattern!r}:\n{output}")
    return found


def _lua(text: str) -> str:
    """A text as a Lua string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
