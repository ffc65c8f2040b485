"""A folder or a tar of another maker in; its files, by path, out.

A tar may be compressed by gzip. Paths and links stay inside, and lengths are bounded.
"""

from __future__ import annotations

import gzip
import io
import os
import posixpath
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

from lading.core.digest import CHUNK_BYTES
from lading.core.errors import IntegrityError, Issue

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_MEMBERS_MAX = 100_000
_LINKS_MAX = 8
_SPARE_BYTES, _RATIO_MAX = 1 << 30, 64
"""What an archive may inflate to; a bomb is a thousand times what it weighs."""


class Files(Protocol):
    """What lies in a folder or a tar, by path."""

    @property
    def where(self) -> str:
        """Where they lie, for errors."""
        ...

    def size_bytes(self, name: str) -> int | None:
        """Return a file's length, None where there is none of this name."""
        ...

    def open(self, name: str) -> AbstractContextManager[IO[bytes]]:
        """Open a file that is there."""
        ...


@contextmanager
def opened(path: Path, scratch: Path) -> Iterator[Files]:
    """Open a folder or a tar; one that is compressed is inflated into `scratch` first.

    Raises IntegrityError where it cannot be read.
    """
    try:
        if path.is_dir():
            yield _Folder(path.resolve())
            return
        with path.open("rb") as file, _plain(file, path, scratch) as stream:
            yield _Tar.read(stream, str(path))
    except OSError as error:
        what = f"cannot be read: {error.strerror or error}"
        raise IntegrityError(Issue(str(path), what)) from error
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise IntegrityError(Issue(str(path), f"cannot be read as an archive: {error}")) from error


@contextmanager
def _plain(file: IO[bytes], path: Path, scratch: Path) -> Iterator[IO[bytes]]:
    """Inflate an archive that is compressed, for its members are read in any order."""
    magic = file.read(2)
    file.seek(0)
    if magic != b"\x1f\x8b":
        yield file
        return
    left_bytes = _SPARE_BYTES + _RATIO_MAX * path.stat().st_size
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=scratch) as whole, gzip.open(file) as stream:
        while chunk := stream.read(CHUNK_BYTES):
            left_bytes -= len(chunk)
            if left_bytes < 0:
                raise IntegrityError(Issue(str(path), "inflates to far more than an image does"))
            whole.write(chunk)
        whole.flush()
        whole.seek(0)
        yield whole


@dataclass(frozen=True, slots=True)
class _Folder:
    """Files of a folder; links may not lead out of it."""

    root: Path

    @property
    def where(self) -> str:
        return str(self.root)

    def size_bytes(self, name: str) -> int | None:
        path = self._path(name)
        return path.stat().st_size if path.is_file() else None

    def open(self, name: str) -> AbstractContextManager[IO[bytes]]:
        return self._path(name).open("rb")

    def _path(self, name: str) -> Path:
        path = (self.root / name).resolve()
        if not path.is_relative_to(self.root):
            raise IntegrityError(Issue(f"{self.root}: {name}", "leads out of the folder"))
        return path


class _Part(io.RawIOBase):
    """A part of a file, read where it lies: several may be read at once."""

    def __init__(self, fd: int, start: int, size_bytes: int) -> None:
        super().__init__()
        self._fd, self._start, self._end = fd, start, start + size_bytes
        self._at = start

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        origin = {os.SEEK_SET: self._start, os.SEEK_CUR: self._at, os.SEEK_END: self._end}[whence]
        self._at = min(max(origin + offset, self._start), self._end)
        return self._at - self._start

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        data = os.pread(self._fd, min(len(view), self._end - self._at), self._at)
        view[: len(data)] = data
        self._at += len(data)
        return len(data)


@dataclass(frozen=True, slots=True)
class _Tar:
    """Members of a tar, read from where they lie in it."""

    stream: IO[bytes]
    members: Mapping[str, tarfile.TarInfo]
    where: str

    @classmethod
    def read(cls, stream: IO[bytes], where: str) -> _Tar:
        archive = tarfile.open(fileobj=stream, mode="r:")  # noqa: SIM115 - it has no file of its own
        members: dict[str, tarfile.TarInfo] = {}
        for number, member in enumerate(archive):
            if number > _MEMBERS_MAX:
                raise IntegrityError(Issue(where, f"holds more than {_MEMBERS_MAX} files"))
            members[posixpath.normpath(member.name)] = member
        return cls(stream, members, where)

    def size_bytes(self, name: str) -> int | None:
        member = self._find(name)
        return member.size if member else None

    def open(self, name: str) -> AbstractContextManager[IO[bytes]]:
        member = self._find(name)
        if member is None:
            raise IntegrityError(Issue(self.where, f"holds no file {name!r}"))
        return io.BufferedReader(_Part(self.stream.fileno(), member.offset_data, member.size))

    def _find(self, name: str) -> tarfile.TarInfo | None:
        """Find a file, following links: `docker save` writes a layer once, and links to it."""
        name = posixpath.normpath(name)
        for _ in range(_LINKS_MAX):
            member = self.members.get(name)
            if member is None or (member.isreg() and not member.issparse()):
                return member
            folder = posixpath.dirname(name) if member.issym() else ""
            if not (member.issym() or member.islnk()):
                return None
            name = posixpath.normpath(posixpath.join(folder, member.linkname))
        return None
