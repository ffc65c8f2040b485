"""A store in memory, for tests and for what need not last."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lading.core.descriptor import Descriptor
from lading.core.digest import CHUNK_BYTES, Digest
from lading.core.errors import IntegrityError, Issue, RegistryError
from lading.core.ports import OpenAt
from lading.store import documents
from lading.store.catalogue import Catalogue
from lading.store.index import Index


class MemoryStore(Catalogue):
    """Blobs and names in dictionaries; safe to share between threads."""

    def __init__(self) -> None:
        """Begin empty."""
        self._blobs: dict[Digest, bytes] = {}
        self._asked_s: dict[Digest, float] = {}
        self._index = Index()
        self._lock = threading.RLock()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold off every other change of the index."""
        with self._lock:
            yield

    def size_bytes(self, digest: Digest) -> int | None:
        """Return a blob's size, None where it is not there; keeps it from being collected for a while."""
        if digest not in self._blobs:
            return None
        self._asked_s[digest] = time.time()
        return len(self._blobs[digest])

    def open(self, digest: Digest) -> io.BytesIO:
        """Open a blob for reading; raise RegistryError where it is not there."""
        if digest not in self._blobs:
            raise RegistryError(Issue(str(digest), "is not in the store", "pack or pull it again"))
        return io.BytesIO(self._blobs[digest])

    @contextmanager
    def create(self) -> Iterator[_Writer]:
        """Begin a blob."""
        yield _Writer(self)

    def take(self, descriptor: Descriptor, open_at: OpenAt, told: Callable[[int], None]) -> int:
        """Bring in a blob that is known by its digest and size; return how many bytes of it came."""
        if self.size_bytes(descriptor.digest) == descriptor.size_bytes:
            return 0
        with open_at(0) as stream, self.create() as blob:
            done = 0
            # one byte too many is read, so that a blob longer than it says is noticed, however long it is
            while chunk := stream.read(min(CHUNK_BYTES, descriptor.size_bytes + 1 - done)):
                done += blob.write(chunk)
                told(min(done, descriptor.size_bytes))
            documents.check_size(descriptor, done)
            blob.commit(descriptor.digest)
        return descriptor.size_bytes

    def delete(self, digest: Digest) -> None:
        """Remove a blob, its names and its place among referrers; no error where it is not there."""
        self.forget({digest})
        self._blobs.pop(digest, None)

    def digests(self) -> Iterator[Digest]:
        """List every blob."""
        return iter(sorted(self._blobs))

    def age_s(self, digest: Digest) -> float:
        """Return the seconds since a blob was last written or asked for."""
        return time.time() - self._asked_s.get(digest, 0.0)

    def discard(self, digest: Digest, *, older_than_s: float) -> int | None:
        """Remove a blob that no name needs; return its size, None where it was asked for meanwhile."""
        return len(self._blobs.pop(digest, b"")) if self.age_s(digest) >= older_than_s else None

    def keeping_for_s(self) -> float:
        """Return how long anybody has kept others from collecting: nobody does, in memory."""
        return 0.0

    def sweep(self, *, older_than_s: float, dry_run: bool) -> dict[str, int]:
        """Remove what writers that died have left, which in memory is nothing."""
        del older_than_s, dry_run
        return {}

    def keep(self, data: bytes) -> Digest:
        """Take a blob."""
        digest = Digest.of(data)
        self._blobs[digest] = data
        self._asked_s[digest] = time.time()
        return digest

    def _read_index(self) -> Index:
        return self._index

    def _replace_index(self, index: Index) -> None:
        self._index = index


class _Writer:
    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._buffer = io.BytesIO()

    def write(self, data: bytes | bytearray | memoryview, /) -> int:
        return self._buffer.write(data)

    def commit(self, expected: Digest | None = None) -> Digest:
        data = self._buffer.getvalue()
        if expected not in {None, Digest.of(data)}:
            what = f"got {Digest.of(data)}, expected {expected}"
            raise IntegrityError(Issue("blob", what, "fetch it again"))
        return self._store.keep(data)
