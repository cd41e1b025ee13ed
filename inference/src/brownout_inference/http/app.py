"""The routes."""

from aiohttp import web

from brownout_inference.http import status
from brownout_inference.http.callers import CALLERS, Callers
from brownout_inference.http.chat import complete_chat
from brownout_inference.http.context import SERVING, Serving
from brownout_inference.http.pictures import generate_images, generate_video
from brownout_inference.http.problems import answer_problems

MAX_BODY_BYTES = 256 * 1024


def make_app(serving: Serving) -> web.Application:
    """The application of a server."""
    app = web.Application(middlewares=[answer_problems], client_max_size=MAX_BODY_BYTES)
    app[SERVING] = serving
    app[CALLERS] = callers = Callers(serving.settings.identity)
    app.cleanup_ctx.append(callers.background)
    app.add_routes(
        [
            web.get("/healthz", status.live),
            web.get("/readyz", status.ready),
            web.get("/metrics", status.metrics),
            web.get("/v1/models", status.models),
            web.post("/v1/images/generations", generate_images),
            web.post("/v1/videos", generate_video),
            web.post("/v1/chat/completions", complete_chat),
        ]
    )
    return app
