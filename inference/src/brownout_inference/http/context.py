"""What every handler needs: the door, the features by endpoint, the models, and who asks."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from importlib.metadata import version

from aiohttp import web

from brownout_inference import refusal
from brownout_inference.admission import Admission
from brownout_inference.engine.supervisor import EngineState
from brownout_inference.features import Api, Feature
from brownout_inference.flags import Flags
from brownout_inference.http.callers import CALLERS
from brownout_inference.identity import Caller
from brownout_inference.metrics import Meters
from brownout_inference.refusal import RefusedError
from brownout_inference.settings import Settings
from brownout_inference.ticket import Ticket


@dataclass(frozen=True, kw_only=True)
class Serving:
    """The parts of a running server that its handlers use."""

    settings: Settings
    admission: Admission
    meters: Meters
    flags: Flags
    features: Mapping[Api, Feature]
    engine: EngineState
    started_at: int = field(default_factory=lambda: int(time.time()))
    """Unix seconds."""

    @property
    def models(self) -> tuple[str, ...]:
        """What requests may name as their `model`."""
        return (self.settings.workload,)

    @cached_property
    def fingerprint(self) -> str:
        """Changes when the same seed may give another answer."""
        digest = sha256(f"{version('brownout')} {self.settings.model}".encode()).hexdigest()
        return f"fp_{digest[:10]}"

    def model(self, name: str | None) -> str:
        """The model of that name; the first one where none is named. Raises RefusedError (404)."""
        if name is None:
            return self.models[0]
        if name in self.models:
            return name
        detail = f"There is no model {name[:80]!r} here; write {' or '.join(map(repr, self.models))}, or leave it out."
        raise RefusedError(refusal.bad_request(detail, parameter="model", status=404, reason="model_not_found"))

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


def served_headers(ticket: Ticket) -> dict[str, str]:
    """What an answer says about how it came about."""
    return {"X-Brownout-Tier": ticket.verdict.audience.tier, "X-Brownout-Variant": ticket.verdict.variant}
