"""Events in, one line each on stderr: text for people, or JSON (RFC 8259, times by RFC 3339) for machines.

`LADING_LOG_LEVEL` chooses from which level on; `LADING_LOG_FORMAT` chooses `text` or `json`, and without it
JSON is written where Kubernetes, Cloud Run or Knative collect it. Standard library only, and little of it:
the launcher writes lines too.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextvars import ContextVar
from typing import Any, Optional, Protocol

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("text", "json")
_COLLECTED = ("KUBERNETES_SERVICE_HOST", "K_SERVICE")


class Named(Protocol):
    """What a request is known by."""

    request_id: str
    trace_id: str


REQUEST: ContextVar[Optional[Named]] = ContextVar("REQUEST", default=None)  # noqa: UP045 - evaluated under 3.9
"""The request that is being answered; its names are in every line that is written for it."""


_ignored: list[str] = []


def _chosen(name: str, choices: tuple[str, ...], default: str) -> str:
    asked = os.environ.get(name, "").strip().lower()
    if asked and asked not in choices:
        _ignored.append(f"{name}={asked!r}: expected one of {', '.join(choices)}")
    return asked if asked in choices else default


_THRESHOLD = LEVELS.index(_chosen("LADING_LOG_LEVEL", LEVELS, "info"))
IS_JSON = (
    _chosen("LADING_LOG_FORMAT", FORMATS, "json" if any(map(os.environ.get, _COLLECTED)) else "text")
    == "json"
)
_described: dict[str, Any] = {}


def describe(**fields: Any) -> None:  # noqa: ANN401 - whatever JSON has
    """Add fields to every line of JSON from now on: which model this is. Then tell what was ignored."""
    _described.update(fields)
    while _ignored:
        write("warning", f"ignored {_ignored.pop()}")


def write(level: str, text: str, **fields: Any) -> None:  # noqa: ANN401
    """Write a line, at once and whole; a closed stderr stops nothing."""
    if LEVELS.index(level) >= _THRESHOLD:
        request = REQUEST.get()
        if request is not None:
            fields.setdefault("request_id", request.request_id)
            if request.trace_id:
                fields.setdefault("trace_id", request.trace_id)
        try:
            sys.stderr.write(line(level, text, fields) if IS_JSON else _text(level, text, fields))
            sys.stderr.flush()
        except (OSError, ValueError):
            return


def line(level: str, text: str, fields: dict[str, Any]) -> str:
    """Print one line of JSON; what is no JSON value is printed as Python does."""
    document = {"time": timestamp(time.time()), "level": level, "message": text, **_described, **fields}
    return json.dumps(document, default=repr) + "\n"


def timestamp(seconds: float) -> str:
    """Print a time as RFC 3339 has it, in UTC, to the microsecond."""
    whole, micros = divmod(round(seconds * 1e6), 1_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{micros:06d}Z"


def _text(level: str, text: str, fields: dict[str, Any]) -> str:
    tail = "".join(f" {name}={value}" for name, value in fields.items())
    return f"lading: {level}: {text}{tail}\n"


def capture() -> None:
    """Take what libraries log, and tracebacks that nobody catches, into lines of our own."""
    import logging
    import traceback

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            level = "error" if record.levelno >= logging.ERROR else "warning"
            self.format(record)
            text = "\n".join(filter(None, (record.getMessage(), record.exc_text)))
            write(level, f"{record.name}: {text}")

    logging.getLogger().addHandler(Handler(logging.WARNING))
    sys.excepthook = lambda *error: write("error", "".join(traceback.format_exception(*error)).rstrip())
