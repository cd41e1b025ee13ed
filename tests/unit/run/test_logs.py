"""Logs as JSON lines."""

import json
import logging

import pytest

from brownout.logs import DECISION, JSONLines, TextLines, configure, with_decision


def line(*, name: str = "brownout.run", exc: BaseException | None = None, **extra: object) -> dict[str, object]:
    """A record as it is printed."""
    info = (type(exc), exc, exc.__traceback__) if exc else None
    record = logging.getLogger(name).makeRecord(name, logging.INFO, "", 0, "%s replicas", (4,), info, extra=extra)
    found: dict[str, object] = json.loads(JSONLines().format(record))
    return found


def record(**extra: object) -> logging.LogRecord:
    """A record of ours."""
    return logging.getLogger("brownout.run").makeRecord(
        "brownout.run", logging.INFO, "", 0, "done", (), None, extra=extra
    )


def test_a_line_has_the_message_and_what_was_said_beside_it() -> None:
    found = line(kind="InferenceScaler", object="media/image")
    assert found["message"] == "4 replicas"
    assert (found["level"], found["kind"], found["object"]) == ("info", "InferenceScaler", "media/image")
    assert "logger" not in found


def test_a_line_of_somebody_else_says_whose() -> None:
    assert line(name="kopf")["logger"] == "kopf"


def test_an_exception_stays_on_its_line() -> None:
    assert "ValueError: odd" in str(line(exc=ValueError("odd"))["exception"])


def test_a_line_of_a_decision_has_its_id() -> None:
    token = DECISION.set("kxbqzv-7")
    try:
        one = record()
        assert with_decision(one)
    finally:
        DECISION.reset(token)
    assert json.loads(JSONLines().format(one))["decision"] == "kxbqzv-7"


def test_a_line_outside_of_a_decision_has_none() -> None:
    one = record()
    assert with_decision(one)
    assert "decision" not in json.loads(JSONLines().format(one))


def test_people_get_the_same_fields_on_a_readable_line() -> None:
    one = record(kind="GPUPool", object="h100")
    one.created = 0.25
    assert TextLines().format(one) == "00:00:00.250 info     done  kind=GPUPool  object=h100"


def test_what_is_no_terminal_gets_json(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        configure()
        logging.getLogger("brownout").warning("here")
        configure(form="text")
        logging.getLogger("brownout").warning("there")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    first, second = capsys.readouterr().err.splitlines()
    assert json.loads(first)["message"] == "here"
    assert second.endswith("warning  there")
