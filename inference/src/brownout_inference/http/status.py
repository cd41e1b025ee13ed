"""Liveness, readiness, the list of models, and the metrics page."""

from typing import Any

from aiohttp import web
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from brownout_inference import refusal
from brownout_inference.admission import Phase
from brownout_inference.http.callers import CALLERS
from brownout_inference.http.context import SERVING, Serving
from brownout_inference.refusal import RefusedError


async def live(_: web.Request) -> web.Response:
    """The process answers; while it loads and while it drains, too."""
    return web.Response(text="live\n")


async def ready(request: web.Request) -> web.Response:
    """Ready after the warm-up, and with `--flags-required` after the first flags; not while draining."""
    serving = request.app[SERVING]
    phase = serving.admission.phase
    waiting_for = phase.value
    if phase is Phase.SERVING:
        waiting_for = "" if serving.flags.received or not serving.settings.flags.required else "flags"
        waiting_for = waiting_for or ("" if request.app[CALLERS].can_tell else "keys for tokens")
    if not waiting_for:
        return web.Response(text="ready\n")
    if phase is Phase.LOADING:
        waiting_for = f"{phase.value}: {serving.engine}"
    raise RefusedError(refusal.unavailable(refusal.NOT_READY, f"Not ready: {waiting_for}."))


async def models(request: web.Request) -> web.Response:
    """What a request may name as its `model`."""
    serving = request.app[SERVING]
    return web.json_response({"object": "list", "data": [_described(serving, name) for name in serving.models]})


async def model(request: web.Request) -> web.Response:
    """One of them."""
    serving = request.app[SERVING]
    return web.json_response(_described(serving, serving.model(request.match_info["name"])))


async def metrics(request: web.Request) -> web.Response:
    """The metrics in Prometheus' text format."""
    page = request.app[SERVING].meters.page()
    return web.Response(body=page, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})


def _described(serving: Serving, name: str) -> dict[str, Any]:
    features = [feature.flag_key for feature in serving.settings.features]
    return {
        "id": name,
        "object": "model",
        "created": serving.started_at,
        "owned_by": "brownout",
        "features": features,
    }
