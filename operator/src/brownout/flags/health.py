"""What the process says of itself: live, ready, and its metrics."""

import time
from typing import Any

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from brownout.flags.board import Board
from brownout.flags.metrics import Metrics
from brownout.flags.service import Service


def health(board: Board, metrics: Metrics, service: Service, *, named: bool = True) -> list[web.RouteDef]:
    """The routes of probes and of Prometheus. named: whoever asks may know the namespaces that are served."""

    async def livez(request: web.Request) -> web.Response:
        return web.json_response({"live": True})

    async def readyz(request: web.Request) -> web.Response:
        """Ready as soon as there is any set, from the snapshot or from the API server, and for as long as the process lives.

        A namespace that the API server does not tell of keeps no other from being served: it has to have been asked for, no more.
        Nor does one with an object that cannot be read; where that is the only one, there is nothing to serve.
        """
        age = service.heard_from.age_seconds()
        has_sets = bool(board.namespaces())
        body: dict[str, Any] = {
            "ready": service.restored or board.settled if has_sets else board.complete and not board.withheld,
            "synced": board.complete,
            "syncAgeSeconds": None if age is None else round(age, 1),
            "time": round(time.time(), 3),
        }
        if named:
            body |= {"awaited": board.awaited, "withheld": sorted(board.withheld), "sets": board.versions()}
        return web.json_response(body, status=200 if body["ready"] else 503)

    async def prometheus(request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return [web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", prometheus)]
