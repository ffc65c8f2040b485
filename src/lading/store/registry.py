"""A repository of an OCI registry as a store (OCI distribution spec 1.1, Distribution 2.8).

What a registry lacks is made up for: referrers are kept under a tag (`registry_referrers.py`), and a tag that
cannot be forgotten is moved to a manifest that can.
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from types import TracebackType
from typing import IO

from lading.core import canonical
from lading.core.descriptor import EMPTY, MANIFEST, Descriptor
from lading.core.digest import Digest
from lading.core.errors import IntegrityError, Issue, RegistryError, SpecError
from lading.core.login import Logins, no_logins
from lading.core.ports import Events, OpenAt, ignore
from lading.core.reference import Reference
from lading.store import documents
from lading.store.registry_api import RegistryApi, scopes
from lading.store.registry_manifests import Manifests, delete
from lading.store.registry_mounts import Mounts, Notes
from lading.store.registry_reader import BlobReader
from lading.store.registry_referrers import Referrers, is_fallback_tag
from lading.store.registry_upload import Upload

_ASKING = 8
_UNTAGGED = "application/vnd.lading.untagged.v1+json"


class RegistryStore:
    """One repository of one registry; threads share it. Law: what is read has the digest asked for."""

    def __init__(
        self,
        registry: str,
        repository: str,
        *,
        logins: Logins = no_logins,
        plain_http: bool = False,
        notes: Notes | None = None,
        events: Events = ignore,
        attempts: int = 6,
        backoff_s: float = 0.5,
    ) -> None:
        """Name the repository; nothing is asked yet.

        HTTPS, but for loopback and with `plain_http`. `notes` remember which repository has which blob, so
        that it need not be sent to another. A request is repeated after `backoff_s`, twice that, and so on.
        """
        self.registry, self.repository = registry, repository
        self._api = RegistryApi(
            registry,
            logins=logins,
            plain_http=plain_http,
            events=events,
            attempts=attempts,
            backoff_s=backoff_s,
        )
        self._manifests = Manifests(self._api, repository)
        self._mounts = Mounts(self._api, repository, notes)
        self._referrers = Referrers(self._api, repository, self._manifests)
        self._pull = scopes(repository, "pull")
        self._present: set[Digest] = set()

    def __enter__(self) -> RegistryStore:  # noqa: PYI034 Self needs Python 3.11
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        self._api.close()

    def check(self) -> None:
        """Ask for nothing; RegistryError where the login is refused, or this is no registry."""
        answer = self._api.call("GET", "", ())
        if answer.status != 200:
            raise self._api.refusal(answer, "is no registry")

    def size_bytes(self, digest: Digest) -> int | None:
        """Return the size of a blob or manifest, None where it is not there."""
        size_bytes = self._blob_size(digest)
        if size_bytes is None and (described := self._manifests.describe(str(digest))):
            size_bytes = described.size_bytes
        return size_bytes

    @contextmanager
    def open(self, digest: Digest) -> Iterator[IO[bytes]]:
        """Open a blob or manifest for reading; IntegrityError, at its end, where its bytes were changed.

        Raises RegistryError where it is not there.
        """
        with self._opened(digest, None) as stream:
            yield stream

    @contextmanager
    def open_at(
        self, digest: Digest, start_bytes: int, *, waiting: Callable[[], None] = lambda: None
    ) -> Iterator[IO[bytes]]:
        """Open a blob at an offset; the bytes are checked by whoever takes them.

        `waiting` is called while a broken connection is waited for: what it raises ends that.
        """
        with self._opened(digest, start_bytes, waiting) as stream:
            yield stream

    @contextmanager
    def create(self) -> Iterator[_Writer]:
        """Begin a blob whose digest is not known yet; it waits on this machine's disk for its commit."""
        with tempfile.SpooledTemporaryFile(documents.LIMIT_BYTES) as spool:
            yield _Writer(self, spool)

    def take(self, descriptor: Descriptor, open_at: OpenAt, told: Callable[[int], None]) -> int:
        """Bring in a blob or manifest that is known; return how many bytes of it had to travel.

        What is there is left, what another repository of the registry has is mounted, the rest is sent.
        IntegrityError where the registry keeps other bytes than it was sent.
        """
        digest = descriptor.digest
        moved_bytes = 0
        if not self._holds(descriptor):
            if _is_document(descriptor):
                with open_at(0) as stream:
                    data = stream.read(min(descriptor.size_bytes, documents.LIMIT_BYTES) + 1)
                documents.check(descriptor, data)
                self._manifests.put(str(digest), descriptor.media_type, data)
                moved_bytes = len(data)
            else:
                moved_bytes = self._mount_or_send(descriptor, open_at, told)
            if moved_bytes:
                self._check_held(descriptor)
        self.has(descriptor)
        return moved_bytes

    def knows(self, repository: str) -> None:
        """Try to mount blobs from this repository of the same registry from now on."""
        self._mounts.knows(repository)

    def has(self, descriptor: Descriptor) -> None:
        """Note that a blob is known to be in this repository, so that another may mount it from here."""
        self._present.add(descriptor.digest)
        if not _is_document(descriptor):
            self._mounts.noted(descriptor.digest)

    def mount(self, digest: Digest, from_repository: str) -> bool:
        """Take a blob from another repository of the same registry; return whether it could be had."""
        return self._mounts.mount(digest, from_repository)[0]

    def resolve(self, reference: Reference) -> Descriptor:
        """Find what a tag or digest names; raise RegistryError, with near names, where it is unknown."""
        own = self._own(reference)
        found = self._manifests.describe(str(own.digest or own.tag))
        if found is None:
            raise self._manifests.unknown(own, self.tag_names())
        if not _is_document(found):
            what = f"is of type {found.media_type!r}, which lading does not read"
            raise RegistryError(Issue(repr(str(reference)), what))
        return found

    def tag(self, reference: Reference, descriptor: Descriptor) -> None:
        """Name a manifest or index; raise RegistryError where a blob of it is not there."""
        if reference.digest is not None:
            what = f"got {str(reference)!r}, expected a name without a digest"
            raise SpecError(Issue("reference", what))
        own = self._own(reference)
        self._require(descriptor)
        self._manifests.put(str(own.tag), descriptor.media_type, documents.read(self, descriptor))

    def untag(self, reference: Reference) -> None:
        """Forget a name; the blobs stay. Raise RegistryError where it is unknown or may not be forgotten."""
        own = self._own(reference)
        self.resolve(own)
        tag = str(own.tag)
        if self._manifests.delete_tag(tag):
            return
        # the tag is moved to a manifest of its own, and goes with it; that deleting is allowed is tried first
        stand_in = self._stand_in()
        for name in (str(Digest.of(stand_in)), tag):
            self._manifests.put(name, MANIFEST, stand_in)
            self._manifests.delete(Digest.of(stand_in))

    def tag_names(self) -> list[str]:
        """List the tags alone, in order: one request for a thousand of them."""
        return [tag for tag in self._manifests.tags() if not is_fallback_tag(tag)]

    def tags(self) -> Iterator[tuple[Reference, Descriptor]]:
        """List names in order, with what they name."""
        tags = self.tag_names()
        with ThreadPoolExecutor(_ASKING) as pool:
            for tag, found in zip(tags, pool.map(self._manifests.describe, tags), strict=True):
                if found is not None:  # it may have gone since
                    yield Reference(self.registry, self.repository, tag), found

    def refer(self, descriptor: Descriptor) -> None:
        """List a manifest, whose blobs are all there already, among the referrers of its `subject`."""
        subject = documents.subject(self, descriptor)
        if subject is None:
            what = "has no subject, so it refers to nothing"
            raise IntegrityError(Issue(str(descriptor.digest), what))
        self._require(descriptor)
        self._referrers.add(subject, documents.as_referrer(self, descriptor))

    def referrers(self, subject: Digest) -> Iterator[Descriptor]:
        """List the manifests that name this one as their subject, the oldest first."""
        return iter(self._referrers.list(subject))

    def delete(self, digest: Digest) -> None:
        """Remove a blob, its names and its place among referrers; no error where it is not there.

        Raises RegistryError where the registry forbids it.
        """
        self._present.discard(digest)
        described = self._manifests.describe(str(digest))
        if described is None:
            delete(self._api, f"{self.repository}/blobs/{digest}", self.repository)
            return
        subject = documents.subject(self, described) if _is_document(described) else None
        if self._manifests.delete(digest) and subject is not None:
            self._referrers.remove(subject, digest)

    def digests(self) -> Iterator[Digest]:
        """List every blob that a name or a referrer of it reaches; a registry does not list the others."""
        reached: set[Digest] = set()
        waiting = [descriptor for _, descriptor in self.tags()]
        while waiting:
            root = waiting.pop()
            if root.digest not in reached:
                for part in documents.walk(self, root):
                    reached.add(part.digest)
                    if _is_document(part):
                        waiting.extend(self.referrers(part.digest))
        return iter(sorted(reached))

    @contextmanager
    def _opened(
        self, digest: Digest, start_bytes: int | None, waiting: Callable[[], None] = lambda: None
    ) -> Iterator[IO[bytes]]:
        data = self._manifests.kept(digest)
        if data is None:
            if not self._manifests.has_heard_of(digest):
                reading = BlobReader(
                    self._api, self.repository, digest, start_bytes, scopes=self._pull, waiting=waiting
                )
                with closing(reading) as reader:
                    if reader.is_there:
                        yield reader  # type: ignore[misc] # an IO[bytes] in all but name
                        return
            found = self._manifests.get(str(digest))
            if found is None:
                what = f"is not in {self.registry}/{self.repository}"
                raise RegistryError(Issue(str(digest), what, "push it again"))
            data = found[1]
        stream = io.BytesIO(data)
        stream.seek(start_bytes or 0)
        yield stream

    def _blob_size(self, digest: Digest) -> int | None:
        answer = self._api.call("HEAD", f"{self.repository}/blobs/{digest}", self._pull)
        if answer.status == 404:
            return None
        size_bytes = answer.headers.get("content-length", "")
        if answer.status != 200 or not size_bytes.isdecimal():
            raise self._api.refusal(answer, "the blob cannot be asked for")
        return int(size_bytes)

    def _holds(self, descriptor: Descriptor) -> bool:
        """Ask whether a part is there, as what it is."""
        return self._held_bytes(descriptor) == descriptor.size_bytes

    def _held_bytes(self, descriptor: Descriptor) -> int | None:
        if _is_document(descriptor):
            found = self._manifests.describe(str(descriptor.digest))
            return found.size_bytes if found else None
        return self._blob_size(descriptor.digest)

    def _check_held(self, descriptor: Descriptor) -> None:
        """Raise IntegrityError where what was taken is not held: Distribution replaces no damaged file."""
        held_bytes = self._held_bytes(descriptor)
        if held_bytes != descriptor.size_bytes:
            got = "nothing" if held_bytes is None else f"{held_bytes} bytes"
            what = f"has taken {descriptor.size_bytes} bytes and keeps {got}"
            raise self._api.damaged(self.repository, descriptor.digest, what)

    def _require(self, descriptor: Descriptor) -> None:
        """Raise RegistryError unless everything that a manifest names is there."""
        parts = [part for part in documents.walk(self, descriptor) if part.digest not in self._present]
        with ThreadPoolExecutor(_ASKING) as pool:
            missing = [
                part for part, is_held in zip(parts, pool.map(self._holds, parts), strict=True) if not is_held
            ]
        if missing:
            raise RegistryError(*map(self._missing, missing))
        self._present.update(part.digest for part in parts)

    def _mount_or_send(self, descriptor: Descriptor, open_at: OpenAt, told: Callable[[int], None]) -> int:
        is_mounted, location = self._mounts.find(descriptor.digest)
        # a registry mounts what it has, damaged or not
        if is_mounted and self._holds(descriptor):
            return 0
        upload = Upload(self._api, self.repository, descriptor, open_at=open_at, told=told, location=location)
        self._api.persist(f"{self.repository}/blobs/uploads/", upload, upload.reached)
        return descriptor.size_bytes

    def _missing(self, part: Descriptor) -> Issue:
        where = f"{self.registry}/{self.repository}"
        what = f"{part.media_type} of {part.size_bytes} bytes is not in {where}"
        return Issue(str(part.digest), what, "push it again")

    def _own(self, reference: Reference) -> Reference:
        """Return a reference within this repository, `latest` for no tag; SpecError for another."""
        if (reference.registry, reference.repository) != (self.registry, self.repository):
            what = f"got {str(reference)!r}, expected a name in {self.registry}/{self.repository}"
            raise SpecError(Issue("reference", what))
        return reference if reference.tag or reference.digest else replace(reference, tag="latest")

    def _stand_in(self) -> bytes:
        """Make a manifest that nobody else has."""
        empty = Descriptor(EMPTY, documents.write(self, b"{}"), 2).to_json()
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": _UNTAGGED,
            "config": empty,
            "layers": [empty],
            "annotations": {"dev.lading.untagged": os.urandom(16).hex()},
        }
        return canonical.encode(document)


