"""A file in; its SHA-256 out, read from its contents once and remembered by what `stat` says of it."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from lading.core import canonical
from lading.core.digest import Digest
from lading.core.errors import IntegrityError, Issue, ModelError
from lading.layers.cache import remember

_REMEMBERED_FROM_BYTES = 1 << 20  # shorter files are read sooner than remembered
_RACY_NS = 2_000_000_000


@dataclass(frozen=True, slots=True)
class FileDigests:
    """Digests by path, length, times and inode, one entry a file in a folder.

    A file that changed in the last two seconds is not remembered: it could change again without its times
    telling (git's "racy" entries). A damaged entry counts as none.
    """

    folder: Path

    def of(self, file: Path) -> Digest:
        """Return a file's digest; raise ModelError where it cannot be read, or changes meanwhile."""
        try:
            with file.open("rb") as stream:
                before = _identity(stream.fileno())
                if before[0] < _REMEMBERED_FROM_BYTES:
                    return Digest.of_stream(stream)
                entry = self.folder / f"{Digest.of(os.fsencode(file.resolve())).hex}.json"
                known = _read(entry, before)
                if known:
                    return known
                began_ns = time.time_ns()
                digest = Digest.of_stream(stream)
                if _identity(stream.fileno()) != before:
                    raise ModelError(Issue(str(file), "changed while it was read", "try again"))
        except OSError as error:
            raise ModelError(Issue(str(file), f"cannot be read ({error.strerror})")) from error
        if max(before[1], before[2]) < began_ns - _RACY_NS:
            remember(entry, canonical.encode({"identity": before, "digest": str(digest)}))
        return digest


def _identity(descriptor: int) -> list[int]:
    status = os.fstat(descriptor)
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _read(entry: Path, identity: list[int]) -> Digest | None:
    try:
        match canonical.decode(entry.read_bytes(), entry.name):
            case {"identity": list(remembered), "digest": str(text)} if remembered == identity:
                return Digest.parse(text)
    except (OSError, IntegrityError):
        pass
    return None
