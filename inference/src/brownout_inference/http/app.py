"""The routes."""

from aiohttp import web

from brownout_inference.http import status, videos
from brownout_inference.http.bodies import MAX_BODY_BYTES
from brownout_inference.http.callers import CALLERS, Callers
from brownout_inference.http.chat import complete_chat
from brownout_inference.http.connections import tell_gate
from brownout_inference.http.context import SERVING, Serving
from brownout_inference.http.images import generate_images
from brownout_inference.http.jobs import JOBS, Jobs
from brownout_inference.http.problems import answer_problems, name_answer


def make_app(serving: Serving) -> web.Application:
    """The application of a server."""
    app = web.Application(middlewares=[tell_gate, answer_problems], client_max_size=MAX_BODY_BYTES)
    app.on_response_prepare.append(name_answer)
    app[SERVING] = serving
    app[CALLERS] = callers = Callers(serving.settings.identity)
    app[JOBS] = jobs = Jobs(serving.admission)
    app.cleanup_ctx.extend([callers.background, jobs.background])
    app.add_routes(
        [
            web.get("/healthz", status.live),
            web.get("/readyz", status.ready),
            web.get("/v1/models", status.models),
            web.get("/v1/models/{name:.+}", status.model),
            web.post("/v1/images/generations", generate_images),
            web.post("/v1/videos", videos.create_video),
            web.get("/v1/videos", videos.list_videos),
            web.get("/v1/videos/{id}", videos.retrieve_video),
            web.delete("/v1/videos/{id}", videos.delete_video),
            web.get("/v1/videos/{id}/content", videos.video_content),
            web.post("/v1/chat/completions", complete_chat),
        ]
    )
    if serving.settings.metrics_port is None:
        app.add_routes([web.get("/metrics", status.metrics)])
    return app


def make_metrics_app(serving: Serving) -> web.Application:
    """The application of a port that is for Prometheus alone: metrics name users."""
    app = web.Application(middlewares=[tell_gate, answer_problems])
    app[SERVING] = serving
    app.add_routes([web.get("/metrics", status.metrics)])
    return app
