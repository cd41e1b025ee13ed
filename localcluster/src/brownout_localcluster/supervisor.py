"""The process behind a cluster: it starts the control plane, runs the pods, takes orders, and cleans up.

It ends when its starter does (their pipe closes, however the starter dies), at SIGTERM or SIGINT; then it ends every process
that it started and removes the cluster's folder. Should it be killed itself, the kernel kills its children, and the next start on
the machine removes the folder.
"""

import asyncio
import contextlib
import datetime
import json
import logging
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec

from brownout_localcluster.addresses import Slice, claim_slice, free_port
from brownout_localcluster.certificates import admin_kubeconfig, write_certificates
from brownout_localcluster.controlplane import ControlPlane, StartError, bring_up
from brownout_localcluster.processes import start_time
from brownout_localcluster.runner.runner import Runner
from brownout_localcluster.spec import ClusterSpec, ClusterState, Endpoints, Layout

log = logging.getLogger(__name__)

POD_GRACE_SECONDS = 2.0
"""How long pods have when the whole cluster ends."""


class Supervisor:
    """Runs the cluster of one folder."""

    def __init__(self, layout: Layout, *, detached: bool) -> None:
        self._layout = layout
        self._detached = detached
        self._spec = msgspec.json.decode(layout.spec.read_bytes(), type=ClusterSpec)
        self._end = asyncio.Event()
        self._plane: ControlPlane | None = None

    async def run(self) -> None:
        """Runs until told to end, then leaves nothing behind. Raises StartError if the cluster does not come up."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._end.set)
        if not self._detached:
            loop.add_reader(sys.stdin.fileno(), self._on_stdin)
        claimed, claim = claim_slice()
        runner = None
        control = None
        tasks: list[asyncio.Task[Any]] = []
        try:
            at = self._prepare(claimed)
            plane = self._plane = ControlPlane(self._spec, self._layout, at)
            ending = asyncio.create_task(self._end.wait())
            rising = asyncio.create_task(bring_up(plane, self._spec, self._layout, at))
            tasks += [ending, rising]
            await asyncio.wait([ending, rising], return_when=asyncio.FIRST_COMPLETED)
            if not rising.done():
                return
            rising.result()
            runner = Runner(self._spec, self._layout, at)
            running = asyncio.create_task(runner.run())
            tasks.append(running)
            control = await asyncio.start_unix_server(self._serve, self._layout.control_socket)
            report(ready=True)
            await asyncio.wait([ending, running], return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
        finally:
            if control:
                control.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if runner:
                await runner.stop(POD_GRACE_SECONDS)
            if self._plane:
                await self._plane.stop_all()
            claim.close()

    def _prepare(self, claimed: Slice) -> Endpoints:
        address = claimed.control_plane
        at = Endpoints(
            address=address,
            pods=claimed.pods,
            services=claimed.services,
            api_server=free_port(address, 6443),
            controller_manager=free_port(address, 10257),
            scheduler=free_port(address, 10259),
            etcd=free_port(address, 2379),
            etcd_peer=free_port(address, 2380),
            kwok=free_port(address, 10247),
            kubelet=free_port(address, 10250),
            prometheus=free_port(address, 9090),
        )
        write_certificates(self._layout.certificates, addresses=[address, claimed.first_service, "127.0.0.1"])
        self._layout.kubeconfig.touch(mode=0o600)
        self._layout.kubeconfig.write_text(admin_kubeconfig(self._layout.certificates, at.server))
        state = ClusterState(
            name=self._spec.name,
            pid=os.getpid(),
            start_time=start_time(os.getpid()) or 0,
            started_at=datetime.datetime.now(datetime.UTC),
            endpoints=at,
        )
        fresh = self._layout.state.with_suffix(".fresh")
        fresh.write_bytes(msgspec.json.encode(state))
        fresh.replace(self._layout.state)
        return at

    def _on_stdin(self) -> None:
        if not os.read(sys.stdin.fileno(), 1024):
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            self._end.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers one order: a JSON object on a line, such as {"do": "stop", "process": "prometheus"}."""
        try:
            order = json.loads(await reader.readline())
            try:
                answer = {"ok": True, "processes": await self._obey(order)}
            except (StartError, KeyError, OSError) as error:
                answer = {"ok": False, "error": str(error)}
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        except (ValueError, ConnectionError) as error:
            log.warning("order not understood: %r", error)
        finally:
            writer.close()

    async def _obey(self, order: dict[str, str]) -> dict[str, int]:
        plane = self._plane
        assert plane is not None
        match order["do"]:
            case "start":
                plane.start(order["process"])
            case "stop":
                await plane.stop(order["process"])
            case "pause":
                plane.signal(order["process"], signal.SIGSTOP)
            case "resume":
                plane.signal(order["process"], signal.SIGCONT)
            case "list":
                pass
            case other:
                raise StartError(f"no order {other!r}; there are start, stop, pause, resume, list")
        return plane.pids


def report(**what: Any) -> None:
    """Tells the starter something, as a JSON object on a line; a starter that has gone is no error."""
    with contextlib.suppress(BrokenPipeError, ValueError):
        print(json.dumps(what), flush=True)


def main() -> None:
    """`python -m brownout_localcluster.supervisor FOLDER [--detached]`: started by `LocalCluster` alone."""
    layout = Layout(Path(sys.argv[1]))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        asyncio.run(Supervisor(layout, detached="--detached" in sys.argv[2:]).run())
    except StartError as error:
        report(failed=str(error))
    except Exception as error:
        log.exception("the cluster ends")
        report(failed=f"{type(error).__name__}: {error}")
    finally:
        keep_logs(layout)
        shutil.rmtree(layout.root, ignore_errors=True)


def keep_logs(layout: Layout) -> None:
    """Copies the logs to where the spec wants them kept, if it does."""
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        spec = msgspec.json.decode(layout.spec.read_bytes(), type=ClusterSpec)
        if spec.keep_logs:
            shutil.copytree(layout.logs, spec.keep_logs, dirs_exist_ok=True)


if __name__ == "__main__":
    main()
