"""Logs as one JSON object a line, so that they can be searched by object and reason."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JSONLines(logging.Formatter):
    """A record as JSON: time, level, message, and whatever `extra` gave."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        if not record.name.startswith("brownout"):
            line["logger"] = record.name
        line.update({name: value for name, value in vars(record).items() if name not in _PLAIN and name[:1] != "_"})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


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


def configure(level: str = "info") -> None:
    """Log to standard error. Of kopf only what is wrong, and seldom: it has a line for every event and retry otherwise."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JSONLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    seldom = Seldom()
    handler.addFilter(lambda record: not record.name.startswith("kopf") or seldom.filter(record))
    root.setLevel(level.upper())
    for name in ("kopf", "aiohttp", "asyncio"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
