"""What every handler needs: the door, the features by endpoint, and how a body is read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import msgspec
from aiohttp import web

from brownout_inference import refusal
from brownout_inference.admission import Admission
from brownout_inference.features import Api, Feature
from brownout_inference.flags import Flags
from brownout_inference.http.callers import CALLERS
from brownout_inference.identity import Caller
from brownout_inference.metrics import Meters
from brownout_inference.refusal import RefusedError
from brownout_inference.settings import Settings
from brownout_inference.ticket import Ticket

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Serving:
    """The parts of a running server that its handlers use."""

    settings: Settings
    admission: Admission
    meters: Meters
    flags: Flags
    features: Mapping[Api, Feature]

    def feature(self, api: Api) -> Feature:
        """The feature that this endpoint stands for. Raises RefusedError (404) where the server has none."""
        if feature := self.features.get(api):
            return feature
        served = ", ".join(sorted(self.features)) or "nothing"
        raise RefusedError(
            refusal.bad_request(
                f"This server does not serve {api}; it serves {served}.", status=404, reason="not_served"
            )
        )


SERVING = web.AppKey("serving", Serving)


async def caller_of_request(request: web.Request) -> Caller:
    """Who made the request. Raises RefusedError."""
    return await request.app[CALLERS].tell(request)


async def read_body(request: web.Request, shape: type[T]) -> T:
    """The JSON body of a request in the shape that is expected. Raises RefusedError (400) that names the field."""
    try:
        return msgspec.json.decode(await request.read(), type=shape)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$.")
        field = path.rstrip("`") or None
        raise RefusedError(refusal.bad_request(f"{field or 'The body'}: {message}.", parameter=field)) from error
    except msgspec.DecodeError as error:
        raise RefusedError(refusal.bad_request(f"The body is not JSON: {error}.")) from error


def served_headers(ticket: Ticket) -> dict[str, str]:
    """What an answer says about how it came about."""
    return {"X-Brownout-Tier": ticket.verdict.audience.tier, "X-Brownout-Variant": ticket.verdict.variant}
