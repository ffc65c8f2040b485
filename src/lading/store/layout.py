"""A store in a folder: an OCI image layout (OCI image spec, image-layout.md).

Blobs are written to `.ingest/`, hashed on the way, synced and renamed; `index.json` is replaced under a lock.
So the process may be killed at any point, and many processes may write at once.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from lading.core import canonical
from lading.core.descriptor import Descriptor
from lading.core.digest import CHUNK_BYTES, Digest
from lading.core.errors import IntegrityError, Issue, LadingError, RegistryError
from lading.core.ports import OpenAt
from lading.http.partial import Partial, hold
from lading.store import documents
from lading.store.catalogue import Catalogue
from lading.store.disk import (
    PartialFile,
    make_folder,
    refusal,
    replace_file,
    sync_folder,
    translated,
)
from lading.store.index import Index

MARKER = "oci-layout"
INDEX_FILE = "index.json"
INGEST = ".ingest"
LOCK = ".lock"
# the marker too: another thread or process may have written it since it was looked for
KNOWN = frozenset({INDEX_FILE, INGEST, LOCK, MARKER, "blobs"})
"""What lies in the folder of a layout."""
MARK = canonical.encode({"imageLayoutVersion": "1.0.0"})
LEASE = "lease-"
_FRESH_S = 60.0
"""A blob asked for this recently is not marked as asked for once more."""


class LayoutStore(Catalogue):
    """An OCI image layout folder, made on the first write. Law: every blob matches its name, always."""

    def __init__(self, folder: Path) -> None:
        """Name the folder; nothing is read or written yet."""
        self.folder = folder.absolute()
        self._thread_lock = threading.RLock()
        self._lock_depth = 0
        self._lock_handle = -1
        self._cached: tuple[tuple[int, int, int], Index] | None = None
        self._is_ready = False

    def size_bytes(self, digest: Digest) -> int | None:
        """Return a blob's size, None where it is not there; keeps it from being collected for a while."""
        path = self.path(digest)
        try:
            status = path.stat()
            if time.time() - status.st_mtime > _FRESH_S:
                _touch(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise refusal(path, error, reading=True) from error
        return status.st_size

    def open(self, digest: Digest) -> IO[bytes]:
        """Open a blob for reading; raise RegistryError where it is not there."""
        path = self.path(digest)
        try:
            # somebody else's layout may hold pipes, which would be waited for without end
            handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            if stat.S_ISREG(os.fstat(handle).st_mode):
                return os.fdopen(handle, "rb")
            os.close(handle)
            raise IntegrityError(Issue(str(path), "is no file", "lading fsck --repair"))
        except FileNotFoundError as error:
            issue = Issue(str(digest), f"is not in the store {self.folder}", "pack or pull it again")
            raise RegistryError(issue) from error
        except OSError as error:
            raise refusal(path, error, reading=True) from error

    @contextmanager
    def create(self) -> Iterator[_Writer]:
        """Begin a blob; raise RegistryError where the disk is full or may not be written."""
        with translated(self.folder):
            self._prepare()
        with PartialFile.begin(self.folder / INGEST) as partial:
            yield _Writer(self, partial)

    def take(self, descriptor: Descriptor, open_at: OpenAt, told: Callable[[int], None]) -> int:
        """Bring in a blob that is known by its digest and size; return how many bytes of it came.

        What arrives before the source breaks off or the process dies is kept in `.ingest/` for the next try.
        """
        digest = descriptor.digest
        if self.size_bytes(digest) == descriptor.size_bytes:
            return 0
        with translated(self.folder):
            self._prepare()
        unfinished = self.folder / INGEST / digest.hex
        with translated(self.folder), hold(unfinished, digest, self.path(digest)) as partial:
            if self.size_bytes(digest) == descriptor.size_bytes:  # somebody else was faster
                partial.discard()
                return 0
            try:
                had_bytes = _fill(partial, descriptor, open_at, told)
                if had_bytes and not partial.is_whole():
                    # the beginning that an earlier try left may be what is wrong
                    partial.restart()
                    had_bytes = _fill(partial, descriptor, open_at, told)
                documents.check_size(descriptor, partial.size_bytes)
                partial.seal(str(digest), "fetch it again")
            except (IntegrityError, OSError):
                partial.discard()
                raise
        return descriptor.size_bytes - had_bytes

    def is_sound(self, digest: Digest) -> bool:
        """Tell whether a blob is there and is what its name says; reads all of it."""
        state = hashlib.new(digest.algorithm)
        try:
            with self.path(digest).open("rb") as stream:
                while chunk := stream.read(CHUNK_BYTES):
                    state.update(chunk)
        except OSError:  # a disk that has lost a block cannot read it
            return False
        return state.hexdigest() == digest.hex

    def delete(self, digest: Digest) -> None:
        """Remove a blob, its names and its place among referrers; no error where it is not there."""
        self.forget({digest})
        with translated(self.folder):
            self.path(digest).unlink(missing_ok=True)

    def digests(self) -> Iterator[Digest]:
        """List every blob."""
        for path in sorted((self.folder / "blobs").glob("sha*/*")):
            with suppress(IntegrityError):
                yield Digest.parse(f"{path.parent.name}:{path.name}")

    def sizes(self) -> dict[Digest, int]:
        """Return the size of every blob; none of them is asked for."""
        found = {}
        for digest in self.digests():
            with translated(self.path(digest), reading=True), suppress(FileNotFoundError):
                found[digest] = self.path(digest).lstat().st_size
        return found

    def unfinished_bytes(self) -> int:
        """Return what is being written, or was left by writers that died."""
        total_bytes = 0
        for path in (self.folder / INGEST).glob("*"):
            with suppress(FileNotFoundError):
                total_bytes += path.lstat().st_size
        return total_bytes

    def age_s(self, digest: Digest) -> float:
        """Return the seconds since a blob was last written or asked for."""
        with suppress(FileNotFoundError):
            return time.time() - self.path(digest).stat().st_mtime
        return 0.0

    def discard(self, digest: Digest, *, older_than_s: float) -> int | None:
        """Remove a blob that no name needs; return its size, None where it was asked for meanwhile."""
        path = self.path(digest)
        with translated(path), suppress(FileNotFoundError), _flocked(path.parent, fcntl.LOCK_EX):
            status = path.lstat()
            if time.time() - status.st_mtime >= older_than_s:
                path.unlink()
                return status.st_size
        return None

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """While this lasts, nothing is collected that was written or asked for since it began.

        Waits for a collection under way. Where nothing can be written, nothing can be removed either.
        """
        with ExitStack() as stack:
            with suppress(RegistryError), self.lock():
                stack.enter_context(PartialFile.begin(self.folder / INGEST, prefix=LEASE))
            yield

    def ask_for(self, descriptor: Descriptor) -> None:
        """Mark everything that a manifest or index names as asked for, and what refers to it."""
        for part in documents.walk(self, descriptor):
            self.size_bytes(part.digest)
            with suppress(LadingError):  # one that is damaged is no matter of this manifest
                for referrer in self.referrers(part.digest) if documents.is_manifest(part) else ():
                    self.ask_for(referrer)

    def keeping_for_s(self) -> float:
        """Return the seconds since the oldest `keeping` that lasts began, in any process; 0 without one."""
        now_s = time.time()
        began_s = [now_s]
        for path in (self.folder / INGEST).glob(f"{LEASE}*"):
            with suppress(FileNotFoundError), PartialFile.abandoned(path) as is_dead:
                if not is_dead:
                    # what was asked for just before is not marked once more
                    began_s.append(path.stat().st_mtime - _FRESH_S)
        return now_s - min(began_s)

    def sweep(self, *, older_than_s: float, dry_run: bool) -> dict[str, int]:
        """Remove what writers that died have left; return the names and the bytes of it."""
        swept = {}
        for path in sorted((self.folder / INGEST).glob("*")):
            with translated(path), suppress(FileNotFoundError):
                status = path.stat()
                # a writer may be between making its file, which is empty then, and locking it
                spared_s = older_than_s if status.st_size else max(older_than_s, _FRESH_S)
                is_old = time.time() - status.st_mtime >= spared_s
                with PartialFile.abandoned(path) as is_dead:
                    if not is_old or not is_dead:
                        continue
                    swept[path.name] = status.st_size
                    if not dry_run:
                        path.unlink()
        return swept

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold off every other change of the index; may be entered again by the same thread."""
        with self._thread_lock:
            if self._lock_depth == 0:
                with translated(self.folder):
                    self._prepare()
                    self._lock_handle = self._locked()
            self._lock_depth += 1
            try:
                yield
            finally:
                self._lock_depth -= 1
                if self._lock_depth == 0:
                    os.close(self._lock_handle)

    def path(self, digest: Digest) -> Path:
        """Name the file of a blob, whether it is there or not."""
        return self.folder / "blobs" / digest.algorithm / digest.hex

    def _locked(self) -> int:
        handle = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except BaseException:
            os.close(handle)
            raise
        return handle

    def _prepare(self) -> None:
        """Make the folder a layout, unless it is one; raise IntegrityError where it is something else."""
        if self._is_ready:
            return
        for folder in (self.folder / INGEST, self.folder / "blobs" / "sha256"):
            if not folder.is_dir():
                self.is_layout()
                make_folder(folder)
        if not self.is_layout():
            handle = self._locked()
            try:
                if not (self.folder / INDEX_FILE).exists():
                    self._write(INDEX_FILE, Index().encode())
                # last: a folder with this file is complete
                self._write(MARKER, MARK)
            finally:
                os.close(handle)
        self._is_ready = True

    def is_layout(self) -> bool:
        """Tell whether the folder is a layout yet; raise IntegrityError where it is something else."""
        try:
            mark = canonical.decode((self.folder / MARKER).read_bytes(), str(self.folder / MARKER))
        except FileNotFoundError as error:
            if self.folder.is_dir() and (others := {path.name for path in self.folder.iterdir()} - KNOWN):
                what = f"is no OCI image layout: it holds {min(others)!r}, but no {MARKER!r}"
                raise IntegrityError(Issue(str(self.folder), what, "choose an empty folder")) from error
            return False
        if mark != {"imageLayoutVersion": "1.0.0"}:
            what = f"got {mark!r}, expected imageLayoutVersion 1.0.0"
            raise IntegrityError(Issue(str(self.folder / MARKER), what))
        return True

    def _read_index(self) -> Index:
        path = self.folder / INDEX_FILE
        with translated(path, reading=True):
            return self._load_index(path)

    def _load_index(self, path: Path) -> Index:
        try:
            with path.open("rb") as file:
                status = os.fstat(file.fileno())
                version = (status.st_ino, status.st_mtime_ns, status.st_size)
                if self._cached is None or self._cached[0] != version:
                    self._cached = version, Index.parse(file.read(), str(path))
        except FileNotFoundError as error:
            if self.is_layout():
                fix = "the blobs are there still: pack again, or restore index.json"
                raise IntegrityError(Issue(str(path), "is missing", fix)) from error
            return Index()
        return self._cached[1]

    def _replace_index(self, index: Index) -> None:
        if index != self._read_index():
            self.restore(index)

    def restore(self, index: Index) -> None:
        """Replace the index, whatever it was; the lock must be held."""
        with translated(self.folder):
            # the names of the blobs reach the disk before the index that relies on them
            sync_folder(self.folder / "blobs" / "sha256")
            self._write(INDEX_FILE, index.encode())

    def _write(self, name: str, data: bytes) -> None:
        replace_file(self.folder / name, data, ingest=self.folder / INGEST)


@contextmanager
def _flocked(folder: Path, how: int) -> Iterator[None]:
    """Hold a lock on a folder: to touch a blob it is shared, to look at its age and remove it it is not."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, how)
        yield
    finally:
        os.close(handle)


def _touch(path: Path) -> None:
    """Mark a blob as asked for; raise FileNotFoundError where it was collected just now."""
    try:
        with _flocked(path.parent, fcntl.LOCK_SH):
            os.utime(path)
    except FileNotFoundError:
        raise
    except OSError:  # a store that may only be read is not collected either
        pass


def strip(folder: Path) -> None:
    """Leave nothing in a layout but what the specification names; nobody may be writing to it."""
    (folder / INGEST).rmdir()
    (folder / LOCK).unlink()


def _fill(partial: Partial, descriptor: Descriptor, open_at: OpenAt, told: Callable[[int], None]) -> int:
    """Append what is missing, and one byte at most of what is too much; return how many bytes were there."""
    if partial.size_bytes > descriptor.size_bytes:
        partial.restart()
    had_bytes = partial.size_bytes
    told(had_bytes)
    if had_bytes == descriptor.size_bytes:
        return had_bytes
    with open_at(had_bytes) as stream:
        # what has come is not gathered first, where the stream can tell
        read = getattr(stream, "read1", stream.read)
        while chunk := read(min(CHUNK_BYTES, descriptor.size_bytes + 1 - partial.size_bytes)):
            partial.write(chunk)
            told(min(partial.size_bytes, descriptor.size_bytes))
    return had_bytes


class _Writer:
    """Law: what is committed lies under the digest of its bytes, once."""

    def __init__(self, store: LayoutStore, partial: PartialFile) -> None:
        self._store = store
        self._partial = partial
        self._state = hashlib.sha256()
        self._size_bytes = 0

    def write(self, data: bytes | bytearray | memoryview, /) -> int:
        self._state.update(data)
        try:
            written = self._partial.file.write(data)
        except OSError as error:
            raise refusal(self._store.folder, error) from error
        self._size_bytes += written
        return written

    def commit(self, expected: Digest | None = None) -> Digest:
        digest = Digest("sha256", self._state.hexdigest())
        if expected not in {None, digest}:
            raise IntegrityError(Issue("blob", f"got {digest}, expected {expected}", "fetch it again"))
        # asking for a blob also keeps it from being collected; what was damaged since is replaced
        if self._store.size_bytes(digest) != self._size_bytes or not self._store.is_sound(digest):
            with translated(self._store.folder):
                self._partial.move_to(self._store.path(digest))
        return digest
