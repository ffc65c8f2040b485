"""A folder of artifacts, wherever it is, in; every file below it out, by names that lead nowhere else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from lading.core.errors import IntegrityError, Issue, RegistryError
from lading.http.client import Transient

_MOST_FILES, _DEEPEST, _LONGEST, _MOST_TOLD = 100_000, 64, 255, 12


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or folder in a listing."""

    name: str
    is_folder: bool
    size_bytes: int | None = None


class OtherPart(Transient):
    """What comes is not the part that was asked for: the file has to be asked for anew."""


@dataclass(frozen=True, slots=True)
class Arriving:
    """A file on its way, from `start` on."""

    pieces: Iterator[bytes]
    start: int = 0
    total_bytes: int | None = None
    tag: str | None = None
    """What stands for these very bytes: with it the rest may be asked for later."""
    digests: Mapping[str, bytes] = field(default_factory=dict)
    """Of the whole file, by hashlib's names, as far as its keeper tells."""


class Files(Protocol):
    """Where artifacts lie."""

    @property
    def name(self) -> str:
        """What people call the place, without credentials."""
        ...

    def list(self, path: str) -> Sequence[Entry] | None:
        """List a folder, "" the top one; None, or nothing, where it is none."""
        ...

    def open(self, path: str, start: int, tag: str | None) -> AbstractContextManager[Arriving]:
        """Open a file, if it may be from `start` on where it still has this tag; Transient may pass."""
        ...


@dataclass(frozen=True, slots=True)
class Listed:
    """A file that is to be brought: its path below the top, and its size, if that was told."""

    path: str
    size_bytes: int | None


def walk(files: Files, path: str) -> list[Listed]:
    """List every file below a path, or the one file that it is.

    IntegrityError for names that lead elsewhere, stand twice, or are too many; RegistryError for nothing.
    """
    found: list[Listed] = []
    waiting = [(path, "")]
    while waiting:
        folder, below = waiting.pop()
        seen: set[str] = set()
        for one in files.list(folder) or ():
            _check(files, folder, one, seen)
            inner = f"{below}/{one.name}".lstrip("/")
            if one.is_folder:
                waiting.append((f"{folder}/{one.name}".lstrip("/"), inner))
            else:
                found.append(Listed(inner, one.size_bytes))
            if len(found) + len(waiting) > _MOST_FILES or inner.count("/") > _DEEPEST:
                raise IntegrityError(
                    Issue(_place(files, path), f"more than {_MOST_FILES} files, or too deep")
                )
    return sorted(found, key=lambda one: one.path) or [_single(files, path)]


def _single(files: Files, path: str) -> Listed:
    """Find a file in the folder that it lies in."""
    folder, _, name = path.rpartition("/")
    there = files.list(folder) or () if name else ()
    for one in there:
        if one.name == name and not one.is_folder:
            _check(files, folder, one, set())
            return Listed("", one.size_bytes)
    names = sorted(one.name for one in there)[:_MOST_TOLD]
    fix = f"beside it are: {', '.join(names)}" if names else "look at the artifacts in MLflow's own pages"
    raise RegistryError(Issue(_place(files, path), "there are no artifacts", fix))


def _check(files: Files, folder: str, one: Entry, seen: set[str]) -> None:
    """Refuse what is no name of a file in this folder alone."""
    name = one.name
    is_bad = name in {"", ".", ".."} or "/" in name or "\\" in name or not name.isprintable() or name in seen
    try:
        is_bad = is_bad or len(name.encode()) > _LONGEST
    except UnicodeEncodeError:
        is_bad = True
    if is_bad or (one.size_bytes is not None and one.size_bytes < 0):
        what = f"it lists {name[:80]!r}, which is no file's name, or twice there"
        raise IntegrityError(
            Issue(_place(files, folder), what, "ask who keeps that server: it is damaged, or not MLflow")
        )
    seen.add(name)


def _place(files: Files, path: str) -> str:
    return f"{files.name}/{path}".rstrip("/")
