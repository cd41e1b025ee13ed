"""What browsers are told about pages of other origins. A real one follows it in tests/browser."""

import urllib.request

import pytest

from brownout.flags.cors import checked
from flags.builders import NAMESPACE, policy
from flags.hosted import HostedServer, hosted

BULK = f"/{NAMESPACE}/ofrep/v1/evaluate/flags"
PAGE = "https://app.example.com"


def preflight(server: HostedServer, path: str, origin: str) -> dict[str, str]:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,if-none-match,authorization",
    }
    request = urllib.request.Request(server.url + path, headers=asked, method="OPTIONS")
    with urllib.request.urlopen(request, timeout=5) as response:
        assert response.status == 204
        return dict(response.headers)


def test_pages_of_a_configured_origin_may_ask_and_read_the_etag() -> None:
    with hosted(policy(), cors_origins=(PAGE,)) as server:
        for path in (BULK, f"{BULK}/image-generation", "/ofrep/v1/evaluate/flags", f"/{NAMESPACE}/ofrep/v1/events"):
            told = preflight(server, path, PAGE)
            assert told["Access-Control-Allow-Origin"] == PAGE
            assert "POST" in told["Access-Control-Allow-Methods"]
            for header in ("Content-Type", "If-None-Match", "Authorization", "X-API-Key"):
                assert header in told["Access-Control-Allow-Headers"]
        for sent in ({"context": {}}, b"{"):
            _, _, headers = server.ask(BULK, sent, headers={"Origin": PAGE})
            assert headers["Access-Control-Allow-Origin"] == PAGE
            assert headers["Access-Control-Expose-Headers"] == "ETag"
            assert headers["Vary"] == "Origin"


@pytest.mark.parametrize("origin", ["https://evil.example.com", "https://app.example.com.evil.com", "null"])
def test_pages_of_another_origin_may_not(origin: str) -> None:
    with hosted(policy(), cors_origins=(PAGE,)) as server:
        assert "Access-Control-Allow-Origin" not in preflight(server, BULK, origin)
        _, _, headers = server.ask(BULK, {"context": {}}, headers={"Origin": origin})
        assert "Access-Control-Allow-Origin" not in headers
        assert headers["Vary"] == "Origin"


@pytest.mark.parametrize("path", ["/readyz", "/livez", "/metrics", "/", "/openapi.json", f"/{NAMESPACE}/status", "/no"])
def test_no_page_may_read_what_is_neither_ofrep_nor_events_nor_quotas(path: str) -> None:
    with hosted(policy(), cors_origins=("*",)) as server:
        _, _, headers = server.ask(path, headers={"Origin": "https://any"})
        assert not [name for name in headers if name.startswith("Access-Control")]


def test_a_page_may_read_what_the_quotas_say() -> None:
    with hosted(policy(), cors_origins=(PAGE,)) as server:
        path = f"/{NAMESPACE}/v1/quota/image-generation/reserve"
        headers = server.ask(path, {"context": {"targetingKey": "u"}}, headers={"Origin": PAGE})[2]
        assert headers["Access-Control-Allow-Origin"] == PAGE
        assert preflight(server, path, PAGE)["Access-Control-Allow-Origin"] == PAGE


def test_a_star_lets_in_every_page() -> None:
    with hosted(policy(), cors_origins=("*",)) as server:
        assert server.ask(BULK, {}, headers={"Origin": "https://any"})[2]["Access-Control-Allow-Origin"] == "*"


def test_without_origins_nothing_is_said() -> None:
    with hosted(policy()) as server:
        headers = server.ask(BULK, {}, headers={"Origin": PAGE})[2]
        assert not [name for name in headers if name.startswith("Access-Control") or name == "Vary"]


@pytest.mark.parametrize("origin", ["app.example.com", "https://app.example.com/", "https://app.example.com/path", ""])
def test_what_no_browser_sends_is_refused_as_an_origin(origin: str) -> None:
    with pytest.raises(ValueError, match="SCHEME://HOST"):
        checked([origin])
