"""What is answered for a namespace of which nothing is served because an object cannot be read."""

from collections.abc import Iterator

import pytest

from brownout.flags.settings import Settings
from flags.builders import NAMESPACE, policy
from flags.hosted import HostedServer, hosted

WITHHELD = "withheld"


@pytest.fixture
def server() -> Iterator[HostedServer]:
    with hosted(policy()) as running:
        running.board.withhold([WITHHELD])
        yield running


@pytest.mark.parametrize("path", ["evaluate/flags", "evaluate/flags/image-generation"])
def test_an_evaluation_is_a_500_that_says_why_and_never_a_flag_that_is_not_found(
    server: HostedServer, path: str
) -> None:
    """To a 404 a client may hold on for ever, and would serve the code's default."""
    status, body, _ = server.ask(f"/{WITHHELD}/ofrep/v1/{path}", {"context": {}})
    assert status == 500
    assert (
        body["errorDetails"] == "no flag set yet: an object of the namespace cannot be read; the server's log names it"
    )


def test_a_quota_is_a_503_that_says_why(server: HostedServer) -> None:
    path = f"/{WITHHELD}/v1/quota/image-generation/reserve"
    status, body, _ = server.ask(path, {"context": {"targetingKey": "u"}})
    assert (status, body["reason"]) == (503, "not_ready")
    assert "cannot be read" in body["detail"]


def test_its_status_page_is_there_and_says_nothing_of_features(server: HostedServer) -> None:
    assert server.ask(f"/{WITHHELD}/status")[0] == 200
    assert server.ask(f"/{WITHHELD}/status.json")[0] == 503


def test_a_server_is_ready_beside_it_and_names_it(server: HostedServer) -> None:
    status, body, _ = server.ask("/readyz")
    assert (status, body["withheld"], [*body["sets"]]) == (200, [WITHHELD], [NAMESPACE])


def test_a_server_that_has_nothing_else_to_serve_is_not_ready() -> None:
    """A rollout stops there, and the servers of before go on with what they know."""
    server = HostedServer(Settings())
    server.board.completed()
    server.board.withhold([WITHHELD])
    server.start()
    try:
        assert server.ask("/readyz")[0] == 503
        server.board.withhold([])
        assert server.ask("/readyz")[0] == 200
    finally:
        server.close()
