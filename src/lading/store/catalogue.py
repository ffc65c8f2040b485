"""Names for what lies in a store: everything of the port `Store` that is not about blobs.

A store that keeps its names in an index (`memory`, `layout`) says how the index is read, replaced and locked.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, suppress
from typing import IO

from lading.core.descriptor import Descriptor
from lading.core.digest import Digest
from lading.core.errors import IntegrityError, Issue, RegistryError, SpecError
from lading.core.reference import Reference
from lading.store import documents
from lading.store.index import Index

_SHORTEST_PREFIX = 4


class Catalogue(ABC):
    """Tags and referrers over an index. Law: a name never stands for what is not there in full."""

    @abstractmethod
    def lock(self) -> AbstractContextManager[None]:
        """Hold off every other change of the index; may be entered again by the same thread."""

    @abstractmethod
    def _read_index(self) -> Index: ...

    @abstractmethod
    def _replace_index(self, index: Index) -> None: ...

    @abstractmethod
    def size_bytes(self, digest: Digest) -> int | None:
        """Return a blob's size, None where it is not there."""

    @abstractmethod
    def open(self, digest: Digest) -> AbstractContextManager[IO[bytes]]:
        """Open a blob for reading; raise RegistryError where it is not there."""

    def resolve(self, reference: Reference) -> Descriptor:
        """Find what a tag or digest names; raise RegistryError, with near names, where it is unknown.

        A digest counts more than a tag beside it, as in every container engine.
        """
        if reference.digest is None:
            found = self._read_index().find(str(reference))
        else:
            found = self._find_digest(reference.digest)
        if found is None:
            raise RegistryError(self._unknown(str(reference)))
        return found

    def find(self, text: str) -> Descriptor:
        """Find what a person means: a name, `name@digest`, a digest, or the beginning of one.

        Raises RegistryError for what is unknown or names several, SpecError for what could name nothing.
        """
        if (named := self._read_index().find(text)) is not None:
            return named
        prefix = text.removeprefix("sha256:")
        if len(prefix) >= _SHORTEST_PREFIX and not set(prefix) - set("0123456789abcdef"):
            found = self._find_prefix(prefix)
            if len(found) > 1:
                candidates = ", ".join(digest.short for digest in sorted(found))
                issue = Issue(repr(text), f"begins several digests: {candidates}", "give more digits")
                raise RegistryError(issue)
            if found:
                return next(iter(found.values()))
            if len(prefix) == 64 and (unlisted := self._find_digest(Digest("sha256", prefix))):
                return unlisted
        if prefix != text:
            raise RegistryError(self._unknown(text))
        return self.resolve(Reference.parse(text))

    def tag(self, reference: Reference, descriptor: Descriptor) -> None:
        """Name a manifest or index; raise RegistryError where a blob of it is not there."""
        if reference.digest is not None:
            what = f"got {str(reference)!r}, expected a name without a digest"
            raise SpecError(Issue("reference", what))
        with self.lock():
            self._require(descriptor)
            self._replace_index(self._read_index().tagged(str(reference), descriptor))

    def untag(self, reference: Reference) -> None:
        """Forget a name; the blobs stay. Raise RegistryError where it is unknown."""
        with self.lock():
            index = self._read_index()
            if index.find(str(reference)) is None:
                raise RegistryError(self._unknown(str(reference)))
            self._replace_index(index.untagged(str(reference)))

    def tags(self) -> Iterator[tuple[Reference, Descriptor]]:
        """List names in order. A name that another tool gave and that is no reference is left out."""
        for name, descriptor in self.listed():
            if name is None:
                continue
            try:
                reference = Reference.parse(name)
            except SpecError:
                continue
            yield reference, descriptor

    def listed(self) -> Iterator[tuple[str | None, Descriptor]]:
        """List every manifest and index at the root, with its name if it has one."""
        return ((entry.name, entry.descriptor) for entry in self._read_index().entries)

    def refer(self, descriptor: Descriptor) -> None:
        """List a manifest, whose blobs are all there already, among the referrers of its `subject`."""
        if documents.subject(self, descriptor) is None:
            what = "has no subject, so it refers to nothing"
            raise IntegrityError(Issue(str(descriptor.digest), what))
        with self.lock():
            self._require(descriptor)
            self._replace_index(self._read_index().listing(descriptor))

    def referrers(self, subject: Digest) -> Iterator[Descriptor]:
        """List the manifests that name this one as their subject, the oldest first."""
        for name, descriptor in self.listed():
            # a named image is not asked for its subject: there may be thousands
            is_candidate = name is None or descriptor.artifact_type is not None
            if is_candidate and documents.subject(self, descriptor) == subject:
                yield descriptor

    def forget(self, digests: Collection[Digest]) -> None:
        """Drop digests from the index, with their names, where they stand in it; the blobs stay."""
        if not self._read_index().digests.isdisjoint(digests):
            with self.lock():
                self._replace_index(self._read_index().without(digests))

    def _require(self, descriptor: Descriptor) -> None:
        for part in documents.walk(self, descriptor):
            if self.size_bytes(part.digest) != part.size_bytes:
                what = f"{part.media_type} of {part.size_bytes} bytes is not in the store"
                raise RegistryError(Issue(str(part.digest), what, "pack or pull it again"))

    def _find_digest(self, digest: Digest) -> Descriptor | None:
        for _, descriptor in self.listed():
            if descriptor.digest == digest:
                return descriptor
        return documents.describe(self, digest)

    def _find_prefix(self, prefix: str) -> dict[Digest, Descriptor]:
        found = {}
        for _, root in self.listed():
            inner = documents.children(self, root) if documents.is_index(root) else ()
            for descriptor in (root, *inner):
                if descriptor.digest.hex.startswith(prefix):
                    found[descriptor.digest] = descriptor
        return found

    def _unknown(self, text: str) -> Issue:
        import difflib

        names = [str(reference) for reference, _ in self.tags()]
        near = [name for name in names if name.rsplit(":", 1)[0] == text.rsplit(":", 1)[0]]
        near = near[:3] or difflib.get_close_matches(text, names, n=3)
        fix = f"did you mean {' or '.join(map(repr, near))}?" if near else "list the names: lading list"
        with suppress(SpecError):
            if Reference.parse(text).registry:
                fix += f"; or fetch it: lading pull {text}"
        return Issue(repr(text), "is not in the store", fix)
