"""The bodies of requests: read in time, of bounded size and depth, and of a shape that is understood in full.

A parameter that is not understood is refused, as OpenAI does: to ignore it would be to answer another question than the one that was asked.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from brownout_inference import refusal
from brownout_inference.http.connections import gate_of
from brownout_inference.refusal import RefusedError
from brownout_inference.shapes import fault, one_of, shown

T = TypeVar("T")

MAX_BODY_BYTES = 256 * 1024
MAX_DEPTH = 32
"""How deep lists and objects may lie in each other."""
MOST_EXPLAINED_BYTES = 32 * 1024
"""What is wrong with a larger body is said in the decoder's words: to look for its smallest wrong part takes a tenth of a second where there are many."""
DECODED_AT_ONCE_BYTES = 16 * 1024
"""Larger bodies are decoded in a thread, so that nobody else's answer waits for them."""
BODY_SECONDS = 15.0
"""How long a body may take to come."""


async def read_body(request: web.Request, shape: type[T]) -> T:
    """The JSON body of a request in the shape that is expected. Raises RefusedError: 400 that names the field, 408, 413."""
    body = await received(request)
    if len(body) <= DECODED_AT_ONCE_BYTES:
        return decoded(body, shape)
    return await asyncio.to_thread(decoded, body, shape)


async def received(request: web.Request) -> bytes:
    """The whole body. Raises RefusedError (408) where it takes too long."""
    if request.content.is_eof():  # it came with the headers
        if gate := gate_of(request):
            gate.request_came()
        return await request.read()
    async with in_time(request):
        return await request.read()


@asynccontextmanager
async def in_time(request: web.Request) -> AsyncIterator[None]:
    """For reading a body: raises RefusedError (408) where that takes too long, and has the connection count as busy afterwards."""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            yield
    except TimeoutError:
        detail = f"The body did not come within {BODY_SECONDS:.0f} s."
        raise RefusedError(refusal.bad_request(detail, status=408, reason="request_timeout")) from None
    if gate := gate_of(request):
        gate.request_came()


def decoded(body: bytes, shape: type[T]) -> T:
    """JSON in the shape that is expected. Raises RefusedError (400)."""
    if too_deep(body):
        detail = f"The body is nested deeper than {MAX_DEPTH} levels."
        raise RefusedError(refusal.bad_request(detail))
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        raise RefusedError(_misshapen(body, shape, error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RefusedError(refusal.bad_request(f"The body is not JSON: {error}.")) from error


def too_deep(body: bytes) -> bool:
    """Whether brackets lie more than MAX_DEPTH deep in each other, those in texts left out."""
    depth = 0
    for found in re.finditer(rb'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', body, re.DOTALL):
        match found[0][:1]:
            case b"[" | b"{":
                depth += 1
                if depth > MAX_DEPTH:
                    return True
            case b"]" | b"}":
                depth -= 1
    return False


def refuse_unsupported(body: msgspec.Struct, harmless: Mapping[str, tuple[Any, ...]], *, place: str = "") -> None:
    """Refuses parameters of OpenAI's that would change the meaning and are not supported. Raises RefusedError (400).

    `harmless` gives the values that say what is done anyway; null always does. `place` stands before the names of what lies in the body.
    """
    for name, values in harmless.items():
        value = getattr(body, name)
        if value is not None and value not in values:
            instead = f"write {one_of(values)}, or leave it out" if values else "leave it out"
            raise RefusedError(unsupported(f"{place}{name}", value, instead=instead))


def unsupported(name: str, value: Any, *, instead: str) -> refusal.Refusal:
    """400: a parameter of OpenAI's that would change the answer, and does not here."""
    detail = f"{name} is {shown(value)}, which is not supported here; {instead}."
    return refusal.bad_request(detail, parameter=name, reason="unsupported_parameter")


def invalid(raw: Any, shape: Any, error: msgspec.ValidationError, *, strict: bool = True) -> refusal.Refusal:
    """400 that names the field of another shape than expected, what was found and what to write."""
    found = fault(raw, shape, strict=strict)
    if found is None:
        return refusal.bad_request(f"The body: {error}.")
    if found.known:
        detail = f"Unknown parameter: {found.field}."
        return refusal.bad_request(detail, parameter=found.field, reason="unknown_parameter")
    return refusal.bad_request(f"{found.sentence('The body')}.", parameter=found.field or None)


def _misshapen(body: bytes, shape: Any, error: msgspec.ValidationError) -> refusal.Refusal:
    if len(body) > MOST_EXPLAINED_BYTES:
        return refusal.bad_request(f"The body: {error}.")
    try:
        raw = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as broken:  # further on than what the error is about
        return refusal.bad_request(f"The body is not JSON: {broken}.")
    return invalid(raw, shape, error)
