"""A store → the same store without what no name reaches.

Nothing is removed that was written or asked for within the age of grace, nor since anybody who is at work
began (`LayoutStore.keeping`), so that a package being made at the same time loses nothing; names and removals
exclude each other by the store's lock.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Protocol

from lading.core.descriptor import Descriptor
from lading.core.digest import Digest
from lading.core.errors import RegistryError
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

    def keeping_for_s(self) -> float:
        """Return the seconds since the oldest work began that relies on what it has asked for; 0 for none."""
        ...

    def forget(self, digests: Collection[Digest]) -> None:
        """Drop digests from among the roots."""
        ...

    def discard(self, digest: Digest, *, older_than_s: float) -> int | None:
        """Remove a blob; return its size, None where it was asked for meanwhile and stays."""
        ...

    def sweep(self, *, older_than_s: float, dry_run: bool) -> dict[str, int]:
        """Remove what writers that died have left; return the names and the bytes of it."""
        ...


@dataclass(frozen=True, slots=True)
class Collected:
    """What was removed, or would be: blobs and leftovers of dead writers, with the bytes of each."""

    blobs: Mapping[Digest, int]
    leftovers: Mapping[str, int]

    @property
    def bytes(self) -> int:
        """What all of it took."""
        return sum(self.blobs.values()) + sum(self.leftovers.values())


def collect(store: Collectable, *, keep: Iterable[Digest], older_than_s: float, dry_run: bool) -> Collected:
    """Remove the blobs that neither a name nor `keep` reaches and that are older than the age of grace.

    A referrer (bill, report) stays as long as its subject. Raises IntegrityError, before anything is removed,
    where a manifest cannot be read.
    """
    with alone(store, dry_run=dry_run):
        older_than_s = max(older_than_s, store.keeping_for_s())
        reached = _reach(store, keep)
        doomed = [one for one in store.digests() if one not in reached and store.age_s(one) >= older_than_s]
        if dry_run:
            blobs = {one: _size_bytes(store, one) for one in doomed}
        else:
            blobs = _discard(store, doomed, older_than_s)
        leftovers = store.sweep(older_than_s=older_than_s, dry_run=dry_run)
    return Collected(blobs, leftovers)


@contextmanager
def alone(store: Collectable, *, dry_run: bool) -> Iterator[None]:
    """Hold off changes of names; a dry run does without where nothing may be written, so nothing changes."""
    with ExitStack() as stack:
        try:
            stack.enter_context(store.lock())
        except RegistryError:
            if not dry_run:
                raise
        yield


def _discard(store: Collectable, doomed: Collection[Digest], older_than_s: float) -> dict[Digest, int]:
    """Remove blobs, so that what is listed is there in full whenever this is killed.

    What no root lists goes first: it may make the room that writing the index anew takes.
    """
    going = set(doomed)
    roots = [root for _, root in store.listed() if root.digest in going]
    listed = _mark(store, roots, going)
    freed = {}
    for step in (False, True):
        if step:
            store.forget({root.digest for root in roots})
        for digest in doomed:
            if (digest in listed) is step:
                size_bytes = store.discard(digest, older_than_s=older_than_s)
                freed.update({} if size_bytes is None else {digest: size_bytes})
    return dict(sorted(freed.items()))


def _size_bytes(store: Collectable, digest: Digest) -> int:
    """Return a blob's size without asking for it, which would keep it."""
    with store.open(digest) as stream:
        return stream.seek(0, 2)


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
    referrers = []
    for name, root in store.listed():
        is_candidate = name is None and root.digest in present
        subject = documents.subject(store, root) if is_candidate else None
        if subject is None:
            _mark(store, [root], present, reached)
        else:
            referrers.append((subject, root))
    for digest in keep:
        document = documents.describe(store, digest)
        if document is None:
            reached.add(digest)
        else:
            _mark(store, [document], present, reached)
    while found := [root for subject, root in referrers if subject in reached]:
        referrers = [(subject, root) for subject, root in referrers if subject not in reached]
        _mark(store, found, present, reached)
    return reached


def _mark(
    store: Collectable, roots: Iterable[Descriptor], present: set[Digest], reached: set[Digest] | None = None
) -> set[Digest]:
    """Add what these roots name, as far as it is present, to what is reached; return that."""
    reached = set() if reached is None else reached
    waiting = list(roots)
    while waiting:
        descriptor = waiting.pop()
        if descriptor.digest in present and descriptor.digest not in reached:
            waiting.extend(documents.children(store, descriptor))
        reached.add(descriptor.digest)
    return reached
