"""The flags, through the OpenFeature SDK and flagd's provider in process: evaluated here, synchronised from the flag server.

Nothing of a request waits for the network. While the flag server is away the last flags that it sent serve on; before the first ones, everybody is served at
their best as the unknown audience. The provider reports changes on threads of its own, from where they are handed to the event loop.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from openfeature import api
from openfeature.contrib.provider.flagd import FlagdProvider
from openfeature.contrib.provider.flagd.config import ResolverType
from openfeature.evaluation_context import EvaluationContext
from openfeature.event import EventDetails, ProviderEvent
from openfeature.provider import ProviderStatus

from brownout_inference.features import Feature
from brownout_inference.metrics import UNKNOWN, Meters
from brownout_inference.settings import FlagSettings
from brownout_inference.verdict import AUDIENCE_FLAG, BEST, Audience, Verdict, verdict_of

log = logging.getLogger(__name__)

DOMAIN = "brownout-inference"
RETRY_MILLISECONDS = 500
RETRY_MAX_MILLISECONDS = 2000
KEPT_SECONDS = 1.0
"""How long what the flags say about a user is kept, for whoever asks again and again. A change of the flags ends it at once; what changes with time alone (an account's age) counts that much later."""
GRACE_SECONDS = 1
"""How long the provider waits before it calls a lost source an error. It keeps a thread for that long, which would hold up the end of the process."""


def bear_closed_channels() -> None:
    """From now on a thread that fails because its channel was closed says nothing: gRPC's own, which watches a channel, does where the process ends while it looks."""
    before = threading.excepthook

    def failed(what: threading.ExceptHookArgs) -> None:
        if not (isinstance(what.exc_value, ValueError) and "Channel closed" in str(what.exc_value)):
            before(what)

    threading.excepthook = failed


class Flags:
    """Evaluates flags for users, and calls `on_change` in the event loop whenever the set has changed."""

    def __init__(self, settings: FlagSettings, *, meters: Meters, on_change: Callable[[], None]) -> None:
        self.received = False
        """A set of flags has come at least once."""
        self._settings = settings
        self._flags_seen = False
        self._unknown = Audience(tier=UNKNOWN, cohort="", priority=settings.unknown_priority)
        self._before = Verdict(enabled=True, variant=BEST, value={}, audience=self._unknown)
        self._kept: dict[tuple[Any, ...], Verdict] = {}
        self._forget_at = 0.0
        self._meters = meters
        self._on_change = on_change
        self._loop = asyncio.get_running_loop()
        self._client = api.get_client(domain=DOMAIN)

    def start(self) -> None:
        """Begins to synchronise; returns at once."""
        self._client.add_handler(ProviderEvent.PROVIDER_CONFIGURATION_CHANGED, self._on_flags)
        self._client.add_handler(ProviderEvent.PROVIDER_READY, self._on_ready)
        self._client.add_handler(ProviderEvent.PROVIDER_STALE, self._on_stale)
        provider = FlagdProvider(
            host=self._settings.host,
            port=self._settings.port,
            selector=self._settings.selector,
            resolver_type=ResolverType.IN_PROCESS,
            retry_backoff_ms=RETRY_MILLISECONDS,
            retry_backoff_max_ms=RETRY_MAX_MILLISECONDS,
            retry_grace_period=GRACE_SECONDS,
            sync_metadata_disabled=True,  # a deprecated call; what it would say comes with the flags
        )
        api.set_provider(provider, DOMAIN)

    def verdict(self, feature: Feature, context: EvaluationContext) -> Verdict:
        """What the flags say now about this feature for this user."""
        if not self.received:
            return self._before  # as the SDK would say, which takes its time for it
        if (now := time.monotonic()) >= self._forget_at:
            self._kept.clear()
            self._forget_at = now + KEPT_SECONDS
        who = feature.flag_key, context.targeting_key, *sorted(context.attributes.items())
        if (kept := self._kept.get(who)) is None:
            kept = self._kept[who] = verdict_of(
                self._client.get_object_details(feature.flag_key, {}, context),
                self._client.get_object_details(AUDIENCE_FLAG, {}, context),
                unknown=self._unknown,
                now=time.time(),
            )
        return kept

    def stop(self) -> None:
        """Ends the synchronisation."""
        api.shutdown()

    def _on_flags(self, details: EventDetails) -> None:
        log.info("flags: changed: %s", ", ".join(sorted(details.flags_changed or ())) or "nothing")
        self._flags_seen = True
        self._loop.call_soon_threadsafe(self._changed)
        self._loop.call_soon_threadsafe(self._meters.flags_changed)

    def _on_ready(self, _: EventDetails) -> None:
        self._loop.call_soon_threadsafe(
            self._changed
        )  # before this the SDK answers with defaults, though flags are there

    def _on_stale(self, details: EventDetails) -> None:
        meanwhile = "the last known flags serve"
        if not self.received:
            required = self._settings.required
            meanwhile = (
                "the server is not ready before they come" if required else "everybody is served the best variant"
            )
            meanwhile = f"none have come yet, and {meanwhile}"
        log.warning("flags: the source at %s:%d is away; %s", self._settings.host, self._settings.port, meanwhile)

    def _changed(self) -> None:
        self._kept.clear()
        if self._flags_seen and self._client.get_provider_status() is not ProviderStatus.NOT_READY:
            self.received = True
            self._on_change()
