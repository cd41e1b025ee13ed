"""The running server against the description that it publishes of itself, with requests that nobody thought of."""

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, settings

from brownout.flags.openapi import document
from flags.builders import NAMESPACE, cell, policy
from flags.hosted import HostedServer, hosted

ENDLESS = "/events$"
"""Streams do not end, so nobody could look at their answers; `test_events.py` does."""

schema = schemathesis.openapi.from_dict(document()).exclude(path_regex=ENDLESS)


@pytest.fixture(scope="module")
def server() -> Iterator[HostedServer]:
    with hosted(policy(cells=[cell("free", "full", 50)]), policy("chat")) as running:
        yield running


def test_the_server_publishes_its_description(server: HostedServer) -> None:
    status, body, headers = server.ask("/openapi.json")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert body == document()


@schema.parametrize()
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_as_described(case: schemathesis.Case, server: HostedServer) -> None:
    if "namespace" in case.path_parameters:
        case.path_parameters["namespace"] = NAMESPACE  # OFREP answers a bulk request for any other with a 400
    case.call_and_validate(base_url=server.url)
