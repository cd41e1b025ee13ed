"""Whose Prometheus is asked, and with which credentials: a Secret in the operator's own namespace, named by the pool.

Pools belong to administrators, and Secrets are read nowhere else, so nobody can make the operator send credentials to a
place of their choosing. What a Secret holds appears in no log, status or representation.
"""

import base64
import binascii
from typing import Any

from kubernetes.aio.client import ApiClient, CoreV1Api
from kubernetes.aio.client.exceptions import ApiException
from msgspec import Struct

from brownout.decide.evidence import Missing

CACHE_SECONDS = 60.0
RETRY_SECONDS = 5.0


class Source(Struct, frozen=True, kw_only=True):
    """A Prometheus. `ca` is PEM text; `headers` are sent as they are; without `bearer` or `username` nobody is named."""

    url: str
    bearer: str = ""
    username: str = ""
    password: str = ""
    ca: str = ""
    headers: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        return "Source(...)"


def parse(name: str, data: dict[str, str], *, default_url: str) -> Source | Missing:
    """The source that a Secret's data (base64 by key) describes: url, bearer, username, password, ca.crt, headers.

    `headers` has one `Name: value` on each line. Without `url` it is the operator's own Prometheus.
    """
    try:
        text = {key: base64.b64decode(value, validate=True).decode().strip() for key, value in data.items()}
    except (binascii.Error, UnicodeDecodeError):
        return Missing(f"Secret {name}: a value is not text; write url, bearer, username, password, ca.crt or headers")
    url = text.get("url") or default_url
    if not url:
        return Missing(
            f"Secret {name}: no url, and the operator has none of its own; write url: http://prometheus:9090"
        )
    if not url.startswith(("http://", "https://")):
        return Missing(f"Secret {name}: url is not an HTTP address; write one such as http://prometheus:9090")
    headers = []
    for line in filter(None, (line.strip() for line in text.get("headers", "").splitlines())):
        header, colon, value = line.partition(":")
        if not colon or not header.strip():
            return Missing(f"Secret {name}: headers: a line is not a header; write `Name: value` on each line")
        headers.append((header.strip(), value.strip()))
    return Source(
        url=url.rstrip("/"),
        bearer=text.get("bearer", ""),
        username=text.get("username", ""),
        password=text.get("password", ""),
        ca=text.get("ca.crt", ""),
        headers=tuple(headers),
    )


class Sources:
    """Reads Secrets by name, each at most once a minute, and again after a few seconds where that failed."""

    def __init__(self, client: ApiClient, *, namespace: str, default_url: str) -> None:
        self._secrets = CoreV1Api(client)
        self._namespace = namespace
        self._default_url = default_url.rstrip("/")
        self._known: dict[str, tuple[float, Source | Missing]] = {}

    def own(self) -> Source | Missing:
        """The operator's own Prometheus."""
        if not self._default_url:
            return Missing(
                "no Prometheus is known; start the operator with --prometheus-url, or give the pool a secretRef"
            )
        return Source(url=self._default_url)

    async def named(self, name: str, *, now: float) -> Source | Missing:
        """The Prometheus that a Secret describes; Missing, with a sentence, where it cannot be read."""
        known = self._known.get(name)
        if known and now < known[0]:
            return known[1]
        source = await self._read(name)
        lasts = RETRY_SECONDS if isinstance(source, Missing) else CACHE_SECONDS
        self._known[name] = (now + lasts, source)
        return source

    async def _read(self, name: str) -> Source | Missing:
        where = f"{self._namespace}/{name}"
        try:
            secret: Any = await self._secrets.read_namespaced_secret(name, self._namespace, _request_timeout=5.0)
        except ApiException as error:
            if error.status == 404:
                return Missing(f"no Secret {where}; create it in the operator's namespace, with url and credentials")
            return Missing(
                f"Secret {where} cannot be read (HTTP {error.status}); grant the operator get on secrets there"
            )
        except Exception as error:  # the API server is away, or too slow
            return Missing(f"Secret {where} cannot be read ({type(error).__name__})")
        return parse(where, secret.data or {}, default_url=self._default_url)
