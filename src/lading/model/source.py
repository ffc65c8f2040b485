"""Bytes read forward once: a stream goes in, bytes and lines of bounded length come out."""

from __future__ import annotations

import io
import os
from typing import Protocol

from lading.core.errors import Issue, ModelError

CHUNK_BYTES = 1 << 18
"""Read at a time; also the longest text that is looked at."""


class Stream(Protocol):
    """What a source reads from."""

    def read(self, limit_bytes: int, /) -> bytes:
        """Return at most so many bytes, none at the end."""
        ...

    def skip(self, count_bytes: int, /) -> bool:
        """Go forward; tell whether there were that many."""
        ...


class PlainStream:
    """A seekable file."""

    def __init__(self, file: io.FileIO) -> None:
        """Remember the length: seeking goes past an end without a word."""
        self._file = file
        self._size_bytes = os.fstat(file.fileno()).st_size

    def read(self, limit_bytes: int, /) -> bytes:
        """Return at most so many bytes."""
        return self._file.read(limit_bytes) or b""

    def skip(self, count_bytes: int, /) -> bool:
        """Seek forward within the file."""
        target = self._file.tell() + count_bytes
        if target > self._size_bytes:
            return False
        self._file.seek(target)
        return True


class Source:
    """Bytes at hand (`data[index:]`) and the stream that has the rest."""

    __slots__ = (
        "base",
        "data",
        "file_size_bytes",
        "frame_end",
        "index",
        "lenient",
        "name",
        "old_texts",
        "stream",
    )

    def __init__(self, stream: Stream, name: str, file_size_bytes: int = 0) -> None:
        """Begin at the start of a stream; `name` is what errors call it, the size that of the file."""
        self.stream = stream
        self.name = name
        self.file_size_bytes = file_size_bytes
        self.data = b""
        self.index = 0
        self.base = 0
        self.frame_end = 0
        self.lenient = False
        """Pass over broken texts, numbers and frames, as there are readers that do."""
        self.old_texts = False
        """Take texts of Python 2 that are not ASCII for bytes: no name is one."""

    @property
    def position(self) -> int:
        """Bytes read so far."""
        return self.base + self.index

    def refused(self, what: str, fix: str | None = None, *, position: int | None = None) -> ModelError:
        """Make the error that says what is wrong here."""
        at = self.position if position is None else position
        return ModelError(Issue(f"{self.name}:{at}", what, fix))

    def truncated(self) -> ModelError:
        """Make the error for a file that ends too early."""
        return self.refused("the file ends in the middle of the pickle", "copy or save the model again")

    def ensure(self, count_bytes: int) -> bool:
        """Have so many bytes at hand; tell whether there are."""
        if self.index + count_bytes <= len(self.data):
            return True
        kept = [self.data[self.index :]]
        held = len(kept[0])
        while held < count_bytes:
            chunk = self.stream.read(CHUNK_BYTES)
            if not chunk:
                break
            kept.append(chunk)
            held += len(chunk)
        self.base += self.index
        self.index = 0
        self.data = b"".join(kept)
        return held >= count_bytes

    def take(self, count_bytes: int) -> bytes:
        """Return the next bytes; raise ModelError where the file ends before."""
        if self.index + count_bytes > len(self.data) and not self.ensure(count_bytes):
            raise self.truncated()
        start = self.index
        self.index = start + count_bytes
        return self.data[start : self.index]

    def skip(self, count_bytes: int) -> None:
        """Go past bytes without reading them; raise ModelError where the file ends before."""
        at_hand = len(self.data) - self.index
        if count_bytes <= at_hand:
            self.index += count_bytes
            return
        if not self.stream.skip(count_bytes - at_hand):
            raise self.truncated()
        self.base += self.index + count_bytes
        self.data = b""
        self.index = 0

    def line(self) -> bytes | None:
        """Return the next line without its end; None for one too long to look at, which is skipped."""
        searched = 0
        while (end := self.data.find(b"\n", self.index + searched)) < 0:
            searched = len(self.data) - self.index
            if searched > CHUNK_BYTES:
                self._skip_line()
                return None
            if not self.ensure(searched + 1):
                raise self.truncated()
        line = self.data[self.index : end]
        self.index = end + 1
        return line

    def _skip_line(self) -> None:
        while (end := self.data.find(b"\n", self.index)) < 0:
            self.index = len(self.data)
            if not self.ensure(1):
                raise self.truncated()
        self.index = end + 1

    def at_end(self) -> bool:
        """Tell whether nothing follows."""
        return not self.ensure(1)
