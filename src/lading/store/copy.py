"""A manifest in one store → the same manifest, with everything it names, in another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Protocol

from lading.core.descriptor import Descriptor
from lading.core.digest import CHUNK_BYTES
from lading.core.errors import IntegrityError, Issue
from lading.core.ports import BlobSink, BlobSource, Event, Events, ignore
from lading.store import documents


class Sink(BlobSource, BlobSink, Protocol):
    """Where blobs are written and can be asked for."""


def copy(
    source: BlobSource, descriptor: Descriptor, sink: Sink, *, stage: str = "copy", events: Events = ignore
) -> None:
    """Copy a manifest or index after everything it names, skipping what is there.

    A chunk at a time; progress is in bytes. Raises IntegrityError where a blob is not what its digest or size
    says, and nothing of that blob remains.
    """
    parts = {part.digest: part for part in documents.walk(source, descriptor)}
    total = sum(part.size_bytes for part in parts.values())
    done = 0
    for part in parts.values():
        if sink.size_bytes(part.digest) == part.size_bytes:
            done += part.size_bytes
            events(Event(stage, "progress", str(part.digest), done, total))
            continue
        with sink.create() as blob:
            for chunk in chunks(source, part):
                blob.write(chunk)
                done += len(chunk)
                events(Event(stage, "progress", str(part.digest), done, total))
            blob.commit(part.digest)


def chunks(source: BlobSource, descriptor: Descriptor) -> Iterator[bytes]:
    """Read a blob a chunk at a time; raise IntegrityError, at its end, where it is not what it says it is."""
    state = hashlib.new(descriptor.digest.algorithm)
    left_bytes = descriptor.size_bytes
    with source.open(descriptor.digest) as stream:
        # one byte too many is read, so that a blob longer than it says is noticed, however long it is
        while chunk := stream.read(min(CHUNK_BYTES, left_bytes + 1)):
            left_bytes -= len(chunk)
            if left_bytes < 0:
                break
            state.update(chunk)
            yield chunk
    if left_bytes or state.hexdigest() != descriptor.digest.hex:
        what = f"is not what its digest and its {descriptor.size_bytes} bytes say"
        raise IntegrityError(Issue(str(descriptor.digest), what, "fetch it again"))
