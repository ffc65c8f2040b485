"""What an instance writes goes in; a file of a bounded length, and the one before it, come out."""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Iterator
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
                if self.path.exists() and self.path.stat().st_size > self._most_bytes:
                    self.path.replace(_before(self.path))
                handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
                try:
                    os.write(handle, data)
                finally:
                    os.close(handle)
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


def follow(folder: Path, instance: str | None) -> Iterator[str]:
    """Yield what instances write from now on, line by line with their names, or what one of them writes."""
    tails: dict[str, _Tail] = {}
    is_first = True
    while True:
        for path in sorted(folder.glob("*.log")):
            if instance in {None, path.stem} and path.stem not in tails:
                tails[path.stem] = _Tail(path, path.stat().st_size if is_first else 0)
        is_first = False
        for name, tail in tails.items():
            for line in tail.lines():
                yield line if instance else f"[{name}] {line}"
        time.sleep(_LOOK_S)


class _Tail:
    """The end of a log that grows, and may begin anew."""

    def __init__(self, path: Path, offset: int) -> None:
        self._path = path
        self._offset = offset
        self._number = path.stat().st_ino if offset else 0
        self._rest = b""

    def lines(self) -> list[str]:
        try:
            number = self._path.stat().st_ino
            if self._number not in {0, number}:
                self._offset = 0  # it has begun anew
            self._number = number
            with self._path.open("rb") as stream:
                stream.seek(self._offset)
                data = stream.read()
        except OSError:
            return []
        self._offset += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [line.decode(errors="replace") for line in lines]


def _before(path: Path) -> Path:
    return path.with_name(f"{path.name}.1")
