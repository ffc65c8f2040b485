"""Events in, one line each on stderr: text for people, or JSON (RFC 8259, times by RFC 3339) for machines.

`LADING_LOG_LEVEL` chooses from which level on; `LADING_LOG_FORMAT` chooses `text` or `json`, and without it
JSON is written where Kubernetes, Cloud Run or Knative collect it. Standard library only, and little of it:
the launcher writes lines too. At first a line is written at once; from `detach` on by a thread, so that no
request waits for whoever reads the log, or does not.
"""

from __future__ import annotations

import atexit
import json
import os
import sys
import threading
import time
from collections import deque
from contextvars import ContextVar
from typing import Any, Optional, Protocol, Union

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("text", "json")
_STDERR = 2
_MOST_BYTES = 4 << 20
_PIPE_BYTES = 4096
_PATIENCE_S = 1.0
_PAUSE_S = 0.005
_LAST_S = 1.0
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
_turn = threading.RLock()
_writers: list[_Writer] = []


def describe(**fields: Any) -> None:  # noqa: ANN401 - whatever JSON has
    """Add fields to every line of JSON from now on: which model this is. Then tell what was ignored."""
    _described.update(fields)
    while _ignored:
        write("warning", f"ignored {_ignored.pop()}")


def write(level: str, text: str, **fields: Any) -> None:  # noqa: ANN401
    """Write a line, whole; a closed stderr stops nothing."""
    if LEVELS.index(level) >= _THRESHOLD:
        request = REQUEST.get()
        if request is not None:
            fields.setdefault("request_id", request.request_id)
            if request.trace_id:
                fields.setdefault("trace_id", request.trace_id)
        emit(line(level, text, fields) if IS_JSON else _text(level, text, fields))


def emit(lines: Union[str, bytes], *, patient: bool = False) -> None:  # noqa: UP007 - see above
    """Write whole lines; `patient`, wait a moment for room where more comes than is read."""
    data = lines.encode("utf-8", "backslashreplace") if isinstance(lines, str) else lines
    writer = _writers[0] if _writers else None
    if writer is not None:
        writer.put(data, patient=patient)
        return
    with _turn:
        try:
            sys.stderr.write(data.decode("utf-8", "backslashreplace"))
            sys.stderr.flush()
        except (OSError, ValueError):
            return


def detach() -> None:
    """Write by a thread from now on: what waits is bounded, and what is dropped is counted and told."""
    if not _writers:
        _writers.append(_Writer())


class _Writer:
    """The one that writes to stderr."""

    def __init__(self) -> None:
        # reentrant, as a Condition's lock is: what collects garbage in here may log
        self._turn = threading.Condition()
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._dropped = 0
        self._is_stalled = False
        self._is_open = True
        self._thread = threading.Thread(target=self._run, daemon=True, name="log")
        self._thread.start()

    def put(self, data: bytes, *, patient: bool) -> None:
        """Take whole lines, where there is room."""
        with self._turn:
            if patient and not self._has_room(data) and not self._is_stalled:
                self._is_stalled = not self._turn.wait_for(lambda: self._has_room(data), _PATIENCE_S)
            if not self._has_room(data):
                self._dropped += data.count(b"\n")
                return
            self._waiting.append(data)
            self._size += len(data)
            self._turn.notify_all()

    def close(self) -> None:
        """Write what waits, within a short time."""
        with self._turn:
            self._is_open = False
            self._turn.notify_all()
        self._thread.join(_LAST_S)

    def _has_room(self, data: bytes) -> bool:
        return not self._size or self._size + len(data) <= _MOST_BYTES

    def _run(self) -> None:
        is_open = True
        while is_open or self._waiting:
            with self._turn:
                self._turn.wait_for(lambda: self._waiting or not self._is_open)
                is_open = self._is_open
            while block := self._block():
                _write_out(block)
                with self._turn:
                    self._size -= len(block)
                    # a reader that is slow, and not only late, is waited for once
                    self._is_stalled = self._is_stalled and self._size > _MOST_BYTES // 2
                    dropped, self._dropped = self._dropped, 0
                    self._turn.notify_all()
                if dropped:
                    write("warning", f"{dropped} lines of the log were dropped: nothing read them in time")
            if is_open:
                time.sleep(_PAUSE_S)  # what comes meanwhile is written at once

    def _block(self) -> bytes:
        """Take what a pipe takes whole, other processes writing to it, or one that is longer."""
        with self._turn:
            taken = [self._waiting.popleft()] if self._waiting else []
            size = sum(map(len, taken))
            while self._waiting and size + len(self._waiting[0]) <= _PIPE_BYTES:
                taken.append(self._waiting.popleft())
                size += len(taken[-1])
        return b"".join(taken)


def _write_out(data: bytes) -> None:
    """Write all of it, however long that takes; a closed stderr stops nothing."""
    while data:
        try:
            data = data[os.write(_STDERR, data) :]
        except BlockingIOError:
            time.sleep(_PAUSE_S)
        except OSError:
            return


@atexit.register
def finish() -> None:
    """Write what waits."""
    for writer in _writers:
        writer.close()


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
