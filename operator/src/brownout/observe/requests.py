"""One request to a Prometheus: an instant query over its HTTP API.

An instant query's sample is stamped with the time of evaluation, so its age says nothing; staleness is had by `lookback_delta`
instead: Prometheus itself then returns nothing older than that. A stamp that is far from our clock is Missing.
"""

import logging
import ssl
import traceback
from collections.abc import Callable
from functools import lru_cache
from urllib.parse import urlencode

import aiohttp

from brownout.decide.evidence import Missing
from brownout.observe import answers
from brownout.observe.ask import TOO_LARGE, Answer, Ask
from brownout.observe.sources import Source

log = logging.getLogger(__name__)

MAX_BYTES = 1_000_000
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
WHOLE_OR_NOTHING = {"partial_response": "false", "deny_partial_response": "1"}
"""What Thanos and VictoriaMetrics call it: an error where a store is away, and not the sum of the others. Prometheus itself, and Mimir
with it, read the parameters that they know."""
MOST_FORMS = 4_000
"""Some kilobytes each where a request has ten queries, and every change of a scaler makes others."""


class Requests:
    """Sends questions to any number of sources. `connections` are the most to each; `clock` gives Unix seconds, against which the
    answers' own are held; without it they are not."""

    def __init__(self, *, timeout_seconds: float, connections: int, clock: Callable[[], float] | None) -> None:
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._connections = connections
        self._sessions: dict[Source, aiohttp.ClientSession] = {}
        self._told: dict[Source, str] = {}
        self.too_late = Missing(f"no answer from Prometheus within {timeout_seconds:g} s")

    async def send(self, ask: Ask) -> Answer:
        """One answer. Never raises: what goes wrong is a Missing with words for the query's author."""
        try:
            return await self._answer_to(ask)
        except Exception as error:
            self._tell(ask.source, error)
            return Missing(
                f"Prometheus cannot be asked ({type(error).__name__}); the operator's log says where that comes from"
            )

    def _tell(self, source: Source, error: Exception) -> None:
        """What nobody foresaw, once for each source. The error's own words stay unsaid: they may hold what is secret."""
        frame = traceback.extract_tb(error.__traceback__)[-1]
        what = f"{type(error).__name__} at {frame.filename}:{frame.lineno}"
        if self._told.get(source) != what:
            log.error("a Prometheus cannot be asked: %s", what)
        self._told[source] = what

    async def _answer_to(self, ask: Ask) -> Answer:
        form = _form(ask.query, ask.lookback_seconds, ask.limit, ask.parameters, self._timeout_seconds)
        try:
            session = self._session(ask.source)
            async with session.post(
                f"{ask.source.url}/api/v1/query", data=form, headers=FORM, allow_redirects=False
            ) as response:
                if response.status != 200:
                    return answers.refused(response.status)
                body = await _read(response)
        except TimeoutError:
            return self.too_late
        except ssl.SSLError:
            return Missing(
                "Prometheus' certificate is not trusted; write its authority as ca.crt into the pool's Secret"
            )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Missing(f"Prometheus cannot be reached ({type(error).__name__}); check that it runs, and its url")
        return TOO_LARGE if body is None else answers.decode(body, now=self._clock() if self._clock else None)

    def _session(self, source: Source) -> aiohttp.ClientSession:
        if source not in self._sessions:
            headers = dict(source.headers)
            if source.bearer:
                headers["Authorization"] = f"Bearer {source.bearer}"
            elif source.username:
                headers["Authorization"] = aiohttp.encode_basic_auth(source.username, source.password)
            self._sessions[source] = aiohttp.ClientSession(
                headers=headers,
                connector=aiohttp.TCPConnector(
                    limit=self._connections, ssl=_trusting(source.ca) if source.ca else True
                ),
                timeout=aiohttp.ClientTimeout(total=self._timeout_seconds),
            )
        return self._sessions[source]

    async def let_go(self, *, keep: set[Source]) -> None:
        """Send nothing more to any other source."""
        self._told = {source: what for source, what in self._told.items() if source in keep}
        for source in [source for source in self._sessions if source not in keep]:
            await self._sessions.pop(source).close()


def _trusting(ca: str) -> ssl.SSLContext:
    """TLS that trusts these certificates alone. Bundles have comments with the authorities' names, in any language; PEM is ASCII."""
    return ssl.create_default_context(cadata=ca.encode("ascii", "ignore").decode())


@lru_cache(maxsize=MOST_FORMS)
def _form(
    query: str, lookback_seconds: int, limit: int, parameters: tuple[tuple[str, str], ...], timeout_seconds: float
) -> bytes:
    """The body of a request. The same is asked at each tick, and to write it anew would be a quarter of the work of asking."""
    fields = {
        "query": query,
        "timeout": f"{timeout_seconds:g}s",
        "lookback_delta": f"{lookback_seconds}s",
        "limit": str(limit),
        **WHOLE_OR_NOTHING,
        **dict(parameters),
    }
    return urlencode(fields).encode()


async def _read(response: aiohttp.ClientResponse) -> bytes | None:
    """The body, or None where it is larger than we want to hold."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_BYTES:
            response.close()
            return None
    return bytes(body)
