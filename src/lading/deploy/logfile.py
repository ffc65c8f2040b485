"""What an instance writes goes in; a file of a bounded length, and the one before it, come out."""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_MOST_BYTES = 16 << 20
_LOOK_S = 0.2


class LogFile:
    """A log (as `Running.follow` takes it) that begins anew when it is long; the last one is kept."""

    def __init__(self, path: Path, most_bytes: int = _MOST_BYTES) -> None:
        """Append to a file that only we may read."""
        self.path = path
        self._most_bytes = most_bytes
        self._turn = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)

    def write(self, data: bytes) -> int:
        """Append; a disk that is full costs lines of a log, and nothing else."""
        with self._turn:
            try:
                handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
                try:
                    os.write(handle, data)
                    is_long = os.fstat(handle).st_size > self._most_bytes
                finally:
                    os.close(handle)
                if is_long:
                    self.path.replace(_before(self.path))
            except OSError:
                return 0
        return len(data)

    def fileno(self) -> int:
        """Have every piece come through `write`: raise OSError, as a log in memory does."""
        raise io.UnsupportedOperation

    def flush(self) -> None:
        """Have nothing to write."""


def last_lines(path: Path, count: int) -> list[str]:
    """Return the last lines of a log, and of the one before it where there are too few."""
    lines: list[str] = []
    for one in (path, _before(path)):
        if len(lines) < count and one.exists():
            lines = one.read_text(encoding="utf-8", errors="replace").splitlines()[-count:] + lines
    return lines[-count:] if count else []


def follow(path: Path, is_over: Callable[[], bool]) -> Iterator[str]:
    """Yield what is written from now on, line by line, also after the log has begun anew."""
    stream = path.open(encoding="utf-8", errors="replace") if path.exists() else None
    try:
        if stream:
            stream.seek(0, os.SEEK_END)
        rest = ""
        while not is_over():
            piece = stream.read() if stream else ""
            rest += piece
            *lines, rest = rest.split("\n")
            yield from lines
            if piece:
                continue
            if path.exists() and (
                stream is None or not os.path.samestat(os.fstat(stream.fileno()), path.stat())
            ):
                if stream:
                    stream.close()
                stream = path.open(encoding="utf-8", errors="replace")
                continue
            time.sleep(_LOOK_S)
    finally:
        if stream:
            stream.close()


def _before(path: Path) -> Path:
    return path.with_name(f"{path.name}.1")
