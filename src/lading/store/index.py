"""A store's index: what lies in it, and under which names (OCI image spec, image-layout.md, "index.json")."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from lading.core import canonical
from lading.core.descriptor import INDEX, Descriptor
from lading.core.digest import Digest
from lading.core.errors import IntegrityError, Issue

REF_NAME = "org.opencontainers.image.ref.name"


@dataclass(frozen=True)
class Entry:
    """A manifest or index at the root of a store; `document` keeps what other tools wrote beside ours."""

    document: Mapping[str, Any]

    @cached_property
    def descriptor(self) -> Descriptor:
        """Read the entry as the descriptor it was made of."""
        read = Descriptor.from_json(self.document)
        annotations = {key: text for key, text in read.annotations.items() if key != REF_NAME}
        return replace(read, annotations=annotations)

    @cached_property
    def name(self) -> str | None:
        """The reference it was tagged with, as the user gave it."""
        name = (self.document.get("annotations") or {}).get(REF_NAME)
        return None if name is None else str(name)

    @classmethod
    def of(cls, descriptor: Descriptor, name: str | None) -> Entry:
        """Make the entry of a descriptor under a name, or under none."""
        named = {**descriptor.annotations, REF_NAME: name} if name else descriptor.annotations
        return cls(replace(descriptor, annotations=named).to_json())


@dataclass(frozen=True)
class Index:
    """Named entries in order of their names, then the others, the oldest first.

    Law: `Index.parse(index.encode(), "") == index`.
    """

    entries: tuple[Entry, ...] = ()

    @classmethod
    def parse(cls, data: bytes, where: str) -> Index:
        """Read index.json; raise IntegrityError for a corrupt one or another kind of document."""
        document = canonical.decode(data, where)
        match document:
            case {"schemaVersion": 2, "manifests": list(rows)} if document.get("mediaType", INDEX) == INDEX:
                entries = tuple(map(Entry, rows))
            case _:
                what = "is JSON, but no OCI image index (schemaVersion 2 and a list of manifests)"
                raise IntegrityError(Issue(where, what))
        try:
            for entry in entries:
                _ = entry.descriptor
        except IntegrityError as error:
            raise IntegrityError(*(Issue(where, issue.what) for issue in error.issues)) from error
        return cls(entries)

    def encode(self) -> bytes:
        """Write index.json, canonically."""
        rows = [dict(entry.document) for entry in self.entries]
        return canonical.encode({"schemaVersion": 2, "mediaType": INDEX, "manifests": rows})

    @cached_property
    def digests(self) -> frozenset[Digest]:
        """What is listed, by digest."""
        return frozenset(entry.descriptor.digest for entry in self.entries)

    def find(self, name: str) -> Descriptor | None:
        """Return what a name stands for; the last entry counts, should another tool have left two."""
        found = [entry.descriptor for entry in self.entries if entry.name == name]
        return found[-1] if found else None

    def tagged(self, name: str, descriptor: Descriptor) -> Index:
        """Return this index with a name given, or moved, to a descriptor."""
        new = Entry.of(descriptor, name)
        others = [one for one in self.entries if one.name not in {None, name}]
        unnamed = tuple(
            one for one in self.entries if one.name is None and one.descriptor.digest != descriptor.digest
        )
        return Index((*sorted((*others, new), key=lambda one: one.name or ""), *unnamed))

    def untagged(self, name: str) -> Index:
        """Return this index without a name."""
        return Index(tuple(one for one in self.entries if one.name != name))

    def listing(self, descriptor: Descriptor) -> Index:
        """Return this index with a descriptor listed, under no name if it has none yet."""
        if descriptor.digest in self.digests:
            return self
        return Index((*self.entries, Entry.of(descriptor, None)))

    def without(self, digests: Collection[Digest]) -> Index:
        """Return this index without some digests, under any name."""
        return Index(tuple(one for one in self.entries if one.descriptor.digest not in digests))
