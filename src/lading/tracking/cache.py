"""Artifacts that are wanted in; a folder with all of them, verified, out. It is never seen half.

A model is known by where it lies, its listing and its MLmodel, which says when it was saved; other artifacts
by what their keeper calls their version. What has neither is fetched anew each time, and kept by its content.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lading.core import canonical
from lading.core.digest import Digest
from lading.core.errors import IntegrityError, Issue, LadingError, RegistryError, disk_fix
from lading.core.ports import Event, Events
from lading.http.patience import Patience
from lading.tracking.files import Files, Listed, walk
from lading.tracking.receipt import Receipt

DigestOf = Callable[[Path], Digest]
_MLMODEL = "MLmodel"
_MANIFEST = ".received.json"
_MOST_BYTES = 16 << 20
_MOST_TAGS = 32
_SIZE = re.compile(rb"^model_size_bytes: (\d{1,15})$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Wanted:
    files: Files
    place: str
    listed: Sequence[Listed]
    called: str


class Cache:
    """Folders of artifacts, by what identifies them."""

    def __init__(self, folder: Path, digest_of: DigestOf, events: Events) -> None:
        """Keep them below a folder; `digest_of` may remember digests of files that have not changed."""
        self._folder, self._digest_of, self._events = folder, digest_of, events

    def provide(self, files: Files, place: str, called: str) -> Path:
        """Return the file or folder `called` so, with what lies at a place; its parent is in the cache."""
        listed = walk(files, place)
        wanted = _Wanted(files, place, listed, called)
        total = sum(one.size_bytes or 0 for one in listed)
        mlmodel = self._mlmodel(files, place, listed)
        stamp = Digest.of(mlmodel).hex if mlmodel else self._tags(files, place, listed)
        rows = [[one.path, one.size_bytes] for one in listed]
        key = Digest.of(canonical.encode([f"{files.name}/{place}", called, rows, stamp])).hex
        final = self._folder / f"mlflow-{key}"
        if stamp and self._is_sound(final):
            os.utime(final)
            return final / called
        try:
            with _held(self._folder / f".mlflow-{key}") as staging:
                if not (stamp and self._is_sound(final)):
                    self._events(
                        Event("model", "step", f"{len(listed)} files, {total:,} bytes from {files.name}")
                    )
                    final = self._fetch(wanted, staging, final if stamp else None)
        except OSError as error:
            what = f"cannot be written: {error.strerror or error}"
            raise RegistryError(Issue(str(self._folder), what, disk_fix(error))) from error
        return final / called

    def _fetch(self, wanted: _Wanted, staging: Path, final: Path | None) -> Path:
        """Fetch into a folder beside it, and rename that; what has no name yet is named by its content."""
        whole, called = staging / "whole", wanted.called
        if final is None:
            shutil.rmtree(whole, ignore_errors=True)
        receipt = Receipt(wanted.files, wanted.place, whole / called, staging / "parts", self._events)
        received = receipt.bring(wanted.listed)
        _check_size(f"{wanted.files.name}/{wanted.place}", whole / called, received)
        rows: dict[str, Any] = {
            f"{called}/{path}".rstrip("/"): [size, str(digest)] for path, (size, digest) in received.items()
        }
        manifest = canonical.encode(rows)
        final = final or self._folder / f"mlflow-{Digest.of(manifest).hex}"
        (whole / _MANIFEST).write_bytes(manifest)
        if self._is_sound(final):
            return final
        shutil.rmtree(final, ignore_errors=True)
        whole.rename(final)
        return final

    def _mlmodel(self, files: Files, place: str, listed: Sequence[Listed]) -> bytes:
        if not any(one.path == _MLMODEL for one in listed):
            return b""
        path = "/".join(filter(None, (place, _MLMODEL)))

        def read() -> bytes:
            data = bytearray()
            with files.open(path, 0, None) as arriving:
                for piece in arriving.pieces:
                    data += piece
                    if len(data) > _MOST_BYTES:
                        raise IntegrityError(
                            Issue(f"{files.name}/{path}", f"longer than {_MOST_BYTES} bytes")
                        )
            return bytes(data)

        return Patience("model", self._events).persist(f"{files.name}/{path}", read)

    def _tags(self, files: Files, place: str, listed: Sequence[Listed]) -> str | None:
        """Ask for the versions of a few files."""
        tags = []
        for one in listed if len(listed) <= _MOST_TAGS else ():
            path = "/".join(filter(None, (place, one.path)))

            def ask(path: str = path) -> str | None:
                with files.open(path, 0, None) as arriving:
                    return arriving.tag

            tags.append(Patience("model", self._events).persist(f"{files.name}/{path}", ask))
        return Digest.of(canonical.encode(tags)).hex if tags and all(tags) else None

    def _is_sound(self, folder: Path) -> bool:
        """Tell whether a folder has what was received, and nothing else."""
        try:
            rows: Mapping[str, Any] = canonical.decode((folder / _MANIFEST).read_bytes(), _MANIFEST)
            there = {one.relative_to(folder).as_posix() for one in folder.rglob("*") if not one.is_dir()}
            return there == {*rows, _MANIFEST} and all(
                str(self._digest_of(folder / path)) == digest for path, (_, digest) in rows.items()
            )
        except (OSError, LadingError, ValueError, TypeError):
            return False


def _check_size(where: str, folder: Path, received: Mapping[str, tuple[int, Digest]]) -> None:
    """Hold what came against what MLflow counted when it saved the model, before it wrote the last files."""
    if _MLMODEL in received and (told := _SIZE.search((folder / _MLMODEL).read_bytes())):
        total = sum(size for size, _ in received.values())
        if total < int(told[1]):
            what = f"has {total} bytes in all, and its MLmodel says {int(told[1])}: files are missing"
            raise IntegrityError(Issue(where, what, "log the model again"))


@contextmanager
def _held(staging: Path) -> Iterator[Path]:
    """Hold a folder alone, waiting while another thread or process does; it is removed when all went well."""
    while True:
        staging.mkdir(parents=True, exist_ok=True)
        with _lock(staging) as is_ours:
            if is_ours:
                yield staging
                shutil.rmtree(staging, ignore_errors=True)
                return


@contextmanager
def _lock(staging: Path) -> Iterator[bool]:
    """Wait for a folder's lock; False where whoever had it has removed the folder meanwhile."""
    try:
        file = (staging / ".lock").open("ab")
    except FileNotFoundError:
        yield False
        return
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            is_same = os.path.samestat(os.fstat(file.fileno()), (staging / ".lock").stat())
        except FileNotFoundError:
            is_same = False
        yield is_same
