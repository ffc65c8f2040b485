"""The author's own files in: model, code, assets; their paths in the image, and a layer of them, out."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lading.core.digest import CHUNK_BYTES, Digest
from lading.core.errors import IntegrityError, Issue, ModelError, SpecError
from lading.core.model import NEVER_PACKAGED
from lading.layers.file_digests import FileDigests
from lading.layers.tar import LayerWriter

_JUNK_SUFFIXES = (".pyc", ".pyo")


@dataclass(frozen=True, slots=True)
class Content:
    """A file for the image: its path there, where its bytes lie, and what they are."""

    path: str
    source: Path
    size_bytes: int
    digest: Digest
    mode: int


def contents(files: Iterable[tuple[str, Path]], digests: FileDigests) -> tuple[Content, ...]:
    """Look at files, given as path in the image and path here; return them in order of path.

    Executable files get mode 0755, others 0644, whatever the umask was. ModelError for what cannot be read.
    """
    found = []
    for path, source in sorted(files, key=lambda pair: pair[0].encode("utf-8", "surrogateescape")):
        try:
            status = source.stat()
        except OSError as error:
            raise ModelError(Issue(str(source), f"cannot be read ({error.strerror})")) from error
        mode = 0o755 if status.st_mode & stat.S_IXUSR else 0o644
        found.append(Content(path, source, status.st_size, digests.of(source), mode))
    return tuple(found)


def walk(root: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    """Yield the files of a folder (or the one file) with their paths in the image, without NEVER_PACKAGED.

    Links are followed as long as they stay inside the folder. SpecError for one that leaves it or leads back
    to a parent, for what is neither file nor folder, and for what cannot be read.
    """
    try:
        if root.is_dir():
            yield from _walk(root, prefix, root.resolve(), ())
        elif root.is_file():
            yield f"{prefix}/{root.name}", root
        else:
            raise SpecError(Issue(str(root), "is not there, or neither file nor folder"))
    except OSError as error:
        raise SpecError(Issue(str(error.filename), f"cannot be read ({error.strerror})")) from error


def _walk(folder: Path, prefix: str, root: Path, above: tuple[Path, ...]) -> Iterator[tuple[str, Path]]:
    real = folder.resolve()
    if real in above:
        raise SpecError(Issue(str(folder), "links to a folder that holds it", "remove the link"))
    for entry in sorted(os.scandir(folder), key=lambda one: one.name):
        path = Path(entry.path)
        if entry.name in NEVER_PACKAGED or entry.name.endswith(_JUNK_SUFFIXES):
            continue
        target = Path(os.path.realpath(path)) if entry.is_symlink() else path  # resolve() fails on a loop
        if entry.is_symlink() and not target.is_relative_to(root):
            fix = "copy what it points to into the folder"
            raise SpecError(Issue(str(path), f"links to {str(target)!r}, outside of {root}", fix))
        if entry.is_dir():
            yield from _walk(path, f"{prefix}/{entry.name}", root, (*above, real))
        elif entry.is_file():
            yield f"{prefix}/{entry.name}", path
        else:
            raise SpecError(Issue(str(path), "is neither a file nor a folder"))


def write(files: Sequence[Content], writer: LayerWriter) -> None:
    """Write files into a layer; raise IntegrityError for one that is no longer what it was."""
    for one in files:
        writer.chunks(one.path, _verified(one), one.size_bytes, one.mode)


def _verified(content: Content) -> Iterator[bytes]:
    """Yield a file's chunks; a layer is cached by its files' digests, so they have to be true."""
    state = hashlib.sha256()
    where = str(content.source)
    try:
        with content.source.open("rb") as stream:
            while chunk := stream.read(CHUNK_BYTES):
                state.update(chunk)
                yield chunk
    except OSError as error:
        raise IntegrityError(Issue(where, f"cannot be read any more ({error.strerror})")) from error
    if state.hexdigest() != content.digest.hex:
        raise IntegrityError(Issue(where, "changed while it was packed", "pack again"))
