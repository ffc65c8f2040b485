"""Lines in, rotated files out: JSON lines as they are, or Parquet made of each file that is full.

What is on its way to Parquet lies beside it as JSON lines: a server that is killed loses nothing of it.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from lading_runtime.front.parquet import Column, Writer

_GROUP_BYTES = 8 << 20
_MAX_AGE_S = 3600.0
_STDOUT = 1

ToRow = Callable[[dict[str, Any]], dict[str, Any]]


class Stdout:
    """The server's standard output, which nothing else writes to."""

    def write(self, data: bytes) -> None:
        """Write whole lines; raise OSError."""
        while data:
            data = data[os.write(_STDOUT, data) :]

    def tick(self) -> None:
        """Nothing here is put by."""

    def close(self) -> None:
        """Leave it open: it is not ours."""


class JsonLines:
    """A file of lines, put by as `PATH.1` when it has become large, and that one as `PATH.2`."""

    def __init__(self, path: str, max_bytes: int, files: int) -> None:
        """Open it, or go on with it; raise OSError."""
        self._path = path
        self._max_bytes = max_bytes
        self._files = files
        self._stream: BinaryIO | None = None
        self._size = 0
        self._open()

    def write(self, data: bytes) -> None:
        """Write whole lines, to as many files as they need; raise OSError.

        What a file has not taken whole is taken back.
        """
        self._look()
        while data:
            room = self._max_bytes - self._size
            # a line that is longer than a file may be has one of its own
            end = len(data) if len(data) <= room else data.rfind(b"\n", 0, max(room, 0)) + 1
            if not end and not self._size:
                end = data.find(b"\n") + 1 or len(data)
            if end:
                self._append(data[:end])
                data = data[end:]
            if data:
                self.put_by()

    def _append(self, data: bytes) -> None:
        stream = self._stream or self._open()
        try:
            rest = data
            while rest:
                rest = rest[stream.write(rest) :]
        except OSError:
            with suppress(OSError):
                stream.truncate(self._size)
            raise
        self._size += len(data)

    def _look(self) -> None:
        """Begin the file again where another program has moved or removed it."""
        if self._stream is None:
            return
        ours = os.fstat(self._stream.fileno())
        try:
            is_there = os.path.samestat(ours, os.stat(self._path))  # noqa: PTH116
        except OSError:
            is_there = False
        if not is_there:
            self.close()
            self._open()

    def tick(self) -> None:
        """Files of lines can be read at any time: none is put by for its age."""

    def put_by(self) -> None:
        """Begin another file."""
        self.close()
        if self._files == 0:
            os.unlink(self._path)  # noqa: PTH108
        for number in range(self._files, 0, -1):
            older = self._path if number == 1 else f"{self._path}.{number - 1}"
            with suppress(FileNotFoundError):
                os.replace(older, f"{self._path}.{number}")  # noqa: PTH105
        self._open()

    def close(self) -> None:
        """Close the file."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _open(self) -> BinaryIO:
        # unbuffered: what is written is there, or the error is known with the lines that it is about
        stream = open(self._path, "ab", buffering=0)  # noqa: PTH123, SIM115
        self._stream = stream
        self._size = stream.tell()
        return stream


class Parquet:
    """Parquet files named by when they were made: `PATH` without its ending, a time, and the ending."""

    def __init__(
        self, path: str, max_bytes: int, files: int, columns: Sequence[Column], to_row: ToRow
    ) -> None:
        """Make a file of the lines that an earlier server has left; raise OSError."""
        self._path = Path(path)
        self._files = files
        self._max_bytes = max_bytes
        self._columns = columns
        self._to_row = to_row
        self._lines = Path(f"{path}.jsonl")
        self._begun = time.monotonic()
        self._size = 0
        self._stream = JsonLines(str(self._lines), 1 << 62, 0)
        self._put_by()

    def write(self, data: bytes) -> None:
        """Write whole lines; raise OSError."""
        self._stream.write(data)
        self._size += len(data)
        if self._size >= self._max_bytes:
            self._put_by()

    def tick(self) -> None:
        """Make a file of what is an hour old."""
        if time.monotonic() - self._begun >= _MAX_AGE_S:
            self._put_by()

    def close(self) -> None:
        """Make a file of what there is."""
        self._put_by()
        self._stream.close()
        with suppress(OSError):
            self._lines.unlink()

    def _put_by(self) -> None:
        self._begun = time.monotonic()
        if self._lines.stat().st_size:
            stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime()) + f"-{time.time_ns() % 10**9:09d}"
            final = self._path.with_name(f"{self._path.stem}-{stamp}{self._path.suffix}")
            partial = final.with_suffix(".part")
            try:
                with partial.open("wb") as stream:
                    self._convert(stream)
                partial.replace(final)
            finally:
                with suppress(OSError):
                    partial.unlink()
            self._stream.put_by()
            self._forget()
        self._size = 0

    def _convert(self, stream: BinaryIO) -> None:
        writer = Writer(stream, self._columns)
        for rows in _groups(self._lines, self._to_row):
            writer.write(rows)
        writer.close()

    def _forget(self) -> None:
        name = re.compile(re.escape(self._path.stem) + r"-\d{8}T\d{6}-\d{9}" + re.escape(self._path.suffix))
        found = sorted(one for one in self._path.parent.iterdir() if name.fullmatch(one.name))
        for one in found[: -self._files - 1]:
            one.unlink()


def _groups(path: Path, to_row: ToRow) -> Iterator[list[dict[str, Any]]]:
    """Read lines in groups that fit into memory; the last line of a killed server may be torn."""
    rows: list[dict[str, Any]] = []
    size = 0
    with path.open("rb") as lines:
        for line in lines:
            try:
                rows.append(to_row(msgspec.json.decode(line)))
            except (msgspec.DecodeError, KeyError):
                continue
            size += len(line)
            if size >= _GROUP_BYTES:
                yield rows
                rows, size = [], 0
    if rows:
        yield rows
