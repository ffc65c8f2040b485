"""A manifest in one store → the same manifest, with everything it names, in another."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import IO, Protocol

from lading.core.descriptor import Descriptor
from lading.core.digest import CHUNK_BYTES, Digest
from lading.core.errors import IntegrityError, Issue
from lading.core.ports import BlobSink, BlobSource, Event, Events, OpenAt, ignore
from lading.store import documents
from lading.store.layout import LayoutStore
from lading.store.registry import RegistryStore
from lading.store.registry_api import DAMAGED

JOBS = 4
"""How many blobs travel at a time."""


class Sink(BlobSource, BlobSink, Protocol):
    """Where blobs are written and can be asked for."""


@dataclass(frozen=True, slots=True)
class Copied:
    """How many bytes of the blobs came anew, and how many were in the sink already or at its registry."""

    moved_bytes: int = 0
    present_bytes: int = 0


class _Stopped(Exception):  # noqa: N818 it never leaves this file
    """Another blob has failed, so this one need not arrive."""


class _Progress:
    """Counts what many threads bring; the events come one at a time."""

    def __init__(self, parts: list[Descriptor], stage: str, events: Events) -> None:
        self._stage, self._events = stage, events
        self._total = sum(part.size_bytes for part in parts)
        self._done = 0
        self._lock = threading.Lock()
        self.is_stopped = False

    def check(self) -> None:
        """Raise where what is on its way is not wanted any more."""
        if self.is_stopped:
            raise _Stopped

    def of(self, part: Descriptor) -> Callable[[int], None]:
        """Return what hears how much of a part is there."""
        had = 0

        def told(done: int) -> None:
            nonlocal had
            self.check()
            with self._lock:
                self._done += done - had
                had = done
                self._events(Event(self._stage, "progress", str(part.digest), self._done, self._total))

        return told


@contextmanager
def _named(source: BlobSource, sink: Sink) -> Iterator[None]:
    """Say of bytes that are not what they should be where they came from: who takes them cannot know."""
    try:
        yield
    except IntegrityError as error:
        # registries name themselves where it is they that are wrong
        known = [_place(one) for one in (source, sink) if isinstance(one, RegistryStore)]
        issues = [
            issue
            if any(f"{place} " in issue.what for place in known)
            else Issue(
                issue.where,
                f"{_place(source)} has other bytes: {issue.what}",
                DAMAGED if isinstance(source, RegistryStore) else issue.fix,
            )
            for issue in error.issues
        ]
        raise IntegrityError(*issues) from error


def _place(store: BlobSource) -> str:
    if isinstance(store, RegistryStore):
        return f"{store.registry}/{store.repository}"
    return str(store.folder) if isinstance(store, LayoutStore) else "the source"


def copy(
    source: BlobSource,
    descriptor: Descriptor,
    sink: Sink,
    *,
    stage: str = "copy",
    events: Events = ignore,
    jobs: int = JOBS,
) -> Copied:
    """Copy a manifest or index after everything it names, skipping what is there.

    Several blobs at a time, each a chunk at a time; progress is in bytes. Raises IntegrityError where a blob
    is not what its digest or size says, and nothing of that blob is kept.
    """
    with _named(source, sink):
        return _copy(source, descriptor, sink, stage=stage, events=events, jobs=jobs)


def _copy(
    source: BlobSource, descriptor: Descriptor, sink: Sink, *, stage: str, events: Events, jobs: int
) -> Copied:
    if (
        isinstance(source, RegistryStore)
        and isinstance(sink, RegistryStore)
        and source.registry == sink.registry
    ):
        sink.knows(source.repository)
    parts = list({part.digest: part for part in documents.walk(source, descriptor)}.values())
    progress = _Progress(parts, stage, events)

    def take(part: Descriptor) -> int:
        told = progress.of(part)
        moved_bytes = sink.take(part, _opening(source, part.digest, progress.check), told)
        told(part.size_bytes)
        if isinstance(source, RegistryStore):
            source.has(part)
        return moved_bytes

    blobs = [part for part in parts if not _is_document(part)]
    # the largest first, so that none is left to travel alone at the end
    blobs.sort(key=lambda part: part.size_bytes, reverse=True)
    with ThreadPoolExecutor(jobs, thread_name_prefix="copy") as pool:
        futures = [pool.submit(take, part) for part in blobs]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            # a blob that fails, or an interrupt, ends the others
            progress.is_stopped = any(not future.done() or future.exception() for future in futures)
            for future in futures:
                future.cancel()
    ended = [one for one in futures if not one.cancelled() and not isinstance(one.exception(), _Stopped)]
    moved_bytes = sum(one.result() for one in ended)
    # each after what it names
    moved_bytes += sum(map(take, filter(_is_document, parts)))
    return Copied(moved_bytes, sum(part.size_bytes for part in parts) - moved_bytes)


def _is_document(part: Descriptor) -> bool:
    return documents.is_manifest(part) or documents.is_index(part)


def _opening(source: BlobSource, digest: Digest, waiting: Callable[[], None]) -> OpenAt:
    if isinstance(source, RegistryStore):
        return partial(source.open_at, digest, waiting=waiting)

    @contextmanager
    def opened(start_bytes: int) -> Iterator[IO[bytes]]:
        with source.open(digest) as stream:
            stream.seek(start_bytes)
            yield stream

    return opened


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
