"""Probes: when a container counts as started, ready and alive. The tally is pure; the checks are HTTP, TCP and commands."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Timing:
    """The numbers of a probe, with Kubernetes' defaults. Times in seconds, thresholds in consecutive answers."""

    initial_delay: float
    period: float
    timeout: float
    success_threshold: int
    failure_threshold: int

    @classmethod
    def of(cls, probe: Manifest) -> "Timing":
        """Reads a probe of a container's spec."""
        return cls(
            initial_delay=probe.get("initialDelaySeconds", 0),
            period=probe.get("periodSeconds", 10),
            timeout=probe.get("timeoutSeconds", 1),
            success_threshold=probe.get("successThreshold", 1),
            failure_threshold=probe.get("failureThreshold", 3),
        )


@dataclass(slots=True)
class Tally:
    """Counts consecutive answers. `verdict` changes only at a threshold."""

    timing: Timing
    verdict: bool
    _run: int = 0
    _last: bool | None = None

    def count(self, healthy: bool) -> bool:
        """Counts one answer; returns whether a threshold is reached with it (again, or for the first time)."""
        self._run = self._run + 1 if healthy == self._last else 1
        self._last = healthy
        threshold = self.timing.success_threshold if healthy else self.timing.failure_threshold
        if self._run < threshold:
            return False
        self.verdict = healthy
        return True


@dataclass(frozen=True, slots=True)
class Target:
    """Where a probe finds its container: the pod's address, its named ports, and a way to run a command in its environment."""

    address: str
    ports: dict[str, int]
    run: Callable[[list[str], float], Awaitable[bool]]
    session: aiohttp.ClientSession

    def port(self, port: int | str) -> int:
        """The number of a port given by number or name; 0, which nothing answers on, for a name that the pod lacks."""
        return port if isinstance(port, int) else self.ports.get(port, 0)


async def check(probe: Manifest, target: Target) -> bool:
    """Asks once; every kind of failure is False. A kind of probe we do not know fails, which is visible."""
    timeout = Timing.of(probe).timeout
    try:
        if "httpGet" in probe:
            return await _http(probe["httpGet"], target, timeout)
        if "tcpSocket" in probe:
            return await _tcp(probe["tcpSocket"], target, timeout)
        if "exec" in probe:
            return await target.run(probe["exec"]["command"], timeout)
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
        return False
    return False


async def _http(wanted: Manifest, target: Target, timeout: float) -> bool:
    scheme = wanted.get("scheme", "HTTP").lower()
    url = f"{scheme}://{wanted.get('host', target.address)}:{target.port(wanted['port'])}{wanted.get('path', '/')}"
    headers = {header["name"]: header["value"] for header in wanted.get("httpHeaders", [])}
    async with target.session.get(
        url, headers=headers, ssl=False, allow_redirects=False, timeout=aiohttp.ClientTimeout(total=timeout)
    ) as answer:
        return 200 <= answer.status < 400


async def _tcp(wanted: Manifest, target: Target, timeout: float) -> bool:
    async with asyncio.timeout(timeout):
        _, writer = await asyncio.open_connection(wanted.get("host", target.address), target.port(wanted["port"]))
    writer.close()
    return True