def _is_document(part: Descriptor) -> bool:
    return documents.is_manifest(part) or documents.is_index(part)


class _Writer:
    """Law: what is committed lies under the digest of its bytes; a manifest, where manifests lie."""

    def __init__(self, store: RegistryStore, spool: IO[bytes]) -> None:
        self._store, self._spool = store, spool
        self._state = hashlib.sha256()
        self._size_bytes = 0

    def write(self, data: bytes | bytearray | memoryview, /) -> int:
        self._state.update(data)
        self._spool.write(data)
        size_bytes = memoryview(data).nbytes
        self._size_bytes += size_bytes
        return size_bytes

    def commit(self, expected: Digest | None = None) -> Digest:
        digest = Digest("sha256", self._state.hexdigest())
        if expected not in {None, digest}:
            raise IntegrityError(Issue("blob", f"got {digest}, expected {expected}", "fetch it again"))
        self._store.take(
            Descriptor(self._media_type(), digest, self._size_bytes), self._open_at, lambda _: None
        )
        return digest

    def _media_type(self) -> str:
        """Tell a manifest from a blob: in a registry they lie in different places."""
        self._spool.seek(0)
        is_small = self._size_bytes <= documents.LIMIT_BYTES
        text = self._spool.read() if is_small and self._spool.read(1) == b"{" else b""
        try:
            document = canonical.decode(b"{" + text, "") if text else None
        except IntegrityError:
            document = None
        media_type = document.get("mediaType") if isinstance(document, dict) else None
        return (
            media_type
            if media_type in documents.MANIFESTS | documents.INDEXES
            else "application/octet-stream"
        )

    @contextmanager
    def _open_at(self, start_bytes: int) -> Iterator[IO[bytes]]:
        self._spool.seek(start_bytes)
        yield self._spool
