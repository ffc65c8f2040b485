"""A store → the same store without what no name reaches.

Nothing is removed that was written or asked for within the age of grace, so that a package being made at the
same time loses nothing; names and removals exclude each other by the store's lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from lading.core.descriptor import Descriptor
from lading.core.digest import Digest
from lading.core.ports import Store
from lading.core.reference import Reference
from lading.store import documents


class Collectable(Store, Protocol):
    """A store that knows how long a blob has not been asked for."""

    def lock(self) -> AbstractContextManager[None]:
        """Hold off every other change of names."""
        ...

    def listed(self) -> Iterator[tuple[str | None, Descriptor]]:
        """List every manifest and index at the root, with its name if it has one."""
        ...

    def age_s(self, digest: Digest) -> float:
        """Return the seconds since a blob was last written or asked for."""
        ...

    def sweep(self, *, older_than_s: float, dry_run: bool) -> int:
        """Remove what writers that died have left; return its bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Collected:
    """What was removed, or would be: blobs, and the bytes they took, leftovers of dead writers included."""

    blobs: tuple[Digest, ...]
    bytes: int


def collect(store: Collectable, *, keep: Iterable[Digest], older_than_s: float, dry_run: bool) -> Collected:
    """Remove the blobs that neither a name nor `keep` reaches and that are older than the age of grace.

    A referrer (bill, report) stays as long as its subject. Raises IntegrityError, before anything is removed,
    where a manifest cannot be read.
    """
    with store.lock():
        reached = _reach(store, keep)
        blobs = []
        freed_bytes = 0
        for digest in list(store.digests()):
            if digest in reached or store.age_s(digest) < older_than_s:
                continue
            blobs.append(digest)
            with store.open(digest) as stream:
                freed_bytes += stream.seek(0, 2)
            if not dry_run:
                store.delete(digest)
        freed_bytes += store.sweep(older_than_s=older_than_s, dry_run=dry_run)
    return Collected(tuple(blobs), freed_bytes)


def remove(store: Store, reference: Reference) -> tuple[Reference, ...]:
    """Forget a name, or every name of a digest; return them. Raises RegistryError for what is unknown.

    The blobs go with the next collection, unless another name reaches them.
    """
    descriptor = store.resolve(reference)
    names = [reference]
    if reference.digest is not None:
        names = [name for name, named in store.tags() if named.digest == descriptor.digest]
    for name in names:
        store.untag(name)
    return tuple(names)


def _reach(store: Collectable, keep: Iterable[Digest]) -> set[Digest]:
    """List everything that a root or `keep` names, and then the referrers of it."""
    present = set(store.digests())
    reached: set[Digest] = set()

    def mark(root: Descriptor) -> None:
        waiting = [root]
        while waiting:
            descriptor = waiting.pop()
            if descriptor.digest in present and descriptor.digest not in reached:
                waiting.extend(documents.children(store, descriptor))
            reached.add(descriptor.digest)

    referrers = []
    for name, root in store.listed():
        is_candidate = name is None and root.digest in present
        subject = documents.subject(store, root) if is_candidate else None
        if subject is None:
            mark(root)
        else:
            referrers.append((subject, root))
    for digest in keep:
        document = documents.describe(store, digest)
        if document is None:
            reached.add(digest)
        else:
            mark(document)
    while found := [root for subject, root in referrers if subject in reached]:
        referrers = [(subject, root) for subject, root in referrers if subject not in reached]
        for root in found:
            mark(root)
    return reached
