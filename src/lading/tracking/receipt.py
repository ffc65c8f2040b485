"""Listed files in; the same on this machine, several at once, each of the size and digests that were told.

What broke off goes on where the keeper can say that the file is still the same one, else begins anew. A file
gets its name when all of it is there.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import IO

from lading.core.digest import CHUNK_BYTES, Digest
from lading.core.errors import IntegrityError, Issue, RegistryError
from lading.core.ports import Event, Events
from lading.http.client import Transient
from lading.http.patience import Patience
from lading.tracking.files import Arriving, Files, Listed, OtherPart

_AT_ONCE = 8
_AGAIN = "fetch it again; if that does not help, the artifact itself is damaged, or being written"
_ROOM = "free some space (lading gc --cache --older-than-s 0), or take another disk with LADING_HOME"


class Receipt:
    """Brings the files below one place into one folder."""

    def __init__(self, files: Files, place: str, folder: Path, parts: Path, events: Events) -> None:
        """Take files from `place`; what is unfinished lies in `parts`."""
        self._files, self._place = files, place
        self._folder, self._parts = folder, parts
        self._events = events
        self._patience = Patience("model", events)
        self._lock = threading.Lock()
        self._done: dict[str, int] = {}
        self._sum = 0
        self._total: int | None = None
        self._is_over = threading.Event()

    def bring(self, wanted: Sequence[Listed]) -> dict[str, tuple[int, Digest]]:
        """Bring all of them, the largest first; return each one's size and digest by its path.

        The first that fails ends all. RegistryError where one cannot be had, IntegrityError where it is
        not what was told.
        """
        sizes = [one.size_bytes for one in wanted]
        self._total = None if None in sizes else sum(one or 0 for one in sizes)
        self._parts.mkdir(parents=True, exist_ok=True)
        if (self._total or 0) > shutil.disk_usage(self._parts).free + self._had_bytes():
            what = f"no room for {self._total:,} bytes"
            raise RegistryError(Issue(str(self._folder), what, _ROOM))
        ordered = sorted(wanted, key=lambda one: -(one.size_bytes or 0))
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            waiting = [pool.submit(self._one, one) for one in ordered]
            try:
                done, _ = wait(waiting, return_when=FIRST_EXCEPTION)
                for each in done:
                    each.result()  # what failed first is told, not what was given up for it
                return {one.path: each.result() for one, each in zip(ordered, waiting, strict=True)}
            finally:
                self._is_over.set()
                for each in waiting:
                    each.cancel()

    def _had_bytes(self) -> int:
        return sum(
            one.stat().st_size for one in (*self._parts.rglob("*"), *self._folder.rglob("*")) if one.is_file()
        )

    def _one(self, wanted: Listed) -> tuple[int, Digest]:
        """Bring one file, unless an earlier try has."""
        path = self._folder / wanted.path if wanted.path else self._folder
        if path.is_file() and path.stat().st_size == wanted.size_bytes:
            with path.open("rb") as stream:
                digest = Digest.of_stream(stream)
            self._tell(wanted, path.stat().st_size)
            return path.stat().st_size, digest
        name = hashlib.sha256(wanted.path.encode()).hexdigest()
        with (self._parts / name).open("a+b", buffering=0) as file:
            part = _Part(file, self._parts / f"{name}.tag")
            where = f"{self._files.name}/{self._path_of(wanted)}"
            self._patience.persist(where, lambda: self._receive(wanted, part), lambda: self._reached(part))
            digest = part.digest()
        path.parent.mkdir(parents=True, exist_ok=True)
        (self._parts / name).replace(path)
        part.forget()
        return part.size_bytes, digest

    def _path_of(self, wanted: Listed) -> str:
        return "/".join(filter(None, (self._place, wanted.path)))

    def _reached(self, part: _Part) -> int:
        """Tell how far it is; end a wait where another file has failed."""
        if self._is_over.is_set():
            raise RegistryError(Issue(self._files.name, "given up: another file could not be had"))
        return part.size_bytes

    def _receive(self, wanted: Listed, part: _Part) -> None:
        """Ask for what is missing, and write it as it comes."""
        path = self._path_of(wanted)
        if wanted.size_bytes is not None and part.size_bytes >= wanted.size_bytes:
            part.restart()  # the rest of it would be nothing, which cannot be asked for
        try:
            self._take(path, wanted, part)
        except OtherPart:
            part.restart()
            raise

    def _take(self, path: str, wanted: Listed, part: _Part) -> None:
        with self._files.open(path, part.size_bytes if part.tag else 0, part.tag) as arriving:
            part.begin(arriving)
            expected = wanted.size_bytes if wanted.size_bytes is not None else arriving.total_bytes
            if expected is None:
                raise RegistryError(Issue(f"{self._files.name}/{path}", "nobody tells how long it is"))
            if arriving.total_bytes not in {None, expected}:
                self._refuse(path, f"got {arriving.total_bytes} bytes, and the listing says {expected}", part)
            for piece in arriving.pieces:
                if part.size_bytes + len(piece) > expected:
                    self._refuse(path, f"got more than the {expected} bytes that were told", part)
                self._reached(part)
                part.write(piece)
                self._tell(wanted, part.size_bytes)
            if part.size_bytes < expected:
                raise Transient(f"the connection ended after {part.size_bytes} of {expected} bytes")
        for name, told in arriving.digests.items():
            if part.digest_by(name) != told:
                self._refuse(path, f"its {name} is not the one that the server tells", part)

    def _refuse(self, path: str, what: str, part: _Part) -> None:
        part.restart()
        raise IntegrityError(Issue(f"{self._files.name}/{path}", what, _AGAIN))

    def _tell(self, wanted: Listed, done: int) -> None:
        with self._lock:
            self._sum += done - self._done.get(wanted.path, 0)
            self._done[wanted.path] = done
            name = wanted.path or self._folder.name
            self._events(Event("model", "progress", name, self._sum, self._total))


class _Part:
    """An unfinished file, and beside it the tag of what it is the beginning of."""

    def __init__(self, file: IO[bytes], tag: Path) -> None:
        self._file, self._tag = file, tag
        self.size_bytes = os.fstat(file.fileno()).st_size
        self.tag = tag.read_text() if tag.is_file() else None
        if self.size_bytes and not self.tag:
            self.restart()  # nobody could say what it is the beginning of

    def begin(self, arriving: Arriving) -> None:
        """Get ready for what comes: it may be all of it, although a part was asked for."""
        if arriving.start != self.size_bytes:
            self.restart()
        if arriving.tag != self.tag:
            self.tag = arriving.tag
            if arriving.tag:
                self._tag.write_text(arriving.tag)
            else:
                self._tag.unlink(missing_ok=True)

    def restart(self) -> None:
        """Begin again with nothing."""
        self._file.truncate(0)
        self._file.seek(0)
        self.size_bytes = 0

    def write(self, data: bytes) -> None:
        """Append bytes."""
        left = memoryview(data)
        while left:
            left = left[self._file.write(left) :]
        self.size_bytes += len(data)

    def digest(self) -> Digest:
        """Bring it to the disk, and return its digest."""
        os.fchmod(self._file.fileno(), 0o644)
        os.fsync(self._file.fileno())
        return Digest("sha256", self.digest_by("sha256").hex())

    def digest_by(self, name: str) -> bytes:
        """Read it again, for another kind of digest."""
        state = hashlib.new(name, usedforsecurity=False)
        self._file.seek(0)
        while chunk := self._file.read(CHUNK_BYTES):
            state.update(chunk)
        return state.digest()

    def forget(self) -> None:
        """Remove the tag: the file has its name."""
        self._tag.unlink(missing_ok=True)
