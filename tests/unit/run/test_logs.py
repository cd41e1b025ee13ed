"""Logs as JSON lines."""

import json
import logging

from brownout.run.logs import JSONLines


def line(*, name: str = "brownout.run", exc: BaseException | None = None, **extra: object) -> dict[str, object]:
    """A record as it is printed."""
    info = (type(exc), exc, exc.__traceback__) if exc else None
    record = logging.getLogger(name).makeRecord(name, logging.INFO, "", 0, "%s replicas", (4,), info, extra=extra)
    found: dict[str, object] = json.loads(JSONLines().format(record))
    return found


def test_a_line_has_the_message_and_what_was_said_beside_it() -> None:
    found = line(kind="InferenceScaler", object="media/image")
    assert found["message"] == "4 replicas"
    assert (found["level"], found["kind"], found["object"]) == ("info", "InferenceScaler", "media/image")
    assert "logger" not in found


def test_a_line_of_somebody_else_says_whose() -> None:
    assert line(name="kopf")["logger"] == "kopf"


def test_an_exception_stays_on_its_line() -> None:
    assert "ValueError: odd" in str(line(exc=ValueError("odd"))["exception"])
