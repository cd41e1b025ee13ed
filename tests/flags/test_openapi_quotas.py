"""Every answer of the ledger's endpoints that the description has, but the 500, brought about and held against it."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.core.transport import Response

from brownout.flags.callers import CallerSettings
from brownout.flags.openapi import document
from brownout.flags.tokens import TokenSettings
from flags.builders import NAMESPACE, always, policy, with_quota
from flags.hosted import HostedServer, hosted
from flags.issuer import AUDIENCE, NAME, Issuer

KEY, STRICT = "image-generation", "video-generation"
NOBODY = "redis://127.0.0.1:1/0"
PATH = "/{namespace}/v1/quota/{feature}/"
OPERATIONS = ("reserve", "commit", "refund")

schema = schemathesis.openapi.from_dict(document())


class Servers(NamedTuple):
    """One that believes everybody, one whose storage is away, and a public one."""

    counting: HostedServer
    away: HostedServer
    public: HostedServer


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    folder = tmp_path_factory.mktemp("keys")
    (folder / "jwks.json").write_bytes(Issuer("one").jwks)
    (folder / "api-keys").write_text("other-key other\n")
    tokens = TokenSettings(jwks=str(folder / "jwks.json"), issuer=NAME, audience=(AUDIENCE,))
    callers = CallerSettings(trust_context=False, api_keys_file=folder / "api-keys", tokens=tokens)
    policies = (
        policy(KEY, tiers=[always("pro"), with_quota("free", 1)]),
        policy(STRICT, tiers=[with_quota("free", 1, when_unavailable="Deny")]),
    )
    with ExitStack() as running:
        yield Servers(
            running.enter_context(hosted(*policies)),
            running.enter_context(hosted(*policies, quota_storage=NOBODY)),
            running.enter_context(hosted(*policies, callers=callers)),
        )


class User:
    """A user whom no test has seen before. Whatever is answered is held against the description."""

    def __init__(self, server: HostedServer, *, feature: str = KEY, plan: str = "free", **headers: str) -> None:
        self.server = server
        self.feature = feature
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.context = {"targetingKey": uuid4().hex, "plan": plan}

    def ask(self, operation: str, **body: Any) -> Response:
        case = schema[PATH + operation]["POST"].Case(
            path_parameters={"namespace": NAMESPACE, "feature": self.feature},
            body={"context": self.context, **body},
            media_type="application/json",
            headers=self.headers,
        )
        return case.call_and_validate(base_url=self.server.url, excluded_checks=[not_a_server_error])  # a 503 is meant

    def reserved(self) -> str:
        return str(self.ask("reserve").json()["reservation"])


def outcome(response: Response) -> tuple[int, str]:
    body = response.json()
    return response.status_code, body.get("outcome") or body["reason"]


def test_a_reservation(servers: Servers) -> None:
    assert outcome(User(servers.counting).ask("reserve")) == (200, "reserved")


def test_a_reservation_that_nobody_counts(servers: Servers) -> None:
    assert outcome(User(servers.counting, plan="pro").ask("reserve")) == (200, "unlimited")


def test_a_reservation_that_nobody_can_count(servers: Servers) -> None:
    assert outcome(User(servers.away).ask("reserve")) == (200, "uncounted")
    assert outcome(User(servers.away, feature=STRICT).ask("reserve")) == (503, "quota_unavailable")


def test_a_used_up_day(servers: Servers) -> None:
    user = User(servers.counting)
    user.ask("reserve")
    assert outcome(user.ask("reserve")) == (429, "denied_quota")


def test_a_reservation_that_is_proposed_again_after_its_end(servers: Servers) -> None:
    user, proposed = User(servers.counting), uuid4().hex
    made = user.ask("reserve", reservation=proposed).json()["reservation"]
    user.ask("refund", reservation=made)
    assert outcome(user.ask("reserve", reservation=proposed)) == (409, "reservation_closed")


@pytest.mark.parametrize(("operation", "said"), [("commit", "committed"), ("refund", "refunded")])
def test_an_end(servers: Servers, operation: str, said: str) -> None:
    user = User(servers.counting)
    reservation = user.reserved()
    assert outcome(user.ask(operation, reservation=reservation)) == (200, said)
    user.context["plan"] = "pro"
    assert outcome(user.ask(operation, reservation=reservation)) == (200, said)
    other = "refund" if operation == "commit" else "commit"
    assert outcome(user.ask(other, reservation=reservation)) == (409, "reservation_closed")


@pytest.mark.parametrize("operation", ["commit", "refund"])
def test_an_end_that_nobody_can_count(servers: Servers, operation: str) -> None:
    reservation = User(servers.counting).reserved()
    assert outcome(User(servers.away).ask(operation, reservation=reservation)) == (503, "quota_unavailable")


@pytest.mark.parametrize("operation", OPERATIONS)
def test_refusals(servers: Servers, operation: str) -> None:
    assert outcome(User(servers.counting).ask(operation, reservation="x")) == (400, "invalid_context")
    assert outcome(User(servers.counting).ask(operation, much="x" * 100_000)) == (413, "too_large")
    assert outcome(User(servers.counting, feature="nothing").ask(operation)) == (404, "flag_not_found")
    assert outcome(User(servers.public).ask(operation)) == (401, "unauthorized")
    assert outcome(User(servers.public, X_API_Key="other-key").ask(operation)) == (403, "forbidden")
