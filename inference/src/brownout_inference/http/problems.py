"""Every answer that is not what was asked for leaves here, as problem+json with OpenAI's `error` member in it."""

import logging
from uuid import uuid4

import msgspec
from aiohttp import web

from brownout_inference import refusal
from brownout_inference.admission import Phase
from brownout_inference.http.connections import Handler
from brownout_inference.http.context import SERVING
from brownout_inference.refusal import Refusal, RefusedError

log = logging.getLogger(__name__)


@web.middleware
async def answer_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns refusals and errors into answers, and closes connections while the server drains."""
    try:
        response = await handler(request)
    except RefusedError as refused:
        response = problem(refused.refusal)
    except web.HTTPException as error:
        reason = error.reason.lower().replace(" ", "_")
        response = problem(
            refusal.bad_request(f"{request.method} {request.path}: {error.reason}.", status=error.status, reason=reason)
        )
        response.headers.update({name: value for name, value in error.headers.items() if name == "Allow"})
    except ConnectionError:
        raise  # the client has gone; there is nobody to answer
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        response = problem(
            Refusal(status=500, reason="internal", title="Internal error", detail="The server failed on this request.")
        )
    if not response.prepared and (request.app[SERVING].admission.phase is Phase.DRAINING or response.status == 408):
        response.force_close()
    return response


async def name_answer(_: web.Request, response: web.StreamResponse) -> None:
    """An id for each answer, which OpenAI's clients show with their errors."""
    response.headers.setdefault("X-Request-Id", f"req_{uuid4().hex}")


def problem(refused: Refusal) -> web.Response:
    """The answer to a refusal."""
    return web.Response(
        status=refused.status,
        body=msgspec.json.encode(refused.body()),
        content_type="application/problem+json",
        headers=refused.headers(),
    )
