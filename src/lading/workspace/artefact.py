"""An asset ⇄ an OCI artefact: its JSON document is the config, each of its files a blob.

One repository holds one kind. A tag says what it names, so that any registry's list of tags tells everything:
`NAME..VERSION` is a version, `NAME...LABEL` a label of a version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import IO

from lading.core import canonical
from lading.core.assets import Asset, AssetKind
from lading.core.descriptor import ASSET, EMPTY, MANIFEST, Descriptor
from lading.core.digest import CHUNK_BYTES, Digest
from lading.core.errors import IntegrityError, Issue
from lading.core.ports import OpenAt, Store
from lading.core.reference import Reference

CONFIG = f"{ASSET}v1+json"
FILE = "application/octet-stream"
TITLE = "org.opencontainers.image.title"
_LIMIT_BYTES = 16 << 20
_MANIFEST_LIMIT_BYTES = 4 << 20
"""What registries accept of a manifest (distribution spec, "Pushing manifests")."""


@dataclass(frozen=True)
class Shelf:
    """The assets of one kind, in one repository of a store."""

    kind: AssetKind
    store: Store
    repository: Reference
    tag_names: Callable[[], list[str]]
    """Lists the tags of the repository."""
    exclusive: Callable[[], AbstractContextManager[object]] = nullcontext
    """Holds off every other writer, as far as the store can."""
    open_at: Callable[[Digest, int], AbstractContextManager[IO[bytes]]] | None = None
    """Opens a blob at an offset, where the store can do better than read what comes before."""

    @property
    def artifact_type(self) -> str:
        """Name the kind, as a manifest does."""
        return f"{ASSET}{self.kind}.v1+json"

    def opens(self, digest: Digest) -> OpenAt:
        """Return what opens a blob at an offset; whoever takes the bytes checks them."""

        @contextmanager
        def open_at(start: int) -> Iterator[IO[bytes]]:
            if self.open_at is not None:
                with self.open_at(digest, start) as stream:
                    yield stream
                return
            with self.store.open(digest) as stream:
                while start > 0 and (skipped := stream.read(min(start, CHUNK_BYTES))):
                    start -= len(skipped)
                yield stream

        return open_at

    def versions(self) -> Iterator[tuple[str, str]]:
        """List names with their versions."""
        return ((name, rest) for name, rest in self._split() if not rest.startswith("."))

    def labels(self) -> Iterator[tuple[str, str]]:
        """List names with their labels."""
        return ((name, rest[1:]) for name, rest in self._split() if rest.startswith("."))

    def read(self, tag: str) -> Asset:
        """Read what a tag names; RegistryError where it is not there, IntegrityError where it is no asset."""
        where = f"{self.kind} {tag}"
        manifest = canonical.decode(
            _read(self.store, self.store.resolve(self.repository.with_tag(tag))), where
        )
        config = manifest.get("config") if isinstance(manifest, dict) else None
        if not isinstance(config, dict) or config.get("mediaType") != CONFIG:
            raise IntegrityError(Issue(where, "is no asset: another tool has written it"))
        document = canonical.decode(_read(self.store, Descriptor.from_json(config)), where)
        asset = Asset.from_json(document, where)
        if asset.kind != self.kind:
            raise IntegrityError(Issue(where, f"got one of kind {asset.kind!r}, expected {self.kind!r}"))
        # a registry could answer with another asset under this name
        name, _, rest = tag.partition("..")
        if asset.name != name or (asset.version != rest and not rest.startswith(".")):
            what = f"got {asset.name}:{asset.version}, which is not what the tag says"
            raise IntegrityError(Issue(where, what, "create the asset again"))
        return asset

    def write(self, asset: Asset, tag: str) -> None:
        """Name an asset whose files are all there already; replaces what the tag named."""
        config = canonical.encode(asset.to_json())
        layers = [
            Descriptor(FILE, one.digest, one.size_bytes, {TITLE: one.path}).to_json() for one in asset.files
        ]
        manifest = canonical.encode(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "artifactType": self.artifact_type,
                "config": Descriptor(CONFIG, _write(self.store, config), len(config)).to_json(),
                "layers": layers or [Descriptor(EMPTY, _write(self.store, b"{}"), 2).to_json()],
                "annotations": {TITLE: f"{asset.name}:{asset.version}"},
            }
        )
        if len(manifest) > _MANIFEST_LIMIT_BYTES:
            what = f"has {len(asset.files)} files, more than a manifest can name"
            raise IntegrityError(Issue(f"{asset.kind} {asset.name}", what, "make one archive of them"))
        descriptor = Descriptor(
            MANIFEST, _write(self.store, manifest), len(manifest), artifact_type=self.artifact_type
        )
        self.store.tag(self.repository.with_tag(tag), descriptor)

    def forget(self, tag: str) -> None:
        """Take a tag away; its blobs stay until they are collected."""
        self.store.untag(self.repository.with_tag(tag))

    def _split(self) -> Iterator[tuple[str, str]]:
        for tag in self.tag_names():
            name, dots, rest = tag.partition("..")
            if dots and name and rest.strip("."):
                yield name, rest


def label_tag(name: str, label: str) -> str:
    """Return the tag of a label."""
    return f"{name}...{label}"


def _read(store: Store, descriptor: Descriptor) -> bytes:
    """Read a document; raise IntegrityError where it is too long, or is not what the descriptor says."""
    stream: IO[bytes]
    where = str(descriptor.digest)
    if descriptor.size_bytes > _LIMIT_BYTES:
        what = f"got a document of {descriptor.size_bytes} bytes, expected at most {_LIMIT_BYTES}"
        raise IntegrityError(Issue(where, what))
    with store.open(descriptor.digest) as stream:
        data = stream.read(descriptor.size_bytes + 1)
    if Digest.of(data) != descriptor.digest:
        raise IntegrityError(Issue(where, "the bytes were changed", "create the asset again"))
    return data


def _write(store: Store, data: bytes) -> Digest:
    with store.create() as blob:
        blob.write(data)
        return blob.commit(Digest.of(data))
