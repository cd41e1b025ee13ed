"""Rules learnt from real clients: each of them stands here because a client that is in use fails open where it is broken."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import Reason

from brownout.api.policy import Notice, Variant
from flags.builders import DENIED, NAMESPACE, cell, override, policy
from flags.hosted import HostedServer, hosted

KEY = "image-generation"
BULK = f"/{NAMESPACE}/ofrep/v1/evaluate/flags"
FREE = {"plan": "free", "accountCreatedAt": 1_500_000_000, "targetingKey": "f"}
USERS: list[dict[str, Any]] = [
    {},
    FREE,
    {"plan": "pro"},
    {"plan": "plus", "targetingKey": "p"},
    {"plan": "free"},
    {"plan": ["free"], "targetingKey": ""},
    {"plan": None, "accountCreatedAt": "yesterday"},
]


def everything() -> Iterator[dict[str, Any]]:
    """Policies in every state that there is: well, degraded, split, denied, held back alone, by plan, by a person's word."""
    yield {"name": "well"}
    yield {"name": "degraded", "cells": [cell("free", "lite")]}
    yield {"name": "split", "cells": [cell("free", "full", 50), cell("free", "lite", 50, cohort="new-accounts")]}
    yield {"name": "denied", "cells": [cell("free", "denied")]}
    yield {"name": "alone", "cells": [cell("free", "denied", user="f")]}
    yield {"name": "nobody", "tiers": ()}
    yield {"name": "overridden"}


@pytest.fixture(scope="module")
def server() -> Iterator[HostedServer]:
    with hosted() as running:
        word = override(policy="overridden", expires="2099-01-01T00:00:00Z", created_at=4e9)
        running.publish(*(policy(**each) for each in everything()), overrides=[word])
        yield running


def flags(server: HostedServer, user: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.ask(BULK, {"context": user})[1]["flags"]
    return found


@pytest.mark.parametrize("user", USERS, ids=str)
def test_every_answer_has_a_variant_and_a_reason_that_openfeature_knows(
    server: HostedServer, user: dict[str, Any]
) -> None:
    """The Python OFREP provider looks the reason up by its name: any other is an exception, and the code's own default."""
    for flag in flags(server, user):
        assert flag["reason"] in Reason.__members__
        assert flag["reason"] not in {"DISABLED", "ERROR"}
        assert flag["variant"]
        assert "value" in flag  # without one a client takes the code's default


def test_one_answer_and_one_of_many_are_the_same(server: HostedServer) -> None:
    for user in USERS:
        for flag in flags(server, user):
            assert server.ask(f"{BULK}/{flag['key']}", {"context": user})[1] == flag


def test_what_is_denied_is_denied_whatever_the_codes_default_is(server: HostedServer) -> None:
    provider, domain = OFREPProvider(f"{server.url}/{NAMESPACE}"), uuid4().hex
    api.set_provider_and_wait(provider, domain)
    try:
        found = api.get_client(domain).get_object_details("denied", {"enabled": True}, EvaluationContext("f", {**FREE}))
    finally:
        provider.session.close()
    assert (found.value, found.variant, found.error_code) == (DENIED, "denied_capacity", None)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (f"{BULK}/nope", {}),
        (f"/nobody/ofrep/v1/evaluate/flags/{KEY}", {}),
        ("/nobody/ofrep/v1/evaluate/flags", {}),
        (BULK, b"{"),
        (f"{BULK}/{KEY}", b"{"),
        (BULK, {"context": 7}),
        (BULK, {"context": {"targetingKey": 7}}),
        (BULK, {"targetingKey": "f", "plan": "free"}),
        (f"{BULK}/{KEY}", {"targetingKey": "f", "plan": "free"}),
        (f"{BULK}/{KEY}", {"evaluationContext": {"targetingKey": "f"}}),
        (BULK, {"context": ["f"]}),
    ],
    ids=str,
)
def test_every_error_has_a_known_code_and_details(server: HostedServer, path: str, body: Any) -> None:
    """The Python provider reads `errorDetails` without asking whether it is there."""
    status, answer, _ = server.ask(path, body)
    assert status in {400, 404}
    assert answer["errorCode"] in ErrorCode.__members__
    assert answer["errorDetails"]


def test_nobody_is_ever_told_to_come_back_later(server: HostedServer) -> None:
    """A provider that gets a 429 stops asking for as long as it is told, and serves the code's defaults."""
    assert {server.ask(f"{BULK}/well", {"context": FREE})[0] for _ in range(300)} == {200}


def test_replicas_agree_on_versions_and_validators(server: HostedServer) -> None:
    """A client is balanced over all of them: validators of one that another does not know would make every answer a new one."""
    with hosted(policy()) as one, hosted(policy()) as other:
        answers = [each.ask(BULK, {"context": FREE}) for each in (one, other)]
    assert answers[0][1] == answers[1][1]
    assert answers[0][2]["ETag"] == answers[1][2]["ETag"]


def test_the_validator_covers_context_values_and_metadata() -> None:
    """A client that gets a 304 keeps what it has: a new notice, value or tier that the validator missed would never come."""
    first = Notice(locale="en", when="Denied", text="Paused.")
    with hosted(policy(notices=[first])) as server:

        def etag(**more: Any) -> str:
            return server.ask(BULK, {"context": {**FREE, **more}})[2]["ETag"]

        before = etag()
        assert etag() == before
        assert etag(plan="plus") != before
        assert etag(targetingKey="g") != before
        server.publish(policy(notices=[Notice(locale="en", when="Denied", text="Paused until noon.")]))
        reworded = etag()
        assert reworded != before
        server.publish(policy(notices=[first], variants=(Variant(name="full", value={}), *policy().spec.variants[1:])))
        assert etag() not in {before, reworded}
        server.publish(policy(notices=[first]))
        assert etag() == before
