"""Files and their sources in, a folder with all of them, each of the right digest, out.

In parallel, each large file in pieces. A piece goes on where it broke off; those that are complete are noted
beside the files, so that the next process that tries goes on too.
"""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager, suppress
from typing import Any

from lading_runtime.download.failure import FetchError
from lading_runtime.download.wanted import File

AT_ONCE = 8
PIECE_BYTES = 16 << 20
_READ_BYTES = 1 << 18
_TRIES = 6
"""How often a piece is asked for without a single byte of progress."""
_PAUSE_S, _MAX_PAUSE_S = 0.2, 5.0
_FULL = {errno.ENOSPC, errno.EDQUOT}
ROOM = "give more room: a larger /tmp, or a volume that LADING_MODEL_CACHE names"


class NoRanges(Exception):  # noqa: N818 - no error: a way that is not open
    """A source answers with the whole file, whatever part is asked for."""


class Progress:
    """Bytes that are there, counted by many threads."""

    def __init__(self, total: int) -> None:
        """Expect `total` bytes."""
        self.total = total
        self.done = 0
        self.source = ""
        self.stopped = threading.Event()
        self._lock = threading.Lock()

    def add(self, count: int, source: str = "") -> None:
        """Count what has come, or (negative) is to come again."""
        with self._lock:
            self.done += count
            self.source = source or self.source


