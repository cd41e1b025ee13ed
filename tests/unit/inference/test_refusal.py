"""The words of a refusal."""

import pytest

from brownout_inference.refusal import choose_notice, denial, queue_full
from inference.builders import verdict

NOTICES = {"": "Paused.", "de": "Pausiert.", "pt-br": "Pausado."}


def test_a_denial_for_capacity_says_when_to_come_back_and_carries_the_notice() -> None:
    refused = denial(
        verdict("free", variant="denied_capacity", notices=NOTICES, retry_after_seconds=12.2), "image-generation"
    )
    assert refused.status == 503
    assert refused.headers()["Retry-After"] == "13"
    body = refused.body()
    assert body["detail"] == "Paused."
    assert (body["feature"], body["tier"], body["variant"]) == ("image-generation", "free", "denied_capacity")
    assert (body["status"], body["title"]) == (503, "Paused")


def test_every_refusal_carries_the_error_that_openai_clients_read() -> None:
    error = denial(verdict(variant="denied_capacity", notices=NOTICES), "chat").body()["error"]
    assert error == {"message": "Paused.", "type": "server_error", "param": None, "code": "denied_capacity"}


def test_a_denial_for_the_plan_is_final() -> None:
    refused = denial(verdict(variant="denied_plan"), "chat")
    assert refused.status == 403
    assert "Retry-After" not in refused.headers()


@pytest.mark.parametrize(
    ("variant", "cohort", "reason"),
    [
        ("denied_capacity", "", "denied_capacity"),
        ("off_capacity", "", "denied_capacity"),
        ("denied_override", "new-accounts", "denied_override"),
        ("denied_new_accounts", "new-accounts", "denied_new_accounts"),
        ("denied_new_accounts", "", "denied"),
        ("denied", "", "denied"),
    ],
)
def test_the_reason_is_read_from_the_variants_name(variant: str, cohort: str, reason: str) -> None:
    value = {"enabled": False}
    assert denial(verdict(variant=variant, cohort=cohort, value=value), "chat").reason == reason


def test_without_a_notice_there_is_a_sentence() -> None:
    assert "not enough GPUs" in denial(verdict(variant="denied_capacity"), "chat").detail


def test_a_full_queue_is_too_many_requests_with_the_time_that_it_takes() -> None:
    refused = queue_full(verdict("free"), "chat", wait_seconds=7.3)
    assert refused.status == 429
    assert refused.headers()["Retry-After"] == "8"
    assert refused.body()["error"]["type"] == "rate_limit_error"


@pytest.mark.parametrize(
    ("accept", "locale", "text"),
    [
        ("", "", "Paused."),
        ("fr", "", "Paused."),
        ("de", "de", "Pausiert."),
        ("de-AT,en;q=0.5", "de", "Pausiert."),
        ("en;q=0.2, pt-BR", "pt-br", "Pausado."),
        ("de;q=0, fr", "", "Paused."),
        ("*, de;q=0.1", "", "Paused."),
        (";;;q=x,,", "", "Paused."),
    ],
)
def test_the_notice_is_in_the_language_that_the_client_prefers(accept: str, locale: str, text: str) -> None:
    assert choose_notice(NOTICES, accept) == (locale, text)


@pytest.mark.parametrize(
    ("seconds", "whole", "milliseconds", "again"), [(0.4, "1", "400", "true"), (61, "61", "61000", "false")]
)
def test_openai_clients_are_told_the_exact_wait_and_whether_to_try_again_by_themselves(
    seconds: float, whole: str, milliseconds: str, again: str
) -> None:
    headers = queue_full(verdict(), "chat", wait_seconds=seconds).headers()
    assert (headers["Retry-After"], headers["retry-after-ms"], headers["x-should-retry"]) == (
        whole,
        milliseconds,
        again,
    )
