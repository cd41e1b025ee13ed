"""Logs: one JSON object a line for machines, one readable line for people at a terminal, the same fields in both.

Every line that is written while a decision is made or carried out has that decision's id, so that one search finds all of them.
"""

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal

Format = Literal["auto", "json", "text"]

DECISION: ContextVar[str] = ContextVar("decision", default="")
"""The id of the decision that is being made or carried out; tasks that are started meanwhile inherit it."""

_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def fields(record: logging.LogRecord) -> dict[str, Any]:
    """What was given beside the message by `extra`, and the decision."""
    return {name: value for name, value in vars(record).items() if name not in _PLAIN and name[:1] != "_"}


class JSONLines(logging.Formatter):
    """A record as JSON: time, level, message, decision, and whatever `extra` gave."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _moment(record),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        if not record.name.startswith("brownout"):
            line["logger"] = record.name
        line.update(fields(record))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


class TextLines(logging.Formatter):
    """A record as a line for people: time, level, message, and the fields as name=value; an exception goes below it."""

    def format(self, record: logging.LogRecord) -> str:
        given = fields(record) | ({} if record.name.startswith("brownout") else {"logger": record.name})
        after = "".join(f"  {name}={value}" for name, value in given.items())
        line = f"{_moment(record)[11:23]} {record.levelname.lower():<8} {record.getMessage()}{after}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _moment(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def with_decision(record: logging.LogRecord) -> bool:
    """A filter that lets everything through, and puts the decision's id on it."""
    if (decision := DECISION.get()) and not hasattr(record, "decision"):
        record.decision = decision
    return True


class Seldom(logging.Filter):
    """Lets a sentence of a library through once in a while: a retry every few seconds for each kind would bury the rest."""

    def __init__(self, *, seconds: float = 30.0) -> None:
        super().__init__()
        self._seconds = seconds
        self._last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether nothing that begins alike was said a short while ago."""
        beginning = record.getMessage()[:16]
        if record.created - self._last.get(beginning, 0.0) < self._seconds:
            return False
        self._last[beginning] = record.created
        return True


def configure(level: str = "info", form: Format = "auto") -> None:
    """Log to standard error; `auto` is text where that is a terminal, and JSON elsewhere.

    Of kopf only what is wrong, and seldom: it has a line for every event and retry otherwise.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(TextLines() if form == "text" or (form == "auto" and sys.stderr.isatty()) else JSONLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    seldom = Seldom()
    handler.addFilter(lambda record: not record.name.startswith("kopf") or seldom.filter(record))
    handler.addFilter(with_decision)
    root.setLevel(level.upper())
    for name in ("kopf", "aiohttp", "asyncio"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