def bring(folder: str, files: Sequence[File], sources: Sequence[Any], progress: Progress) -> None:
    """Have all the files below `folder`/files, verified; FetchError, of the first that cannot be had.

    `folder` is this process's alone meanwhile; what an earlier try has left in it is made use of.
    """
    os.makedirs(os.path.join(folder, "pieces"), exist_ok=True)
    todo = [_Transfer(folder, number, one, sources, progress) for number, one in enumerate(files)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        first: set[Future[None]] = {pool.submit(one.verify_whole) for one in todo}
        _settle(first, progress)
        pieces = {pool.submit(one.piece, number) for one in todo for number in one.missing()}
        _settle(pieces, progress)
        _settle({pool.submit(one.finish) for one in todo}, progress)


def _settle(futures: set[Future[None]], progress: Progress) -> None:
    """Wait for all; at the first that fails the others are told to stop."""
    pending = futures
    failed = None
    while pending:
        done, pending = wait(pending, return_when="FIRST_EXCEPTION")
        failed = failed or next((one.exception() for one in done if one.exception()), None)
        if failed:
            progress.stopped.set()
            for one in pending:
                one.cancel()
    if failed:
        progress.stopped.clear()
        raise failed


class _Transfer:
    """One file on its way."""

    def __init__(
        self, folder: str, number: int, file: File, sources: Sequence[Any], progress: Progress
    ) -> None:
        self._file = file
        self._sources = sources
        self._progress = progress
        self._path = os.path.join(folder, "files", *file.path.split("/"))
        self._notes = os.path.join(folder, "pieces", str(number))
        self._count = max(1, -(-file.size_bytes // PIECE_BYTES))
        self._is_done = False
        self._wants_whole = False
        os.makedirs(os.path.dirname(self._path), exist_ok=True)

    def verify_whole(self) -> None:
        """See whether the file is there already, as one of an earlier try or of a damaged copy is."""
        if os.path.islink(self._path):
            os.unlink(self._path)
        try:
            is_whole = os.path.getsize(self._path) == self._file.size_bytes
        except OSError:
            self._forget()
            return
        noted = self._noted()
        if is_whole and (not noted or all(noted)) and digest(self._path) == self._file.digest:
            self._is_done = True
            self._progress.add(self._file.size_bytes)
        elif not noted or all(noted):
            self._forget()
        else:
            spans = [self._span(one) for one, had in enumerate(noted) if had]
            self._progress.add(sum(end - start for start, end in spans))

    def missing(self) -> list[int]:
        """List the pieces that are to be fetched."""
        if self._is_done:
            return []
        noted = self._noted() or [False] * self._count
        with _translated(self._path):
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
            with closing(os.fdopen(descriptor, "r+b")) as stream:
                stream.truncate(self._file.size_bytes)
        return [number for number, had in enumerate(noted) if not had]

    def piece(self, number: int) -> None:
        """Fetch one piece from the first source that has it."""
        start, end = self._span(number)
        problems = []
        for source in self._sources:
            try:
                self._from(source, start, end)
            except NoRanges:
                self._wants_whole = True
                return
            except FetchError as error:
                problems.append(error)
            else:
                self._note(number)
                return
        raise self._failed(problems)

    def finish(self) -> None:
        """Verify the file; what is wrong is fetched again, from one source after the other."""
        if self._is_done:
            return
        if not self._wants_whole and self._is_right():
            return
        problems = []
        for source in self._sources if self._wants_whole or len(self._sources) > 1 else ():
            try:
                self._whole(source)
            except FetchError as error:
                problems.append(error)
            else:
                return
        self._forget()
        raise self._failed(problems or [self._wrong(self._sources[0])])

    def _whole(self, source: Any) -> None:
        """Fetch it from one source, from its beginning; FetchError where it is not what it should be."""
        self._progress.add(-self._file.size_bytes if not self._wants_whole else 0)
        try:
            self._from(source, 0, self._file.size_bytes, whole=True)
        except NoRanges as error:
            raise FetchError(f"{source.name} breaks off, and cannot go on in the middle") from error
        if not self._is_right():
            raise self._wrong(source)

    def _is_right(self) -> bool:
        return (
            os.path.getsize(self._path) == self._file.size_bytes and digest(self._path) == self._file.digest
        )

    def _wrong(self, source: Any) -> FetchError:
        what = f"{source.name} has another {self._file.path!r}: it is not {self._file.digest}"
        return FetchError(what, "put the file there that was packed, or pack the model anew", final=True)

    def _failed(self, problems: Sequence[FetchError]) -> FetchError:
        if not problems:
            what = f"there is no source for {self._file.path!r}"
            return FetchError(what, "name one with LADING_MODEL_SOURCE, such as oci://HOST/PATH", final=True)
        told = "; ".join(dict.fromkeys(one.what for one in problems))
        fix = next((one.fix for one in problems if one.fix), "")
        pause_s = max(one.pause_s for one in problems)
        return FetchError(told, fix, final=all(one.final for one in problems), pause_s=pause_s)

    def _from(self, source: Any, start: int, end: int, *, whole: bool = False) -> None:
        """Write bytes [start, end) of one source, going on as long as there is progress."""
        at, tries = start, 0
        while at < end:
            before = at
            try:
                at = self._stream(source, at, end, whole=whole)
                problem = FetchError(f"{source.name} broke off at byte {at} of {self._file.path!r}")
            except FetchError as error:
                at = max(at, getattr(error, "at", at))
                problem = error
            if at >= end:
                return
            tries = 0 if at > before else tries + 1
            if problem.final or tries >= _TRIES or self._progress.stopped.is_set():
                raise problem
            pause_s = max(problem.pause_s, min(_PAUSE_S * 2.0**tries, _MAX_PAUSE_S) if tries else 0.0)
            if self._progress.stopped.wait(pause_s):
                raise problem

    def _stream(self, source: Any, start: int, end: int, *, whole: bool) -> int:
        """Copy what comes to its place; return where it ended, by itself or because it broke."""
        body = source.get(self._file, start, end)
        with closing(body.stream):
            if body.start != start and not (whole and body.start == 0):
                raise NoRanges
            at = int(body.start)
            if at < start:  # it begins anew
                self._progress.add(at - start)
            with _translated(self._path), open(self._path, "r+b", buffering=0) as out:
                out.seek(at)
                while at < end and not self._progress.stopped.is_set():
                    try:
                        data = body.stream.read(min(_READ_BYTES, end - at))
                    except Exception as error:  # of HTTP, TLS or the system: what came before counts
                        raise _broke(source.name, error, at) from error
                    if not data:
                        break
                    out.write(data)
                    at += len(data)
                    self._progress.add(len(data), source.name)
        return at

    def _span(self, number: int) -> tuple[int, int]:
        return number * PIECE_BYTES, min((number + 1) * PIECE_BYTES, self._file.size_bytes)

    def _noted(self) -> list[bool]:
        """Return which pieces an earlier try has completed; empty where there was none."""
        try:
            with open(self._notes, "rb") as stream:
                data = stream.read()
        except OSError:
            return []
        return [one == 1 for one in data] if len(data) == self._count else []

    def _note(self, number: int) -> None:
        with _translated(self._path):
            descriptor = os.open(self._notes, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                if os.fstat(descriptor).st_size != self._count:
                    os.ftruncate(descriptor, self._count)
                os.pwrite(descriptor, b"\1", number)
            finally:
                os.close(descriptor)

    def _forget(self) -> None:
        for path in (self._path, self._notes):
            with suppress(FileNotFoundError):
                os.unlink(path)


@contextmanager
def _translated(path: str) -> Iterator[None]:
    """Say of an error of the disk where it was, and what to do."""
    try:
        yield
    except OSError as error:
        is_full = error.errno in _FULL
        raise FetchError(f"{path}: {error.strerror}", ROOM if is_full else "", final=is_full) from error


def _broke(name: str, error: Exception, at: int) -> FetchError:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    made = FetchError(f"{name} broke off at byte {at}: {text}")
    made.at = at  # type: ignore[attr-defined]
    return made


def digest(path: str, told: Callable[[int], None] = lambda _: None) -> str:
    """Return `sha256:…` of a file's bytes; `told` hears how many have been read."""
    found = hashlib.sha256()
    with open(path, "rb", buffering=0) as stream:
        buffer = bytearray(1 << 20)
        view = memoryview(buffer)
        while count := stream.readinto(buffer):
            found.update(view[:count])
            told(count)
    return f"sha256:{found.hexdigest()}"
