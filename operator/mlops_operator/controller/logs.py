"""Structured logs: one JSON object a line on stderr, with the resource that is worked on."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

from mlops_operator.controller.keys import Key

# Follows the task that works on a key; it is context, not state.
_current: ContextVar[Key | None] = ContextVar("key", default=None)


@contextmanager
def about(key: Key) -> Iterator[None]:
    """Name a key in every line that is logged in this task meanwhile."""
    token = _current.set(key)
    try:
        yield
    finally:
        _current.reset(token)


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name.removeprefix("mlops_operator."),
            "message": record.getMessage(),
        }
        key = getattr(record, "key", None) or _current.get()
        if key is not None:
            line |= {"kind": key.kind, "namespace": key.namespace, "name": key.name}
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def set_up(level: str) -> None:
    """Log to stderr from now on. Client libraries speak up from warnings only: their debug lines hold headers."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("mlops_operator").setLevel(level.upper())
