"""The running server against the description that it publishes of itself, with requests that nobody thought of."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import unquote

import pytest
import schemathesis
from aiohttp import web
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.transport import Response

from brownout.api.policy import Notice
from brownout.flags.board import Board
from brownout.flags.context import JSON_SPACE
from brownout.flags.http import application
from brownout.flags.metrics import Heard, Metrics
from brownout.flags.openapi import document
from brownout.flags.pages.site import StatusPages
from brownout.flags.service import Service
from brownout.flags.settings import Settings
from flags.builders import NAMESPACE, always, cell, policy, with_quota
from flags.hosted import HostedServer, hosted

ENDLESS = "/events$"
"""Streams do not end, so nobody could look at their answers; `test_events.py` does."""

FILES = "/status/{asset}"
"""Scripts, styles and pictures of the status page: what they are is between the page and its server."""

DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\.")
COUNTED = "image-generation"

EXAMPLES = 12
"""For each of about twenty operations, most of which are there twice."""

schema = schemathesis.openapi.from_dict(document()).exclude(path_regex=ENDLESS)


@pytest.fixture(scope="module")
def server() -> Iterator[HostedServer]:
    notices = [Notice(text="Images are few."), Notice(locale="de", when="Degraded", text="Weniger Bilder.")]
    tiers = [always("pro"), with_quota("plus", 1_000_000), with_quota("free", 2)]
    with hosted(
        policy(COUNTED, tiers=tiers, notices=notices, cells=[cell("free", "full", 50)]), policy("chat")
    ) as running:
        yield running


def today() -> str:
    return datetime.now(UTC).date().isoformat()


def test_the_server_publishes_its_description(server: HostedServer) -> None:
    status, body, headers = server.ask("/openapi.json")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert body == document()


def test_every_route_is_described() -> None:
    board, metrics, heard_from = Board(), Metrics(), Heard()
    service = Service(board=board, metrics=metrics, namespaces=(), snapshot_dir=None, empty_believed_after=600.0)
    pages = StatusPages(board, heard_from, namespaces=())
    described = {
        (method.upper(), path) for path, of in document()["paths"].items() for method in of if method in ("get", "post")
    }
    assert described == routes(application(Settings(), board, metrics, service, pages))


def routes(app: web.Application) -> set[tuple[str, str]]:
    """Methods and paths; HEAD goes with GET."""
    found = {(route.method, route.resource.canonical) for route in app.router.routes() if route.resource is not None}
    return {(method, path) for method, path in found if method != "HEAD" and not path.endswith(FILES)}


@schema.parametrize()
@schema.given(counted=st.booleans())
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_as_described(case: schemathesis.Case, counted: bool, server: HostedServer) -> None:
    if len(unquote(case.path_parameters.get("namespace", ""))) in range(1, 64):  # one that can be none is left as it is
        case.path_parameters["namespace"] = NAMESPACE  # OFREP answers a bulk request for any other with a 400
    if counted and "feature" in case.path_parameters:
        case.path_parameters["feature"] = COUNTED  # a name that was made up is a 404
    assume(not isinstance(case.body, bytes) or case.body.strip(JSON_SPACE))  # a blank body is none
    if isinstance(case.body, dict) and DAY.match(str(case.body.get("reservation"))):
        case.body["reservation"] = today() + case.body["reservation"][10:]  # of any other day it is a 400
    case.call_and_validate(base_url=server.url)


@pytest.mark.parametrize("page", ["status", "status.json"])
def test_a_status_page_that_the_reader_has_or_that_is_not_there_is_answered_as_described(
    server: HostedServer, page: str
) -> None:
    etag = answer(server, page).headers["etag"][0]
    assert answer(server, page, etag=etag).status_code == 304
    assert answer(server, page, namespace="nowhere").status_code == 404


def test_a_server_that_knows_nothing_yet_says_so_as_described() -> None:
    server = HostedServer(Settings())
    server.start()
    try:
        assert answer(server, "status").status_code == 200
        unknown = answer(server, "status.json")
        assert (unknown.status_code, unknown.headers["access-control-allow-origin"]) == (503, ["*"])
    finally:
        server.close()


def answer(server: HostedServer, page: str, *, namespace: str = NAMESPACE, etag: str = "") -> Response:
    case = schema[f"/{{namespace}}/{page}"]["GET"].Case(
        path_parameters={"namespace": namespace}, headers={"If-None-Match": etag} if etag else {}
    )
    return case.call_and_validate(base_url=server.url, excluded_checks=[not_a_server_error])  # a 503 is meant
