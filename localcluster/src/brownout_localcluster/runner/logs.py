"""Answers `kubectl logs` in the kubelet's place: the API server asks the node's port for a container's log."""

import asyncio
import ssl
from pathlib import Path

from aiohttp import web

_LOOK_SECONDS = 0.25
_BLOCK_BYTES = 2**16


class LogServer:
    """Serves the logs under `logs` to whoever has a certificate of the cluster's authority."""

    def __init__(self, logs: Path, certificates: Path) -> None:
        self._logs = logs
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(certificates / "ca.crt"))
        self._tls.load_cert_chain(certificates / "apiserver.crt", certificates / "apiserver.key")
        self._tls.verify_mode = ssl.CERT_REQUIRED
        self._server: web.AppRunner | None = None

    async def start(self, address: str, port: int) -> None:
        """Begins to listen. Raises OSError."""
        application = web.Application()
        application.router.add_get("/containerLogs/{namespace}/{pod}/{container}", self._answer)
        self._server = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._server.setup()
        await web.TCPSite(self._server, address, port, ssl_context=self._tls).start()

    async def stop(self) -> None:
        """Ends, and with it every log that is being followed."""
        if self._server:
            await self._server.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        names = request.match_info
        file = self._find(names["namespace"], names["pod"], names["container"], request.query.get("previous") == "true")
        if file is None:
            raise web.HTTPNotFound(text="this container has printed nothing (yet)")
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        with file.open("rb") as log:
            log.seek(_start_of_tail(file, request.query.get("tailLines")))
            while True:
                block = log.read(_BLOCK_BYTES)
                if block:
                    await response.write(block)
                elif request.query.get("follow") == "true" and file.exists():
                    await asyncio.sleep(_LOOK_SECONDS)
                else:
                    return response

    def _find(self, namespace: str, pod: str, container: str, previous: bool) -> Path | None:
        folders = sorted(self._logs.glob(f"{namespace}_{pod}_*/{container}"), key=lambda path: path.stat().st_ctime)
        if not folders:
            return None
        files = sorted(folders[-1].glob("*.log"), key=lambda path: int(path.stem))
        wanted = files[:-1] if previous else files
        return wanted[-1] if wanted else None


def _start_of_tail(file: Path, lines: str | None) -> int:
    """The offset at which the last `lines` lines of a file begin."""
    if lines is None:
        return 0
    content = file.read_bytes()
    ends = [position for position, byte in enumerate(content[:-1]) if byte == ord("\n")]
    count = int(lines)
    if count == 0:
        return len(content)
    return 0 if len(ends) < count else ends[-count] + 1
