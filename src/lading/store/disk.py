"""Files that appear whole or not at all, and what a disk refuses in plain words."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from lading.core.errors import Issue, RegistryError, disk_fix

_BUFFER_BYTES = 1 << 20


def refusal(path: Path, error: OSError, *, reading: bool = False) -> RegistryError:
    """Say what a disk refused, and the way out."""
    if reading:
        return RegistryError(Issue(str(path), f"cannot be read: {error.strerror}"))
    what = f"cannot be written: {error.strerror}; what was there before is unharmed"
    return RegistryError(Issue(str(path), what, disk_fix(error)))


@contextmanager
def translated(path: Path, *, reading: bool = False) -> Iterator[None]:
    """Raise what the disk refuses as RegistryError."""
    try:
        yield
    except OSError as error:
        raise refusal(path, error, reading=reading) from error


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, that everybody may read whatever the umask."""
    if path.is_dir():
        return
    make_folder(path.parent)
    with suppress(FileExistsError):
        path.mkdir()
        path.chmod(0o755)


def sync_folder(path: Path) -> None:
    """Bring the names in a folder to the disk."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replace_file(path: Path, data: bytes, *, ingest: Path) -> None:
    """Replace a file's contents: after a crash they are the old or the new, never a mixture."""
    with PartialFile.begin(ingest) as partial:
        partial.file.write(data)
        partial.move_to(path)
    sync_folder(path.parent)


class PartialFile:
    """A file being written under a name of its own; locked while its writer lives."""

    def __init__(self, path: Path) -> None:
        """Make the file, in the file system that it will be moved within."""
        self.path = path
        self.file: IO[bytes] = path.open("xb", buffering=_BUFFER_BYTES)
        fcntl.flock(self.file.fileno(), fcntl.LOCK_EX)

    @classmethod
    @contextmanager
    def begin(cls, folder: Path, prefix: str = "") -> Iterator[PartialFile]:
        """Begin a file; what was not moved away is gone afterwards. Raises RegistryError."""
        with translated(folder):
            partial = cls(folder / f"{prefix}{os.getpid()}-{os.urandom(8).hex()}")
        try:
            yield partial
        finally:
            with suppress(OSError):  # a full disk refuses the last buffer too; it is not wanted any more
                partial.file.close()
            partial.path.unlink(missing_ok=True)

    @staticmethod
    @contextmanager
    def abandoned(path: Path) -> Iterator[bool]:
        """Tell whether the writer of a file is gone; if so, nobody takes the file up while this lasts."""
        with path.open("rb") as file:
            try:
                # shared: two who ask at once do not take each other for the writer
                fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True

    def move_to(self, path: Path) -> None:
        """Bring the contents to the disk, then give them their name."""
        self.file.flush()
        os.fchmod(self.file.fileno(), 0o644)
        os.fsync(self.file.fileno())
        self.path.rename(path)
