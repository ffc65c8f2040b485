"""What a worker prints in, lines of the server's log out.

A worker's stdout and stderr are a pipe, which a thread reads: whatever a model prints, and however much, no
request waits for whoever reads the log, or does not, and no line is torn. Only where the log is text, and a
file or a terminal, a worker writes to stderr itself.

In a log of text its lines are written as they are. For one of JSON the worker's Python marks what it knows
of a line (`worker/console.py`):

    RS key US process id US `info` or `error` US request id RS text, its line feeds as GS, line feed

The key is random, and the worker's alone to know: what a client has a model print is never taken for a mark.
"""

from __future__ import annotations

import atexit
import os
import re
import select
import stat
import threading
from collections.abc import Iterator
from itertools import chain
from typing import Any

from lading_runtime import log

LIMIT_BYTES = 16 << 10
"""A longer line is written as several."""
_CHUNK_BYTES = 1 << 16
_LAST_S = 0.5
_UNENDED_MS = 200
KEY = os.urandom(8).hex()
_MARK = re.compile(rb"\x1e" + KEY.encode() + rb"\x1f(\d{1,10})\x1f(info|error)\x1f([^\x1e\x1f]{0,4096})\x1e")
_STDERR = 2
_followers: set[threading.Thread] = set()


def begin() -> int:
    """Return the descriptor that a worker is to write to; `end` closes it here once the worker has it."""
    if not log.IS_JSON and not _may_stall():
        return _STDERR
    ours, theirs = os.pipe()
    follower = threading.Thread(
        target=_follow if log.IS_JSON else _copy, args=(ours,), daemon=True, name="worker output"
    )
    if not _followers:
        atexit.register(finish)
    _followers.add(follower)
    follower.start()
    return theirs


def end(descriptor: int) -> None:
    """Close our copy of what `begin` returned: the pipe ends when the last of the worker's processes has."""
    if descriptor != _STDERR:
        os.close(descriptor)


def _may_stall() -> bool:
    """Tell whether somebody has to read what is written to stderr."""
    try:
        mode = os.fstat(_STDERR).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def finish() -> None:
    """Give a worker's last words, which are in the pipe, the time to be written."""
    for follower in list(_followers):
        follower.join(_LAST_S)


def _follow(descriptor: int) -> None:
    rest = b""
    try:
        ready = select.poll()
        ready.register(descriptor, select.POLLIN)
        while True:
            # a line without an end may be the last words of a worker whose pipe others still have
            if rest and not ready.poll(_UNENDED_MS):
                _write([rest])
                rest = b""
            chunk = os.read(descriptor, _CHUNK_BYTES)
            if not chunk:
                break
            *lines, rest = (rest + chunk).split(b"\n")
            while len(rest) >= LIMIT_BYTES:
                piece, rest = _cut(rest)
                lines.append(piece)
            _write(lines)
        _write([rest] if rest else [])
    finally:
        os.close(descriptor)
        _followers.discard(threading.current_thread())


def _copy(descriptor: int) -> None:
    """Write whole lines as they come; and what has no end, when nothing has come for a moment."""
    rest = b""
    try:
        ready = select.poll()
        ready.register(descriptor, select.POLLIN)
        while True:
            if rest and (len(rest) > LIMIT_BYTES or not ready.poll(_UNENDED_MS)):
                log.emit(rest, patient=True)
                rest = b""
            chunk = os.read(descriptor, _CHUNK_BYTES)
            if not chunk:
                break
            lines, end, rest = (rest + chunk).rpartition(b"\n")
            log.emit(lines + end, patient=True)
        log.emit(rest, patient=True)
    finally:
        os.close(descriptor)
        _followers.discard(threading.current_thread())


def _write(lines: list[bytes]) -> None:
    """Write lines in one go, waiting a moment where the log is read more slowly than a model prints."""
    text = "".join(map(_line, chain.from_iterable(map(_pieces, lines))))
    if text:
        log.emit(text, patient=True)


def _pieces(raw: bytes) -> Iterator[bytes]:
    """Cut a line where a mark begins another: what its writer never ended is before it; then by length."""
    start = 0
    if raw.rfind(b"\x1e", 1) > 0:
        for mark in _MARK.finditer(raw, 1):
            yield from _short(raw[start : mark.start()])
            start = mark.start()
    yield from _short(raw[start:])


def _short(raw: bytes) -> Iterator[bytes]:
    while len(raw) > LIMIT_BYTES:
        piece, raw = _cut(raw)
        yield piece
    yield raw


def _cut(raw: bytes) -> tuple[bytes, bytes]:
    """Cut what is too long for a line, between characters; the rest is marked as what it was cut from."""
    at = LIMIT_BYTES
    while raw[at : at + 1] and raw[at] & 0xC0 == 0x80 and at > LIMIT_BYTES - 3:
        at -= 1
    marks = [mark[0] for mark in _MARK.finditer(raw, 0, at)]
    return raw[:at], (marks[-1] if marks else b"") + raw[at:]


def _line(raw: bytes) -> str:
    mark = _MARK.match(raw)
    fields: dict[str, Any] = {"source": "worker"}
    level = "info"
    if mark is not None:
        level = mark[2].decode()
        fields["pid"] = int(mark[1])
        if mark[3]:
            fields["request_id"] = mark[3].decode(errors="replace")
        raw = raw[mark.end() :].replace(b"\x1d", b"\n")
    return log.line(level, raw.decode(errors="replace").rstrip("\r"), fields)
