"""The JSON documents of a store: manifests and indexes read, checked and walked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from lading.core import canonical
from lading.core.descriptor import INDEX, MANIFEST, Descriptor
from lading.core.digest import Digest
from lading.core.errors import IntegrityError, Issue
from lading.core.ports import BlobSink, BlobSource, Store

LIMIT_BYTES = 4 << 20
"""What registries accept of a manifest (distribution spec, "Pushing manifests")."""
MANIFESTS = frozenset({MANIFEST, "application/vnd.docker.distribution.manifest.v2+json"})
INDEXES = frozenset({INDEX, "application/vnd.docker.distribution.manifest.list.v2+json"})
_MAX_DEPTH = 8
_FIX = "pack or pull it again"
_ATTACHED_LIMIT_BYTES = 64 << 20


def is_manifest(descriptor: Descriptor) -> bool:
    """Tell whether a descriptor names an image or artefact manifest."""
    return descriptor.media_type in MANIFESTS


def is_index(descriptor: Descriptor) -> bool:
    """Tell whether a descriptor names an index of manifests."""
    return descriptor.media_type in INDEXES


def check_size(descriptor: Descriptor, got_bytes: int) -> None:
    """Raise IntegrityError where a blob has another size than its descriptor says."""
    if got_bytes != descriptor.size_bytes:
        got = "more" if got_bytes > descriptor.size_bytes else f"{got_bytes} bytes"
        what = f"got {got}, expected {descriptor.size_bytes} bytes"
        raise IntegrityError(Issue(str(descriptor.digest), what, "fetch it again"))


def read(source: BlobSource, descriptor: Descriptor, *, limit_bytes: int = LIMIT_BYTES) -> bytes:
    """Read a small blob; raise IntegrityError where its size or digest is not the descriptor's."""
    where = str(descriptor.digest)
    if descriptor.size_bytes > limit_bytes:
        what = f"got a document of {descriptor.size_bytes} bytes, expected at most {limit_bytes}"
        raise IntegrityError(Issue(where, what))
    with source.open(descriptor.digest) as stream:
        data = stream.read(descriptor.size_bytes + 1)
    check(descriptor, data)
    return data


def check(descriptor: Descriptor, data: bytes) -> None:
    """Raise IntegrityError where bytes have another size or digest than their descriptor says."""
    where = str(descriptor.digest)
    if len(data) != descriptor.size_bytes:
        raise IntegrityError(
            Issue(where, f"expected {descriptor.size_bytes} bytes, got another number", _FIX)
        )
    got = Digest(descriptor.digest.algorithm, hashlib.new(descriptor.digest.algorithm, data).hexdigest())
    if got != descriptor.digest:
        raise IntegrityError(Issue(where, f"got {got}, the bytes were changed", _FIX))


def write(sink: BlobSink, data: bytes) -> Digest:
    """Write a small blob."""
    with sink.create() as blob:
        blob.write(data)
        return blob.commit(Digest.of(data))


def describe(source: BlobSource, digest: Digest) -> Descriptor | None:
    """Describe a manifest or index known by its digest alone; None where there is no such document."""
    size_bytes = source.size_bytes(digest)
    if size_bytes is None or size_bytes > LIMIT_BYTES:
        return None
    with source.open(digest) as stream:
        if stream.read(1) != b"{":
            return None
    data = read(source, Descriptor("", digest, size_bytes))
    try:
        document = canonical.decode(data, str(digest))
    except IntegrityError:
        return None
    media_type = document.get("mediaType") or (INDEX if "manifests" in document else MANIFEST)
    artifact_type = document.get("artifactType")
    descriptor = Descriptor(media_type, digest, size_bytes, artifact_type=artifact_type)
    return descriptor if is_manifest(descriptor) or is_index(descriptor) else None


def children(source: BlobSource, descriptor: Descriptor) -> tuple[Descriptor, ...]:
    """List what a manifest or index names; nothing for any other blob.

    Raises IntegrityError for a malformed document, RegistryError where it is not there.
    """
    if is_index(descriptor):
        rows = _decode(source, descriptor).get("manifests")
    elif is_manifest(descriptor):
        document = _decode(source, descriptor)
        layers = document.get("layers")
        rows = [document.get("config"), *layers] if isinstance(layers, list) else None
    else:
        return ()
    if not isinstance(rows, list):
        raise IntegrityError(
            Issue(str(descriptor.digest), f"is no document of type {descriptor.media_type!r}")
        )
    return tuple(map(Descriptor.from_json, rows))


def parse_index(data: bytes, where: str) -> Iterator[Descriptor]:
    """Read what an index names; raise IntegrityError where it is none."""
    document = canonical.decode(data, where)
    rows = document.get("manifests") if isinstance(document, dict) else None
    if not isinstance(rows, list):
        raise IntegrityError(Issue(where, "is no index of manifests"))
    yield from map(Descriptor.from_json, rows)


def subject(source: BlobSource, descriptor: Descriptor) -> Digest | None:
    """Read which manifest this one refers to; None where it refers to none."""
    if not (is_manifest(descriptor) or is_index(descriptor)):
        return None
    document = _decode(source, descriptor).get("subject")
    return None if document is None else Descriptor.from_json(document).digest


def as_referrer(source: BlobSource, descriptor: Descriptor) -> Descriptor:
    """Describe a referrer as an index of referrers does (OCI distribution spec, "Listing Referrers")."""
    document = _decode(source, descriptor)
    artifact_type = document.get("artifactType") or (document.get("config") or {}).get("mediaType")
    annotations = document.get("annotations") or {}
    return replace(descriptor, artifact_type=artifact_type, annotations=annotations, platform=None)


def attached(store: Store, subject: Digest, media_type: str) -> Iterator[bytes]:
    """Read the documents of a type that are attached to an image, the oldest first."""
    for referrer in store.referrers(subject):
        if referrer.artifact_type == media_type:
            for part in children(store, referrer):
                if part.media_type == media_type:
                    yield read(store, part, limit_bytes=_ATTACHED_LIMIT_BYTES)


def walk(source: BlobSource, descriptor: Descriptor, *, depth: int = 0) -> Iterator[Descriptor]:
    """List a descriptor and everything it names, each after what it names."""
    if depth > _MAX_DEPTH:
        what = f"indexes are nested deeper than {_MAX_DEPTH}"
        raise IntegrityError(Issue(str(descriptor.digest), what))
    for child in children(source, descriptor):
        yield from walk(source, child, depth=depth + 1)
    yield descriptor


def _decode(source: BlobSource, descriptor: Descriptor) -> dict[str, Any]:
    document = canonical.decode(read(source, descriptor), str(descriptor.digest))
    if not isinstance(document, dict):
        raise IntegrityError(Issue(str(descriptor.digest), "is JSON, but no object"))
    return document
