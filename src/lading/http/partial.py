"""Bytes that arrive in several tries → a file with the digest that was expected.

An unfinished file keeps its name and is locked by whoever fills it; the lock dies with the process, and the
bytes stay for the next one.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from lading.core.digest import CHUNK_BYTES, Digest
from lading.core.errors import IntegrityError, Issue


class Partial:
    """One unfinished download, held by this thread alone."""

    def __init__(self, file: IO[bytes], path: Path, digest: Digest, finished: Path) -> None:
        """Take an open, locked file and hash what an earlier try left in it."""
        self._file, self._path, self._expected, self._finished = file, path, digest, finished
        self.size_bytes = 0
        self._hash = hashlib.new(digest.algorithm)
        file.seek(0)
        while chunk := file.read(CHUNK_BYTES):
            self._hash.update(chunk)
            self.size_bytes += len(chunk)

    def write(self, data: bytes) -> None:
        """Append bytes."""
        left = memoryview(data)
        while left:  # a disk that is nearly full takes some of them, and refuses the next
            left = left[self._file.write(left) :]
        self._hash.update(data)
        self.size_bytes += len(data)

    def restart(self) -> None:
        """Begin again with nothing."""
        self._file.seek(0)
        self._file.truncate()
        self._hash = hashlib.new(self._expected.algorithm)
        self.size_bytes = 0

    def discard(self) -> None:
        """Leave nothing behind."""
        self._path.unlink(missing_ok=True)

    def is_whole(self) -> bool:
        """Tell whether these are the bytes that were asked for."""
        return self._hash.hexdigest() == self._expected.hex

    def seal(self, where: str, fix: str) -> Path:
        """Put the file under its digest for good; IntegrityError, and nothing left, where it is another."""
        if not self.is_whole():
            self.discard()
            got = Digest(self._expected.algorithm, self._hash.hexdigest())
            raise IntegrityError(Issue(where, f"got {got}, expected {self._expected}", fix))
        os.fchmod(self._file.fileno(), 0o644)
        os.fsync(self._file.fileno())
        self._finished.parent.mkdir(parents=True, exist_ok=True)
        self._path.replace(self._finished)
        _sync(self._finished.parent)
        return self._finished


@contextmanager
def hold(path: Path, digest: Digest, finished: Path) -> Iterator[Partial]:
    """Hold the unfinished file `path` alone, waiting while another thread or process does.

    What is sealed lies at `finished`; whoever waited looks there first.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        file = path.open("a+b", buffering=0)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            # whoever held it may have finished it, which takes the name away from this file
            if _is_same(file, path):
                yield Partial(file, path, digest, finished)
                return
        finally:
            file.close()


def _is_same(file: IO[bytes], path: Path) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    return False


def _sync(folder: Path) -> None:
    """Make a rename last through a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
