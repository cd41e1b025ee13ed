"""Who may ask the ledger for whom, where callers are told apart: whoever is trusted for anybody, everybody else for himself.

An evaluation believes any targetingKey, by which nobody gains anything. Here it would use up the units of somebody else.
"""

from typing import Any

from aiohttp import web

from brownout.flags.board import Board
from brownout.flags.callers import TARGETING_KEY, Callers, RefusedError
from brownout.flags.context import parse
from brownout.flags.quota.asking import BESIDE_CONTEXT
from brownout.flags.quota.endpoints import Problem, Resolve

CODES = {401: "unauthorized", 403: "forbidden"}


def by_callers(callers: Callers, board: Board) -> Resolve:
    """Contexts as `callers` tells them; who is not trusted needs a token with a `sub`."""

    async def resolve(request: web.Request, body: bytes) -> dict[str, Any]:
        namespace = request.match_info.get("namespace") or board.only() or ""
        try:
            caller = await callers.tell(request.headers, namespace)
        except RefusedError as refused:
            raise Problem(refused.status, CODES.get(refused.status, "internal"), refused.sentence) from None
        if not caller.trusted and not caller.vouched.get(TARGETING_KEY):
            sentence = (
                "show whose units they are: a token with a subject, or the API key of a server that asks for its users"
            )
            raise Problem(401, "unauthorized", sentence)
        return caller.context(parse(body, beside=BESIDE_CONTEXT))

    return resolve
