"""A zip as frameworks write it: a path goes in, a `ZipFile` that every reader understands alike comes out.

Readers disagree about what stands before the first entry, behind the directory, and about names that are
twice there: a model that hides something so is refused. Of entries no more is read than is asked for.
"""

from __future__ import annotations

import io
import os
import stat
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from lading.core.errors import Issue, ModelError
from lading.core.model import ModelFile
from lading.model.plain import start_of

MAGIC = b"PK\x03\x04"
_END, _END64, _LOCATOR = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_END_BYTES, _END64_BYTES, _LOCATOR_BYTES = 22, 56, 20
_LARGEST_DIRECTORY_BYTES = 16 << 20
_ENCRYPTED = 1
_ERRORS = (zipfile.BadZipFile, OSError, ValueError, RuntimeError, NotImplementedError, EOFError, struct.error)


def is_zip(file: ModelFile) -> bool:
    """Tell whether a file begins as a zip of a framework's does."""
    return start_of(file, len(MAGIC)) == MAGIC


@contextmanager
def open_zip(source: Path | IO[bytes], name: str) -> Iterator[zipfile.ZipFile]:
    """Open a zip; raise ModelError where readers could disagree about it, or it is broken."""
    import zlib

    try:
        with source.open("rb") if isinstance(source, Path) else source as stream:
            _check(stream)
            with zipfile.ZipFile(stream) as archive:
                _check_entries(archive)
                yield archive
    except (*_ERRORS, zlib.error) as error:
        raise ModelError(
            Issue(name, f"is no zip that can be read: {error}", "save the model again")
        ) from error


def check_zip(file: ModelFile) -> None:
    """Raise ModelError for what begins as a zip and is none that can be read, such as half of one."""
    if is_zip(file):
        with open_zip(file.source, file.path):
            pass


def names_of(file: ModelFile) -> frozenset[str]:
    """Return the names of a zip's entries; none where it is no zip, or cannot be read."""
    if not is_zip(file):
        return frozenset()
    try:
        with open_zip(file.source, file.path) as archive:
            return frozenset(archive.namelist())
    except ModelError:
        return frozenset()


def read(archive: zipfile.ZipFile, name: str, limit_bytes: int) -> bytes:
    """Read an entry of bounded size; raise ValueError for a longer one, KeyError where there is none."""
    with archive.open(name) as stream:
        data = stream.read(limit_bytes + 1)
    if len(data) > limit_bytes:
        raise ValueError(f"{name!r} is longer than {limit_bytes} bytes")
    return data


class EntryStream:
    """An entry, to be read forward (`model.source.Stream`)."""

    def __init__(self, stream: IO[bytes]) -> None:
        """Read from where it stands."""
        self._stream = stream

    def read(self, limit_bytes: int, /) -> bytes:
        """Return at most so many bytes, none at the end."""
        return self._stream.read(limit_bytes)

    def skip(self, count_bytes: int, /) -> bool:
        """Read and drop; tell whether there were that many."""
        while count_bytes:
            dropped = len(self._stream.read(min(count_bytes, 1 << 20)))
            if not dropped:
                return False
            count_bytes -= dropped
        return True


def _check(stream: IO[bytes]) -> None:
    """Make sure that entries, directory and end follow each other, with nothing before, between or behind."""
    size = _size(stream)
    stream.seek(0)
    if stream.read(len(MAGIC)) != MAGIC or size < _END_BYTES:
        raise ValueError("it does not begin with an entry")
    end_at = size - _END_BYTES
    stream.seek(end_at)
    end = stream.read(_END_BYTES)
    if not end.startswith(_END) or end[-2:] != b"\0\0":
        raise ValueError("there is something behind its directory")
    directory_bytes, directory_at = struct.unpack("<II", end[12:20])
    expected_end = end_at
    stream.seek(max(end_at - _LOCATOR_BYTES, 0))
    locator = stream.read(_LOCATOR_BYTES)
    if locator.startswith(_LOCATOR):
        end64_at = struct.unpack("<Q", locator[8:16])[0]
        expected_end = end_at - _LOCATOR_BYTES - _END64_BYTES
        if end64_at != expected_end:
            raise ValueError("there is something behind its directory")
        stream.seek(end64_at)
        end64 = stream.read(_END64_BYTES)
        if not end64.startswith(_END64):
            raise ValueError("its directory is broken")
        size64, at64 = struct.unpack("<QQ", end64[40:56])
        for narrow, wide in ((directory_bytes, size64), (directory_at, at64)):
            if narrow not in {wide, 0xFFFFFFFF}:
                raise ValueError("its directory is told twice, in two ways")
        directory_bytes, directory_at = size64, at64
    if directory_at + directory_bytes != expected_end:
        raise ValueError("there is something before its first entry")
    if directory_bytes > _LARGEST_DIRECTORY_BYTES:
        raise ValueError("it has more entries than a model has")
    stream.seek(0)


def _size(stream: IO[bytes]) -> int:
    if isinstance(stream, io.BufferedReader) and not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        raise ValueError("it is no file")
    return stream.seek(0, os.SEEK_END)


def _check_entries(archive: zipfile.ZipFile) -> None:
    entries = archive.infolist()
    names = {one.filename for one in entries}
    if len(names) != len(entries):
        raise ValueError("a name is there twice")
    if any(one.flag_bits & _ENCRYPTED for one in entries):
        raise ValueError("it is encrypted")
