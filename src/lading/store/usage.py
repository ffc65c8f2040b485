"""A store → how much of it each package takes, alone and together with others.

Quick on a big store: one look at the folder of blobs, and the manifests read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lading.core.descriptor import Descriptor
from lading.core.digest import Digest
from lading.core.errors import LadingError
from lading.store import documents
from lading.store.layout import LayoutStore


@dataclass(frozen=True, slots=True)
class Share:
    """What one manifest or index takes, with what refers to it."""

    digest: Digest
    names: tuple[str, ...]
    """Empty for a root that another tool left without a name."""
    bytes: int
    own_bytes: int
    """What no other root reaches."""

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return {
            "names": list(self.names),
            "digest": str(self.digest),
            "bytes": self.bytes,
            "own_bytes": self.own_bytes,
            "shared_bytes": self.bytes - self.own_bytes,
        }


@dataclass(frozen=True, slots=True)
class Usage:
    """What lies in a store."""

    blobs: int
    bytes: int
    reached_bytes: int
    """What a root reaches; collection frees the rest, once it is old enough and no cache counts on it."""
    unfinished_bytes: int
    """What writers are writing, or left when they died."""
    shares: tuple[Share, ...]

    @property
    def sum_bytes(self) -> int:
        """What the packages would take if each had a store of its own."""
        return sum(share.bytes for share in self.shares)


def usage(store: LayoutStore) -> Usage:
    """Add up a store. What is damaged or missing counts as far as it is there."""
    sizes = store.sizes()
    names: dict[Digest, list[str]] = {}
    reached: dict[Digest, set[Digest]] = {}
    referrers: list[tuple[Digest, Descriptor]] = []
    for name, root in store.listed():
        subject = _subject(store, root) if name is None else None
        if subject is not None:
            referrers.append((subject, root))
            continue
        names.setdefault(root.digest, []).extend([] if name is None else [name])
        if root.digest not in reached:
            reached[root.digest] = _reach(store, root, sizes)
    of_subject = [(subject, _reach(store, root, sizes)) for subject, root in referrers]
    for digests in reached.values():
        _add_referrers(digests, of_subject)
    users: dict[Digest, int] = {}
    for digests in reached.values():
        for digest in digests:
            users[digest] = users.get(digest, 0) + 1
    shares = tuple(
        Share(
            root, tuple(names[root]), _sum(digests, sizes), _sum((d for d in digests if users[d] == 1), sizes)
        )
        for root, digests in reached.items()
    )
    total = sum(sizes.values())
    return Usage(len(sizes), total, _sum(users, sizes), store.unfinished_bytes(), shares)


def _sum(digests: Iterable[Digest], sizes: Mapping[Digest, int]) -> int:
    return sum(sizes[digest] for digest in digests)


def _add_referrers(digests: set[Digest], of_subject: list[tuple[Digest, set[Digest]]]) -> None:
    """Count a report among what its image takes, and a signature of the report too."""
    while found := [more for subject, more in of_subject if subject in digests and not more <= digests]:
        digests.update(*found)


def _subject(store: LayoutStore, root: Descriptor) -> Digest | None:
    try:
        return documents.subject(store, root)
    except LadingError:
        return None


def _reach(store: LayoutStore, root: Descriptor, sizes: Mapping[Digest, int]) -> set[Digest]:
    reached: set[Digest] = set()
    waiting = [root]
    while waiting:
        descriptor = waiting.pop()
        if descriptor.digest not in sizes or descriptor.digest in reached:
            continue
        reached.add(descriptor.digest)
        try:
            waiting.extend(documents.children(store, descriptor))
        except LadingError:
            continue
    return reached
