"""Every answer that is not what was asked for leaves here, as problem+json with OpenAI's `error` member in it."""

import json
import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

from brownout_inference import refusal
from brownout_inference.admission import Phase
from brownout_inference.http.context import SERVING
from brownout_inference.refusal import Refusal, RefusedError

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


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
    if request.app[SERVING].admission.phase is Phase.DRAINING and not response.prepared:
        response.force_close()
    return response


def problem(refused: Refusal) -> web.Response:
    """The answer to a refusal."""
    return web.Response(
        status=refused.status,
        text=json.dumps(refused.body()),
        content_type="application/problem+json",
        headers=refused.headers(),
    )
