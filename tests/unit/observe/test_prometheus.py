"""The Prometheus client against a real HTTP server on loopback."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from brownout.decide.evidence import Missing
from brownout.observe.answers import PARTIAL, Series
from brownout.observe.ask import Ask
from brownout.observe.prometheus import Prometheus
from brownout.observe.requests import MAX_BYTES, WHOLE_OR_NOTHING
from brownout.observe.sources import Source
from support.prometheus_server import ONE, Server, listening
from support.waiting import wait_for_async


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Server]:
    """A server that listens."""
    server = Server()
    async with listening(server):
        yield server


@pytest_asyncio.fixture
async def prometheus() -> AsyncIterator[Prometheus]:
    """A client that waits for two seconds."""
    client = Prometheus(timeout_seconds=2)
    yield client
    await client.close()


async def test_a_query_is_posted_with_staleness_limit_and_timeout(server: Server, prometheus: Prometheus) -> None:
    assert await prometheus.ask(server.ask("sum(up)")) == (Series({"a": "b"}, 2.0),)
    assert server.asked == [
        {"query": "sum(up)", "lookback_delta": "60s", "limit": "2", "timeout": "2s", **WHOLE_OR_NOTHING}
    ]


async def test_a_part_of_the_data_is_none_and_is_asked_for_nowhere(server: Server, prometheus: Prometheus) -> None:
    async def in_part(request: web.Request) -> web.StreamResponse:
        return web.json_response(ONE | {"warnings": ["receive series from Addr: 10.0.0.7:10901: connection refused"]})

    server.handler = in_part
    assert await prometheus.ask(server.ask()) == PARTIAL
    asked = server.asked[0]
    assert (asked["partial_response"], asked["deny_partial_response"]) == ("false", "1")


async def test_identical_questions_are_asked_once(server: Server, prometheus: Prometheus) -> None:
    found = await prometheus.ask_all([server.ask(query, limit=1001) for query in ("a", "a", "b")])
    assert sorted(asked["query"] for asked in server.asked) == ["a", "b"]
    assert len(found) == 2


async def test_small_questions_are_one_request_and_each_its_own_where_that_fails(
    server: Server, prometheus: Prometheus
) -> None:
    async def knows_no_bundles(request: web.Request) -> web.StreamResponse:
        bundled = "label_replace" in server.asked[-1]["query"]
        return web.json_response({}, status=400) if bundled else await server.one(request)

    server.handler = knows_no_bundles
    asked = [server.ask("a"), server.ask("b")]
    for requests in (3, 5):  # and from then on each alone at once
        assert await prometheus.ask_all([*asked, *asked]) == dict.fromkeys(asked, (Series({"a": "b"}, 2.0),))
        assert len(server.asked) == requests


async def test_the_namespace_parameter_goes_along(server: Server, prometheus: Prometheus) -> None:
    await prometheus.ask(server.ask(parameters=(("namespace", "media"),)))
    assert server.asked[0]["namespace"] == "media"


async def test_credentials_and_headers_go_along(server: Server, prometheus: Prometheus) -> None:
    bearer = Source(url=server.url, bearer="token", headers=(("X-Scope-OrgID", "media"),))
    basic = Source(url=server.url, username="user", password="word")
    for source in (bearer, basic):
        await prometheus.ask(Ask(source=source, query="up", lookback_seconds=60, limit=2))
    assert server.headers[0]["Authorization"] == "Bearer token"
    assert server.headers[0]["X-Scope-OrgID"] == "media"
    assert server.headers[1]["Authorization"] == "Basic dXNlcjp3b3Jk"


async def _is(so: bool) -> bool:
    return so


async def test_no_more_than_32_are_in_flight(server: Server, prometheus: Prometheus) -> None:
    release = asyncio.Event()

    async def wait(request: web.Request) -> web.StreamResponse:
        await release.wait()
        return await server.one(request)

    server.handler = wait
    asking = asyncio.create_task(prometheus.ask_all([server.ask(f"q{n}", limit=1001) for n in range(50)]))
    await wait_for_async(lambda: _is(server.in_flight == 32), "32 are in flight", seconds=5)
    release.set()
    await asking
    assert server.most_in_flight == 32


async def test_an_error_is_missing_and_quotes_no_body(server: Server, prometheus: Prometheus) -> None:
    async def refuse(_: web.Request) -> web.StreamResponse:
        return web.json_response({"status": "error", "error": "somebody's secret"}, status=400)

    server.handler = refuse
    found = await prometheus.ask(server.ask("sum("))
    assert isinstance(found, Missing)
    assert "HTTP 400" in found.message
    assert "secret" not in found.message


async def test_a_redirect_is_not_followed(server: Server, prometheus: Prometheus) -> None:
    async def elsewhere(_: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("http://127.0.0.1:9/")

    server.handler = elsewhere
    found = await prometheus.ask(server.ask())
    assert isinstance(found, Missing)
    assert "HTTP 302" in found.message


async def test_a_silent_server_is_missing_after_the_timeout(server: Server, prometheus: Prometheus) -> None:
    async def hang(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError("never")

    server.handler = hang
    found = await prometheus.ask(server.ask())
    assert isinstance(found, Missing)
    assert "no answer from Prometheus within 2 s" in found.message


async def test_an_endless_answer_is_cut_off(server: Server, prometheus: Prometheus) -> None:
    async def flood(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(100):
            await response.write(b"x" * (MAX_BYTES // 10))
        return response

    server.handler = flood
    found = await prometheus.ask(server.ask())
    assert isinstance(found, Missing)
    assert "larger than 1 MB" in found.message


async def test_a_server_that_is_not_there_is_missing(prometheus: Prometheus) -> None:
    found = await prometheus.ask(Ask(source=Source(url="http://127.0.0.1:9"), query="up", lookback_seconds=60, limit=2))
    assert isinstance(found, Missing)
    assert "cannot be reached" in found.message


async def test_one_dead_source_does_not_hold_up_another(server: Server, prometheus: Prometheus) -> None:
    dead = Ask(source=Source(url="http://127.0.0.1:9"), query="up", lookback_seconds=60, limit=2)
    found = await prometheus.ask_all([dead, server.ask()])
    assert isinstance(found[dead], Missing)
    assert found[server.ask()] == (Series({"a": "b"}, 2.0),)


async def test_a_private_authority_is_trusted_only_where_the_secret_names_it(
    prometheus: Prometheus, tmp_path: Path
) -> None:
    certificate = self_signed(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    server = Server()
    async with listening(server, context):
        (answered,) = (await prometheus.ask_all([server.ask()])).values()
        assert isinstance(answered, Missing)
        assert "certificate is not trusted" in answered.message
        trusting = Source(url=server.url, ca=certificate.read_text().partition("-----BEGIN PRIVATE")[0])
        named = Source(url=server.url, ca=f"\ufeff# Behörde für Prüfung\n{trusting.ca}")
        for source in (trusting, named):
            found = await prometheus.ask(Ask(source=source, query="up", lookback_seconds=60, limit=2))
            assert found == (Series({"a": "b"}, 2.0),)


async def test_what_nobody_foresaw_is_missing_for_one_source_and_tells_no_secret(
    server: Server, prometheus: Prometheus, caplog: pytest.LogCaptureFixture
) -> None:
    odd = Source(url=server.url, headers=(("X-Key", 5),))  # type: ignore[arg-type]
    asked = [Ask(source=odd, query=query, lookback_seconds=60, limit=2) for query in ("a", "b, c")]
    found = await prometheus.ask_all([*asked, server.ask()])
    assert found[server.ask()] == (Series({"a": "b"}, 2.0),)
    assert {found[ask] for ask in asked} == {
        Missing("Prometheus cannot be asked (TypeError); the operator's log says where that comes from")
    }
    (line,) = caplog.messages  # once, and without the error's own words
    assert line.startswith("a Prometheus cannot be asked: TypeError at ")


def self_signed(folder: Path) -> Path:
    """A certificate for 127.0.0.1 that is its own authority, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "prometheus")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "prometheus.pem"
    file.write_bytes(
        certificate.public_bytes(Encoding.PEM) + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    return file
