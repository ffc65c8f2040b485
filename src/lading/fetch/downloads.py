"""A folder: finished downloads by digest, unfinished ones to go on with, texts by URL.

sha256/<hex>     finished, checked, synced
partial/<hex>    unfinished; locked by whoever is downloading it (released when that process dies)
texts/<hex>      the last text of a URL (named by the URL's digest) behind a line of JSON
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
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
        self._file.write(data)
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

    def seal(self, where: str) -> Path:
        """Put the file under its digest for good; IntegrityError, and nothing left, where it is another."""
        if not self.is_whole():
            self.discard()
            got = Digest(self._expected.algorithm, self._hash.hexdigest())
            raise IntegrityError(
                Issue(
                    where, f"got {got}, expected {self._expected}", "lock again if its publisher replaced it"
                )
            )
        self._file.flush()
        os.fsync(self._file.fileno())
        self._finished.parent.mkdir(parents=True, exist_ok=True)
        self._path.replace(self._finished)
        _sync(self._finished.parent)
        return self._finished


@dataclass(frozen=True, slots=True)
class KeptText:
    """A text as it was last received, and what lets a server say that it is still the same."""

    body: bytes
    validators: Mapping[str, str]
    """Request headers: If-None-Match, If-Modified-Since."""


class Downloads:
    """What has been downloaded. Any number of threads and processes may share the folder."""

    def __init__(self, folder: Path) -> None:
        """Take a folder, which need not be there yet."""
        self.folder = folder

    def find(self, digest: Digest, size_bytes: int | None) -> Path | None:
        """Return a finished download; one of another length was damaged and is forgotten."""
        path = self.folder / digest.algorithm / digest.hex
        try:
            found_bytes = path.stat().st_size
        except OSError:
            return None
        if size_bytes is not None and found_bytes != size_bytes:
            path.unlink(missing_ok=True)
            return None
        return path

    @contextmanager
    def partial(self, digest: Digest) -> Iterator[Partial]:
        """Hold a download alone, waiting while another thread or process does."""
        path = self.folder / "partial" / digest.hex
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            file = path.open("a+b", buffering=0)
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                # whoever held it may have finished it, which takes the name away from this file
                if _is_same(file, path):
                    yield Partial(file, path, digest, self.folder / digest.algorithm / digest.hex)
                    return
            finally:
                file.close()

    def recall(self, url: str) -> KeptText | None:
        """Return the last text of a URL, None where there is none or it was damaged."""
        try:
            head, _, body = self._text(url).read_bytes().partition(b"\n")
            document = json.loads(head)
            if document["digest"] == str(Digest.of(body)):
                return KeptText(body, document["validators"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return None

    def remember(self, url: str, text: KeptText) -> None:
        """Keep the text of a URL."""
        path = self._text(url)
        path.parent.mkdir(parents=True, exist_ok=True)
        head = {"digest": str(Digest.of(text.body)), "validators": dict(text.validators)}
        part = path.with_name(f"{path.name}.{os.getpid()}-{os.urandom(4).hex()}")
        try:
            part.write_bytes(json.dumps(head).encode() + b"\n" + text.body)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def _text(self, url: str) -> Path:
        return self.folder / "texts" / Digest.of(url.encode()).hex


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
